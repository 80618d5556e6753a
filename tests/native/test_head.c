/* SPDX-License-Identifier: MIT */
/* The sources of the synthetic head in time: how often, how long, how fast. */
#include "head.h"
#include <math.h>
#include "check.h"

#define PERIOD_S 1e-3
#define SECONDS 600
#define N ((int)(SECONDS / PERIOD_S))

static struct eegd_head head;
static double sources[EEGD_SYNTH_SOURCES];

static void start(uint64_t seed, double mains_hz)
{
    eegd_head_init(&head, seed);
    eegd_head_set_period(&head, PERIOD_S, mains_hz);
}

static double next(int i, int source)
{
    eegd_head_next(&head, i * PERIOD_S, sources);
    return sources[source];
}

/* Times that a source rises through a level. */
static int rises(int source, double level, int n)
{
    double before = 0;
    int found = 0;
    for (int i = 0; i < n; i++) {
        double value = next(i, source);
        found += before < level && value >= level;
        before = value;
    }
    return found;
}

static void test_the_heart_beats_about_68_times_a_minute(void)
{
    start(3, 0);
    int beats = rises(EEGD_SYNTH_HEART, 0.7, N);
    CHECK(beats > 64 * SECONDS / 60 && beats < 73 * SECONDS / 60);
}

static void test_blinks_come_every_three_to_six_seconds(void)
{
    start(4, 0);
    int blinks = rises(EEGD_SYNTH_BLINK, 0.4, N);
    CHECK(blinks > SECONDS / 6 && blinks < SECONDS / 3);
}

static void test_mains_has_the_frequency_that_was_asked_for(void)
{
    start(5, 60);
    CHECK(abs(rises(EEGD_SYNTH_MAINS, 0, 10000) - 600) <= 1);
    start(5, 0);
    next(0, EEGD_SYNTH_MAINS);
    CHECK(fabs(next(1, EEGD_SYNTH_MAINS)) == 0);
}

static void test_alpha_is_at_10_hz_while_it_is_there_and_goes(void)
{
    start(6, 0);
    int n_alpha = 0, n_quiet = 0;
    double level = 0;
    for (int i = 0; i < N; i++) {
        level += (fabs(next(i, EEGD_SYNTH_ALPHA_LEFT)) - level) * 0.005; /* over 200 ms */
        n_alpha += level > 0.3;
        n_quiet += level < 0.05;
    }
    CHECK(n_alpha > N / 3 && n_quiet > N / 10);
    start(6, 0);
    int turns = 0, n_there = 0, is_low = 0;
    for (int i = 0; i < N; i++) {
        double value = next(i, EEGD_SYNTH_ALPHA_LEFT);
        int is_there = head.alpha_level[0] > 0.2;
        turns += is_there && is_low && value > 0.1; /* its phase is noisy: it may pass 0 more than once */
        is_low = value < -0.1 || (is_low && value <= 0.1);
        n_there += is_there;
    }
    CHECK(fabs(turns / (n_there * PERIOD_S) - 9.9) < 0.2);
}

static void test_eyes_stay_within_their_range_and_move(void)
{
    start(8, 0);
    double least = 0, most = 0;
    for (int i = 0; i < N; i++) {
        double gaze = next(i, EEGD_SYNTH_GAZE);
        least = fmin(least, gaze);
        most = fmax(most, gaze);
    }
    CHECK(least >= -1 && least < -0.8);
    CHECK(most <= 1 && most > 0.8);
}

int main(void)
{
    RUN(test_the_heart_beats_about_68_times_a_minute);
    RUN(test_blinks_come_every_three_to_six_seconds);
    RUN(test_mains_has_the_frequency_that_was_asked_for);
    RUN(test_alpha_is_at_10_hz_while_it_is_there_and_goes);
    RUN(test_eyes_stay_within_their_range_and_move);
    return check_report();
}
