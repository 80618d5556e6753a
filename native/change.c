/* SPDX-License-Identifier: MIT */
/* Threshold, hysteresis and mean. See change.h. */
#include "change.h"
#include <math.h>

void eegd_change_init(struct eegd_change *change, const struct eegd_change_config *config)
{
    *change = (struct eegd_change){.config = *config};
}

void eegd_change_settle(struct eegd_change *change)
{
    struct eegd_change_config config = change->config;
    eegd_change_init(change, &config);
}

double eegd_change_centre(struct eegd_change *change, double value)
{
    const struct eegd_change_config *config = &change->config;
    change->value = value - change->mean;
    if (!isfinite(value)) /* it would stay in the mean for ever */
        return change->value;
    if (config->dc_share > 0) {
        double share = change->n_taken < config->settle ? 1.0 / (double)(change->n_taken + 1) : 0;
        change->mean += (share > config->dc_share ? share : config->dc_share) * (value - change->mean);
    }
    change->n_taken += change->n_taken < config->settle;
    change->value = value - change->mean;
    return change->value;
}

/* 1 above, -1 below, 0 in the band between. */
static int32_t side_of(const struct eegd_change_config *config, double value)
{
    double half = config->hysteresis / 2;
    if (value >= config->threshold + half)
        return 1;
    return value < config->threshold - half ? -1 : 0;
}

static uint32_t verdict_on(const struct eegd_change *change, int32_t was, int32_t now)
{
    if (!was)
        return EEGD_CROSSING_SETTLING;
    if (now && now != was)
        return change->config.edges & (now > 0 ? EEGD_EDGE_RISING : EEGD_EDGE_FALLING)
                   ? EEGD_CROSSING_TAKEN
                   : EEGD_CROSSING_OTHER_EDGE;
    return change->over == was ? EEGD_CROSSING_ALREADY : EEGD_CROSSING_IN_BAND;
}

uint32_t eegd_change_take(struct eegd_change *change, double value)
{
    int settling = change->n_taken < change->config.settle;
    double centred = eegd_change_centre(change, value);
    if (!isfinite(centred))
        return EEGD_CROSSING_NONE;
    int32_t was = change->side, was_over = change->over;
    int32_t now = settling ? 0 : side_of(&change->config, centred);
    change->over = centred >= change->config.threshold ? 1 : -1;
    if (now)
        change->side = now;
    int moved = now && was && now != was, crossed = was_over && change->over != was_over;
    if (!moved && !crossed)
        return EEGD_CROSSING_NONE;
    change->rising = (moved ? now : change->over) > 0;
    return verdict_on(change, was, now);
}

uint32_t eegd_change_run(struct eegd_change *change, const float *values, uint32_t n, int all,
                         struct eegd_crossing *out, uint32_t max)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t verdict = eegd_change_take(change, (double)values[i]);
        if (verdict == EEGD_CROSSING_NONE || (!all && verdict != EEGD_CROSSING_TAKEN))
            continue;
        if (found < max)
            out[found] = (struct eegd_crossing){
                .index = i, .rising = (uint32_t)change->rising, .verdict = verdict, .value = change->value};
        found++;
    }
    return found;
}

uint32_t eegd_change_run_rows(struct eegd_change *changes, const uint32_t *rows, uint32_t n_changes,
                              const float *block, ptrdiff_t stride, uint32_t n, struct eegd_crossing *out,
                              uint32_t max)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < n_changes; i++) {
        uint32_t at = found < max ? found : max;
        uint32_t more =
            eegd_change_run(&changes[i], block + (ptrdiff_t)rows[i] * stride, n, 0, out + at, max - at);
        for (uint32_t k = at; k < at + more && k < max; k++)
            out[k].row = rows[i];
        found += more;
    }
    return found;
}
