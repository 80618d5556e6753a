/* SPDX-License-Identifier: MIT */
/*
 * Pace: whether the edges come at the rate that was set. The fit of the clock
 * follows a chip within a few percent and takes what is further off for missed
 * edges, so a chip that lost its registers, or has another clock, shows here:
 * its edges are steady, and steadily wrong.
 *
 * Blocks of 64 edges, by the line's sequence, are timed. A chip is off when
 * eight blocks in a row are more than 3 % off and agree with each other; edges
 * that a busy host merged do not agree so long.
 *
 * A chip whose START line is high and that restarts by itself says nothing for
 * the settling time of its slowest rate, which it then has (SBAS499C 9.4.1.3,
 * table 7), and lets no number of the sequence out. That silence is told at its
 * first edge, before anything of the restarted chip is believed.
 *
 * Capture thread only; embedded in its state. C only.
 */
#ifndef EEGD_PACE_H
#define EEGD_PACE_H
#include <stdint.h>
#include "board.h"

struct eegd_pace {
    double nominal_period_ns;
    double settle_ns;             /* a silence so long is a restart; 0: never */
    struct eegd_edge last, first; /* the edge before; the first one of the block */
    int has_last;
    double period_ns; /* of the block before, where that was off; 0: it was not */
    uint32_t n_off;   /* blocks in a row */
};

/* restarts: 1 where the chips' START line is driven, so that they run on after a reset of their own. */
void eegd_pace_init(struct eegd_pace *pace, double nominal_period_ns, double tclk_ns, int restarts);

#define EEGD_PACE_GOOD 0
#define EEGD_PACE_RESTARTED 1
#define EEGD_PACE_WRONG 2

/* One of EEGD_PACE_…. *found_ns: how long the silence was, or the period. */
int eegd_pace_take(struct eegd_pace *pace, const struct eegd_edge *edge, double *found_ns);

#endif
