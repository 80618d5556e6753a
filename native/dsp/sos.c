/* SPDX-License-Identifier: MIT */
/*
 * A recursion cannot be spread over time, so channels are worked on in groups
 * of LANES side by side. A tile of some samples of a group is turned so that
 * the channels of one sample lie together, goes through all sections while it
 * is in the first-level cache, and is turned back. The inner loop runs over
 * LANES, a constant, and the state is a local copy: so GCC keeps it in vectors,
 * several of which hide each other's latency. Lanes beyond the last channel
 * compute on 0.
 *
 * A channel that waits for a finite sample has NaN in all of its state. So a
 * tile that holds nothing but finite samples, on a group whose state is finite,
 * needs no look at single samples; any other one goes sample by sample.
 *
 * Threads and ownership: see sos.h.
 */
#include "dsp/sos.h"
#include "dsp/vector.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LANES 8
#define SQUARE 4      /* channels × samples that are turned at a time */
#define TILE 32       /* samples; 2 KiB of float64 */
#define NOTHING 1e-30 /* µV: a state below it is 0, before it gets so small that processors slow down */

typedef float floats4 __attribute__((vector_size(16)));
typedef double doubles4 __attribute__((vector_size(32)));

/* A value of each channel of a group. */
typedef struct {
    double lane[LANES];
} lanes;

struct section {
    double b0, b1, b2, a1, a2;
};

struct eegd_sos {
    uint32_t n_sections, n_channels, n_groups;
    struct section *sections;
    lanes *state;    /* of each group, of each section: s0, s1 */
    uint8_t *is_odd; /* of each group: some of its state is not finite */
};

int eegd_sos_create(struct eegd_sos **sos, const double *coefficients, uint32_t n_sections,
                    uint32_t n_channels)
{
    if (n_sections < 1 || n_sections > EEGD_SOS_MAX_SECTIONS || n_channels < 1 ||
        n_channels > EEGD_SOS_MAX_CHANNELS)
        return -EINVAL;
    for (uint32_t i = 0; i < 6 * n_sections; i++)
        if (!isfinite(coefficients[i]) || !isfinite(coefficients[i] / coefficients[i / 6 * 6 + 3]))
            return -EINVAL;
    struct eegd_sos *made = calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    made->n_sections = n_sections;
    made->n_channels = n_channels;
    made->n_groups = (n_channels + LANES - 1) / LANES;
    size_t n_bytes = (size_t)made->n_groups * n_sections * 2 * sizeof(lanes);
    made->sections = calloc(n_sections, sizeof *made->sections);
    made->state = aligned_alloc(64, n_bytes);
    made->is_odd = calloc(made->n_groups, 1);
    if (!made->sections || !made->state || !made->is_odd) {
        eegd_sos_destroy(made);
        return -ENOMEM;
    }
    memset(made->state, 0, n_bytes);
    for (uint32_t i = 0; i < n_sections; i++) {
        const double *c = coefficients + 6 * i;
        made->sections[i] = (struct section){c[0] / c[3], c[1] / c[3], c[2] / c[3], c[4] / c[3], c[5] / c[3]};
    }
    *sos = made;
    return 0;
}

void eegd_sos_destroy(struct eegd_sos *sos)
{
    if (!sos)
        return;
    free(sos->sections);
    free(sos->state);
    free(sos->is_odd);
    free(sos);
}

/* s0 and s1 of one section, for the channels of one group. */
static lanes *state_of(const struct eegd_sos *sos, uint32_t group, uint32_t section)
{
    return sos->state + 2 * ((size_t)group * sos->n_sections + section);
}

static void settle_lane(const struct section *sections, uint32_t n_sections, lanes *state, uint32_t lane,
                        double x)
{
    for (uint32_t i = 0; i < n_sections; i++, state += 2) {
        const struct section *c = &sections[i];
        double y = x * ((c->b0 + c->b1 + c->b2) / (1 + c->a1 + c->a2));
        if (!isfinite(y))
            x = y = 0;
        state[1].lane[lane] = c->b2 * x - c->a2 * y;
        /* What the first output needs, and not b1 x - a1 y + s1: near a double pole at 1 that is a
         * difference of large numbers. */
        state[0].lane[lane] = y - c->b0 * x;
        x = y;
    }
}

static void unsettle_lane(lanes *state, uint32_t n_sections, uint32_t lane)
{
    for (uint32_t i = 0; i < 2 * n_sections; i++)
        state[i].lane[lane] = NAN;
}

void eegd_sos_settle(struct eegd_sos *sos, const double *first)
{
    memset(sos->is_odd, 0, sos->n_groups);
    for (uint32_t channel = 0; channel < sos->n_channels; channel++) {
        uint32_t group = channel / LANES, lane = channel % LANES;
        lanes *state = state_of(sos, group, 0);
        if (isfinite(first[channel])) {
            settle_lane(sos->sections, sos->n_sections, state, lane, first[channel]);
        } else {
            unsettle_lane(state, sos->n_sections, lane);
            sos->is_odd[group] = 1;
        }
    }
}

/* Returns whether some of it is not finite. */
static uint8_t forget_nothings(lanes *state, uint32_t n)
{
    lanes odd = {{0}};
    uint8_t is_odd = 0;
    for (uint32_t i = 0; i < n; i++)
        for (int lane = 0; lane < LANES; lane++) {
            double value = state[i].lane[lane];
            odd.lane[lane] += value - value; /* 0, or NaN */
            state[i].lane[lane] = fabs(value) < NOTHING ? 0 : value;
        }
    for (int lane = 0; lane < LANES; lane++)
        is_odd |= odd.lane[lane] != 0;
    return is_odd;
}

static EEGD_VECTOR int is_finite(const lanes *tile, size_t n)
{
    lanes odd = {{0}};
    int is_odd = 0;
    for (size_t t = 0; t < n; t++)
        for (int lane = 0; lane < LANES; lane++)
            odd.lane[lane] += tile[t].lane[lane] - tile[t].lane[lane];
    for (int lane = 0; lane < LANES; lane++)
        is_odd |= odd.lane[lane] != 0;
    return !is_odd;
}

/* One section over a tile. The coefficients come by value: of five that are loaded side by side GCC 12 thinks
 * that vectors of them are made by permuting, and that it does not pay on aarch64. */
static EEGD_VECTOR void run_section(double b0, double b1, double b2, double a1, double a2,
                                    lanes *restrict state, lanes *restrict tile, size_t n)
{
    lanes s0 = state[0], s1 = state[1];
    for (size_t t = 0; t < n; t++)
        for (int lane = 0; lane < LANES; lane++) {
            double x = tile[t].lane[lane], y = b0 * x + s0.lane[lane];
            s0.lane[lane] = b1 * x - a1 * y + s1.lane[lane];
            s1.lane[lane] = b2 * x - a2 * y;
            tile[t].lane[lane] = y;
        }
    state[0] = s0;
    state[1] = s1;
}

/* One sample of a channel through all sections, operation by operation as in run_section. */
static double run_sample(const struct section *c, uint32_t n_sections, lanes *state, uint32_t lane, double x)
{
    for (uint32_t i = 0; i < n_sections; i++, c++, state += 2) {
        double y = c->b0 * x + state[0].lane[lane];
        state[0].lane[lane] = c->b1 * x - c->a1 * y + state[1].lane[lane];
        state[1].lane[lane] = c->b2 * x - c->a2 * y;
        x = y;
    }
    return x;
}

static int lane_is_odd(const lanes *state, uint32_t n_sections, uint32_t lane)
{
    for (uint32_t i = 0; i < 2 * n_sections; i++)
        if (!isfinite(state[i].lane[lane]))
            return 1;
    return 0;
}

/* A tile with samples that are missing, or on a state that waits for one. */
static void run_odd_tile(const struct eegd_sos *sos, lanes *state, lanes *tile, size_t n)
{
    for (uint32_t lane = 0; lane < LANES; lane++)
        for (size_t t = 0; t < n; t++) {
            double x = tile[t].lane[lane];
            if (!isfinite(x)) {
                unsettle_lane(state, sos->n_sections, lane);
                tile[t].lane[lane] = NAN;
                continue;
            }
            if (lane_is_odd(state, sos->n_sections, lane))
                settle_lane(sos->sections, sos->n_sections, state, lane, x);
            tile[t].lane[lane] = run_sample(sos->sections, sos->n_sections, state, lane, x);
        }
}

/* Returns whether some of the state is no longer finite. */
static uint8_t run_tile(const struct eegd_sos *sos, lanes *state, uint8_t is_odd, lanes *tile, size_t n)
{
    if (is_odd || !is_finite(tile, n)) {
        run_odd_tile(sos, state, tile, n);
        return 1; /* perhaps: the next look at all of the state tells */
    }
    for (uint32_t i = 0; i < sos->n_sections; i++) {
        const struct section *c = &sos->sections[i];
        run_section(c->b0, c->b1, c->b2, c->a1, c->a2, state + 2 * i, tile, n);
    }
    return 0;
}

/* Four values of four rows become four rows of one value each. */
static inline void turn(floats4 *v)
{
    floats4 low_01 = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5);
    floats4 high_01 = __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7);
    floats4 low_23 = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5);
    floats4 high_23 = __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
    v[0] = __builtin_shufflevector(low_01, low_23, 0, 1, 4, 5);
    v[1] = __builtin_shufflevector(low_01, low_23, 2, 3, 6, 7);
    v[2] = __builtin_shufflevector(high_01, high_23, 0, 1, 4, 5);
    v[3] = __builtin_shufflevector(high_01, high_23, 2, 3, 6, 7);
}

/* Rows of float32 into a tile, by squares of four. */
static EEGD_VECTOR void enter(const float *rows, ptrdiff_t stride, uint32_t n_lanes, lanes *restrict tile,
                              size_t n)
{
    uint32_t lane = 0;
    for (; lane + SQUARE <= n_lanes; lane += SQUARE, rows += SQUARE * stride) {
        size_t t = 0;
        for (; t + SQUARE <= n; t += SQUARE) {
            floats4 square[SQUARE];
            for (int i = 0; i < SQUARE; i++)
                memcpy(&square[i], rows + i * stride + (ptrdiff_t)t, sizeof square[i]);
            turn(square);
            for (int i = 0; i < SQUARE; i++) {
                doubles4 wide = __builtin_convertvector(square[i], doubles4);
                memcpy(&tile[t + (size_t)i].lane[lane], &wide, sizeof wide);
            }
        }
        for (; t < n; t++)
            for (int i = 0; i < SQUARE; i++)
                tile[t].lane[lane + (uint32_t)i] = rows[i * stride + (ptrdiff_t)t];
    }
    for (; lane < n_lanes; lane++, rows += stride)
        for (size_t t = 0; t < n; t++)
            tile[t].lane[lane] = rows[t];
}

/* A tile into rows of float32. */
static EEGD_VECTOR void leave(const lanes *restrict tile, size_t n, float *rows, ptrdiff_t stride,
                              uint32_t n_lanes)
{
    uint32_t lane = 0;
    for (; lane + SQUARE <= n_lanes; lane += SQUARE, rows += SQUARE * stride) {
        size_t t = 0;
        for (; t + SQUARE <= n; t += SQUARE) {
            floats4 square[SQUARE];
            for (int i = 0; i < SQUARE; i++) {
                doubles4 wide;
                memcpy(&wide, &tile[t + (size_t)i].lane[lane], sizeof wide);
                square[i] = __builtin_convertvector(wide, floats4);
            }
            turn(square);
            for (int i = 0; i < SQUARE; i++)
                memcpy(rows + i * stride + (ptrdiff_t)t, &square[i], sizeof square[i]);
        }
        for (; t < n; t++)
            for (int i = 0; i < SQUARE; i++)
                rows[i * stride + (ptrdiff_t)t] = (float)tile[t].lane[lane + (uint32_t)i];
    }
    for (; lane < n_lanes; lane++, rows += stride)
        for (size_t t = 0; t < n; t++)
            rows[t] = (float)tile[t].lane[lane];
}

void eegd_sos_run(struct eegd_sos *sos, const float *in, ptrdiff_t in_stride, float *out,
                  ptrdiff_t out_stride, size_t n_samples)
{
    lanes tile[TILE];
    for (uint32_t group = 0; group < sos->n_groups; group++) {
        uint32_t left = sos->n_channels - group * LANES, n_lanes = left < LANES ? left : LANES;
        const float *from = in + (ptrdiff_t)group * LANES * in_stride;
        float *to = out + (ptrdiff_t)group * LANES * out_stride;
        lanes *state = state_of(sos, group, 0);
        uint8_t is_odd = sos->is_odd[group];
        if (n_lanes < LANES)
            memset(tile, 0, sizeof tile);
        for (size_t begin = 0; begin < n_samples; begin += TILE) {
            size_t n = n_samples - begin < TILE ? n_samples - begin : TILE;
            enter(from + begin, in_stride, n_lanes, tile, n);
            is_odd = run_tile(sos, state, is_odd, tile, n);
            leave(tile, n, to + begin, out_stride, n_lanes);
        }
        sos->is_odd[group] = forget_nothings(state, 2 * sos->n_sections);
    }
}

void eegd_sos_state(const struct eegd_sos *sos, uint32_t channel, double *state)
{
    for (uint32_t i = 0; i < sos->n_sections; i++) {
        const lanes *s = state_of(sos, channel / LANES, i);
        state[2 * i] = s[0].lane[channel % LANES];
        state[2 * i + 1] = s[1].lane[channel % LANES];
    }
}
