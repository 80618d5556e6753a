/* SPDX-License-Identifier: MIT */
/*
 * Noise: pseudo-random numbers from one splitmix64 stream, and 1/f backgrounds
 * made of them, for synthetic signals. Whoever draws in the same order gets the
 * same numbers.
 *
 * Embedded in the state of its user, and on the user's thread. C only.
 */
#ifndef EEGD_NOISE_H
#define EEGD_NOISE_H
#include <stdint.h>

#define EEGD_N_POLES 5

/* Coefficients of a background for one sample period. */
struct eegd_background {
    double keep[EEGD_N_POLES], gain[EEGD_N_POLES];
};

uint64_t eegd_noise_draw(uint64_t *random);

/* 0 … 1 */
double eegd_noise_uniform(uint64_t *random);

/* Mean 0, variance 1. */
double eegd_noise_gauss(uint64_t *random);

/* What a first-order low-pass of this corner keeps from sample to sample. */
double eegd_noise_keep(double hz, double period_s);

void eegd_background_set(struct eegd_background *background, double period_s);

/* One step of a 1/f background of rms 1, where `noise` has variance 1. poles: its state, EEGD_N_POLES. */
double eegd_background_next(const struct eegd_background *background, double *poles, double noise);

#endif
