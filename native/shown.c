/* SPDX-License-Identifier: MIT */
/* What control may see of a capture thread: relaxed, but for the state. See shown.h. */
#include "shown.h"
#include "clock.h"

#define SHOW(field, value) atomic_store_explicit(&shown->field, value, memory_order_relaxed)
#define SEEN(field) atomic_load_explicit(&shown->field, memory_order_relaxed)

void eegd_shown_edge(struct eegd_shown *shown, const struct eegd_clock *clock, int64_t drdy_ns,
                     uint64_t sample_index)
{
    if (!SEEN(first_drdy_ns) && sample_index)
        SHOW(first_drdy_ns, drdy_ns);
    SHOW(last_drdy_ns, drdy_ns);
    SHOW(sample_index, sample_index);
    SHOW(period_ns, clock->period_ns);
    SHOW(jitter_rms_ns, clock->jitter_rms_ns);
    SHOW(late_peak_ns, clock->late_peak_ns);
}

void eegd_shown_stats(const struct eegd_shown *shown, double nominal_period_ns,
                      struct eegd_capture_stats *stats)
{
    int state = atomic_load_explicit(&shown->state, memory_order_acquire);
    double period_ns = SEEN(period_ns);
    *stats = (struct eegd_capture_stats){
        .state = state,
        .error = SEEN(error),
        .tid = SEEN(tid),
        .priority_error = SEEN(priority_error),
        .sample_index = SEEN(sample_index),
        .first_drdy_ns = SEEN(first_drdy_ns),
        .last_drdy_ns = SEEN(last_drdy_ns),
        .period_ns = period_ns,
        .rate_sps = period_ns > 0 ? 1e9 / period_ns : 0,
        .ppm = period_ns > 0 ? (nominal_period_ns / period_ns - 1) * 1e6 : 0,
        .jitter_rms_ns = SEEN(jitter_rms_ns),
        .late_peak_ns = SEEN(late_peak_ns),
        .found_ns = SEEN(found_ns),
    };
    for (uint32_t i = 0; i < EEGD_N_STATES; i++)
        stats->states[i] = SEEN(states[i]);
}
