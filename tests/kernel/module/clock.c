// SPDX-License-Identifier: MIT
/*
 * The emulator's time: ticks of the chips' clock against CLOCK_MONOTONIC, and
 * the one timer that tells the host of edges and of the end of a transfer.
 */
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/version.h>
#include "emulator.h"

#define MILLIHERTZ_NS 1000000000000ull

u64 emulator_tick(const struct slot *slot, u64 ns)
{
    return mul_u64_u64_div_u64(ns - slot->emulator->base_ns, slot->millihertz, MILLIHERTZ_NS);
}

/* Rounded up, so that the tick has been reached at the ns it is said to come at. */
u64 emulator_ns(const struct slot *slot, u64 tick)
{
    return slot->emulator->base_ns + 1 + mul_u64_u64_div_u64(tick, MILLIHERTZ_NS, slot->millihertz);
}

/* A conversion that nobody clocked out before the next one came. */
static void count_overruns(struct emulator *emulator, struct slot *slot, u64 before)
{
    u64 falls = slot->chip.falls - before;

    if (falls == 0)
        return;
    if (!slot->read && slot == &emulator->slots[0] && slot->chip.run_falls > falls)
        emulator->counters.overruns += falls;
    slot->read = false;
}

static void run_chips(struct emulator *emulator, u64 ns)
{
    u32 i;

    for (i = 0; i < emulator->n_chips; i++) {
        struct slot *slot = &emulator->slots[i];
        u64 tick = emulator_tick(slot, ns), before = slot->chip.falls;

        if (tick > slot->chip.now)
            eegd_chip_advance(&slot->chip, tick);
        count_overruns(emulator, slot, before);
    }
}

u64 emulator_catch_up(struct emulator *emulator)
{
    u64 ns = ktime_get_ns();

    emulator_wire_run(emulator, ns);
    run_chips(emulator, ns);
    emulator_faults_run(emulator, ns);
    return ns;
}

void emulator_arm(struct emulator *emulator)
{
    u64 next = emulator_wire_end(emulator);
    u32 i;

    for (i = 0; i < emulator->n_chips; i++) {
        const struct slot *slot = &emulator->slots[i];
        u64 tick = eegd_chip_next_event(&slot->chip);

        if (slot->told < slot->chip.falls) /* a fall came to light elsewhere: the timer tells it */
            next = 0;
        if (tick != EEGD_TICK_NEVER)
            next = min(next, emulator_ns(slot, tick));
    }
    for (i = 0; i < EMULATOR_LATE; i++)
        next = min(next, emulator->late_ns[i]);
    if (next != EMULATOR_NEVER)
        hrtimer_start(&emulator->timer, ns_to_ktime(next), HRTIMER_MODE_ABS_HARD);
}

/* ---- edges ---- */

static void hold_back(struct emulator *emulator, u64 ns)
{
    u32 i;

    for (i = 0; i < EMULATOR_LATE; i++) {
        if (emulator->late_ns[i] == EMULATOR_NEVER) {
            emulator->late_ns[i] = ns;
            return;
        }
    }
}

/* How many edges a fall of chip 0 puts on its line now. */
static u32 edges_of_fall(struct emulator *emulator, u64 fall, u64 ns)
{
    const struct fault *fault;
    u32 edges = 1;

    if (emulator->unplugged)
        return 0;
    if (emulator_fault(emulator, FAULT_MISSED, fall)) {
        emulator->counters.injected[FAULT_MISSED]++;
        return 0;
    }
    if (emulator_fault(emulator, FAULT_MERGED, fall)) {
        emulator->counters.injected[FAULT_MERGED]++;
        emulator->merged++;
        return 0;
    }
    fault = emulator_fault(emulator, FAULT_DELAYED, fall);
    if (fault) {
        emulator->counters.injected[FAULT_DELAYED]++;
        hold_back(emulator, ns + fault->value);
        return 0;
    }
    fault = emulator_fault(emulator, FAULT_DOUBLED, fall);
    if (fault) {
        emulator->counters.injected[FAULT_DOUBLED]++;
        hold_back(emulator, ns + fault->value);
    }
    edges += emulator->merged;
    emulator->merged = 0;
    return edges;
}

static u32 late_edges(struct emulator *emulator, u64 ns)
{
    u32 i, edges = 0;

    for (i = 0; i < EMULATOR_LATE; i++) {
        if (emulator->late_ns[i] <= ns) {
            emulator->late_ns[i] = EMULATOR_NEVER;
            edges++;
        }
    }
    return edges;
}

/* Falls since the last call become edges; several of them are one, as in an interrupt latch. */
static void collect_edges(struct emulator *emulator, u64 ns, u32 *edges)
{
    u32 i;

    for (i = 0; i < emulator->n_chips; i++) {
        struct slot *slot = &emulator->slots[i];

        edges[i] = 0;
        if (slot->told == slot->chip.falls)
            continue;
        edges[i] = i == 0 ? edges_of_fall(emulator, slot->chip.falls - 1, ns) : !emulator->unplugged;
        slot->told = slot->chip.falls;
    }
    edges[0] += late_edges(emulator, ns);
    emulator->counters.edges += edges[0];
}

static enum hrtimer_restart on_timer(struct hrtimer *timer)
{
    struct emulator *emulator = container_of(timer, struct emulator, timer);
    u32 edges[EMULATOR_CHIPS], i;
    u64 ns = ktime_get_ns();
    bool finished;

    raw_spin_lock(&emulator->lock);
    emulator_catch_up(emulator);
    collect_edges(emulator, ns, edges);
    finished = emulator->wire.busy && emulator->wire.done == emulator->wire.len;
    if (finished)
        emulator->wire.busy = false;
    emulator_arm(emulator);
    emulator->counters.timer_calls++;
    emulator->counters.timer_ns += ktime_get_ns() - ns;
    raw_spin_unlock(&emulator->lock);

    for (i = 0; i < emulator->n_chips; i++)
        for (; edges[i] > 0; edges[i]--)
            emulator_tell_edge(emulator, emulator->slots[i].drdy_line);
    if (finished)
        spi_finalize_current_transfer(emulator->controller);
    return HRTIMER_NORESTART;
}

void emulator_clock_init(struct emulator *emulator)
{
    u32 i;

    for (i = 0; i < EMULATOR_LATE; i++)
        emulator->late_ns[i] = EMULATOR_NEVER;
    emulator->base_ns = ktime_get_ns();
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
    hrtimer_setup(&emulator->timer, on_timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
#else
    hrtimer_init(&emulator->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
    emulator->timer.function = on_timer;
#endif
}
