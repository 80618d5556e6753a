/* SPDX-License-Identifier: MIT */
/* What control may see of a capture thread: relaxed, but for the state and the edge counter. See shown.h. */
#include "shown.h"
#include "clock.h"

#define MAX_TRIES 1000

#define SHOW(field, value) atomic_store_explicit(&shown->field, value, memory_order_relaxed)
#define SEEN(field) atomic_load_explicit(&shown->field, memory_order_relaxed)

void eegd_shown_edge(struct eegd_shown *shown, const struct eegd_clock *clock, int64_t drdy_ns,
                     uint64_t sample_index)
{
    uint32_t edges = SEEN(edges);

    if (!SEEN(first_drdy_ns) && sample_index)
        SHOW(first_drdy_ns, drdy_ns);
    SHOW(last_drdy_ns, drdy_ns);
    SHOW(edges, edges + 1);
    atomic_thread_fence(memory_order_release);
    SHOW(sample_index, sample_index);
    SHOW(fit_ns, eegd_clock_after(clock, 0));
    SHOW(period_ns, clock->period_ns);
    atomic_store_explicit(&shown->edges, edges + 2, memory_order_release);
    SHOW(jitter_rms_ns, clock->jitter_rms_ns);
    SHOW(late_peak_ns, clock->late_peak_ns);
}

/* What belongs to one edge. The writer is done within some ns; where it lost the processor just then, what is
 * there has to do. */
static void read_edge(const struct eegd_shown *shown, struct eegd_capture_stats *stats)
{
    for (int tries = 0; tries < MAX_TRIES; tries++) {
        uint32_t edges = atomic_load_explicit(&shown->edges, memory_order_acquire);
        stats->sample_index = SEEN(sample_index);
        stats->fit_ns = SEEN(fit_ns);
        stats->period_ns = SEEN(period_ns);
        atomic_thread_fence(memory_order_acquire);
        stats->of_one_edge = !(edges & 1) && SEEN(edges) == edges;
        if (stats->of_one_edge)
            return;
    }
}

void eegd_shown_stats(const struct eegd_shown *shown, double nominal_period_ns,
                      struct eegd_capture_stats *stats)
{
    int state = atomic_load_explicit(&shown->state, memory_order_acquire);
    double period_ns;

    *stats = (struct eegd_capture_stats){
        .state = state,
        .error = SEEN(error),
        .tid = SEEN(tid),
        .priority_error = SEEN(priority_error),
        .first_drdy_ns = SEEN(first_drdy_ns),
        .last_drdy_ns = SEEN(last_drdy_ns),
        .jitter_rms_ns = SEEN(jitter_rms_ns),
        .late_peak_ns = SEEN(late_peak_ns),
        .found_ns = SEEN(found_ns),
    };
    read_edge(shown, stats);
    period_ns = stats->period_ns;
    stats->rate_sps = period_ns > 0 ? 1e9 / period_ns : 0;
    stats->ppm = period_ns > 0 ? (nominal_period_ns / period_ns - 1) * 1e6 : 0;
    for (uint32_t i = 0; i < EEGD_N_STATES; i++)
        stats->states[i] = SEEN(states[i]);
}
