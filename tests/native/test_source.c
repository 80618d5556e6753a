/* SPDX-License-Identifier: MIT */
/* Signal sources: constant, sine, pattern, recorded frames and potentials, and the synthetic head. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "descriptor.h"
#include "pattern.h"
#include "source.h"
#include "synth.h"
#include "check.h"

#define PERIOD_NS 4000000 /* 250 SPS */

static struct eegd_inputs inputs;

static int next_of(struct eegd_source *source, uint64_t index)
{
    memset(&inputs, 0, sizeof inputs);
    return source->ops->next(source, index, (int64_t)index * PERIOD_NS, PERIOD_NS, &inputs);
}

static void constant_gives_its_potentials_until_its_limit(void)
{
    const int64_t p[2] = {5, -7}, n[2] = {1, 2};
    struct eegd_source *source = eegd_source_constant(p, n, 2, 11, 12, 13, 3);

    CHECK_EQ(next_of(source, 2), 1);
    CHECK_EQ(inputs.p_nv[0], 5);
    CHECK_EQ(inputs.p_nv[1], -7);
    CHECK_EQ(inputs.n_nv[1], 2);
    CHECK_EQ(inputs.p_nv[2], 0);
    CHECK_EQ(inputs.srb1_nv + inputs.srb2_nv + inputs.bias_nv, 36);
    CHECK(!inputs.frame && !inputs.codes);
    CHECK_EQ(next_of(source, 3), 0);
    CHECK_EQ(source->flags, EEGD_FLAG_SIMULATED);
    eegd_source_free(source);
}

static void sine_follows_time_on_the_pin_of_its_wiring(void)
{
    const uint8_t wiring[3] = {EEGD_WIRING_P, EEGD_WIRING_N, EEGD_WIRING_BIPOLAR};
    struct eegd_source *source = eegd_source_sine(10, 100.001, 3, wiring, 0);

    for (uint64_t k = 0; k < 100; k++) {
        int64_t wanted = llrint(100001.0 * sin(2 * M_PI * 10 * 0.004 * (double)k));

        CHECK_EQ(next_of(source, k), 1);
        CHECK(llabs(inputs.p_nv[0] - wanted) <= 1);
        CHECK_EQ(inputs.n_nv[0], 0);
        CHECK_EQ(inputs.n_nv[1], inputs.p_nv[0]);
        CHECK_EQ(inputs.p_nv[1], 0);
        CHECK_EQ(inputs.p_nv[2] - inputs.n_nv[2], inputs.p_nv[0]);
        CHECK(llabs(inputs.p_nv[2] + inputs.n_nv[2]) <= 1);
    }
    eegd_source_free(source);
}

static void sine_keeps_its_phase_over_a_month(void)
{
    struct eegd_source *source = eegd_source_sine(10, 1e6, 1, NULL, 0);
    int64_t month_ns = INT64_C(30) * 86400 * 1000000000;

    memset(&inputs, 0, sizeof inputs);
    source->ops->next(source, 1, month_ns + 25000000, PERIOD_NS, &inputs);
    CHECK(llabs(inputs.p_nv[0] - 1000000000) <= 1);
    eegd_source_free(source);
}

static void pattern_codes_are_24_bits_and_carry_their_checksum(void)
{
    struct eegd_source *source = eegd_source_pattern(8, 0);
    uint64_t indices[] = {0, 1, 2, 0xFFFFFF, 0x1000000, 0x123456789A};

    for (size_t i = 0; i < sizeof indices / sizeof indices[0]; i++) {
        CHECK_EQ(next_of(source, indices[i]), 1);
        for (uint32_t c = 0; c < 7; c++) {
            CHECK_EQ(inputs.codes[c], eegd_pattern_code(indices[i], c));
            CHECK(inputs.codes[c] >= -0x800000 && inputs.codes[c] <= 0x7FFFFF);
        }
        CHECK_EQ(inputs.codes[7], eegd_pattern_checksum(indices[i], inputs.codes, 7));
    }
    eegd_source_free(source);
}

static void frames_come_verbatim_and_end_or_begin_again(void)
{
    uint8_t frames[3][27];
    struct eegd_source *once, *again;

    for (int i = 0; i < 3; i++)
        memset(frames[i], i + 1, 27);
    once = eegd_source_frames(&frames[0][0], 3, 27, 0);
    again = eegd_source_frames(&frames[0][0], 3, 27, 1);
    CHECK_EQ(next_of(once, 2), 1);
    CHECK(inputs.frame == frames[2]);
    CHECK_EQ(inputs.frame_bytes, 27);
    CHECK_EQ(next_of(once, 3), 0);
    CHECK_EQ(next_of(once, 4), 0);
    CHECK_EQ(next_of(again, 3), 1);
    CHECK(inputs.frame == frames[0]);
    CHECK_EQ(once->flags, EEGD_FLAG_REPLAY);
    eegd_source_free(once);
    eegd_source_free(again);
}

static void recording_lays_microvolts_on_the_pins_in_nv(void)
{
    const double rows[2][3] = {{61379.36, -0.0015, 0.001}, {1e300, -1e300, 5}};
    const uint8_t wiring[3] = {EEGD_WIRING_P, EEGD_WIRING_N, EEGD_WIRING_BIPOLAR};
    struct eegd_source *source = eegd_source_recording(&rows[0][0], 2, 3, wiring, 0);

    CHECK_EQ(next_of(source, 0), 1);
    CHECK_EQ(inputs.p_nv[0], 61379360);
    CHECK_EQ(inputs.n_nv[1], -2);
    CHECK_EQ(inputs.p_nv[1], 0);
    CHECK_EQ(inputs.p_nv[2] - inputs.n_nv[2], 1);
    CHECK_EQ(next_of(source, 1), 1);
    CHECK_EQ(inputs.p_nv[0], 10000000000); /* far beyond any rail, small enough for the chip's integers */
    CHECK_EQ(inputs.n_nv[1], -10000000000);
    CHECK_EQ(next_of(source, 2), 0);
    eegd_source_free(source);
}

static void constructors_refuse_what_is_out_of_range(void)
{
    const uint8_t unknown[1] = {3}, frame[27] = {0};
    const double uv[1] = {0};
    const int64_t nv[1] = {0};

    CHECK(!eegd_source_constant(nv, nv, 33, 0, 0, 0, 0));
    CHECK(!eegd_source_constant(NULL, nv, 1, 0, 0, 0, 0));
    CHECK(!eegd_source_sine(NAN, 1, 1, NULL, 0));
    CHECK(!eegd_source_sine(1, INFINITY, 1, NULL, 0));
    CHECK(!eegd_source_sine(1, 1, 0, NULL, 0));
    CHECK(!eegd_source_sine(1, 1, 1, unknown, 0));
    CHECK(!eegd_source_pattern(0, 0));
    CHECK(!eegd_source_pattern(33, 0));
    CHECK(!eegd_source_frames(frame, 0, 27, 1));
    CHECK(!eegd_source_frames(NULL, 1, 27, 1));
    CHECK(!eegd_source_recording(uv, 0, 1, NULL, 1));
    CHECK(!eegd_source_recording(uv, 1, 33, NULL, 1));
    CHECK(!eegd_source_recording(uv, 1, 1, unknown, 1));
    eegd_source_free(NULL);
}

/* The head. Electrode 0 is at input 0, electrode 1 the reference at SRB1. */

static float weights[2][EEGD_SYNTH_SOURCES], noise_uv[2], drift_uv[2], offset_uv[2];

static struct eegd_synth_config head_config(uint64_t seed)
{
    struct eegd_synth_config config = {.seed = seed,
                                       .mains_hz = 50,
                                       .n_electrodes = 2,
                                       .weights = &weights[0][0],
                                       .noise_uv = noise_uv,
                                       .drift_uv = drift_uv,
                                       .offset_uv = offset_uv,
                                       .srb1 = 1,
                                       .srb2 = EEGD_SYNTH_NO_ELECTRODE};

    memset(weights, 0, sizeof weights);
    noise_uv[0] = noise_uv[1] = drift_uv[0] = drift_uv[1] = offset_uv[0] = offset_uv[1] = 0;
    memset(config.p, EEGD_SYNTH_NO_ELECTRODE, sizeof config.p);
    memset(config.n, EEGD_SYNTH_NO_ELECTRODE, sizeof config.n);
    config.p[0] = 0;
    return config;
}

static double rms_of(const struct eegd_synth_config *config, int64_t period_ns, double seconds, double *peak)
{
    struct eegd_source *source = eegd_source_synth(config);
    uint64_t n = (uint64_t)(seconds * 1e9 / (double)period_ns);
    double sum = 0;

    *peak = 0;
    for (uint64_t k = 0; k < n; k++) {
        double uv;

        memset(&inputs, 0, sizeof inputs);
        source->ops->next(source, k, (int64_t)k * period_ns, period_ns, &inputs);
        uv = 1e-3 * (double)(inputs.p_nv[0] - inputs.srb1_nv);
        sum += uv * uv;
        *peak = fmax(*peak, fabs(uv));
    }
    eegd_source_free(source);
    return sqrt(sum / (double)n);
}

static void each_source_of_the_head_has_the_size_its_weight_says_at_any_rate(void)
{
    const int64_t periods[] = {4000000, 1000000, 250000};

    for (int i = 0; i < 3; i++) {
        struct eegd_synth_config config = head_config(5);
        double rms, peak;

        weights[0][3] = 10;
        rms = rms_of(&config, periods[i], 60, &peak);
        CHECK(rms > 8.5 && rms < 11.5);
        config = head_config(5);
        weights[0][EEGD_SYNTH_MAINS] = 10;
        rms = rms_of(&config, periods[i], 20, &peak);
        CHECK(fabs(rms - 10 / sqrt(2)) < 0.05 && peak > 9.4 && peak < 10.01);
        config = head_config(5);
        weights[0][EEGD_SYNTH_BLINK] = 100;
        rms_of(&config, periods[i], 60, &peak);
        CHECK(peak > 95 && peak < 121);
        config = head_config(5);
        weights[0][EEGD_SYNTH_HEART] = 1000;
        rms_of(&config, periods[i], 20, &peak);
        CHECK(peak > 800 && peak < 1050);
        config = head_config(5);
        weights[0][EEGD_SYNTH_ALPHA_LEFT] = 20;
        rms = rms_of(&config, periods[i], 120, &peak);
        CHECK(rms > 5 && rms < 12 && peak > 15 && peak < 22);
        config = head_config(5);
        weights[0][EEGD_SYNTH_MUSCLE_LEFT] = 20;
        rms = rms_of(&config, periods[i], 120, &peak);
        CHECK(rms > 1 && rms < 8 && peak > 30 && peak < 110);
    }
}

static void what_all_electrodes_share_is_taken_away_by_the_reference(void)
{
    struct eegd_synth_config config = head_config(5);
    double peak;

    weights[0][EEGD_SYNTH_MAINS] = weights[1][EEGD_SYNTH_MAINS] = 1000;
    offset_uv[0] = 5000;
    offset_uv[1] = 4000;
    CHECK(fabs(rms_of(&config, PERIOD_NS, 1, &peak) - 1000) < 0.01);
}

static void the_same_seed_gives_the_same_samples_and_another_seed_does_not(void)
{
    struct eegd_synth_config config = head_config(9), other;
    struct eegd_source *a, *b, *c;
    int same = 0, differ = 0;

    noise_uv[0] = 10;
    weights[0][EEGD_SYNTH_MUSCLE_RIGHT] = weights[0][EEGD_SYNTH_BLINK] = 20;
    other = config;
    other.seed = 10;
    a = eegd_source_synth(&config);
    b = eegd_source_synth(&config);
    c = eegd_source_synth(&other);
    for (uint64_t k = 0; k < 10000; k++) {
        int64_t first;

        next_of(a, k);
        first = inputs.p_nv[0];
        next_of(b, k);
        same += inputs.p_nv[0] == first;
        next_of(c, k);
        differ += inputs.p_nv[0] != first;
    }
    CHECK_EQ(same, 10000);
    CHECK(differ > 9900);
    eegd_source_free(a);
    eegd_source_free(b);
    eegd_source_free(c);
}

static void a_head_with_an_unknown_electrode_is_refused(void)
{
    struct eegd_synth_config config = head_config(1);

    config.p[3] = 2;
    CHECK(!eegd_source_synth(&config));
    config = head_config(1);
    config.srb2 = 7;
    CHECK(!eegd_source_synth(&config));
    config = head_config(1);
    config.n_electrodes = EEGD_SYNTH_MAX_ELECTRODES + 1;
    CHECK(!eegd_source_synth(&config));
    config = head_config(1);
    config.mains_hz = NAN;
    CHECK(!eegd_source_synth(&config));
}

int main(void)
{
    RUN(constant_gives_its_potentials_until_its_limit);
    RUN(sine_follows_time_on_the_pin_of_its_wiring);
    RUN(sine_keeps_its_phase_over_a_month);
    RUN(pattern_codes_are_24_bits_and_carry_their_checksum);
    RUN(frames_come_verbatim_and_end_or_begin_again);
    RUN(recording_lays_microvolts_on_the_pins_in_nv);
    RUN(constructors_refuse_what_is_out_of_range);
    RUN(each_source_of_the_head_has_the_size_its_weight_says_at_any_rate);
    RUN(what_all_electrodes_share_is_taken_away_by_the_reference);
    RUN(the_same_seed_gives_the_same_samples_and_another_seed_does_not);
    RUN(a_head_with_an_unknown_electrode_is_refused);
    return check_report();
}
