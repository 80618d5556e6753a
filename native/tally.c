/* SPDX-License-Identifier: MIT */
/* What a capture thread counts and tells. On that thread. See tally.h. */
#include "tally.h"
#include "channel_state.h"
#include "ring.h"

void eegd_tally_post(const struct eegd_tally *tally, uint32_t kind, uint64_t a, double value)
{
    struct eegd_event event = {
        .kind = kind, .sample_index = tally->sample_index, .time_ns = tally->drdy_ns, .value = value, .a = a};
    if (tally->config->events)
        eegd_events_post(tally->config->events, &event);
}

void eegd_tally_loss(struct eegd_tally *tally, int counter, uint32_t kind, uint64_t n, double value)
{
    eegd_tally_count(tally, counter, n);
    eegd_tally_post(tally, kind, n, value);
    tally->sample_index += n;
}

static void tell_change(const struct eegd_tally *tally, const struct eegd_channel_state *state,
                        uint32_t which, uint32_t channel)
{
    uint64_t since = state->since[which][channel];
    struct eegd_event event = {.kind = EEGD_EVENT_CHANNEL_STATE,
                               .source = channel,
                               .sample_index = since,
                               .time_ns = state->since_ns[which][channel],
                               .value = (double)(tally->sample_index - since),
                               .a = which,
                               .b = state->shown[which] >> channel & 1};
    eegd_events_post(tally->config->events, &event);
}

void eegd_tally_changes(const struct eegd_tally *tally, const struct eegd_channel_state *state)
{
    if (!tally->config->events)
        return;
    for (uint32_t which = 0; which < EEGD_N_STATES; which++)
        for (uint32_t left = state->changed[which]; left; left &= left - 1)
            tell_change(tally, state, which, (uint32_t)__builtin_ctz(left));
}
