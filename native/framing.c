/* SPDX-License-Identifier: MIT */
/* Filling and publishing of frames, on the capture thread. See framing.h. */
#define _GNU_SOURCE
#include "framing.h"
#include <string.h>
#include <time.h>
#include "board.h"
#include "channel_state.h"
#include "code_inline.h"
#include "descriptor.h"
#include "outlet.h"
#include "sender.h"

#define BREATH_NS 10000

void eegd_framing_init(struct eegd_framing *framing, const struct eegd_capture_config *config)
{
    *framing = (struct eegd_framing){.config = config, .slab = -1};
    framing->stride = eegd_outlet_plane_stride(config->outlet) / (uint32_t)sizeof(float);
}

/* After a stall of the whole host frames may come faster than the sender publishes: it gets half a sample
 * period to give a slab back. */
static int claim_from_sender(struct eegd_framing *framing)
{
    struct eegd_board *board = framing->config->board;
    int slab = eegd_sender_claim(framing->sender);
    if (slab >= 0)
        return slab;
    int64_t until_ns = eegd_board_now(board) + (int64_t)(framing->config->period_ns / 2);
    do {
        nanosleep(&(struct timespec){.tv_nsec = BREATH_NS}, NULL);
        slab = eegd_sender_claim(framing->sender);
    } while (slab < 0 && eegd_board_now(board) < until_ns);
    return slab;
}

static int claim_slab(struct eegd_framing *framing)
{
    struct eegd_outlet *outlet = framing->config->outlet;
    int slab = framing->sender ? claim_from_sender(framing) : eegd_outlet_claim(outlet);
    if (slab < 0)
        return 0;
    framing->slab = slab;
    framing->planes = eegd_outlet_slab(outlet, (uint32_t)slab);
    framing->descriptor = eegd_outlet_descriptor(outlet, (uint32_t)slab);
    return 1;
}

static void begin(struct eegd_framing *framing, const struct eegd_sample *sample)
{
    struct eegd_descriptor *descriptor = framing->descriptor;
    memset(descriptor, 0, sizeof(*descriptor));
    descriptor->sample_index = sample->index;
    descriptor->drdy_ns = sample->drdy_ns;
    descriptor->time_ns = sample->time_ns - (double)framing->config->edge_latency_ns;
    descriptor->flags = framing->config->flags;
    for (uint32_t chip = 0; chip < framing->config->map.n_chips; chip++)
        descriptor->status_and[chip] = 0xFFFFFF;
}

int eegd_framing_append(struct eegd_framing *framing, const struct eegd_sample *sample)
{
    const struct eegd_conversion_map *map = &framing->config->map;
    if (framing->slab < 0 && !claim_slab(framing))
        return 0;
    if (!framing->n_samples)
        begin(framing, sample);
    eegd_conversion_decode(map, sample->bytes, framing->planes, framing->stride, framing->n_samples);
    for (uint32_t chip = 0; chip < map->n_chips; chip++) {
        uint32_t status = eegd_status_at(map, sample->bytes, chip);
        framing->descriptor->status_or[chip] |= status;
        framing->descriptor->status_and[chip] &= status;
    }
    framing->descriptor->railed |= sample->seen->railed;
    framing->descriptor->near_rail |= sample->seen->near_rail;
    framing->descriptor->flat |= sample->seen->flat;
    framing->descriptor->lead_off |= sample->seen->lead_off;
    if (++framing->n_samples == framing->config->frame_samples)
        eegd_framing_close(framing, sample->period_ns);
    return 1;
}

void eegd_framing_close(struct eegd_framing *framing, double period_ns)
{
    const struct eegd_capture_config *config = framing->config;
    struct eegd_descriptor *descriptor = framing->descriptor;
    uint32_t slab = (uint32_t)framing->slab;
    if (!framing->n_samples)
        return;
    descriptor->n_samples = framing->n_samples;
    descriptor->period_ns = period_ns;
    descriptor->flags |= framing->n_samples < config->frame_samples ? EEGD_FLAG_SHORT : 0;
    framing->slab = -1;
    framing->n_samples = 0;
    if (framing->sender)
        eegd_sender_publish(framing->sender, slab);
    else
        eegd_outlet_publish(config->outlet, slab, eegd_board_now(config->board));
}
