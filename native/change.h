/* SPDX-License-Identifier: MIT */
/*
 * Change: when a signal crosses a threshold, told once for each crossing, with
 * an optional one-pole removal of its mean before.
 *
 * There are two sides. The signal comes to be above at `threshold +
 * hysteresis / 2` or more, and below under `threshold - hysteresis / 2`;
 * between the two it stays where it was. So noise smaller than the hysteresis
 * makes no second crossing, and rising and falling crossings alternate.
 *
 * Settling: at first, and after each call of eegd_change_settle, neither the
 * side nor the mean is known. The mean of the first `settle` values, all with
 * the same weight, is learned, then the side, from the first value that is
 * clearly on one; neither is a crossing.
 *
 * A value that is NaN or infinite is missing: it is on no side, teaches the mean
 * nothing, and leaves no trace.
 *
 * Plain memory that the caller owns, one thread at a time: the capture thread
 * for its detectors, a plugin for its own. Doubles throughout, no fused
 * multiply-add, so that Python computes the very same.
 *
 * Python reads this text through cffi: plain declarations only.
 */
#ifndef EEGD_CHANGE_H
#define EEGD_CHANGE_H
#include <stddef.h>
#include <stdint.h>

#define EEGD_EDGE_RISING 1
#define EEGD_EDGE_FALLING 2

/* What became of a value that may have been a crossing; most are EEGD_CROSSING_NONE. */
#define EEGD_CROSSING_NONE 0       /* no crossing of the threshold */
#define EEGD_CROSSING_TAKEN 1      /* it counts */
#define EEGD_CROSSING_IN_BAND 2    /* over the threshold, but not yet by half the hysteresis */
#define EEGD_CROSSING_ALREADY 3    /* back over the threshold, without having left that side */
#define EEGD_CROSSING_OTHER_EDGE 4 /* it counts the other way only */
#define EEGD_CROSSING_SETTLING 5   /* mean or side is not known yet */
#define EEGD_CROSSING_TOO_SHORT 6  /* pins: the word did not last */
#define EEGD_CROSSING_RING_FULL 7  /* it counts, but could not be told: the ring was full */

struct eegd_change_config {
    double threshold;
    double hysteresis; /* 0 or more */
    double dc_share;   /* of a value's distance from the mean that the mean follows; 0: nothing is removed */
    uint64_t settle;   /* values that only teach the mean, 0 without removal */
    uint32_t edges;    /* EEGD_EDGE_…, or both */
};

struct eegd_change {
    struct eegd_change_config config;
    double mean;
    double value;     /* the last one, less the mean */
    uint64_t n_taken; /* values since it settled last, counted up to what is needed */
    int32_t side;     /* 1 above, -1 below, 0 not known */
    int32_t over;     /* the last value was at or above the threshold: 1, else -1; 0: none yet */
    int32_t rising;   /* of the last crossing that was not EEGD_CROSSING_NONE */
};

/* One crossing within a block. */
struct eegd_crossing {
    uint32_t index;   /* of the value, from the block's first */
    uint32_t rising;  /* 0: falling */
    uint32_t verdict; /* EEGD_CROSSING_… */
    uint32_t row;     /* of the block that has several signals, else 0 */
    double value;     /* less the mean */
};

void eegd_change_init(struct eegd_change *change, const struct eegd_change_config *config);

/* Forgets mean and side: what comes does not continue what was. */
void eegd_change_settle(struct eegd_change *change);

/* The value less its mean, which follows. */
double eegd_change_centre(struct eegd_change *change, double value);

/* One value. EEGD_CROSSING_…; what it was is then in change->value and change->rising. */
uint32_t eegd_change_take(struct eegd_change *change, double value);

/* n values of a block. Writes up to `max` crossings that were TAKEN (all: every one that is not NONE), and
 * returns how many there were. */
uint32_t eegd_change_run(struct eegd_change *change, const float *values, uint32_t n, int all,
                         struct eegd_crossing *out, uint32_t max);

/* Several signals in one block: changes[i] looks at n values from block + rows[i] * stride on. Writes up to
 * `max` crossings that were TAKEN, row after row, and returns how many there were. */
uint32_t eegd_change_run_rows(struct eegd_change *changes, const uint32_t *rows, uint32_t n_changes,
                              const float *block, ptrdiff_t stride, uint32_t n, struct eegd_crossing *out,
                              uint32_t max);

#endif
