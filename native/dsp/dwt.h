/* SPDX-License-Identifier: MIT */
/*
 * DWT: discrete wavelet transform of a window by lifting, all channels in one
 * call, in place. Coefficients are those of PyWavelets' wavedec with mode
 * "symmetric" (the window is mirrored at both ends, the sample at the edge
 * twice) and its wavelets "haar", "bior2.2" (CDF 5/3) and "db2" (Daubechies
 * with four taps), in the same order and of the same sign.
 *
 * Filters longer than two taps make more coefficients than there are samples:
 * those near the edges, without which mirrored windows could not be inverted.
 * So a row has room for eegd_dwt_room floats. Samples are its first n_samples
 * before, coefficients are in it after:
 *
 *     samples 0 … n-1                      | room |
 *     approximation | level L | … | level 2 | level 1
 *
 * A transform is a plan with one row of scratch, so it belongs to one thread
 * at a time. Only new and free allocate. Samples are float32, and so is the
 * arithmetic.
 *
 * Python reads this text through cffi: plain declarations only.
 */
#ifndef EEGD_DSP_DWT_H
#define EEGD_DSP_DWT_H
#include <stddef.h>
#include <stdint.h>

#define EEGD_DWT_HAAR 0
#define EEGD_DWT_CDF53 1
#define EEGD_DWT_DB2 2
#define EEGD_DWT_MAX_LEVELS 16
#define EEGD_DWT_MAX_SAMPLES 65536

struct eegd_dwt;

/* How many levels a window of n_samples has before every coefficient of a level would be made of mirrored
 * samples; 0 for a window too short for one, or a wavelet that is not known. */
uint32_t eegd_dwt_max_levels(int wavelet, uint32_t n_samples);

/* A plan for windows of n_samples (any number up to the maximum, not only powers of two), 1 … max_levels
 * levels. NULL and errno on failure: EINVAL or ENOMEM. */
struct eegd_dwt *eegd_dwt_new(int wavelet, uint32_t n_samples, uint32_t n_levels);
void eegd_dwt_free(struct eegd_dwt *dwt); /* NULL is allowed */

uint32_t eegd_dwt_samples(const struct eegd_dwt *dwt);
uint32_t eegd_dwt_levels(const struct eegd_dwt *dwt);

/* Floats of a row: the coefficients of all levels, never fewer than samples. */
uint32_t eegd_dwt_room(const struct eegd_dwt *dwt);

/* Where in a row the details of a level (1 is the finest) lie, or, for level 0, the approximation; and how
 * many. Another level gives 0 and 0. */
uint32_t eegd_dwt_offset(const struct eegd_dwt *dwt, uint32_t level);
uint32_t eegd_dwt_length(const struct eegd_dwt *dwt, uint32_t level);

/* Samples become coefficients. Channel c is at rows + c * stride, and has room floats. */
void eegd_dwt_forward(struct eegd_dwt *dwt, float *rows, ptrdiff_t stride, uint32_t n_channels);

/* The same of samples that lie elsewhere and stay as they are: channel c is at samples + c * samples_stride.
 */
void eegd_dwt_forward_from(struct eegd_dwt *dwt, const float *samples, ptrdiff_t samples_stride, float *rows,
                           ptrdiff_t stride, uint32_t n_channels);

/* Coefficients become samples again. */
void eegd_dwt_inverse(struct eegd_dwt *dwt, float *rows, ptrdiff_t stride, uint32_t n_channels);

#endif
