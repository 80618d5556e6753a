/* SPDX-License-Identifier: MIT */
/* What control sees of a capture thread. */
#include "shown.h"
#include <pthread.h>
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

/* What a reader sees of edges that follow each other as fast as they can. */
static void *show_edges(void *unused)
{
    struct eegd_clock clock = {.period_ns = 1};

    (void)unused;
    for (uint64_t i = 1; i <= 300000; i++) {
        clock.time_base_ns = (int64_t)(10 * i);
        clock.period_ns = (double)i;
        eegd_shown_edge(&shown, &clock, 1, i);
    }
    return NULL;
}

static void test_index_time_and_period_are_of_one_edge_whenever_they_are_read(void)
{
    pthread_t writer;
    uint64_t torn = 0, whole = 0;

    shown = (struct eegd_shown){0};
    CHECK_EQ(pthread_create(&writer, NULL, show_edges, NULL), 0);
    do {
        eegd_shown_stats(&shown, 4e6, &stats);
        whole += (uint64_t)stats.of_one_edge;
        torn += stats.of_one_edge && (stats.fit_ns != (int64_t)(10 * stats.sample_index) ||
                                      stats.period_ns != (double)stats.sample_index);
    } while (stats.sample_index < 300000);
    pthread_join(writer, NULL);
    CHECK_EQ(torn, 0);
    CHECK(whole > 0);
}

static void test_a_reader_is_told_when_the_writer_stopped_in_the_midst_of_an_edge(void)
{
    shown = (struct eegd_shown){.edges = 7, .sample_index = 3};
    eegd_shown_stats(&shown, 4e6, &stats);
    CHECK_EQ(stats.of_one_edge, 0);
    CHECK_EQ(stats.sample_index, 3);
}

int main(void)
{
    RUN(test_nothing_is_known_before_the_first_edge);
    RUN(test_the_first_edge_is_that_of_the_first_sample_and_stays);
    RUN(test_rate_and_deviation_come_from_the_fitted_period);
    RUN(test_index_time_and_period_are_of_one_edge_whenever_they_are_read);
    RUN(test_a_reader_is_told_when_the_writer_stopped_in_the_midst_of_an_edge);
    return check_report();
}
