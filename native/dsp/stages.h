/* SPDX-License-Identifier: MIT */
/*
 * Stages: how long each stage of a frame's work took, for the frames since it
 * was turned on. Off, a mark is one branch that always goes the same way; on,
 * it reads the clock once. Used by one thread, which does the work and asks.
 *
 * Python reads this text through cffi: plain declarations only. What marks is
 * in stages_inline.h.
 */
#ifndef EEGD_DSP_STAGES_H
#define EEGD_DSP_STAGES_H
#include <stdint.h>

#define EEGD_STAGE_COPY 0
#define EEGD_STAGE_FILTER 1
#define EEGD_STAGE_DWT 2
#define EEGD_STAGE_ENERGY 3
#define EEGD_STAGE_TRIP 4
#define EEGD_STAGE_PUBLISH 5
#define EEGD_STAGES 6

struct eegd_stages;

/* Off, with room for the times of the last n_frames. NULL and errno on failure: EINVAL or ENOMEM. */
struct eegd_stages *eegd_stages_new(uint32_t n_frames);
void eegd_stages_free(struct eegd_stages *stages); /* NULL is allowed */

/* Forgets all times, and measures from the next frame on, or no more. */
void eegd_stages_turn(struct eegd_stages *stages, int on);

/* Copies the times of up to n of the newest frames, oldest first: EEGD_STAGES numbers of ns for each. How
 * many. */
uint32_t eegd_stages_last(const struct eegd_stages *stages, uint32_t n, uint32_t *times_ns);

#endif
