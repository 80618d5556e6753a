/* SPDX-License-Identifier: MIT */
/* Edges counted by the line's sequence and by the fitted time. Runs on the capture thread. See cadence.h. */
#include "cadence.h"
#include <math.h>

#define TRUSTED_STAMPS 64u   /* with so many the fit is better than any single stamp */
#define SLACK 0.125          /* periods: error of the fit before that, and its bound after */
#define SLACK_LEAST_NS 1000  /* what the fit may be off at the best of times */
#define EXTRA 0.5            /* an edge so soon after the last one's fitted time is no conversion's */
#define EXTRA_UNTRUSTED 0.25 /* and, while there is no good fit, so soon after its stamp */
#define DISPROOF 0.75        /* nothing comes so early: the guess before it was wrong */
#define RINGING 0.25         /* interference so soon after its edge never is a conversion's */
#define MAX_PERIODS 4294967296.0

int eegd_cadence_init(struct eegd_cadence *cadence, double nominal_period_ns)
{
    *cadence = (struct eegd_cadence){.has_edge = 0};
    return eegd_clock_init(&cadence->clock, nominal_period_ns, 0);
}

void eegd_cadence_start(struct eegd_cadence *cadence, uint64_t seq)
{
    cadence->seq = seq;
    cadence->has_start = 1;
}

static int is_trusted(const struct eegd_clock *clock)
{
    return clock->n_fit >= TRUSTED_STAMPS && clock->jitter_rms_ns < clock->period_ns / 4;
}

/* How long before its time an edge may seem to come, in periods. */
static double slack(const struct eegd_clock *clock)
{
    return is_trusted(clock) ? fmin((SLACK_LEAST_NS + clock->jitter_rms_ns / 4) / clock->period_ns, SLACK)
                             : SLACK;
}

/* Periods from the fitted time of the last edge to a stamp. */
static double periods_to(const struct eegd_clock *clock, int64_t drdy_ns)
{
    return ((double)(drdy_ns - clock->time_base_ns) - clock->time_offset_ns) / clock->period_ns;
}

/* at: periods since the fitted time of the last edge; 0 for an edge that is no conversion's. */
static uint64_t count_periods(const struct eegd_cadence *cadence, const struct eegd_edge *edge, double at,
                              uint64_t by_sequence)
{
    const struct eegd_clock *clock = &cadence->clock;
    double since_stamp = (double)(edge->drdy_ns - cadence->edge.drdy_ns) / clock->period_ns;
    /* The time between the stamps must agree: a young fit may be off, and one trails behind a clock that has
     * changed. */
    double n = floor(fmin(at + slack(clock), since_stamp + (is_trusted(clock) ? 0.75 : 0.25)));

    if (cadence->guess && at < DISPROOF)
        return 0;
    if (is_trusted(clock)) {
        n = fmax(n, fmin((double)by_sequence, rint(at)));
    } else {
        int extra = by_sequence <= 1 && at < EXTRA && since_stamp < EXTRA_UNTRUSTED;

        n = fmax(n, extra ? 0 : (double)by_sequence);
    }
    return (uint64_t)fmin(fmax(n, 0), MAX_PERIODS);
}

static double distance_to_beat(double periods)
{
    return fabs(periods - fmax(1, rint(periods)));
}

/* Periods since an edge that was taken for interference, where this one proves that it was none; else 0. */
static uint64_t periods_since_extra(const struct eegd_cadence *cadence, int64_t drdy_ns, double at)
{
    double since = (double)(drdy_ns - cadence->extra_ns) / cadence->clock.period_ns;

    if (!cadence->extra_ns || cadence->extra_at < RINGING || distance_to_beat(since) >= distance_to_beat(at))
        return 0;
    return (uint64_t)fmin(fmax(1, rint(since)), MAX_PERIODS - 1);
}

/* The edge before was guessed to be this one, and late: no more is lost, but the fit has to be told. */
static void take_guess_back(struct eegd_cadence *cadence, int64_t drdy_ns)
{
    cadence->clock = cadence->before_guess;
    eegd_clock_update(&cadence->clock, drdy_ns, cadence->guess);
    cadence->edge.drdy_ns = drdy_ns;
    cadence->guess = 0;
}

static void note_extra(struct eegd_cadence *cadence, const struct eegd_edge *edge, double at)
{
    cadence->edge.seq = edge->seq;
    cadence->extra_ns = cadence->guess ? 0 : edge->drdy_ns;
    cadence->extra_at = at;
    if (cadence->guess)
        take_guess_back(cadence, edge->drdy_ns);
}

static void note_edge(struct eegd_cadence *cadence, const struct eegd_edge *edge)
{
    cadence->edge = *edge;
    cadence->has_edge = 1;
    cadence->extra_ns = 0;
}

/* Whatever the edge stands for, the fit is told; what it moved by then, where it started over. */
static void follow(struct eegd_cadence *cadence, const struct eegd_edge *edge, int fit_is_wrong,
                   struct eegd_beat *beat)
{
    struct eegd_clock *clock = &cadence->clock;
    int64_t base_ns = clock->time_base_ns;
    double offset_ns = clock->time_offset_ns, expected_ns = (double)beat->n_periods * clock->period_ns;
    int result = fit_is_wrong ? eegd_clock_start_over(clock, edge->drdy_ns, beat->n_periods)
                              : eegd_clock_update(clock, edge->drdy_ns, beat->n_periods);

    if (result != EEGD_CLOCK_RELOCKED)
        return;
    beat->relocked = 1;
    beat->step_ns =
        (double)(clock->time_base_ns - base_ns) + (clock->time_offset_ns - offset_ns) - expected_ns;
}

static struct eegd_beat take_first(struct eegd_cadence *cadence, const struct eegd_edge *edge)
{
    int missed = cadence->has_start && edge->seq > cadence->seq;
    eegd_clock_update(&cadence->clock, edge->drdy_ns, 1);
    note_edge(cadence, edge);
    return (struct eegd_beat){.n_periods = missed ? edge->seq - cadence->seq : 1};
}

struct eegd_beat eegd_cadence_take(struct eegd_cadence *cadence, const struct eegd_edge *edge)
{
    if (!cadence->has_edge)
        return take_first(cadence, edge);
    uint64_t by_sequence = edge->seq > cadence->edge.seq ? edge->seq - cadence->edge.seq : 1;
    double at = periods_to(&cadence->clock, edge->drdy_ns);
    struct eegd_beat beat = {.n_periods = count_periods(cadence, edge, at, by_sequence)};
    beat.n_extra = by_sequence > beat.n_periods ? by_sequence - beat.n_periods : 0;
    if (!beat.n_periods) {
        note_extra(cadence, edge, at);
        return beat;
    }
    uint64_t since_extra = periods_since_extra(cadence, edge->drdy_ns, at);
    if (since_extra)
        beat.n_periods = 1 + since_extra;
    cadence->guess = !since_extra && beat.n_periods > by_sequence ? beat.n_periods : 0;
    if (cadence->guess)
        cadence->before_guess = cadence->clock;
    follow(cadence, edge, since_extra != 0, &beat);
    note_edge(cadence, edge);
    return beat;
}
