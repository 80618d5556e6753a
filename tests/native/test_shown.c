/* SPDX-License-Identifier: MIT */
/* What control sees of a capture thread. */
#include "shown.h"
#include "check.h"
#include "clock.h"

static struct eegd_shown shown;
static struct eegd_capture_stats stats;

static void test_nothing_is_known_before_the_first_edge(void)
{
    shown = (struct eegd_shown){0};
    eegd_shown_stats(&shown, 4e6, &stats);
    CHECK_EQ(stats.state, EEGD_CAPTURE_RUNNING);
    CHECK(stats.rate_sps == 0 && stats.ppm == 0);
    CHECK_EQ(stats.first_drdy_ns, 0);
}

static void test_the_first_edge_is_that_of_the_first_sample_and_stays(void)
{
    struct eegd_clock clock = {.period_ns = 4e6};

    shown = (struct eegd_shown){0};
    eegd_shown_edge(&shown, &clock, 100, 0); /* a discarded conversion */
    eegd_shown_stats(&shown, 4e6, &stats);
    CHECK_EQ(stats.first_drdy_ns, 0);
    CHECK_EQ(stats.last_drdy_ns, 100);
    eegd_shown_edge(&shown, &clock, 200, 1);
    eegd_shown_edge(&shown, &clock, 300, 2);
    eegd_shown_stats(&shown, 4e6, &stats);
    CHECK_EQ(stats.first_drdy_ns, 200);
    CHECK_EQ(stats.last_drdy_ns, 300);
    CHECK_EQ(stats.sample_index, 2);
}

static void test_rate_and_deviation_come_from_the_fitted_period(void)
{
    struct eegd_clock clock = {.period_ns = 3999600, .jitter_rms_ns = 7, .late_peak_ns = 9};

    shown = (struct eegd_shown){.error = -5, .states = {1, 2, 4, 8}};
    eegd_shown_edge(&shown, &clock, 1, 1);
    eegd_shown_stats(&shown, 4e6, &stats);
    CHECK(stats.rate_sps > 250.02499 && stats.rate_sps < 250.02501);
    CHECK(stats.ppm > 100.009 && stats.ppm < 100.011);
    CHECK(stats.jitter_rms_ns == 7 && stats.late_peak_ns == 9);
    CHECK_EQ(stats.error, -5);
    CHECK_EQ(stats.states[EEGD_STATE_LEAD_OFF], 8);
}

int main(void)
{
    RUN(test_nothing_is_known_before_the_first_edge);
    RUN(test_the_first_edge_is_that_of_the_first_sample_and_stays);
    RUN(test_rate_and_deviation_come_from_the_fitted_period);
    return check_report();
}
