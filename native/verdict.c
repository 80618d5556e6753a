/* SPDX-License-Identifier: MIT */
/* What makes a conversion bad. Runs on the capture thread. See verdict.h. */
#include "verdict.h"
#include <stdlib.h>
#include <string.h>
#include "code_inline.h"

#define FAR_FROM_ZERO 1000 /* codes; more than noise about an offset of nearly 0 */
#define BY_CHANCE 1e-10
#define STAYS_ALWAYS 65536 /* share of repeats 1 */
#define STAYS_LEAST 128    /* none were seen: 1 in 512, which 64 conversions of 8 channels can tell */
#define STAYS_SPAN 64      /* conversions over which the share is followed */

static uint32_t end_of_chip(const struct eegd_conversion_map *map, uint32_t chip)
{
    return chip + 1 < map->n_chips ? map->chip_offset[chip + 1] : map->n_bytes;
}

/* The channels whose codes lie within this chip's bytes. */
static void find_codes(struct eegd_verdict *verdict, uint32_t chip)
{
    const struct eegd_conversion_map *map = &verdict->config->map;
    for (uint32_t channel = 0; channel < map->n_channels; channel++) {
        uint32_t offset = map->channel_offset[channel];
        if (offset <= map->chip_offset[chip] || offset >= end_of_chip(map, chip))
            continue;
        verdict->channel[chip][verdict->n_codes[chip]] = (uint8_t)channel;
        verdict->code[chip][verdict->n_codes[chip]++] = (uint8_t)offset;
    }
}

/* The highest offsets of this chip's channels, highest first. */
static void find_tail(struct eegd_verdict *verdict, uint32_t chip)
{
    uint32_t *tail = verdict->tail[chip], end = EEGD_MAX_CONVERSION_BYTES;
    for (uint32_t n = 0; n < EEGD_TAIL; n++) {
        for (uint32_t i = 0; i < verdict->n_codes[chip]; i++) {
            uint32_t offset = verdict->code[chip][i];
            if (offset < end && offset > tail[n])
                tail[n] = offset;
        }
        end = tail[n];
    }
}

void eegd_verdict_init(struct eegd_verdict *verdict, const struct eegd_capture_config *config)
{
    *verdict = (struct eegd_verdict){.config = config};
    for (uint32_t channel = 0; channel < config->map.n_channels; channel++)
        verdict->stays[channel] = STAYS_ALWAYS;
    for (uint32_t chip = 0; chip < config->map.n_chips && chip < 4; chip++) {
        find_codes(verdict, chip);
        find_tail(verdict, chip);
    }
}

/* Whether some channel of a chip ahead of `end` is far from 0. */
static int is_alive(const struct eegd_verdict *verdict, uint32_t chip, const uint8_t *bytes, uint32_t end)
{
    for (uint32_t i = 0; i < verdict->n_codes[chip]; i++) {
        uint32_t offset = verdict->code[chip][i];
        if (offset < end && abs(eegd_code_at(bytes + offset)) >= FAR_FROM_ZERO)
            return 1;
    }
    return 0;
}

/* True when a chip gave codes at first, and from some channel on nothing but zeros. Signals that are alike in
 * all channels may pass 0 together. */
static int is_cut(const struct eegd_verdict *verdict, const uint8_t *bytes)
{
    for (uint32_t chip = 0; chip < verdict->config->map.n_chips; chip++) {
        const uint32_t *tail = verdict->tail[chip];
        uint32_t n = 0;
        while (n < EEGD_TAIL && tail[n] && !eegd_code_at(bytes + tail[n]) &&
               abs(eegd_code_at(verdict->before + tail[n])) >= FAR_FROM_ZERO)
            n++;
        if (n == EEGD_TAIL && is_alive(verdict, chip, bytes, tail[EEGD_TAIL - 1]))
            return 1;
    }
    return 0;
}

/* At the last code of either end, where a live input stands still, too. */
static int is_at_end(const uint8_t *code_bytes)
{
    int32_t code = eegd_code_at(code_bytes);
    return code == 0x7FFFFF || code == -0x800000;
}

/* Whether all channels of a chip are at an end, or it has none. */
static int is_clipped(const struct eegd_verdict *verdict, uint32_t chip, const uint8_t *bytes)
{
    for (uint32_t i = 0; i < verdict->n_codes[chip]; i++)
        if (!is_at_end(bytes + verdict->code[chip][i]))
            return 0;
    return 1;
}

/* How many equal conversions in a row of one chip are no chance any more: so many that live inputs, each with
 * the share of repeats that it has shown, would give them once in 1 / BY_CHANCE times. Channels are
 * independent, since each converter has noise of its own (SBAS499C, table 1: 1.5 LSB and more at any gain and
 * rate). */
static uint32_t repeats_of_frozen(const struct eegd_verdict *verdict, uint32_t chip, const uint8_t *bytes)
{
    uint32_t most = verdict->config->frozen_run - 1, n = 1;
    double chance = 1, all;
    if (!verdict->config->frozen_learns)
        return most;
    for (uint32_t i = 0; i < verdict->n_codes[chip]; i++)
        if (!is_at_end(bytes + verdict->code[chip][i]))
            chance *= (double)verdict->stays[verdict->channel[chip][i]] / STAYS_ALWAYS;
    for (all = chance; all > BY_CHANCE && n < most; n++)
        all *= chance;
    return n;
}

static uint32_t share_after(uint32_t share, int stayed)
{
    return stayed ? share + (STAYS_ALWAYS - share) / STAYS_SPAN : share - (share - STAYS_LEAST) / STAYS_SPAN;
}

/* Follows the share of conversions in which a channel repeats its code, over about the last 64 of them. A
 * chip that moves again after some repeats was not frozen: only now do they count. */
static void learn(struct eegd_verdict *verdict, uint32_t chip, const uint8_t *bytes)
{
    for (uint32_t n = 0; n < verdict->n_codes[chip]; n++) {
        uint32_t *share = &verdict->stays[verdict->channel[chip][n]], offset = verdict->code[chip][n];
        for (uint32_t i = 0; i < verdict->passed_run[chip]; i++)
            *share = share_after(*share, 1);
        *share = share_after(*share, eegd_code_at(bytes + offset) == eegd_code_at(verdict->before + offset));
    }
    verdict->passed_run[chip] = 0;
}

/* True when no channel of some chip moves, for longer than live inputs would, although at least one of them
 * is within its range. */
static int is_frozen(struct eegd_verdict *verdict, const uint8_t *bytes)
{
    const struct eegd_conversion_map *map = &verdict->config->map;
    int frozen = 0;
    for (uint32_t chip = 0; chip < map->n_chips && verdict->config->frozen_run; chip++) {
        uint32_t begin = map->chip_offset[chip], end = end_of_chip(map, chip);
        if (memcmp(bytes + begin, verdict->before + begin, end - begin)) {
            verdict->equal_run[chip] = 0;
            learn(verdict, chip, bytes);
        } else if (is_clipped(verdict, chip, bytes)) {
            verdict->equal_run[chip] = 0;
        } else if (++verdict->equal_run[chip] >= repeats_of_frozen(verdict, chip, bytes)) {
            frozen = 1;
        } else {
            verdict->passed_run[chip]++;
        }
    }
    return frozen;
}

/* Of one whose words are as they must be, by what was before it. */
static int cause_by_history(struct eegd_verdict *verdict, const uint8_t *bytes)
{
    int cause = -1;
    if (is_cut(verdict, bytes)) {
        cause = EEGD_COUNT_CUT;
        if (verdict->config->frozen_run) /* live inputs: what is compared with stays whole */
            return cause;
    } else if (is_frozen(verdict, bytes)) {
        cause = EEGD_COUNT_FROZEN;
    }
    memcpy(verdict->before, bytes, verdict->config->map.n_bytes);
    return cause;
}

int eegd_verdict_take(struct eegd_verdict *verdict, const uint8_t *bytes)
{
    switch (eegd_conversion_check(&verdict->config->map, bytes)) {
    case EEGD_CONVERSION_ALL_00:
        return EEGD_COUNT_ALL_00;
    case EEGD_CONVERSION_ALL_FF:
        return EEGD_COUNT_ALL_FF;
    case EEGD_CONVERSION_BAD_STATUS:
        return EEGD_COUNT_BAD_STATUS;
    case EEGD_CONVERSION_BAD_MARKER:
        return EEGD_COUNT_MARKER;
    default:
        return cause_by_history(verdict, bytes);
    }
}
