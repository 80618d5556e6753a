/* SPDX-License-Identifier: MIT */
/*
 * DWT: one level at a time. Of a filter of F taps, coefficient k of a level is
 * made of samples 2k+2-F … 2k+1, so a level with m samples has
 * M = (m + F - 1) / 2 coefficients of each kind (rounded down), and needs
 * F - 2 mirrored samples before the first and up to F - 1 after the last.
 *
 * The mirrored samples are put beside the real ones, the line is split into
 * even and odd ones, and the lifting steps run over these without a special
 * case at the edges: each step loses a value there, and M are left. All loops
 * have unit stride but the split, so that the compiler makes vectors of them.
 * The steps are those of Daubechies and Sweldens, "Factoring wavelet
 * transforms into lifting steps" (1998).
 *
 * Electrodes carry tens of mV, and float32 has steps of 4 nV there already, of
 * more in the sums of coarser levels. So the first sample is taken off the
 * window before the steps, and put back where alone a constant shows: on the
 * approximation, √2 times per level.
 *
 * Threads and ownership: see dwt.h.
 */
#include "dsp/dwt.h"
#include "dsp/vector.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MARGIN 16 /* floats before the samples of a line: a cache line, and more than any filter needs */

/* What the steps multiply with. */
#define ROOT_2 1.41421356237309504880f
#define HALF_ROOT_2 0.70710678118654752440f
#define ROOT_3 1.73205080756887729353f
#define ROOT_3_BY_4 0.43301270189221932338f /* √3/4 */
#define DB2_C 0.06698729810778067662f       /* (2 - √3)/4 */
#define DB2_LOW 0.51763809020504152470f     /* (√3 - 1)/√2 */
#define DB2_HIGH 1.93185165257813657350f    /* (√3 + 1)/√2 */

struct level {
    uint32_t n_in;    /* samples that go in */
    uint32_t n_out;   /* coefficients of each kind that come out */
    uint32_t details; /* where they lie in the row */
};

struct eegd_dwt {
    int wavelet;
    uint32_t n_taps, n_samples, n_levels, room;
    double gain;                              /* of a constant, in the approximation */
    struct level levels[EEGD_DWT_MAX_LEVELS]; /* [0]: the finest */
    float *line, *even, *odd, *step;          /* scratch; one allocation, which begins at line - MARGIN */
};

static uint32_t taps_of(int wavelet)
{
    switch (wavelet) {
    case EEGD_DWT_HAAR:
        return 2;
    case EEGD_DWT_CDF53:
        return 6;
    case EEGD_DWT_DB2:
        return 4;
    default:
        return 0;
    }
}

uint32_t eegd_dwt_max_levels(int wavelet, uint32_t n_samples)
{
    uint32_t n_taps = taps_of(wavelet), n_levels = 0;

    if (!n_taps || n_samples > EEGD_DWT_MAX_SAMPLES)
        return 0;
    while (n_samples / (n_taps - 1) >= UINT32_C(2) << n_levels)
        n_levels++;
    return n_levels;
}

/* Sizes of all levels; then, since the coarsest comes first in a row, where each of them begins. */
static void lay_out(struct eegd_dwt *dwt)
{
    uint32_t n = dwt->n_samples, at;

    for (uint32_t i = 0; i < dwt->n_levels; i++) {
        dwt->levels[i].n_in = n;
        n = dwt->levels[i].n_out = (n + dwt->n_taps - 1) / 2;
    }
    dwt->gain = pow(2, dwt->n_levels / 2.0);
    at = n;
    for (uint32_t i = dwt->n_levels; i-- > 0;) {
        dwt->levels[i].details = at;
        at += dwt->levels[i].n_out;
    }
    dwt->room = at;
}

struct eegd_dwt *eegd_dwt_new(int wavelet, uint32_t n_samples, uint32_t n_levels)
{
    size_t n_line = (size_t)n_samples + 3 * MARGIN, n_half = n_samples / 2 + 2 * MARGIN;
    struct eegd_dwt *dwt;
    float *scratch;

    if (n_levels < 1 || n_levels > eegd_dwt_max_levels(wavelet, n_samples)) {
        errno = EINVAL;
        return NULL;
    }
    /* Halves begin on cache lines too. */
    n_line = (n_line + 15) & ~(size_t)15;
    n_half = (n_half + 15) & ~(size_t)15;
    dwt = calloc(1, sizeof(*dwt));
    scratch = aligned_alloc(64, (n_line + 3 * n_half) * sizeof(float));
    if (!dwt || !scratch) {
        free(dwt);
        free(scratch);
        errno = ENOMEM;
        return NULL;
    }
    memset(scratch, 0, (n_line + 3 * n_half) * sizeof(float));
    dwt->wavelet = wavelet;
    dwt->n_taps = taps_of(wavelet);
    dwt->n_samples = n_samples;
    dwt->n_levels = n_levels;
    dwt->line = scratch + MARGIN;
    dwt->even = scratch + n_line;
    dwt->odd = dwt->even + n_half;
    dwt->step = dwt->odd + n_half;
    lay_out(dwt);
    return dwt;
}

void eegd_dwt_free(struct eegd_dwt *dwt)
{
    if (!dwt)
        return;
    free(dwt->line - MARGIN);
    free(dwt);
}

uint32_t eegd_dwt_samples(const struct eegd_dwt *dwt)
{
    return dwt->n_samples;
}

uint32_t eegd_dwt_levels(const struct eegd_dwt *dwt)
{
    return dwt->n_levels;
}

uint32_t eegd_dwt_room(const struct eegd_dwt *dwt)
{
    return dwt->room;
}

uint32_t eegd_dwt_offset(const struct eegd_dwt *dwt, uint32_t level)
{
    return level >= 1 && level <= dwt->n_levels ? dwt->levels[level - 1].details : 0;
}

uint32_t eegd_dwt_length(const struct eegd_dwt *dwt, uint32_t level)
{
    if (level > dwt->n_levels)
        return 0;
    return dwt->levels[level ? level - 1 : dwt->n_levels - 1].n_out;
}

/* Puts the mirrored samples beside the n that are there. A level has at least F - 1 samples, see max_levels.
 */
static inline void mirror(float *line, size_t n, uint32_t n_taps)
{
    for (uint32_t i = 0; i < n_taps - 2; i++)
        line[-1 - (ptrdiff_t)i] = line[i];
    for (uint32_t i = 0; i < n_taps - 1; i++)
        line[n + i] = line[n - 1 - i];
}

static inline void split(const float *restrict from, float *restrict even, float *restrict odd,
                         size_t n_pairs)
{
    for (size_t i = 0; i < n_pairs; i++) {
        even[i] = from[2 * i];
        odd[i] = from[2 * i + 1];
    }
}

static inline void interleave(const float *restrict even, const float *restrict odd, float *restrict to,
                              size_t n_pairs)
{
    for (size_t i = 0; i < n_pairs; i++) {
        to[2 * i] = even[i];
        to[2 * i + 1] = odd[i];
    }
}

static inline void haar_forward(const float *restrict even, const float *restrict odd, float *restrict low,
                                float *restrict high, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        float d = even[k] - odd[k];

        low[k] = ROOT_2 * (odd[k] + 0.5f * d);
        high[k] = HALF_ROOT_2 * d;
    }
}

static inline void haar_inverse(const float *restrict low, const float *restrict high, float *restrict even,
                                float *restrict odd, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        float d = ROOT_2 * high[k], o = HALF_ROOT_2 * low[k] - 0.5f * d;

        odd[k] = o;
        even[k] = o + d;
    }
}

/* n + 2 pairs go in. */
static inline void cdf53_forward(const float *restrict even, const float *restrict odd, float *restrict step,
                                 float *restrict low, float *restrict high, size_t n)
{
    for (size_t i = 0; i < n + 1; i++)
        step[i] = odd[i] - 0.5f * (even[i] + even[i + 1]);
    for (size_t k = 0; k < n; k++) {
        low[k] = ROOT_2 * (even[k + 1] + 0.25f * (step[k] + step[k + 1]));
        high[k] = -HALF_ROOT_2 * step[k + 1];
    }
}

/* n - 2 pairs come out, and one even sample more. */
static inline void cdf53_inverse(const float *restrict low, const float *restrict high, float *restrict even,
                                 float *restrict odd, size_t n)
{
    for (size_t i = 0; i < n - 1; i++)
        even[i] = HALF_ROOT_2 * low[i + 1] + 0.25f * ROOT_2 * (high[i] + high[i + 1]);
    for (size_t i = 0; i < n - 2; i++)
        odd[i] = 0.5f * (even[i] + even[i + 1]) - ROOT_2 * high[i + 1];
}

/* n + 1 pairs go in. */
static inline void db2_forward(const float *restrict even, const float *restrict odd, float *restrict step,
                               float *restrict low, float *restrict high, size_t n)
{
    for (size_t i = 0; i < n + 1; i++)
        step[i] = even[i] + ROOT_3 * odd[i];
    for (size_t k = 0; k < n; k++) {
        float d = odd[k + 1] - ROOT_3_BY_4 * step[k + 1] + DB2_C * step[k];

        low[k] = DB2_LOW * (step[k] - d);
        high[k] = -DB2_HIGH * d;
    }
}

/* n - 1 pairs come out. 1/DB2_LOW is DB2_HIGH, and the other way round. */
static inline void db2_inverse(const float *restrict low, const float *restrict high, float *restrict step,
                               float *restrict even, float *restrict odd, size_t n)
{
    for (size_t k = 0; k < n; k++)
        step[k] = DB2_HIGH * low[k] - DB2_LOW * high[k];
    for (size_t i = 0; i < n - 1; i++) {
        odd[i] = ROOT_3_BY_4 * step[i + 1] - DB2_C * step[i] - DB2_LOW * high[i];
        even[i] = step[i + 1] - ROOT_3 * odd[i];
    }
}

static inline void take_off(const float *restrict samples, float *restrict line, uint32_t n, float base)
{
    for (uint32_t i = 0; i < n; i++)
        line[i] = samples[i] - base;
}

static inline void put_back(const float *restrict line, float *restrict row, uint32_t n, double base)
{
    for (uint32_t k = 0; k < n; k++)
        row[k] = (float)(line[k] + base);
}

/* samples may be where the row is: they are all taken before it is written. */
EEGD_VECTOR static void forward_row(const struct eegd_dwt *dwt, const float *samples, float *row)
{
    float *line = dwt->line, *even = dwt->even, *odd = dwt->odd;
    float base = __builtin_isfinite(samples[0]) ? samples[0] : 0;
    uint32_t before = dwt->n_taps - 2;

    take_off(samples, line, dwt->n_samples, base);
    for (uint32_t i = 0; i < dwt->n_levels; i++) {
        const struct level *level = &dwt->levels[i];
        size_t n = level->n_out;

        mirror(line, level->n_in, dwt->n_taps);
        split(line - before, even, odd, n + before / 2);
        if (dwt->wavelet == EEGD_DWT_HAAR)
            haar_forward(even, odd, line, row + level->details, n);
        else if (dwt->wavelet == EEGD_DWT_CDF53)
            cdf53_forward(even, odd, dwt->step, line, row + level->details, n);
        else
            db2_forward(even, odd, dwt->step, line, row + level->details, n);
    }
    put_back(line, row, dwt->levels[dwt->n_levels - 1].n_out, base * dwt->gain);
}

EEGD_VECTOR static void inverse_row(const struct eegd_dwt *dwt, float *row)
{
    float *line = dwt->line, *even = dwt->even, *odd = dwt->odd;

    memcpy(line, row, dwt->levels[dwt->n_levels - 1].n_out * sizeof(float));
    for (uint32_t i = dwt->n_levels; i-- > 0;) {
        const struct level *level = &dwt->levels[i];
        size_t n = level->n_out;

        if (dwt->wavelet == EEGD_DWT_HAAR)
            haar_inverse(line, row + level->details, even, odd, n);
        else if (dwt->wavelet == EEGD_DWT_CDF53)
            cdf53_inverse(line, row + level->details, even, odd, n);
        else
            db2_inverse(line, row + level->details, dwt->step, even, odd, n);
        /* One more than went in where that was odd: the next level leaves it alone. */
        interleave(even, odd, line, n - (dwt->n_taps - 2) / 2);
    }
    memcpy(row, line, dwt->n_samples * sizeof(float));
}

void eegd_dwt_forward(struct eegd_dwt *dwt, float *rows, ptrdiff_t stride, uint32_t n_channels)
{
    eegd_dwt_forward_from(dwt, rows, stride, rows, stride, n_channels);
}

void eegd_dwt_forward_from(struct eegd_dwt *dwt, const float *samples, ptrdiff_t samples_stride, float *rows,
                           ptrdiff_t stride, uint32_t n_channels)
{
    for (uint32_t channel = 0; channel < n_channels; channel++)
        forward_row(dwt, samples + channel * samples_stride, rows + channel * stride);
}

void eegd_dwt_inverse(struct eegd_dwt *dwt, float *rows, ptrdiff_t stride, uint32_t n_channels)
{
    for (uint32_t channel = 0; channel < n_channels; channel++)
        inverse_row(dwt, rows + channel * stride);
}
