/* SPDX-License-Identifier: MIT */
/*
 * Tally: the sample index of a capture thread, and what becomes of each number:
 * a sample in a frame, or a loss that is counted by its cause and told as an
 * event. What the numbers add up to is always the index.
 *
 * Capture thread only; embedded in its state. C only. Nothing allocates or
 * blocks: a counter that is not there is not counted, an event ring that is
 * full counts what it drops.
 */
#ifndef EEGD_TALLY_H
#define EEGD_TALLY_H
#include <stdint.h>
#include "capture.h"
#include "counter_inline.h"

struct eegd_channel_state;

struct eegd_tally {
    const struct eegd_capture_config *config;
    uint64_t sample_index; /* of the next sample */
    int64_t drdy_ns;       /* of the last conversion */
};

/* which: EEGD_COUNT_…. */
static inline void eegd_tally_count(const struct eegd_tally *tally, int which, uint64_t n)
{
    struct eegd_counter *counter = tally->config->counters[which];
    if (counter)
        eegd_counter_count(counter, n);
}

/* The sample is in a frame. */
static inline void eegd_tally_sample(struct eegd_tally *tally)
{
    tally->sample_index++;
    eegd_tally_count(tally, EEGD_COUNT_SAMPLES, 1);
}

/* n samples are gone: the index moves on. kind: EEGD_EVENT_LOSS_…. */
void eegd_tally_loss(struct eegd_tally *tally, int counter, uint32_t kind, uint64_t n, double value);

/* An event at the sample index as it is, with the time of the last conversion. */
void eegd_tally_post(const struct eegd_tally *tally, uint32_t kind, uint64_t a, double value);

/* What eegd_channel_state_take has found to be changed, an event for each channel. */
void eegd_tally_changes(const struct eegd_tally *tally, const struct eegd_channel_state *state);

#endif
