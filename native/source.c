/* SPDX-License-Identifier: MIT */
/*
 * The plain signal sources of an emulated board: constant potentials, a sine,
 * a checkable pattern of codes, recorded frames and recorded potentials. Each
 * is a small struct that begins with its eegd_source.
 *
 * `next` runs on the thread that owns the board and neither allocates nor
 * blocks. Recorded arrays stay the caller's.
 */
#include "source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "descriptor.h"
#include "pattern.h"
#include "synth.h"

/* Beyond this a pin clips at any gain, and the integers of the chip never overflow. */
#define MAX_UV 1e7

void eegd_source_free(struct eegd_source *source)
{
    if (source)
        source->ops->free(source);
}

static void free_whole(struct eegd_source *source)
{
    free(source);
}

static void *make_source(size_t size, const struct eegd_source_ops *ops, uint32_t flags)
{
    struct eegd_source *source = calloc(1, size);

    if (source) {
        source->ops = ops;
        source->flags = flags;
    }
    return source;
}

static int64_t nv_from_uv(double uv)
{
    return llrint(1000.0 * fmin(fmax(uv, -MAX_UV), MAX_UV));
}

/* Lays one electrode-minus-reference potential on the pins. The halves of a bipolar input add up exactly. */
static void lay_on_pins(struct eegd_inputs *inputs, uint32_t input, int wiring, int64_t nv)
{
    if (wiring == EEGD_WIRING_N) {
        inputs->n_nv[input] = nv;
    } else if (wiring == EEGD_WIRING_BIPOLAR) {
        inputs->p_nv[input] = nv - nv / 2;
        inputs->n_nv[input] = -(nv / 2);
    } else {
        inputs->p_nv[input] = nv;
    }
}

static int wiring_is_known(const uint8_t *wiring, uint32_t n_inputs)
{
    for (uint32_t i = 0; wiring && i < n_inputs; i++)
        if (wiring[i] > EEGD_WIRING_BIPOLAR)
            return 0;
    return n_inputs >= 1 && n_inputs <= EEGD_SOURCE_INPUTS;
}

static void copy_wiring(uint8_t *to, const uint8_t *wiring, uint32_t n_inputs)
{
    if (wiring)
        memcpy(to, wiring, n_inputs);
}

/* Constant */

struct constant {
    struct eegd_source source;
    struct eegd_inputs inputs;
    uint64_t limit;
};

static int constant_next(struct eegd_source *source, uint64_t index, int64_t time_ns, int64_t period_ns,
                         struct eegd_inputs *inputs)
{
    struct constant *constant = (struct constant *)source;

    (void)time_ns, (void)period_ns;
    if (constant->limit && index >= constant->limit)
        return 0;
    *inputs = constant->inputs;
    return 1;
}

static const struct eegd_source_ops constant_ops = {"constant", constant_next, free_whole};

struct eegd_source *eegd_source_constant(const int64_t *p_nv, const int64_t *n_nv, uint32_t n_inputs,
                                         int64_t srb1_nv, int64_t srb2_nv, int64_t bias_nv, uint64_t limit)
{
    struct constant *constant;

    if (n_inputs > EEGD_SOURCE_INPUTS || (n_inputs && (!p_nv || !n_nv)))
        return NULL;
    constant = make_source(sizeof *constant, &constant_ops, EEGD_FLAG_SIMULATED);
    if (!constant)
        return NULL;
    for (uint32_t i = 0; i < n_inputs; i++) {
        constant->inputs.p_nv[i] = p_nv[i];
        constant->inputs.n_nv[i] = n_nv[i];
    }
    constant->inputs.srb1_nv = srb1_nv;
    constant->inputs.srb2_nv = srb2_nv;
    constant->inputs.bias_nv = bias_nv;
    constant->limit = limit;
    return &constant->source;
}

/* Sine */

struct sine {
    struct eegd_source source;
    double hz, amplitude_uv;
    uint32_t n_inputs;
    uint8_t wiring[EEGD_SOURCE_INPUTS];
    uint64_t limit;
};

static int sine_next(struct eegd_source *source, uint64_t index, int64_t time_ns, int64_t period_ns,
                     struct eegd_inputs *inputs)
{
    struct sine *sine = (struct sine *)source;
    double seconds = (double)(time_ns / 1000000000), rest = 1e-9 * (double)(time_ns % 1000000000);
    /* Whole turns are taken off each part, so that the phase is as good after a week as at the start. */
    double turns = fmod(sine->hz * seconds, 1.0) + fmod(sine->hz * rest, 1.0);
    int64_t nv = nv_from_uv(sine->amplitude_uv * sin(2.0 * M_PI * turns));

    (void)period_ns;
    if (sine->limit && index >= sine->limit)
        return 0;
    for (uint32_t i = 0; i < sine->n_inputs; i++)
        lay_on_pins(inputs, i, sine->wiring[i], nv);
    return 1;
}

static const struct eegd_source_ops sine_ops = {"sine", sine_next, free_whole};

struct eegd_source *eegd_source_sine(double hz, double amplitude_uv, uint32_t n_inputs, const uint8_t *on_n,
                                     uint64_t limit)
{
    struct sine *sine;

    if (!wiring_is_known(on_n, n_inputs) || !isfinite(hz) || !isfinite(amplitude_uv))
        return NULL;
    sine = make_source(sizeof *sine, &sine_ops, EEGD_FLAG_SIMULATED);
    if (!sine)
        return NULL;
    sine->hz = hz;
    sine->amplitude_uv = amplitude_uv;
    sine->n_inputs = n_inputs;
    copy_wiring(sine->wiring, on_n, n_inputs);
    sine->limit = limit;
    return &sine->source;
}

/* Pattern: formulas in pattern.h */

struct pattern {
    struct eegd_source source;
    int32_t codes[EEGD_SOURCE_INPUTS];
    uint32_t n_inputs;
    uint64_t limit;
};

static int pattern_next(struct eegd_source *source, uint64_t index, int64_t time_ns, int64_t period_ns,
                        struct eegd_inputs *inputs)
{
    struct pattern *pattern = (struct pattern *)source;
    uint32_t last = pattern->n_inputs - 1;

    (void)time_ns, (void)period_ns;
    if (pattern->limit && index >= pattern->limit)
        return 0;
    for (uint32_t c = 0; c < last; c++)
        pattern->codes[c] = eegd_pattern_code(index, c);
    pattern->codes[last] = eegd_pattern_checksum(index, pattern->codes, last);
    inputs->codes = pattern->codes;
    return 1;
}

static const struct eegd_source_ops pattern_ops = {"pattern", pattern_next, free_whole};

struct eegd_source *eegd_source_pattern(uint32_t n_inputs, uint64_t limit)
{
    struct pattern *pattern;

    if (!n_inputs || n_inputs > EEGD_SOURCE_INPUTS)
        return NULL;
    pattern = make_source(sizeof *pattern, &pattern_ops, EEGD_FLAG_SIMULATED);
    if (!pattern)
        return NULL;
    pattern->n_inputs = n_inputs;
    pattern->limit = limit;
    return &pattern->source;
}

/* Recorded frames and potentials */

struct recording {
    struct eegd_source source;
    const uint8_t *frames; /* one of these three is not NULL */
    const double *uv;
    uint64_t n;
    uint32_t width; /* bytes of a frame, or inputs of a row */
    int loop;
    uint8_t wiring[EEGD_SOURCE_INPUTS];
};

static int recording_next(struct eegd_source *source, uint64_t index, int64_t time_ns, int64_t period_ns,
                          struct eegd_inputs *inputs)
{
    struct recording *recording = (struct recording *)source;
    uint64_t at;

    (void)time_ns, (void)period_ns;
    if (index >= recording->n && !recording->loop)
        return 0;
    at = index % recording->n * recording->width;
    if (recording->frames) {
        inputs->frame = recording->frames + at;
        inputs->frame_bytes = recording->width;
        return 1;
    }
    for (uint32_t i = 0; i < recording->width; i++) {
        double uv = recording->uv[at + i];

        lay_on_pins(inputs, i, recording->wiring[i], nv_from_uv(uv));
    }
    return 1;
}

static const struct eegd_source_ops frames_ops = {"frames", recording_next, free_whole};
static const struct eegd_source_ops potentials_ops = {"potentials", recording_next, free_whole};

static struct recording *make_recording(const struct eegd_source_ops *ops, uint64_t n, uint32_t width,
                                        int loop)
{
    struct recording *recording = make_source(sizeof *recording, ops, EEGD_FLAG_REPLAY);

    if (recording) {
        recording->n = n;
        recording->width = width;
        recording->loop = loop;
    }
    return recording;
}

struct eegd_source *eegd_source_frames(const uint8_t *frames, uint64_t n, uint32_t frame_bytes, int loop)
{
    struct recording *recording;

    if (!frames || !n || !frame_bytes)
        return NULL;
    recording = make_recording(&frames_ops, n, frame_bytes, loop);
    if (!recording)
        return NULL;
    recording->frames = frames;
    return &recording->source;
}

struct eegd_source *eegd_source_recording(const double *uv, uint64_t n, uint32_t n_inputs,
                                          const uint8_t *wiring, int loop)
{
    struct recording *recording;

    if (!uv || !n || !wiring_is_known(wiring, n_inputs))
        return NULL;
    recording = make_recording(&potentials_ops, n, n_inputs, loop);
    if (!recording)
        return NULL;
    recording->uv = uv;
    copy_wiring(recording->wiring, wiring, n_inputs);
    return &recording->source;
}
