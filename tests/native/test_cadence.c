/* SPDX-License-Identifier: MIT */
/* What each edge stands for, when stamps are late, edges are lost or merged, or others come between. */
#include "cadence.h"
#include "check.h"
#include <math.h>
#include <string.h>

#define UPTIME_NS 8640000000000000ll /* 100 days */

/* A chip whose edges are stamped late now and then, and the index that its samples are given. */
static struct line {
    struct eegd_cadence cadence;
    double period_ns;
    uint64_t position; /* true number of the latest edge */
    uint64_t index;    /* what the cadence makes of it */
    uint64_t seq;
    uint64_t n_missed, n_extra, n_relocked;
    uint32_t dice;
} line;

static void start(double rate_sps)
{
    memset(&line, 0, sizeof(line));
    line.dice = 20240229;
    line.period_ns = 1e9 / rate_sps;
    CHECK_EQ(eegd_cadence_init(&line.cadence, line.period_ns), 0);
}

/* Uniform in [0, 1). */
static double roll(void)
{
    line.dice = line.dice * 1664525u + 1013904223u;
    return line.dice / 4294967296.0;
}

static struct eegd_beat stamp(int64_t drdy_ns)
{
    struct eegd_edge edge = {.drdy_ns = drdy_ns, .seq = ++line.seq};
    struct eegd_beat beat = eegd_cadence_take(&line.cadence, &edge);
    line.n_extra += beat.n_extra;
    line.n_relocked += (uint64_t)beat.relocked;
    if (beat.n_periods) {
        line.index += beat.n_periods;
        line.n_missed += beat.n_periods - 1;
    }
    return beat;
}

static int64_t true_ns(uint64_t position)
{
    return UPTIME_NS + (int64_t)((double)position * line.period_ns);
}

/* The edge n periods on, so much late. */
static struct eegd_beat edge(uint64_t n, double late_ns)
{
    line.position += n;
    return stamp(true_ns(line.position) + (int64_t)late_ns);
}

static void settle(uint32_t n_edges, double jitter_ns)
{
    for (uint32_t i = 0; i < n_edges; i++)
        edge(1, jitter_ns * roll());
}

static const double rates[] = {250, 500, 1000, 2000, 4000, 8000, 16000};
#define EACH_RATE(rate)                                                                                      \
    for (const double *rate = rates; rate < rates + sizeof(rates) / sizeof(*rates); rate++)

static void test_a_late_stamp_is_no_loss_at_any_rate(void)
{
    EACH_RATE(rate)
    {
        start(*rate);
        settle(2000, 3000);
        for (int i = 0; i < 5000; i++)
            edge(1, i % 50 == 0 ? (0.2 + 0.6 * roll()) * line.period_ns : 3000 * roll());
        CHECK_EQ(line.index, line.position);
        CHECK_EQ(line.n_missed, 0);
        CHECK_EQ(line.n_extra, 0);
        CHECK_EQ(line.n_relocked, 0);
    }
}

/* The fit is young and one stamp in ten is nearly a period late: a wrong guess is rare, counted, and made
 * good. */
static void test_stamps_20_to_50_us_late_at_16000_sps_leave_the_index_right_from_the_start_on(void)
{
    uint64_t n_wrong = 0;
    for (uint32_t seed = 1; seed <= 30; seed++) {
        start(16000);
        line.dice = seed * 7919;
        for (int i = 0; i < 50000; i++)
            edge(1, roll() < 0.1 ? 20000 + 30000 * roll() : 8000 * roll());
        settle(4, 0);
        CHECK_EQ(line.index, line.position);
        CHECK_EQ(line.n_missed, line.n_extra);
        n_wrong += line.n_missed;
    }
    CHECK(n_wrong <= 10); /* of 1.5 million */
}

static void test_edges_that_never_came_are_counted_though_the_sequence_has_no_gap(void)
{
    EACH_RATE(rate)
    {
        uint64_t lost = 0;
        start(*rate);
        settle(2000, 3000);
        for (uint64_t i = 0; i < 2000; i++) {
            uint64_t n = i % 20 == 0 ? 2 + i % 7 : 1;
            lost += n - 1;
            CHECK_EQ(edge(n, 3000 * roll()).n_periods, n);
        }
        CHECK_EQ(line.n_missed, lost);
        CHECK_EQ(line.index, line.position);
    }
}

static void test_merged_edges_are_one_loss_and_the_late_stamp_is_the_newer_ones(void)
{
    start(16000);
    settle(20000, 5000);
    CHECK_EQ(edge(2, 12000).n_periods, 2);
    CHECK_EQ(edge(1, 0).n_periods, 1);
    CHECK_EQ(edge(1, 40000).n_periods, 1); /* late, then merged */
    CHECK_EQ(edge(2, 2000).n_periods, 2);
    CHECK_EQ(line.index, line.position);
}

static void test_a_gap_in_the_sequence_is_a_loss(void)
{
    start(1000);
    settle(2000, 0);
    line.seq += 4;
    CHECK_EQ(edge(5, 0).n_periods, 5);
    CHECK_EQ(edge(1, 0).n_periods, 1);
    CHECK_EQ(line.n_missed, 4);
}

static void test_an_edge_close_behind_another_is_no_conversion(void)
{
    start(1000);
    settle(2000, 0);
    CHECK_EQ(stamp(true_ns(line.position) + 5000).n_periods, 0);
    CHECK_EQ(stamp(true_ns(line.position) + 300000).n_periods, 0);
    CHECK_EQ(edge(1, 0).n_periods, 1);
    CHECK_EQ(line.n_extra, 2);
    CHECK_EQ(line.index, line.position);
}

static void test_an_extra_edge_right_after_the_start_is_found_too(void)
{
    start(1000);
    edge(1, 0);
    edge(1, 0);
    CHECK_EQ(stamp(true_ns(line.position) + 5000).n_periods, 0);
    CHECK_EQ(edge(1, 0).n_periods, 1);
    CHECK_EQ(line.index, line.position);
}

/* Both were pending: the host sees only the newer one, and a sequence that jumped. */
static void test_an_extra_edge_within_a_jump_of_the_sequence_is_no_loss(void)
{
    start(1000);
    settle(2000, 0);
    line.seq++;
    line.position++;
    CHECK_EQ(stamp(true_ns(line.position) + 5000).n_periods, 1);
    CHECK_EQ(line.n_extra, 1);
    CHECK_EQ(edge(1, 0).n_periods, 1);
    CHECK_EQ(line.index, line.position);
    CHECK_EQ(line.n_missed, 0);
}

/* All stamps were so late for so long that the fit followed them; then the host recovers. */
static void test_a_fit_that_was_half_a_period_late_costs_one_sample_that_is_counted(void)
{
    start(16000);
    settle(20000, 0);
    for (int i = 0; i < 20000; i++)
        edge(1, 38000);
    CHECK_EQ(line.index, line.position);
    for (int i = 0; i < 2000; i++)
        edge(1, 0);
    CHECK_EQ(line.n_relocked, 1);
    CHECK_EQ(line.index, line.position);
    CHECK_EQ(line.n_missed, 1);
    CHECK_EQ(line.n_extra, 1);
}

static void test_a_clock_that_changes_at_once_loses_nothing(void)
{
    static const double steps[] = {0.985, 1.015};
    for (int i = 0; i < 2; i++) {
        start(250);
        settle(100, 0);
        int64_t now = true_ns(line.position);
        for (int n = 0; n < 1000; n++) {
            now += (int64_t)(line.period_ns * steps[i]);
            stamp(now);
        }
        CHECK_EQ(line.index, line.position + 1000);
        CHECK_EQ(line.n_extra, 0);
    }
}

static void test_a_relock_says_how_far_the_time_moved(void)
{
    struct eegd_beat beat = {0};
    start(250);
    settle(1000, 0);
    line.position += 1000;
    int64_t step_ns = 700000;
    beat = stamp(true_ns(line.position) +
                 step_ns); /* more than a second without an edge: nothing left to defend */
    CHECK_EQ(beat.n_periods, 1000);
    CHECK(beat.relocked);
    CHECK(fabs(beat.step_ns - (double)step_ns) < 20000);
}

static void test_a_sequence_that_runs_backwards_is_no_endless_loss(void)
{
    start(1000);
    settle(100, 0);
    line.seq = 3;
    CHECK_EQ(edge(1, 0).n_periods, 1);
    CHECK_EQ(edge(1, 0).n_periods, 1);
}

/* Whatever comes, the index never runs away from the true one, and every difference was counted. */
static void test_random_trouble_is_always_made_good(void)
{
    EACH_RATE(rate)
    {
        start(*rate);
        settle(500, 2000);
        for (int i = 0; i < 20000; i++) {
            double dice = roll();
            uint64_t n = dice < 0.01 ? 2 + (uint64_t)(8 * roll()) : 1;
            double late = roll() < 0.05 ? 0.8 * line.period_ns * roll() : 2000 * roll();
            edge(n, late);
            if (roll() < 0.01)
                stamp(true_ns(line.position) + (int64_t)late + 1500);
            if (i % 100 == 99) {
                settle(4, 2000);
                CHECK_EQ(line.index, line.position);
            }
        }
        CHECK(line.n_missed < 2 * 20000 * 0.01 * 6);
    }
}

/* As on a computer: every stamp 7 … 20 us late, of 1000 edges one lost by the queue, and ten merged with the
 * next, which is then up to 30 us later still. The lower edge of the stamps is 7 us late, which no loop can
 * see: the times are true once that is taken off, as [board] edge_latency_ns does, and not with the mean. */
static void test_times_and_rate_are_true_on_stamps_as_of_a_computer(void)
{
    static const double steady_rates[] = {250, 1000, 4000};
    for (int k = 0; k < 3; k++) {
        double rate = steady_rates[k], worst_ns = 0, worst_ppm = 0, worst_by_mean_ns = 0;
        const double least_ns = 7000, mean_ns = 13500; /* of most: merged edges are later still */
        start(rate);
        line.period_ns /= 1 + 123.4e-6;
        eegd_cadence_start(&line.cadence, 0);
        for (uint64_t i = 0, last = (uint64_t)(90 * rate); i < last; i++) {
            double dice = i && i < last - 1 ? roll() : 1, late_ns = least_ns + 13000 * roll();
            uint64_t n = 1;
            if (dice < 0.001) {
                line.seq++;
                n = 2;
            } else if (dice < 0.011) {
                late_ns += 30000 * roll();
                n = 2;
            }
            i += n - 1;
            if (i == n - 1)
                n--; /* the first edge is number 0 */
            edge(n, late_ns);
            double off_ns = (double)(line.cadence.clock.time_base_ns - true_ns(line.position)) +
                            line.cadence.clock.time_offset_ns - least_ns;
            if (i > 60 * rate) {
                worst_ns = fmax(worst_ns, fabs(off_ns));
                worst_by_mean_ns = fmax(worst_by_mean_ns, fabs(off_ns + least_ns - mean_ns));
                worst_ppm = fmax(worst_ppm, fabs(eegd_clock_ppm(&line.cadence.clock) - 123.4));
            }
        }
        printf(
            "     %5.0f SPS, 60 … 90 s: times within %.2f us less the least lateness, %.2f us less the mean; "
            "rate within %.2f ppm\n",
            rate, worst_ns / 1e3, worst_by_mean_ns / 1e3, worst_ppm);
        CHECK(worst_ns < 5000);
        CHECK(worst_by_mean_ns > worst_ns);
        CHECK(worst_ppm < 1);
        CHECK_EQ(line.index, line.position + 1);
        CHECK_EQ(line.n_extra, 0);
        CHECK_EQ(line.n_relocked, 0);
    }
}

static void test_edges_missed_before_the_first_one_that_came_are_counted_from_the_start(void)
{
    struct eegd_edge late = {.drdy_ns = UPTIME_NS, .seq = 45};
    start(250);
    eegd_cadence_start(&line.cadence, 40);
    CHECK_EQ(eegd_cadence_take(&line.cadence, &late).n_periods, 5);
    start(250);
    CHECK_EQ(eegd_cadence_take(&line.cadence, &late).n_periods, 1); /* without a start it is the first */
}

int main(void)
{
    RUN(test_times_and_rate_are_true_on_stamps_as_of_a_computer);
    RUN(test_edges_missed_before_the_first_one_that_came_are_counted_from_the_start);
    RUN(test_a_late_stamp_is_no_loss_at_any_rate);
    RUN(test_stamps_20_to_50_us_late_at_16000_sps_leave_the_index_right_from_the_start_on);
    RUN(test_edges_that_never_came_are_counted_though_the_sequence_has_no_gap);
    RUN(test_merged_edges_are_one_loss_and_the_late_stamp_is_the_newer_ones);
    RUN(test_a_gap_in_the_sequence_is_a_loss);
    RUN(test_an_edge_close_behind_another_is_no_conversion);
    RUN(test_an_extra_edge_right_after_the_start_is_found_too);
    RUN(test_an_extra_edge_within_a_jump_of_the_sequence_is_no_loss);
    RUN(test_a_fit_that_was_half_a_period_late_costs_one_sample_that_is_counted);
    RUN(test_a_clock_that_changes_at_once_loses_nothing);
    RUN(test_a_relock_says_how_far_the_time_moved);
    RUN(test_a_sequence_that_runs_backwards_is_no_endless_loss);
    RUN(test_random_trouble_is_always_made_good);
    return check_report();
}
