/* SPDX-License-Identifier: MIT */
/* The sample index adds up, losses are counted by cause and told with the index that they begin at. */
#include "tally.h"
#include "channel_state.h"
#include "check.h"
#include "ring.h"

static struct eegd_counter counters[EEGD_N_COUNTS];
static struct eegd_capture_config config;
static struct eegd_tally tally;
static struct eegd_event event;

static void prepare(void)
{
    config = (struct eegd_capture_config){.events = eegd_events_new(4)};
    for (int i = 0; i < EEGD_N_COUNTS; i++) {
        eegd_counter_put(&counters[i], 0);
        config.counters[i] = &counters[i];
    }
    tally = (struct eegd_tally){.config = &config};
}

static void test_samples_and_losses_add_up_to_the_index(void)
{
    prepare();
    for (int i = 0; i < 5; i++)
        eegd_tally_sample(&tally);
    tally.drdy_ns = 77;
    eegd_tally_loss(&tally, EEGD_COUNT_MISSED, EEGD_EVENT_LOSS_MISSED, 3, 0.5);
    eegd_tally_sample(&tally);
    eegd_tally_loss(&tally, EEGD_COUNT_LATE, EEGD_EVENT_LOSS_LATE, 1, 19e3);
    CHECK_EQ(tally.sample_index, 10);
    CHECK_EQ(eegd_counter_value(&counters[EEGD_COUNT_SAMPLES]), 6);
    CHECK_EQ(eegd_counter_value(&counters[EEGD_COUNT_MISSED]), 3);
    CHECK_EQ(eegd_counter_value(&counters[EEGD_COUNT_LATE]), 1);
    CHECK_EQ(eegd_events_take(config.events, &event, 1), 1);
    CHECK_EQ(event.kind, EEGD_EVENT_LOSS_MISSED);
    CHECK_EQ(event.sample_index, 5); /* of the first one that is gone */
    CHECK_EQ(event.a, 3);
    CHECK_EQ(event.time_ns, 77);
    CHECK(event.value == 0.5);
    CHECK_EQ(eegd_events_take(config.events, &event, 1), 1);
    CHECK_EQ(event.sample_index, 9);
    eegd_events_free(config.events);
}

static void test_a_full_ring_drops_events_and_no_count(void)
{
    struct eegd_ring_stats stats;
    prepare();
    for (int i = 0; i < 10; i++)
        eegd_tally_loss(&tally, EEGD_COUNT_BAD, EEGD_EVENT_LOSS_BAD, 1, 0);
    CHECK_EQ(eegd_counter_value(&counters[EEGD_COUNT_BAD]), 10);
    CHECK_EQ(tally.sample_index, 10);
    eegd_events_stats(config.events, &stats);
    CHECK_EQ(stats.depth, 4);
    CHECK_EQ(stats.dropped, 6);
    eegd_events_free(config.events);
}

static void test_each_changed_channel_is_told_with_the_sample_that_it_began_at(void)
{
    struct eegd_channel_state state = {.config = &config};
    prepare();
    tally.sample_index = 130;
    state.changed[EEGD_STATE_FLAT] = 1u << 31 | 1;
    state.shown[EEGD_STATE_FLAT] = 1;
    state.since[EEGD_STATE_FLAT][0] = 5;
    state.since_ns[EEGD_STATE_FLAT][0] = 500;
    state.since[EEGD_STATE_FLAT][31] = 6;
    eegd_tally_changes(&tally, &state);
    CHECK_EQ(eegd_events_take(config.events, &event, 1), 1);
    CHECK_EQ(event.kind, EEGD_EVENT_CHANNEL_STATE);
    CHECK_EQ(event.source, 0);
    CHECK_EQ(event.a, EEGD_STATE_FLAT);
    CHECK_EQ(event.b, 1);
    CHECK_EQ(event.sample_index, 5);
    CHECK_EQ(event.time_ns, 500);
    CHECK(event.value == 125);
    CHECK_EQ(eegd_events_take(config.events, &event, 1), 1);
    CHECK_EQ(event.source, 31);
    CHECK_EQ(event.b, 0); /* it has left */
    CHECK_EQ(eegd_events_take(config.events, &event, 1), 0);
    eegd_events_free(config.events);
}

static void test_without_counters_and_events_the_index_still_adds_up(void)
{
    struct eegd_channel_state state = {.config = &config, .changed = {1}};
    config = (struct eegd_capture_config){.events = NULL};
    tally = (struct eegd_tally){.config = &config};
    eegd_tally_sample(&tally);
    eegd_tally_loss(&tally, EEGD_COUNT_OVERRUN, EEGD_EVENT_LOSS_OVERRUN, 2, 0);
    eegd_tally_changes(&tally, &state);
    CHECK_EQ(tally.sample_index, 3);
}

int main(void)
{
    RUN(test_samples_and_losses_add_up_to_the_index);
    RUN(test_a_full_ring_drops_events_and_no_count);
    RUN(test_each_changed_channel_is_told_with_the_sample_that_it_began_at);
    RUN(test_without_counters_and_events_the_index_still_adds_up);
    return check_report();
}
