/* SPDX-License-Identifier: MIT */
/* Crossings of a threshold: each once, none from noise within the hysteresis, none while it settles. */
#include "change.h"
#include <math.h>
#include <string.h>
#include "check.h"

static struct eegd_change change;

static void prepare(double threshold, double hysteresis, uint32_t edges, double dc_share)
{
    struct eegd_change_config config = {.threshold = threshold,
                                        .hysteresis = hysteresis,
                                        .edges = edges,
                                        .dc_share = dc_share,
                                        .settle = dc_share > 0 ? (uint64_t)ceil(1 / dc_share) : 0};
    eegd_change_init(&change, &config);
}

static uint32_t take(double value)
{
    return eegd_change_take(&change, value);
}

static void test_the_levels_are_half_the_hysteresis_off_the_threshold(void)
{
    prepare(50, 10, EEGD_EDGE_RISING | EEGD_EDGE_FALLING, 0);
    CHECK_EQ(take(0), EEGD_CROSSING_NONE);
    CHECK_EQ(take(49.999), EEGD_CROSSING_NONE);
    CHECK_EQ(take(54.999), EEGD_CROSSING_IN_BAND);
    CHECK_EQ(take(55), EEGD_CROSSING_TAKEN);
    CHECK(change.rising);
    CHECK_EQ(take(56), EEGD_CROSSING_NONE);
    CHECK_EQ(take(45), EEGD_CROSSING_IN_BAND);
    CHECK(!change.rising);
    CHECK_EQ(take(50), EEGD_CROSSING_ALREADY);
    CHECK_EQ(take(44.999), EEGD_CROSSING_TAKEN);
    CHECK(!change.rising);
}

static void test_without_hysteresis_the_threshold_itself_is_above(void)
{
    prepare(0, 0, EEGD_EDGE_RISING | EEGD_EDGE_FALLING, 0);
    CHECK_EQ(take(-1), EEGD_CROSSING_NONE);
    CHECK_EQ(take(0), EEGD_CROSSING_TAKEN);
    CHECK_EQ(take(0), EEGD_CROSSING_NONE);
    CHECK_EQ(take(-1e-9), EEGD_CROSSING_TAKEN);
}

static void test_the_other_edge_is_seen_and_not_taken(void)
{
    prepare(50, 0, EEGD_EDGE_FALLING, 0);
    CHECK_EQ(take(0), EEGD_CROSSING_NONE);
    CHECK_EQ(take(60), EEGD_CROSSING_OTHER_EDGE);
    CHECK_EQ(take(0), EEGD_CROSSING_TAKEN);
}

static void test_the_first_side_is_learned_and_no_crossing(void)
{
    prepare(50, 10, EEGD_EDGE_RISING, 0);
    CHECK_EQ(take(48), EEGD_CROSSING_NONE);
    CHECK_EQ(take(52), EEGD_CROSSING_SETTLING);
    CHECK_EQ(take(60), EEGD_CROSSING_NONE); /* which side it came from nobody knows */
    CHECK_EQ(take(40), EEGD_CROSSING_OTHER_EDGE);
    CHECK_EQ(take(60), EEGD_CROSSING_TAKEN);
    eegd_change_settle(&change);
    CHECK_EQ(take(0), EEGD_CROSSING_NONE);
    CHECK_EQ(take(60), EEGD_CROSSING_TAKEN);
}

static void test_an_electrode_offset_is_removed_before(void)
{
    uint32_t n_crossings = 0;
    prepare(50, 10, EEGD_EDGE_RISING, 0.01);
    for (int i = 0; i < 1000; i++)
        n_crossings += take(60000 + 5 * sin(i)) == EEGD_CROSSING_TAKEN;
    CHECK_EQ(n_crossings, 0);
    CHECK(fabs(change.mean - 60000) < 5);
    CHECK_EQ(take(60080), EEGD_CROSSING_TAKEN);
    CHECK(change.value > 70 && change.value < 85);
}

static void test_the_mean_is_learned_for_a_time_constant(void)
{
    prepare(-1000, 0, EEGD_EDGE_RISING | EEGD_EDGE_FALLING, 0.25);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(take(i % 2 ? 5000 : -5000), i > 1 ? EEGD_CROSSING_SETTLING : EEGD_CROSSING_NONE);
        CHECK_EQ(change.side, 0);
    }
    CHECK(fabs(change.mean) < 1e-9);
}

static void test_what_is_no_number_leaves_no_trace(void)
{
    prepare(50, 10, EEGD_EDGE_RISING | EEGD_EDGE_FALLING, 0.25);
    for (int i = 0; i < 8; i++) {
        CHECK_EQ(take(i % 2 ? NAN : 1000), EEGD_CROSSING_NONE); /* the four others teach the mean */
        CHECK(change.mean == 1000);
    }
    CHECK_EQ(take(1000), EEGD_CROSSING_NONE);
    CHECK_EQ(take(1100), EEGD_CROSSING_TAKEN);
    double mean = change.mean;
    CHECK_EQ(take(NAN), EEGD_CROSSING_NONE);
    CHECK_EQ(change.side, 1);
    CHECK_EQ(change.over, 1);
    CHECK_EQ(take(-INFINITY), EEGD_CROSSING_NONE);
    CHECK_EQ(take(INFINITY), EEGD_CROSSING_NONE);
    CHECK_EQ(change.side, 1);
    CHECK_EQ(change.over, 1);
    CHECK(change.mean == mean);
    CHECK_EQ(take(900), EEGD_CROSSING_TAKEN);
    CHECK(isfinite(change.value));
}

static void test_a_block_tells_where_and_how_many(void)
{
    const float values[8] = {0, 60, 0, 60, 60, 0, 60, 0};
    struct eegd_crossing crossings[2];
    prepare(50, 10, EEGD_EDGE_RISING, 0);
    CHECK_EQ(eegd_change_run(&change, values, 8, 0, crossings, 2), 3);
    CHECK_EQ(crossings[0].index, 1);
    CHECK_EQ(crossings[1].index, 3);
    CHECK(crossings[1].value == 60);
    prepare(50, 10, EEGD_EDGE_RISING, 0);
    CHECK_EQ(eegd_change_run(&change, values, 8, 1, crossings, 2), 6);
    CHECK_EQ(crossings[1].verdict, EEGD_CROSSING_OTHER_EDGE);
    CHECK_EQ(crossings[1].rising, 0);
}

static void test_rows_of_a_block_are_told_apart_and_never_more_than_there_is_room_for(void)
{
    const float block[3][8] = {{0, 60, 0, 60}, {0}, {0, 0, 60, 0}}; /* four values of each */
    const uint32_t rows[2] = {2, 0};
    struct eegd_change_config config = {.threshold = 50, .hysteresis = 10, .edges = EEGD_EDGE_RISING};
    struct eegd_crossing crossings[3] = {{.row = 99}, {.row = 99}, {.row = 99}};
    for (uint32_t max = 0; max <= 3; max++) {
        struct eegd_change changes[2];
        eegd_change_init(&changes[0], &config);
        eegd_change_init(&changes[1], &config);
        CHECK_EQ(eegd_change_run_rows(changes, rows, 2, block[0], 8, 4, crossings, max), 3);
        CHECK_EQ(crossings[max < 2 ? 2 : 0].row, max < 2 ? 99 : 2);
    }
    CHECK(crossings[0].row == 2 && crossings[0].index == 2);
    CHECK(crossings[1].row == 0 && crossings[1].index == 1);
    CHECK(crossings[2].row == 0 && crossings[2].index == 3);
}

int main(void)
{
    RUN(test_the_levels_are_half_the_hysteresis_off_the_threshold);
    RUN(test_without_hysteresis_the_threshold_itself_is_above);
    RUN(test_the_other_edge_is_seen_and_not_taken);
    RUN(test_the_first_side_is_learned_and_no_crossing);
    RUN(test_an_electrode_offset_is_removed_before);
    RUN(test_the_mean_is_learned_for_a_time_constant);
    RUN(test_what_is_no_number_leaves_no_trace);
    RUN(test_a_block_tells_where_and_how_many);
    RUN(test_rows_of_a_block_are_told_apart_and_never_more_than_there_is_room_for);
    return check_report();
}
