/* SPDX-License-Identifier: MIT */
/* Random numbers and 1/f backgrounds. On its user's thread. See noise.h. */
#include "noise.h"
#include <math.h>

#define TURN (2.0 * M_PI)

/* Corner frequencies a factor 4 apart, of equal power: their sum falls as 1/f from 0.3 to about 80 Hz. */
static const double pole_hz[EEGD_N_POLES] = {0.3, 1.2, 4.8, 19.2, 76.8};

uint64_t eegd_noise_draw(uint64_t *random)
{
    uint64_t x = *random += 0x9E3779B97F4A7C15u;

    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

double eegd_noise_uniform(uint64_t *random)
{
    return (double)(eegd_noise_draw(random) >> 11) * 0x1p-53;
}

/* Near enough to a Gaussian: the sum of four 16-bit uniforms. */
double eegd_noise_gauss(uint64_t *random)
{
    uint64_t x = eegd_noise_draw(random);
    int32_t sum = (int32_t)(x & 0xFFFF) + (int32_t)(x >> 16 & 0xFFFF) + (int32_t)(x >> 32 & 0xFFFF) +
                  (int32_t)(x >> 48);

    return (sum - 131070) * (1.0 / 37837.2);
}

double eegd_noise_keep(double hz, double period_s)
{
    return exp(-TURN * hz * period_s);
}

/* All poles share one noise; the gains make each of equal power and their sum of variance 1. */
void eegd_background_set(struct eegd_background *background, double period_s)
{
    double *keep = background->keep, *gain = background->gain, variance = 0;

    for (int i = 0; i < EEGD_N_POLES; i++) {
        keep[i] = eegd_noise_keep(pole_hz[i], period_s);
        gain[i] = sqrt(1 - keep[i] * keep[i]);
    }
    for (int i = 0; i < EEGD_N_POLES; i++)
        for (int j = 0; j < EEGD_N_POLES; j++)
            variance += gain[i] * gain[j] / (1 - keep[i] * keep[j]);
    for (int i = 0; i < EEGD_N_POLES; i++)
        gain[i] /= sqrt(variance);
}

double eegd_background_next(const struct eegd_background *background, double *poles, double noise)
{
    double sum = 0;

    for (int i = 0; i < EEGD_N_POLES; i++) {
        poles[i] = background->keep[i] * poles[i] + background->gain[i] * noise;
        sum += poles[i];
    }
    return sum;
}
