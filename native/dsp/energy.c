/* SPDX-License-Identifier: MIT */
/*
 * Energy: sums and maxima are kept in several lanes side by side, since the
 * compiler must not change the order of additions by itself.
 *
 * Threads and ownership: see energy.h.
 */
#include "dsp/energy.h"
#include "dsp/dwt.h"
#include "dsp/vector.h"

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

EEGD_VECTOR static float largest_magnitude(const float *x, size_t n)
{
    float lanes[LANES] = {0}, largest = 0;
    int missing[LANES] = {0}, is_missing = 0;
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (int lane = 0; lane < LANES; lane++) {
            float magnitude = __builtin_fabsf(x[i + lane]);

            lanes[lane] = magnitude > lanes[lane] ? magnitude : lanes[lane];
            missing[lane] |= __builtin_isnan(magnitude);
        }
    for (; i < n; i++) {
        largest = __builtin_fabsf(x[i]) > largest ? __builtin_fabsf(x[i]) : largest;
        is_missing |= __builtin_isnan(x[i]);
    }
    for (int lane = 0; lane < LANES; lane++) {
        largest = lanes[lane] > largest ? lanes[lane] : largest;
        is_missing |= missing[lane];
    }
    return is_missing ? __builtin_nanf("") : largest;
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
