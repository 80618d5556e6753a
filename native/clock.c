/* SPDX-License-Identifier: MIT */
/*
 * Clock: the delay-locked loop over DRDY stamps. Runs in whichever thread owns
 * the struct, the capture thread as a rule.
 *
 * The loop keeps a time and a period and corrects both by a share of each
 * stamp's residual. In the steady state the two shares are those of the
 * classic second-order loop with damping 1/√2: √2·w and w² with w = 2π ·
 * bandwidth / rate. A fixed pair is slow to start and wrong after a gap, so
 * the shares come from the uncertainty of time and period, carried along as a
 * covariance: that of a clock whose rate wanders, seen through noisy stamps
 * (w⁴ of the stamps' variance per period gives just these two shares in the
 * end). At the start this is a least-squares line through all stamps so far;
 * in a gap the uncertainty grows, and the next stamp counts for more.
 *
 * Residuals beyond a gate count for less the further off they are, so a
 * straggler moves the fit by next to nothing. What stays beyond it is no
 * straggler: stamps before the fitted edge soon prove the fit wrong, since
 * nothing is ever early; late ones may be a busy host, and are given half a
 * second; after a second without stamps there is nothing left to defend.
 */
#include "clock.h"

#include <errno.h>
#include <math.h>

#define ASSUMED_JITTER_NS 2000.0 /* scale of the first guess only */
#define FIRST_GUESS_PPM 25000.0  /* the chip's oscillator over temperature */
#define SECOND_GUESS_PPM 1000.0  /* what a known period may have moved when the fit starts over */
#define GATE_SIGMAS 4.0
#define GATE_MIN_NS 1000.0
#define LOCK_STAMPS 64u
#define GATE_STAMPS 16u /* so many stamps give a first idea of their jitter */
#define EARLY_STREAK 8u
#define MAX_PERIODS (UINT64_C(1) << 32)

static double limited(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

static uint32_t at_least(uint32_t value, uint32_t least)
{
    return value > least ? value : least;
}

/* Number of stamps that an average should span: `most`, but only a share of those since the fit started, so
 * that what the first, unsettled ones did is soon forgotten. */
static uint32_t memory_of(const struct eegd_clock *clock, uint32_t share, uint32_t most)
{
    uint32_t memory = at_least(clock->n_fit / share, 4);

    return memory < most ? memory : most;
}

int eegd_clock_init(struct eegd_clock *clock, double nominal_period_ns, double bandwidth_hz)
{
    double w;

    if (bandwidth_hz == 0)
        bandwidth_hz = EEGD_CLOCK_BANDWIDTH_MHZ / 1e3;
    if (!(nominal_period_ns >= 1e3 && nominal_period_ns <= 1e9) ||
        !(bandwidth_hz >= 0.01 && bandwidth_hz <= 5))
        return -EINVAL;
    *clock = (struct eegd_clock){.period_ns = nominal_period_ns, .nominal_period_ns = nominal_period_ns};
    w = 2 * M_PI * bandwidth_hz * nominal_period_ns / 1e9;
    clock->drift = w * w * w * w;
    clock->n_second = at_least((uint32_t)(1e9 / nominal_period_ns), 1);
    return 0;
}

/* Keeps the offset below one ns, so that it never loses digits. */
static void carry(int64_t *base_ns, double *offset_ns)
{
    double whole = floor(*offset_ns);

    *base_ns += (int64_t)whole;
    *offset_ns -= whole;
}

/* Forgets the fit, except for the period, which may be off by `ppm`. */
static void start_fit(struct eegd_clock *clock, int64_t drdy_ns, double ppm)
{
    double sigma = clock->nominal_period_ns * ppm / 1e6 / ASSUMED_JITTER_NS;

    clock->loop_base_ns = drdy_ns;
    clock->loop_offset_ns = 0;
    clock->p_time = 1;
    clock->p_cross = 0;
    clock->p_period = sigma * sigma;
    clock->jitter_var = 0;
    clock->lead_ns = 0;
    clock->lowest_ns[0] = clock->lowest_ns[1] = HUGE_VAL;
    clock->n_window = 0;
    clock->early_streak = clock->late_streak = 0;
    clock->n_fit = 1;
    clock->state = EEGD_CLOCK_ACQUIRING;
}

/* Lets the loop run on for n periods, uncertainty included. */
static void predict(struct eegd_clock *clock, double n)
{
    clock->loop_offset_ns += n * clock->period_ns;
    carry(&clock->loop_base_ns, &clock->loop_offset_ns);
    clock->p_time += n * (2 * clock->p_cross + n * (clock->p_period + n * clock->drift / 3));
    clock->p_cross += n * (clock->p_period + n * clock->drift / 2);
    clock->p_period += n * clock->drift;
}

/* Moves time and period by their shares of the residual. */
static void correct(struct eegd_clock *clock, double residual)
{
    double share_time = clock->p_time / (clock->p_time + 1);
    double share_period = clock->p_cross / (clock->p_time + 1);
    double slack = clock->nominal_period_ns * (EEGD_CLOCK_TOLERANCE_PPM / 1e6);

    clock->loop_offset_ns += share_time * residual;
    carry(&clock->loop_base_ns, &clock->loop_offset_ns);
    clock->period_ns = limited(clock->period_ns + share_period * residual, clock->nominal_period_ns - slack,
                               clock->nominal_period_ns + slack);
    clock->p_period -= share_period * clock->p_cross;
    clock->p_time *= 1 - share_time;
    clock->p_cross *= 1 - share_time;
}

/* Counts residuals beyond the gate. True when they prove that the fit is wrong. */
static int fit_is_wrong(struct eegd_clock *clock, double residual, double gate, double n)
{
    clock->early_streak = residual < -gate ? clock->early_streak + 1 : 0;
    clock->late_streak = residual > gate ? clock->late_streak + 1 : 0;
    return clock->early_streak >= EARLY_STREAK ||
           clock->late_streak >= at_least(clock->n_second / 2, LOCK_STAMPS) ||
           (fabs(residual) > gate && n >= clock->n_second);
}

/* A running variance of the residuals the loop could not foresee; its memory is a few seconds. */
static void follow_jitter(struct eegd_clock *clock, double residual)
{
    uint32_t memory = memory_of(clock, 4, at_least(4 * clock->n_second, 8 * LOCK_STAMPS));

    clock->jitter_var += (residual * residual / (clock->p_time + 1) - clock->jitter_var) / memory;
    clock->jitter_rms_ns = sqrt(clock->jitter_var);
}

/* The lower edge of the stamps: the lowest residual of the last one to two windows, approached smoothly. */
static void follow_lower_edge(struct eegd_clock *clock, double residual)
{
    uint32_t window = memory_of(clock, 2, at_least(clock->n_second, 2 * LOCK_STAMPS));
    double lowest;

    if (clock->n_window++ >= window) {
        clock->lowest_ns[0] = clock->lowest_ns[1];
        clock->lowest_ns[1] = HUGE_VAL;
        clock->n_window = 1;
    }
    clock->lowest_ns[1] = fmin(clock->lowest_ns[1], residual);
    lowest = fmin(clock->lowest_ns[0], clock->lowest_ns[1]);
    clock->lead_ns +=
        (lowest - clock->lead_ns) / memory_of(clock, 8, at_least(clock->n_second / 4, LOCK_STAMPS));
    clock->late_mean_ns = fmax(-clock->lead_ns, 0);
}

/* Reports the loop's time less its lead, but never less than half a period for each period that passed: a
 * step back is walked off over the next edges. */
static void report(struct eegd_clock *clock, double n)
{
    double least = clock->time_offset_ns + 0.5 * n * clock->period_ns;
    double wanted =
        (double)(clock->loop_base_ns - clock->time_base_ns) + clock->loop_offset_ns + clock->lead_ns;

    clock->time_offset_ns = fmax(wanted, least);
    carry(&clock->time_base_ns, &clock->time_offset_ns);
}

static void first_stamp(struct eegd_clock *clock, int64_t drdy_ns)
{
    start_fit(clock, drdy_ns, FIRST_GUESS_PPM);
    clock->time_base_ns = drdy_ns;
    clock->n_stamps = 1;
}

static int start_over(struct eegd_clock *clock, int64_t drdy_ns, double n)
{
    start_fit(clock, drdy_ns, clock->state == EEGD_CLOCK_LOCKED ? SECOND_GUESS_PPM : FIRST_GUESS_PPM);
    clock->n_relocks++;
    report(clock, n);
    return EEGD_CLOCK_RELOCKED;
}

static void follow(struct eegd_clock *clock, double residual, double gate)
{
    double within = limited(residual, -gate, gate);

    follow_jitter(clock, within);
    correct(clock, within == residual ? residual : gate * gate / residual);
    follow_lower_edge(clock, within * (1 - clock->p_time)); /* what is left after the correction */
    if (clock->n_fit >= at_least(clock->n_second, LOCK_STAMPS))
        clock->state = EEGD_CLOCK_LOCKED;
}

static void note_peak(struct eegd_clock *clock, int64_t drdy_ns)
{
    double late = (double)(drdy_ns - clock->time_base_ns) - clock->time_offset_ns;

    if (clock->state == EEGD_CLOCK_LOCKED && late > clock->late_peak_ns)
        clock->late_peak_ns = late;
}

int eegd_clock_update(struct eegd_clock *clock, int64_t drdy_ns, uint64_t n_periods)
{
    double n = (double)n_periods, residual, gate = HUGE_VAL;

    if (!clock->n_stamps) {
        first_stamp(clock, drdy_ns);
        return EEGD_CLOCK_FOLLOWED;
    }
    if (n_periods < 1 || n_periods > MAX_PERIODS)
        return -EINVAL;
    predict(clock, n);
    clock->n_stamps++;
    clock->n_fit++;
    residual = (double)(drdy_ns - clock->loop_base_ns) - clock->loop_offset_ns;
    if (clock->n_fit > GATE_STAMPS)
        gate = fmax(GATE_SIGMAS * clock->jitter_rms_ns, GATE_MIN_NS) * sqrt(clock->p_time + 1);
    if (fit_is_wrong(clock, residual, gate, n))
        return start_over(clock, drdy_ns, n);
    follow(clock, residual, gate);
    report(clock, n);
    note_peak(clock, drdy_ns);
    if (fabs(residual) <= gate)
        return EEGD_CLOCK_FOLLOWED;
    clock->n_limited++;
    return EEGD_CLOCK_LIMITED;
}

int eegd_clock_start_over(struct eegd_clock *clock, int64_t drdy_ns, uint64_t n_periods)
{
    if (!clock->n_stamps || n_periods < 1 || n_periods > MAX_PERIODS)
        return -EINVAL;
    clock->n_stamps++;
    return start_over(clock, drdy_ns, (double)n_periods);
}

double eegd_clock_time_ns(const struct eegd_clock *clock)
{
    return (double)clock->time_base_ns + clock->time_offset_ns;
}

int64_t eegd_clock_after(const struct eegd_clock *clock, uint64_t n)
{
    return clock->time_base_ns + (int64_t)floor(clock->time_offset_ns + (double)n * clock->period_ns + 0.5);
}

int64_t eegd_clock_next(const struct eegd_clock *clock)
{
    return eegd_clock_after(clock, 1);
}

double eegd_clock_rate_sps(const struct eegd_clock *clock)
{
    return 1e9 / clock->period_ns;
}

double eegd_clock_ppm(const struct eegd_clock *clock)
{
    return (clock->nominal_period_ns / clock->period_ns - 1) * 1e6;
}
