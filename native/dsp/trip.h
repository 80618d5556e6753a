/* SPDX-License-Identifier: MIT */
/*
 * Trip: a threshold with hysteresis and hold. It trips at the first value
 * above the threshold. It clears once `hold` samples have gone by since a
 * value was last above threshold - hysteresis; with hold 0, at the first that
 * is not. Time is counted in samples, so values may come at any step.
 *
 * The caller owns the struct; one thread at a time uses it. Python reads this
 * text through cffi: plain declarations only.
 */
#ifndef EEGD_DSP_TRIP_H
#define EEGD_DSP_TRIP_H
#include <stdint.h>

#define EEGD_TRIP_NOTHING 0
#define EEGD_TRIP_TRIPPED 1
#define EEGD_TRIP_CLEARED 2

struct eegd_trip {
    double threshold;  /* of the user; infinity never trips */
    double hysteresis; /* of the user; at least 0 */
    uint64_t hold;     /* of the user; samples */
    uint64_t since;    /* sample at which it last tripped or cleared */
    uint64_t above;    /* sample of the last value above threshold - hysteresis */
    uint32_t tripped;  /* 1: it has */
    uint32_t n_trips;  /* how often it has */
};

/* Looks at the value of a sample; EEGD_TRIP_…: what changed. A value that is NaN or infinite is missing:
 * nothing changes. Sample indices never go back; after a gap, a caller that wants to start anew sets tripped
 * to 0. */
int eegd_trip_check(struct eegd_trip *trip, double value, uint64_t sample_index);

#endif
