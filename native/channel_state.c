/* SPDX-License-Identifier: MIT */
/* Conditions of the channels, with hysteresis and hold. Runs on the capture thread. See channel_state.h. */
#include "channel_state.h"
#include <stdlib.h>
#include "code_inline.h"

#define FULL_SCALE_CODES 8388608
#define SHARE(percent) ((FULL_SCALE_CODES * (percent) + 99) / 100)
#define RAILED SHARE(90)
#define RAILED_STILL SHARE(85)
#define NEAR_RAIL SHARE(75)
#define NEAR_RAIL_STILL SHARE(70)
#define INTERRUPTION 16 /* of the hold: 31 ms of half a second */

/* One sample's levels, a bit for each channel. */
struct levels {
    uint32_t above_70, above_75, above_85, above_90;
};

void eegd_channel_state_init(struct eegd_channel_state *state, const struct eegd_capture_config *config)
{
    *state = (struct eegd_channel_state){.config = config};
    for (uint32_t i = 0; i < EEGD_N_STATES; i++)
        state->shown[i] = config->states_before[i];
    for (uint32_t channel = 0; channel < 32; channel++)
        state->code[channel] = INT32_MAX; /* no code */
    for (uint32_t channel = 0; channel < config->map.n_channels; channel++)
        state->watched |= (uint32_t)(config->lead_off_mask[channel] != 0) << channel;
}

static uint32_t all_channels(const struct eegd_channel_state *state)
{
    return (uint32_t)((UINT64_C(1) << state->config->map.n_channels) - 1);
}

static void note_level(struct levels *levels, uint32_t bit, int32_t level)
{
    if (level < NEAR_RAIL_STILL)
        return;
    levels->above_70 |= bit;
    levels->above_75 |= level >= NEAR_RAIL ? bit : 0;
    levels->above_85 |= level >= RAILED_STILL ? bit : 0;
    levels->above_90 |= level >= RAILED ? bit : 0;
}

static void look_at_codes(struct eegd_channel_state *state, const uint8_t *bytes, struct levels *levels,
                          uint32_t *flat)
{
    const struct eegd_capture_config *config = state->config;
    for (uint32_t channel = 0; channel < config->map.n_channels; channel++) {
        int32_t code = eegd_code_at(bytes + config->map.channel_offset[channel]);
        uint32_t bit = UINT32_C(1) << channel;
        note_level(levels, bit, abs(code));
        if (code != state->code[channel] || code == FULL_SCALE_CODES - 1 || code == -FULL_SCALE_CODES)
            state->equal_run[channel] = 0;
        else if (++state->equal_run[channel] + 1 >= config->flat_run && config->flat_run)
            *flat |= bit;
        state->code[channel] = code;
    }
    if (*flat == all_channels(state))
        *flat = 0; /* nothing moves at all */
}

static uint32_t look_at_status(const struct eegd_channel_state *state, const uint8_t *bytes)
{
    const struct eegd_capture_config *config = state->config;
    uint32_t off = 0;
    for (uint32_t left = state->watched; left; left &= left - 1) {
        uint32_t channel = (uint32_t)__builtin_ctz(left);
        uint32_t status = eegd_status_at(&config->map, bytes, config->lead_off_chip[channel]);
        off |= (uint32_t)((status & config->lead_off_mask[channel]) != 0) << channel;
    }
    return off;
}

/* Channels that were on their way in, and whose condition is only interrupted. */
static uint32_t interrupted(const struct eegd_channel_state *state, uint32_t which, uint32_t enters,
                            uint64_t sample_index)
{
    uint32_t kept = 0;
    for (uint32_t left = state->waiting[which] & ~state->shown[which] & ~enters; left; left &= left - 1) {
        uint32_t channel = (uint32_t)__builtin_ctz(left);
        if (sample_index - state->last[which][channel] <= state->config->hold_samples / INTERRUPTION)
            kept |= UINT32_C(1) << channel;
    }
    return kept;
}

/* enters, leaves: the channels at which this sample speaks for it. Sets `changed` of one state. */
static void hold(struct eegd_channel_state *state, uint32_t which, uint32_t enters, uint32_t leaves,
                 uint64_t sample_index, int64_t drdy_ns)
{
    uint32_t shown = state->shown[which], in = enters & ~shown, changed = 0;
    uint32_t speaking = in | (leaves & shown), kept = interrupted(state, which, enters, sample_index);
    for (uint32_t left = speaking; left; left &= left - 1) {
        uint32_t channel = (uint32_t)__builtin_ctz(left);
        state->last[which][channel] = sample_index;
        if (!(state->waiting[which] >> channel & 1)) {
            state->since[which][channel] = sample_index;
            state->since_ns[which][channel] = drdy_ns;
        }
        if (sample_index - state->since[which][channel] >= state->config->hold_samples)
            changed |= UINT32_C(1) << channel;
    }
    state->waiting[which] = (speaking | kept) & ~changed;
    state->changed[which] = changed;
    state->shown[which] = shown ^ changed;
}

int eegd_channel_state_take(struct eegd_channel_state *state, const uint8_t *bytes, uint64_t sample_index,
                            int64_t drdy_ns, struct eegd_channel_seen *seen)
{
    struct levels levels = {0, 0, 0, 0};
    uint32_t flat = 0, off = look_at_status(state, bytes), any = 0;
    look_at_codes(state, bytes, &levels, &flat);
    *seen = (struct eegd_channel_seen){
        .railed = levels.above_90, .near_rail = levels.above_75, .flat = flat, .lead_off = off};
    hold(state, EEGD_STATE_RAILED, levels.above_90, ~levels.above_85, sample_index, drdy_ns);
    uint32_t railed = state->shown[EEGD_STATE_RAILED] | state->waiting[EEGD_STATE_RAILED];
    hold(state, EEGD_STATE_NEAR_RAIL, levels.above_75 & ~levels.above_90 & ~railed, ~levels.above_70 | railed,
         sample_index, drdy_ns);
    hold(state, EEGD_STATE_FLAT, flat, ~flat, sample_index, drdy_ns);
    hold(state, EEGD_STATE_LEAD_OFF, off, ~off, sample_index, drdy_ns);
    for (uint32_t i = 0; i < EEGD_N_STATES; i++)
        any |= state->changed[i];
    return any != 0;
}
