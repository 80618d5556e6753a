/* SPDX-License-Identifier: MIT */
/*
 * Clock: finds the chip's own clock in the kernel's stamps of its DRDY edges.
 * A second-order delay-locked loop, fed with one stamp per edge that was seen
 * and the number of sample periods since the one before; it gives that edge's
 * fitted time, the sample period and the time at which the next edge is due.
 * It is causal: everything is known when the edge's frame is published.
 *
 * Stamps are late, never early: an interrupt cannot come before its edge. So
 * the loop itself follows the middle of the stamps, and the time it reports
 * lies on their lower edge, where lateness is least. What is late on every
 * single edge by the same amount looks exactly like a later edge, and no loop
 * can see it: a known one (the configured edge latency) is the caller's to
 * subtract, from the fitted time, never from the stamps.
 *
 * The caller owns the struct and may place it anywhere; one thread updates and
 * reads it (hand others a copy). Nothing allocates, blocks or asks for time.
 *
 * Python reads this text through cffi: plain declarations only.
 */
#ifndef EEGD_CLOCK_H
#define EEGD_CLOCK_H
#include <stdint.h>

#define EEGD_CLOCK_BANDWIDTH_MHZ 200   /* default loop bandwidth, in millihertz */
#define EEGD_CLOCK_TOLERANCE_PPM 50000 /* the period stays so close to nominal; the chip promises 25000 */

#define EEGD_CLOCK_ACQUIRING 0 /* the fit uses all stamps since the start; its error shrinks with each */
#define EEGD_CLOCK_LOCKED 1    /* at least 64 stamps and 1 s of them */

#define EEGD_CLOCK_FOLLOWED 0 /* the stamp was used as it is */
#define EEGD_CLOCK_LIMITED 1  /* too far off to be believed in full; a limited part of it was used */
#define EEGD_CLOCK_RELOCKED 2 /* off for too long: the fit starts over here, from the known period */

struct eegd_clock {
    /* What the caller may read. The fitted time of the latest edge is base + offset, which keeps fractions of
     * a ns for any uptime; it never runs backwards. */
    int64_t time_base_ns;
    double time_offset_ns; /* 0 … 1 */
    double period_ns;      /* fitted sample period */
    double jitter_rms_ns;  /* rms of the stamps about the loop, stragglers limited; over some seconds */
    double late_peak_ns;   /* largest lateness against the fitted time while locked; may be set to 0 */
    double late_mean_ns;   /* mean of the visible lateness: the loop lies so far behind the lower edge */
    uint64_t n_stamps;     /* since init */
    uint64_t n_limited;
    uint64_t n_relocks;
    uint32_t state; /* EEGD_CLOCK_ACQUIRING or EEGD_CLOCK_LOCKED */

    /* The loop's own. */
    uint32_t early_streak; /* stamps in a row before the gate, */
    uint32_t late_streak;  /*   and behind it */
    uint32_t n_fit;        /* stamps since the fit (re)started */
    double nominal_period_ns;
    double drift;         /* variance that one period adds to the rate, in stamp variances */
    int64_t loop_base_ns; /* the loop's time of the latest edge, as base and offset */
    double loop_offset_ns;
    double p_time, p_cross, p_period; /* covariance of time and period, in stamp variances */
    double jitter_var;
    double lead_ns;      /* from the loop to the lower edge of the stamps */
    double lowest_ns[2]; /* lowest residual of the window before and of this one */
    uint32_t n_window;   /* stamps in this one */
    uint32_t n_second;   /* stamps in a second at the nominal rate */
};

/* Starts anew. bandwidth_hz: 0.01 … 5, or 0 for the default; less is smoother, more follows a drifting clock
 * faster (the loop lies d / (2π·bandwidth)² µs behind a drift of d ppm/s). 0, or -EINVAL. */
int eegd_clock_init(struct eegd_clock *clock, double nominal_period_ns, double bandwidth_hz);

/* Takes one stamp. n_periods: sample periods since the edge before (1, or more where edges were missed, up to
 * 2^32; ignored for the first). Returns EEGD_CLOCK_FOLLOWED, _LIMITED or _RELOCKED; -EINVAL for other
 * n_periods, with nothing changed. */
int eegd_clock_update(struct eegd_clock *clock, int64_t drdy_ns, uint64_t n_periods);

/* The same for a caller who knows that the fit is wrong: it starts over here, from the known period. Returns
 * EEGD_CLOCK_RELOCKED; -EINVAL as above, or before the first stamp. */
int eegd_clock_start_over(struct eegd_clock *clock, int64_t drdy_ns, uint64_t n_periods);

/* Fitted time of the latest edge, as the frame's descriptor holds it. */
double eegd_clock_time_ns(const struct eegd_clock *clock);

/* When the edge n periods after the latest one is due, rounded to ns. eegd_clock_next: n = 1. */
int64_t eegd_clock_after(const struct eegd_clock *clock, uint64_t n);
int64_t eegd_clock_next(const struct eegd_clock *clock);

/* Effective rate, and how far it is from nominal. */
double eegd_clock_rate_sps(const struct eegd_clock *clock);
double eegd_clock_ppm(const struct eegd_clock *clock);

#endif
