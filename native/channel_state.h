/* SPDX-License-Identifier: MIT */
/*
 * Channel state: what each channel's codes say of its electrode, sample by
 * sample (railed, near the rail, flat, electrode off), and which of that has
 * lasted long enough to tell somebody.
 *
 * A state enters after its condition held for `hold` samples and leaves after
 * it was clear for as long, with different levels for the two ways, so that a
 * loose electrode is two events and no flood. On the way in, interruptions of a
 * 16th of the hold do not count: an open input swings from rail to rail with the
 * mains. Samples that were lost say nothing: the condition is taken to have
 * gone on as it was.
 *
 *   railed     at or beyond 90 % of full scale; leaves below 85 %
 *   near rail  at or beyond 75 % but not railed; leaves below 70 %, or when railed enters
 *   flat       the very same code for `flat_run` samples while another channel moves. Not at the last code of
 *              either end, which is railed. A chip of which nothing moves is frozen, and that is a loss. A
 *              channel that is off is in no stream; shorted inputs have noise: neither is ever flat.
 *   lead off   the chip's comparator says so
 *
 * Capture thread only; embedded in its state. C only. Nothing allocates, blocks
 * or asks for time.
 */
#ifndef EEGD_CHANNEL_STATE_H
#define EEGD_CHANNEL_STATE_H
#include <stdint.h>
#include "capture.h"

/* One sample's conditions, a bit for each channel. */
struct eegd_channel_seen {
    uint32_t railed, near_rail, flat, lead_off; /* near_rail: railed ones too */
};

struct eegd_channel_state {
    const struct eegd_capture_config *config;
    uint32_t watched;                /* channels with a comparator, a bit for each */
    uint32_t shown[EEGD_N_STATES];   /* entered and not left, a bit for each channel */
    uint32_t changed[EEGD_N_STATES]; /* by the last sample */
    uint32_t waiting[EEGD_N_STATES]; /* on the way in or out */
    uint64_t since[EEGD_N_STATES][32];
    int64_t since_ns[EEGD_N_STATES][32];
    uint64_t last[EEGD_N_STATES][32]; /* sample at which it was last so */
    int32_t code[32];                 /* of the sample before */
    uint32_t equal_run[32];           /* samples with this code, less one */
};

/* Begins with the states that config->states_before holds. */
void eegd_channel_state_init(struct eegd_channel_state *state, const struct eegd_capture_config *config);

/* Looks at one conversion. 1 when states have entered or left: `changed` then has them, since[state][channel]
 * and since_ns tell the first sample at which it was so. */
int eegd_channel_state_take(struct eegd_channel_state *state, const uint8_t *bytes, uint64_t sample_index,
                            int64_t drdy_ns, struct eegd_channel_seen *seen);

#endif
