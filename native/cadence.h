/* SPDX-License-Identifier: MIT */
/*
 * Cadence: says of each DRDY edge for how many sample periods it stands, and
 * keeps the clock that is fitted to the edges. This is where a missed edge is
 * told from a late stamp, and a conversion's edge from interference.
 *
 * A stamp is late, never early. So a stamp that lies between the times at
 * which the first and the second edge from here are due belongs to the first,
 * however late it is; only from the second one's time on can that have fallen.
 * Where an edge was taken for interference but those after it keep its time,
 * it was true and the fit was not: it is counted as missed, and the fit starts
 * over. So a wrong guess costs a sample that is counted, and the index is
 * right again with the next edge that comes in time.
 *
 * Capture thread only; embedded in its state. C only. Nothing allocates,
 * blocks or asks for time.
 */
#ifndef EEGD_CADENCE_H
#define EEGD_CADENCE_H
#include <stdint.h>
#include "board.h"
#include "clock.h"

struct eegd_cadence {
    struct eegd_clock clock;
    struct eegd_edge edge; /* the last one that was a conversion's */
    int has_edge;
    uint64_t seq; /* of the line at the start, where that is known */
    int has_start;
    uint64_t guess; /* periods for which it stands by its time alone, against the sequence; 0: by both */
    struct eegd_clock before_guess;
    int64_t extra_ns; /* stamp of one since then that was taken for interference; 0: none */
    double extra_at;  /* how far it lay behind the fitted time of the last edge, in periods */
};

/* What an edge means. */
struct eegd_beat {
    uint64_t
        n_periods;    /* since the last edge or the start; more than 1: edges were missed; 0: no conversion */
    uint64_t n_extra; /* edges since then that were no conversion's */
    int relocked;     /* the fit started over here: what follows does not continue what was before */
    double step_ns;   /* by how much that moved the time */
};

/* 0, or -EINVAL as eegd_clock_init. */
int eegd_cadence_init(struct eegd_cadence *cadence, double nominal_period_ns);

/* Conversions start: the line's sequence number is `seq` before the first of their edges, so that those
 * missed before the first wait are counted. Without this the first edge that comes counts as the first. */
void eegd_cadence_start(struct eegd_cadence *cadence, uint64_t seq);

struct eegd_beat eegd_cadence_take(struct eegd_cadence *cadence, const struct eegd_edge *edge);

#endif
