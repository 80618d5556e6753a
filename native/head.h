/* SPDX-License-Identifier: MIT */
/*
 * Head: the sources of synthetic EEG (brain regions, alpha, blinks, eyes,
 * muscles, heart, mains), which advance by one sample period at a time. Every
 * value follows from the seed and the times alone; spectra do not depend on the
 * rate. synth.c lays them on electrodes.
 *
 * Embedded in the state of its user, and on the user's thread: nothing here
 * allocates, locks or blocks. C only.
 */
#ifndef EEGD_HEAD_H
#define EEGD_HEAD_H
#include <stdint.h>
#include "noise.h"
#include "synth.h"

/* Something that comes and goes: off for a random time, then on for a random time. All in seconds. */
struct eegd_spell {
    double off_min, off_max, on_min, on_max;
    double until;  /* when the present state ends */
    double length; /* of the present state */
    int on;
};

struct eegd_head {
    uint64_t random; /* whoever mixes the sources draws from it, too */
    double seconds;  /* of signal so far */

    /* Coefficients for one sample period. */
    struct eegd_background background;
    double alpha_cos[2], alpha_sin[2], alpha_jitter, alpha_slew;
    double muscle_keep_low, muscle_keep_high, muscle_gain;
    double gaze_slew, mains_cos, mains_sin;

    /* State. */
    double region[EEGD_SYNTH_REGIONS][EEGD_N_POLES];
    double alpha_re[2], alpha_im[2], alpha_level[2];
    double muscle_low[2], muscle_high[2];
    double mains_re, mains_im;
    double gaze, gaze_target, gaze_until;
    double blink_peak, beat_start, beat_length;
    struct eegd_spell alpha, blink, muscle[2];
};

void eegd_head_init(struct eegd_head *head, uint64_t seed);

/* Before the first sample, and whenever the period changes. */
void eegd_head_set_period(struct eegd_head *head, double period_s, double mains_hz);

/* The sample at this time; sources: EEGD_SYNTH_SOURCES values, in the order of synth.h. */
void eegd_head_next(struct eegd_head *head, double seconds, double *sources);

#endif
