/* SPDX-License-Identifier: MIT */
/*
 * Energy: what the coefficients of a window come to: for each level the sum
 * of their squares, and for level 1 (D1) the largest magnitude, which tells of
 * spikes and steps. Functions without state, for any thread; sums in float64.
 *
 * Python reads this text through cffi: plain declarations only.
 */
#ifndef EEGD_DSP_ENERGY_H
#define EEGD_DSP_ENERGY_H
#include <stddef.h>
#include <stdint.h>

struct eegd_dwt;

/* Sums of squares of the details of levels 1 … n_levels, in that order, into energies[channel * n_levels +
 * level
 * - 1]. rows and stride as in eegd_dwt_forward. */
void eegd_energy_of_levels(const struct eegd_dwt *dwt, const float *rows, ptrdiff_t stride,
                           uint32_t n_channels, float *energies);

/* Largest magnitude among the details of level 1, into peaks[channel]; NaN where one of them is. */
void eegd_energy_peak(const struct eegd_dwt *dwt, const float *rows, ptrdiff_t stride, uint32_t n_channels,
                      float *peaks);

#endif
