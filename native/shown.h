/* SPDX-License-Identifier: MIT */
/*
 * Shown: what control may see of a capture thread while it runs. Each number is
 * true by itself; together they may be of two neighbouring edges, but for
 * sample index, fitted time and period, which are always of one, so that a time
 * can be told as a sample. Once `state` is no longer RUNNING, all others are
 * those of the end.
 *
 * The capture thread writes, any thread reads; embedded in the capture's state.
 * C only.
 */
#ifndef EEGD_SHOWN_H
#define EEGD_SHOWN_H
#include <stdatomic.h>
#include <stdint.h>
#include "capture.h"

struct eegd_clock;

struct eegd_shown {
    _Atomic int state, error, tid, priority_error;
    _Atomic uint32_t edges; /* odd while those of one edge are being written */
    _Atomic uint64_t sample_index;
    _Atomic int64_t first_drdy_ns, last_drdy_ns, fit_ns;
    _Atomic double period_ns, jitter_rms_ns, late_peak_ns, found_ns;
    _Atomic uint32_t states[EEGD_N_STATES];
};

/* After an edge was acted on. sample_index: of the next sample; 0 before the first one. */
void eegd_shown_edge(struct eegd_shown *shown, const struct eegd_clock *clock, int64_t drdy_ns,
                     uint64_t sample_index);

/* Everything of *stats but sender_tid. */
void eegd_shown_stats(const struct eegd_shown *shown, double nominal_period_ns,
                      struct eegd_capture_stats *stats);

#endif
