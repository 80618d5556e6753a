/* SPDX-License-Identifier: MIT */
/*
 * Synth: the sources behind `eegd --simulate` and `--replay`: synthetic EEG of
 * a head with electrodes, and recordings in double precision. An addition to
 * source.h, with its threads and ownership.
 *
 * The head: a few sources (brain regions, alpha, blinks, muscles, heart,
 * mains) are mixed onto electrodes by weights, and electrodes are wired to
 * pins; the reference is one of the electrodes. So neighbours are alike, a
 * bipolar pair sees the difference, and the reference takes the mains away.
 * Every sample follows from the seed and the sample periods alone; spectra do
 * not depend on the rate.
 */
#ifndef EEGD_SYNTH_H
#define EEGD_SYNTH_H
#include <stdint.h>

#include "source.h"

/* Where the electrode of an input sits; values of `on_n` in source.h. */
#define EEGD_WIRING_P 0       /* on INxP, reference on N or SRB1 */
#define EEGD_WIRING_N 1       /* on INxN, reference on P or SRB2 */
#define EEGD_WIRING_BIPOLAR 2 /* half on each, of opposite sign */

/* The sources of the head; weights are in µV per unit of the source. */
#define EEGD_SYNTH_REGIONS 8    /* 0 ... 7: 1/f backgrounds, each of rms 1, independent */
#define EEGD_SYNTH_ALPHA_LEFT 8 /* 10 Hz, peak 1 while it is there */
#define EEGD_SYNTH_ALPHA_RIGHT 9
#define EEGD_SYNTH_BLINK 10       /* 0.34 s, peak 0.8 ... 1.2, every 3 to 6 s */
#define EEGD_SYNTH_GAZE 11        /* horizontal eye position, -1 (left) ... 1 */
#define EEGD_SYNTH_MUSCLE_LEFT 12 /* 20 ... 100 Hz bursts, rms about 1 in the middle of a burst */
#define EEGD_SYNTH_MUSCLE_RIGHT 13
#define EEGD_SYNTH_HEART 14 /* P, QRS and T about 68 times a minute, R peak 1 */
#define EEGD_SYNTH_MAINS 15 /* sine of amplitude 1 */
#define EEGD_SYNTH_SOURCES 16

#define EEGD_SYNTH_MAX_ELECTRODES 65 /* two for each of 32 inputs, and the reference */
#define EEGD_SYNTH_NO_ELECTRODE 255

/* All arrays are copied. */
struct eegd_synth_config {
    uint64_t seed;
    double mains_hz;       /* 0: none */
    uint32_t n_electrodes; /* 1 ... EEGD_SYNTH_MAX_ELECTRODES */
    const float *weights;  /* n_electrodes rows of EEGD_SYNTH_SOURCES */
    const float *noise_uv; /* per electrode: rms of a 1/f background of its own */
    const float
        *drift_uv; /* per electrode: rms of the slow wandering (0.003 Hz) of its half-cell potential */
    const float *offset_uv; /* per electrode: its half-cell potential at the start */
    uint8_t p[32];          /* electrode at INxP of each input, or EEGD_SYNTH_NO_ELECTRODE */
    uint8_t n[32];          /* electrode at INxN of each input, likewise */
    uint8_t srb1;           /* electrode at SRB1, likewise */
    uint8_t srb2;
};

/* Synthetic EEG. NULL when memory is short or an argument is out of range. */
struct eegd_source *eegd_source_synth(const struct eegd_synth_config *config);

#endif
