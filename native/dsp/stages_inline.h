/* SPDX-License-Identifier: MIT */
/*
 * Stages, where they are marked: begin at a frame's start, mark after each
 * stage, end after the last. Times of a stage that is marked several times in
 * a frame are added. See stages.h.
 *
 * For C alone.
 */
#ifndef EEGD_DSP_STAGES_INLINE_H
#define EEGD_DSP_STAGES_INLINE_H
#include "dsp/stages.h"
#include "monotonic.h"

struct eegd_stages {
    int on;
    uint32_t capacity;
    uint64_t n_frames; /* since it was turned on */
    int64_t before_ns; /* of the last mark */
    uint32_t times_ns[][EEGD_STAGES];
};

static inline uint32_t *eegd_stages_row(struct eegd_stages *stages)
{
    return stages->times_ns[stages->n_frames % stages->capacity];
}

static inline void eegd_stages_begin(struct eegd_stages *stages)
{
    if (__builtin_expect(!stages->on, 1))
        return;
    for (int i = 0; i < EEGD_STAGES; i++)
        eegd_stages_row(stages)[i] = 0;
    stages->before_ns = eegd_monotonic_ns();
}

static inline void eegd_stages_mark(struct eegd_stages *stages, int stage)
{
    int64_t now_ns;

    if (__builtin_expect(!stages->on, 1))
        return;
    now_ns = eegd_monotonic_ns();
    eegd_stages_row(stages)[stage] += (uint32_t)(now_ns - stages->before_ns);
    stages->before_ns = now_ns;
}

static inline void eegd_stages_end(struct eegd_stages *stages)
{
    if (__builtin_expect(!stages->on, 1))
        return;
    stages->n_frames++;
}

#endif
