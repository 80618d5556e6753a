/* SPDX-License-Identifier: MIT */
/*
 * Energy: sums are kept in several lanes side by side, since the compiler must
 * not change the order of additions by itself.
 *
 * Threads and ownership: see energy.h.
 */
#include "dsp/energy.h"
#include "dsp/dwt.h"
#include "dsp/vector.h"

#include <string.h>

#define LANES 8

EEGD_VECTOR static double sum_of_squares(const float *x, size_t n)
{
    double lanes[LANES] = {0}, sum = 0;
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (int lane = 0; lane < LANES; lane++)
            lanes[lane] += (double)x[i + lane] * (double)x[i + lane];
    for (; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    for (int lane = 0; lane < LANES; lane++)
        sum += lanes[lane];
    return sum;
}

/* Magnitudes have the order of their bits as integers, of which the compiler keeps the largest in vectors. A
 * NaN is above them all. */
EEGD_VECTOR static float largest_magnitude(const float *x, size_t n)
{
    int32_t largest = 0;
    float magnitude;

    for (size_t i = 0; i < n; i++) {
        int32_t bits;

        memcpy(&bits, x + i, sizeof(bits));
        bits &= INT32_MAX;
        largest = bits > largest ? bits : largest;
    }
    memcpy(&magnitude, &largest, sizeof(magnitude));
    return magnitude;
}

void eegd_energy_of_levels(const struct eegd_dwt *dwt, const float *rows, ptrdiff_t stride,
                           uint32_t n_channels, float *energies)
{
    uint32_t n_levels = eegd_dwt_levels(dwt);

    for (uint32_t channel = 0; channel < n_channels; channel++)
        for (uint32_t level = 1; level <= n_levels; level++)
            *energies++ = (float)sum_of_squares(rows + channel * stride + eegd_dwt_offset(dwt, level),
                                                eegd_dwt_length(dwt, level));
}

void eegd_energy_peak(const struct eegd_dwt *dwt, const float *rows, ptrdiff_t stride, uint32_t n_channels,
                      float *peaks)
{
    for (uint32_t channel = 0; channel < n_channels; channel++)
        peaks[channel] =
            largest_magnitude(rows + channel * stride + eegd_dwt_offset(dwt, 1), eegd_dwt_length(dwt, 1));
}
