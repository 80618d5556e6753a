/* SPDX-License-Identifier: MIT */
/* The rate of the edges in blocks, and silences between them. Runs on the capture thread. See pace.h. */
#include "pace.h"
#include <math.h>

#define BLOCK 64u
#define BLOCKS 8u
#define WRONG 0.03
#define AGREES 0.005
#define SETTLE_TCLK 32777.0 /* at 250 SPS, the rate after a reset */
#define FASTEST 0.97        /* of the nominal settling time: the chip's clock may be fast */
#define LEAST_SILENCE 2.5   /* periods; a shorter one is a missed edge */

void eegd_pace_init(struct eegd_pace *pace, double nominal_period_ns, double tclk_ns, int restarts)
{
    *pace = (struct eegd_pace){.nominal_period_ns = nominal_period_ns};
    if (restarts)
        pace->settle_ns = fmax(SETTLE_TCLK * FASTEST * tclk_ns, LEAST_SILENCE * nominal_period_ns);
}

static int end_block(struct eegd_pace *pace, const struct eegd_edge *edge, double *found_ns)
{
    double period_ns = (double)(edge->drdy_ns - pace->first.drdy_ns) / (double)(edge->seq - pace->first.seq);
    int is_off = fabs(period_ns / pace->nominal_period_ns - 1) > WRONG;
    int agrees = pace->period_ns > 0 && fabs(period_ns / pace->period_ns - 1) < AGREES;
    pace->first = *edge;
    pace->n_off = !is_off ? 0 : agrees ? pace->n_off + 1 : 1;
    pace->period_ns = is_off ? period_ns : 0;
    *found_ns = period_ns;
    return pace->n_off >= BLOCKS ? EEGD_PACE_WRONG : EEGD_PACE_GOOD;
}

int eegd_pace_take(struct eegd_pace *pace, const struct eegd_edge *edge, double *found_ns)
{
    struct eegd_edge last = pace->last;
    int had_last = pace->has_last;
    pace->last = *edge;
    pace->has_last = 1;
    if (!had_last) {
        pace->first = *edge;
        return EEGD_PACE_GOOD;
    }
    *found_ns = (double)(edge->drdy_ns - last.drdy_ns);
    if (pace->settle_ns > 0 && edge->seq <= last.seq + 1 && *found_ns >= pace->settle_ns)
        return EEGD_PACE_RESTARTED;
    return edge->seq >= pace->first.seq + BLOCK ? end_block(pace, edge, found_ns) : EEGD_PACE_GOOD;
}
