/* SPDX-License-Identifier: MIT */
/* When a channel's state is told, and when it is not. */
#include "channel_state.h"
#include <string.h>
#include "check.h"

#define FULL 8388608
#define HOLD 125
#define FLAT_RUN 25
#define N_CHANNELS 3

static struct eegd_capture_config config;
static struct eegd_channel_state state;
static struct eegd_channel_seen seen;
static uint8_t bytes[27];
static uint64_t sample_index;
static int32_t noise;
static int n_changes, still;

static void prepare(void)
{
    memset(bytes, 0, sizeof(bytes));
    config = (struct eegd_capture_config){
        .map = {.n_chips = 1, .n_bytes = 27, .n_channels = N_CHANNELS, .channel_offset = {3, 6, 9}},
        .hold_samples = HOLD,
        .flat_run = FLAT_RUN,
        .lead_off_mask = {1 << 12 | 1 << 4, 2 << 12 | 2 << 4, 0}};
    eegd_channel_state_init(&state, &config);
    sample_index = 0;
    n_changes = still = 0;
}

/* n samples with channel 1 at or near this code, and the others alive. */
static void take(int n, int32_t code, uint32_t status)
{
    while (n-- > 0) {
        int32_t near = code + (still || code == FULL - 1 ? 0 : noise);
        int32_t codes[N_CHANNELS] = {1000 + noise, near, -1000 - noise};
        noise = (noise + 7) % 31;
        for (int i = 0; i < N_CHANNELS; i++) {
            uint8_t *at = bytes + config.map.channel_offset[i];
            at[0] = (uint8_t)(codes[i] >> 16);
            at[1] = (uint8_t)(codes[i] >> 8);
            at[2] = (uint8_t)codes[i];
        }
        bytes[0] = 0xC0 | (uint8_t)(status >> 16);
        bytes[1] = (uint8_t)(status >> 8);
        bytes[2] = (uint8_t)status;
        eegd_channel_state_take(&state, bytes, sample_index, (int64_t)sample_index * 1000, &seen);
        for (int i = 0; i < EEGD_N_STATES; i++)
            n_changes += __builtin_popcount(state.changed[i]);
        sample_index++;
    }
}

static int shown(uint32_t which)
{
    CHECK_EQ(state.shown[which] & ~2u, 0);
    return state.shown[which] != 0;
}

static void test_a_state_enters_after_the_hold_and_leaves_after_the_hold(void)
{
    prepare();
    take(1000, 5, 0);
    take(HOLD, FULL - 1, 0);
    CHECK_EQ(n_changes, 0);
    CHECK_EQ(seen.railed, 2);
    CHECK_EQ(seen.near_rail, 2);
    take(1, FULL - 1, 0);
    CHECK_EQ(n_changes, 1);
    CHECK(shown(EEGD_STATE_RAILED));
    CHECK_EQ(state.since[EEGD_STATE_RAILED][1], 1000);
    CHECK_EQ(state.since_ns[EEGD_STATE_RAILED][1], 1000000);
    take(HOLD, 1 << 20, 0);
    CHECK_EQ(n_changes, 1);
    take(1, 1 << 20, 0);
    CHECK_EQ(n_changes, 2);
    CHECK(!shown(EEGD_STATE_RAILED));
}

static void test_what_comes_and_goes_within_the_hold_is_told_never(void)
{
    prepare();
    for (int i = 0; i < 1000; i++) {
        take(HOLD - 1, -FULL, 0x1000);
        take(HOLD / 16 + 1, 7, 0);
    }
    CHECK_EQ(n_changes, 0);
}

static void test_levels_between_the_two_limits_change_nothing(void)
{
    prepare();
    for (int i = 0; i < 500; i++)
        take(1, FULL / 100 * 89 + i, 0);
    CHECK_EQ(n_changes, 1);
    CHECK(!shown(EEGD_STATE_RAILED) && shown(EEGD_STATE_NEAR_RAIL));
    for (int i = 0; i < 500; i++)
        take(1, FULL / 100 * 91 + i, 0);
    CHECK(shown(EEGD_STATE_RAILED) && !shown(EEGD_STATE_NEAR_RAIL)); /* it has become the other */
    for (int i = 0; i < 500; i++)
        take(1, FULL / 100 * 86 + i, 0);
    CHECK(shown(EEGD_STATE_RAILED));
    for (int i = 0; i < 500; i++)
        take(1, FULL / 100 * 84 + i, 0);
    CHECK(!shown(EEGD_STATE_RAILED) && shown(EEGD_STATE_NEAR_RAIL));
    for (int i = 0; i < 500; i++)
        take(1, -FULL / 100 * 71 + i, 0);
    CHECK(shown(EEGD_STATE_NEAR_RAIL));
    for (int i = 0; i < 500; i++)
        take(1, -FULL / 100 * 69 + i, 0);
    CHECK(!shown(EEGD_STATE_NEAR_RAIL));
}

static void test_a_channel_that_does_not_move_while_others_do_is_flat(void)
{
    prepare();
    still = 1;
    take(FLAT_RUN - 1, 12345, 0);
    CHECK_EQ(seen.flat, 0);
    take(1, 12345, 0);
    CHECK_EQ(seen.flat, 2);
    take(HOLD, 12345, 0);
    CHECK_EQ(n_changes, 1);
    CHECK(shown(EEGD_STATE_FLAT));
    take(1, 12346, 0);
    CHECK_EQ(seen.flat, 0);
}

static void test_nothing_is_flat_where_nothing_moves_or_the_code_is_the_last_one(void)
{
    prepare();
    take(500, FULL - 1, 0);
    CHECK_EQ(seen.flat, 0);
    prepare();
    take(1, 5, 0);
    for (int i = 0; i < 500; i++)
        eegd_channel_state_take(&state, bytes, (uint64_t)i, i, &seen);
    CHECK_EQ(seen.flat, 0);
    prepare();
    config.flat_run = 0;
    still = 1;
    take(500, 5, 0);
    CHECK_EQ(seen.flat, 0);
}

static void test_an_electrode_off_is_the_one_of_its_own_bits(void)
{
    prepare();
    for (int i = 0; i < 200; i++)
        take(1, i, 0x002000 | 0x000040); /* P of channel 1; N of an input that nobody asked about */
    CHECK_EQ(seen.lead_off, 2);
    CHECK(shown(EEGD_STATE_LEAD_OFF));
    for (int i = 0; i < 200; i++)
        take(1, i, 0x004000);
    CHECK(!shown(EEGD_STATE_LEAD_OFF));
    CHECK_EQ(n_changes, 2);
}

static void test_a_hundred_times_off_is_a_hundred_pairs(void)
{
    prepare();
    for (int i = 0; i < 100; i++) {
        for (int k = 0; k < 250; k++)
            take(1, k,
                 k % 50 == 49 ? 0 : 0x2000); /* with loose contacts now and then: no hold begins anew … */
        take(HOLD + 50, FULL - 1, 0x2000);
        for (int k = 0; k < 250; k++)
            take(1, k, 0);
    }
    CHECK_EQ(n_changes, 400); /* two states, each entered and left */
}

static void test_an_open_input_that_swings_from_rail_to_rail_is_railed_and_nothing_else(void)
{
    prepare();
    for (int i = 0; i < 1000; i++)
        take(1, (i % 5 - 2) * (FULL / 2 - 100), i % 5 < 3 ? 0x2000 : 0);
    CHECK_EQ(n_changes, 2);
    CHECK(shown(EEGD_STATE_RAILED) && shown(EEGD_STATE_LEAD_OFF) && !shown(EEGD_STATE_NEAR_RAIL));
    take(1000, 0, 0);
    CHECK_EQ(n_changes, 4);
}

static void test_what_was_told_before_the_start_is_not_told_again(void)
{
    prepare();
    config.states_before[EEGD_STATE_RAILED] = 2;
    eegd_channel_state_init(&state, &config);
    take(1000, FULL - 1, 0);
    CHECK_EQ(n_changes, 0);
    take(HOLD + 1, 0, 0);
    CHECK_EQ(n_changes, 1);
    CHECK(!shown(EEGD_STATE_RAILED));
}

static void test_without_a_hold_every_change_is_told_at_once(void)
{
    prepare();
    config.hold_samples = 0;
    take(1, FULL - 1, 0);
    CHECK(shown(EEGD_STATE_RAILED));
    take(1, 0, 0);
    CHECK(!shown(EEGD_STATE_RAILED));
}

int main(void)
{
    RUN(test_a_state_enters_after_the_hold_and_leaves_after_the_hold);
    RUN(test_what_comes_and_goes_within_the_hold_is_told_never);
    RUN(test_levels_between_the_two_limits_change_nothing);
    RUN(test_a_channel_that_does_not_move_while_others_do_is_flat);
    RUN(test_nothing_is_flat_where_nothing_moves_or_the_code_is_the_last_one);
    RUN(test_an_electrode_off_is_the_one_of_its_own_bits);
    RUN(test_a_hundred_times_off_is_a_hundred_pairs);
    RUN(test_an_open_input_that_swings_from_rail_to_rail_is_railed_and_nothing_else);
    RUN(test_what_was_told_before_the_start_is_not_told_again);
    RUN(test_without_a_hold_every_change_is_told_at_once);
    return check_report();
}
