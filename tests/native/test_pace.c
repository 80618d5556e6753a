/* SPDX-License-Identifier: MIT */
/* Wrong rates and restarts, and the busy hosts that look a little like them. */
#include "pace.h"
#include <math.h>
#include <stdlib.h>
#include "check.h"

#define TCLK_NS 488.28125
#define BASE_NS 8640000000000000ll

static struct eegd_pace pace;
static double found_ns;

/* n edges of this period; the first verdict that is not good, and after how many. */
static int run(uint64_t seq, uint64_t n, double period_ns, int64_t late_ns, int merge, uint64_t *after)
{
    for (uint64_t i = 0; i < n; i++) {
        if (merge && random() % 100 < merge)
            continue;
        struct eegd_edge edge = {.drdy_ns = BASE_NS + (int64_t)((double)i * period_ns), .seq = ++seq};
        edge.drdy_ns += late_ns ? random() % late_ns : 0;
        int verdict = eegd_pace_take(&pace, &edge, &found_ns);
        if (verdict != EEGD_PACE_GOOD) {
            *after = i;
            return verdict;
        }
    }
    return EEGD_PACE_GOOD;
}

static void test_a_chip_within_its_specification_is_good(void)
{
    uint64_t after;
    for (double ppm = -25000; ppm <= 25000; ppm += 12500) {
        eegd_pace_init(&pace, 62500, TCLK_NS, 1);
        CHECK_EQ(run(0, 20000, 62500 * (1 + ppm * 1e-6), 50000, 0, &after), EEGD_PACE_GOOD);
    }
}

static void test_a_host_that_merges_every_tenth_edge_is_no_wrong_rate(void)
{
    uint64_t after;
    eegd_pace_init(&pace, 62500, TCLK_NS, 1);
    CHECK_EQ(run(0, 100000, 62500, 20000, 10, &after), EEGD_PACE_GOOD);
}

static void test_a_clock_four_percent_off_or_half_the_rate_is_wrong_after_eight_blocks(void)
{
    uint64_t after = 0;
    eegd_pace_init(&pace, 1e6, TCLK_NS, 0);
    CHECK_EQ(run(0, 2000, 1.04e6, 20000, 0, &after), EEGD_PACE_WRONG);
    CHECK_EQ(after, 512);
    CHECK(fabs(found_ns - 1.04e6) < 1000);
    eegd_pace_init(&pace, 1e6, TCLK_NS, 0);
    CHECK_EQ(run(0, 2000, 4e6, 0, 0, &after), EEGD_PACE_WRONG);
    CHECK_EQ(after, 512);
}

static int after_silence(double periods, uint64_t jump)
{
    struct eegd_edge edge = {.drdy_ns = BASE_NS, .seq = 1};
    CHECK_EQ(eegd_pace_take(&pace, &edge, &found_ns), EEGD_PACE_GOOD);
    edge.drdy_ns += (int64_t)(periods * pace.nominal_period_ns);
    edge.seq += jump;
    return eegd_pace_take(&pace, &edge, &found_ns);
}

static void test_a_silence_of_the_settling_time_without_a_gap_in_the_sequence_is_a_restart(void)
{
    eegd_pace_init(&pace, 4e6, TCLK_NS, 1);
    CHECK_EQ(after_silence(4.1, 1), EEGD_PACE_RESTARTED);
    CHECK(fabs(found_ns - 16.4e6) < 2);
    eegd_pace_init(&pace, 4e6, TCLK_NS, 1);
    CHECK_EQ(after_silence(3, 1), EEGD_PACE_GOOD); /* two missed */
    eegd_pace_init(&pace, 4e6, TCLK_NS, 1);
    CHECK_EQ(after_silence(4.1, 4), EEGD_PACE_GOOD); /* edges came, the host did not take them */
    eegd_pace_init(&pace, 4e6, TCLK_NS, 0);
    CHECK_EQ(after_silence(4.1, 1), EEGD_PACE_GOOD); /* started by command: a restarted one stays silent */
    eegd_pace_init(&pace, 62500, TCLK_NS, 1);
    CHECK_EQ(after_silence(300, 1), EEGD_PACE_RESTARTED);
}

int main(void)
{
    srandom(1);
    RUN(test_a_chip_within_its_specification_is_good);
    RUN(test_a_host_that_merges_every_tenth_edge_is_no_wrong_rate);
    RUN(test_a_clock_four_percent_off_or_half_the_rate_is_wrong_after_eight_blocks);
    RUN(test_a_silence_of_the_settling_time_without_a_gap_in_the_sequence_is_a_restart);
    return check_report();
}
