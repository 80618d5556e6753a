/* SPDX-License-Identifier: MIT */
/* What the descriptor of a derived frame says about the frame that it was made from. */
#include "derived.h"
#include "stream_fixture.h"

static const struct eegd_descriptor input = {.frame_number = 41,
                                             .sample_index = 1000,
                                             .drdy_ns = 5000000003,
                                             .time_ns = 5e9,
                                             .period_ns = 4e6,
                                             .n_samples = 25,
                                             .n_channels = 3,
                                             .flags = EEGD_FLAG_SHORT | EEGD_FLAG_FIRST | EEGD_FLAG_SIMULATED,
                                             .railed = 1,
                                             .near_rail = 3,
                                             .flat = 4,
                                             .lead_off = 2,
                                             .status_or = {0xC00000, 1, 2, 3}};

static struct eegd_descriptor filled(const struct eegd_derivation *derivation,
                                     const struct eegd_covered *covered)
{
    struct eegd_outlet *outlet = fixture_outlet(4, 1, 0);
    int slab = eegd_outlet_claim(outlet);
    struct eegd_descriptor *descriptor = eegd_outlet_descriptor(outlet, (uint32_t)slab), copy;
    memset(descriptor, 0xA5, sizeof(*descriptor)); /* as the frame before left it */
    eegd_derived_fill(outlet, (uint32_t)slab, 7, derivation, covered, &input);
    copy = *descriptor;
    eegd_outlet_free(outlet);
    return copy;
}

static struct eegd_descriptor_source source_of(const struct eegd_descriptor *descriptor)
{
    struct eegd_descriptor_source source;
    memcpy(&source, descriptor->status_or, sizeof(source));
    return source;
}

static void test_a_filtered_frame_has_times_masks_and_the_short_flag_of_its_input(void)
{
    struct eegd_derivation derivation = {.ratio = 1, .is_same_channels = 1};
    struct eegd_covered covered = {.sample_index = 1000, .n_samples = 25, .missed = 50, .flags = 1};
    struct eegd_descriptor made = filled(&derivation, &covered);
    struct eegd_descriptor_source source = source_of(&made);
    CHECK_EQ(made.sample_index, 7);
    CHECK_EQ(made.n_samples, 25);
    CHECK_EQ(made.drdy_ns, 5000000003);
    CHECK(made.time_ns == 5e9 && made.period_ns == 4e6);
    CHECK_EQ(made.flags, EEGD_FLAG_SHORT | EEGD_FLAG_SIMULATED); /* `first` is the stream's own */
    CHECK(made.railed == 1 && made.near_rail == 3 && made.flat == 4 && made.lead_off == 2);
    CHECK(source.frame_number == 41 && source.sample_index == 1000 && source.n_samples == 25 &&
          source.missed == 50);
    CHECK(!made.lost_before && !made.publish_ns && !made.wall_offset_ns); /* publishing fills these in */
}

static void test_a_feature_is_one_value_at_the_time_of_the_last_sample_that_it_covers(void)
{
    struct eegd_derivation derivation = {.ratio = 0.1, .is_feature = 1};
    struct eegd_covered covered = {.sample_index = 500, .n_samples = 510};
    struct eegd_descriptor made = filled(&derivation, &covered);
    CHECK_EQ(made.n_samples, 1);
    CHECK(made.time_ns == 5e9 + 9 * 4e6);
    CHECK(made.period_ns == 4e6 / 0.1);
    CHECK_EQ(made.flags, 0);
    CHECK(!made.railed && !made.near_rail && !made.flat && !made.lead_off);
    CHECK_EQ(source_of(&made).n_samples, 510);
}

static void test_a_feature_of_samples_before_the_frame_lies_before_it(void)
{
    struct eegd_derivation derivation = {.ratio = 0.1, .is_feature = 1};
    struct eegd_covered covered = {.sample_index = 900, .n_samples = 98};
    struct eegd_descriptor made = filled(&derivation, &covered);
    CHECK(made.time_ns == 5e9 - 3 * 4e6);
}

int main(void)
{
    RUN(test_a_filtered_frame_has_times_masks_and_the_short_flag_of_its_input);
    RUN(test_a_feature_is_one_value_at_the_time_of_the_last_sample_that_it_covers);
    RUN(test_a_feature_of_samples_before_the_frame_lies_before_it);
    return check_report();
}
