/* SPDX-License-Identifier: MIT */
/* Stages: the ring of times. Threads: see stages.h. */
#include "dsp/stages.h"
#include "dsp/stages_inline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FRAMES 16777216

struct eegd_stages *eegd_stages_new(uint32_t n_frames)
{
    struct eegd_stages *stages;
    size_t n_bytes = sizeof(*stages) + (size_t)n_frames * sizeof(stages->times_ns[0]);

    if (n_frames < 1 || n_frames > MAX_FRAMES) {
        errno = EINVAL;
        return NULL;
    }
    stages = malloc(n_bytes);
    if (!stages)
        return NULL;
    memset(stages, 0, n_bytes);
    stages->capacity = n_frames;
    return stages;
}

void eegd_stages_free(struct eegd_stages *stages)
{
    free(stages);
}

void eegd_stages_turn(struct eegd_stages *stages, int on)
{
    stages->on = on != 0;
    stages->n_frames = 0;
}

uint32_t eegd_stages_last(const struct eegd_stages *stages, uint32_t n, uint32_t *times_ns)
{
    uint64_t there = stages->n_frames < stages->capacity ? stages->n_frames : stages->capacity;

    if (n > there)
        n = (uint32_t)there;
    for (uint32_t i = 0; i < n; i++)
        memcpy(times_ns + (size_t)i * EEGD_STAGES,
               stages->times_ns[(stages->n_frames - n + i) % stages->capacity], sizeof(stages->times_ns[0]));
    return n;
}
