/* SPDX-License-Identifier: MIT */
/*
 * Faults of the emulated board: which hold for a DRDY fall, what they do to the
 * chips and to the bytes of a transfer. Runs on the thread that owns the board;
 * eegd_board_sim_fault on any.
 */
#include <errno.h>
#include <string.h>

#include "sim.h"

static uint32_t n_faults(struct sim_board *sim)
{
    return atomic_load_explicit(&sim->n_faults, memory_order_acquire);
}

uint64_t sim_present_fall(const struct sim_board *sim)
{
    uint64_t falls = sim->slots[0].chip.falls;

    return falls > 0 ? falls - 1 : 0;
}

/* Falls since the fault last began; UINT64_MAX before its first time. */
static uint64_t age(const struct sim_board *sim, uint32_t i, uint64_t fall)
{
    uint64_t period = sim->faults[i].period;

    if (fall < sim->fault_at[i])
        return UINT64_MAX;
    return period ? (fall - sim->fault_at[i]) % period : fall - sim->fault_at[i];
}

static int holds(const struct sim_board *sim, uint32_t i, uint64_t fall)
{
    uint64_t falls = age(sim, i, fall);

    return falls != UINT64_MAX && (sim->faults[i].count == 0 || falls < sim->faults[i].count);
}

const struct eegd_fault *sim_fault_active(struct sim_board *sim, uint32_t kind, uint64_t fall)
{
    uint32_t i;

    for (i = 0; i < sim->resolved; i++)
        if (sim->faults[i].kind == kind && holds(sim, i, fall))
            return &sim->faults[i];
    return NULL;
}

/* ---- chips ---- */

static int happens_once(uint32_t kind)
{
    return (kind >= EEGD_FAULT_BROWN_OUT && kind <= EEGD_FAULT_CLOCK) || kind == EEGD_FAULT_DRDY_STOPPED;
}

/* The board's time goes on from here at another pace. */
static void change_clock(struct sim_board *sim, struct sim_slot *slot, int64_t ppm)
{
    struct sim_clock *clock = &slot->clock;
    uint64_t tick = sim_tick(clock, sim->now_ns);

    clock->base_ns = sim_ns(clock, tick);
    clock->base_tick = tick;
    clock->millihertz = (uint64_t)(sim->config.fclk_hz * 1000 * (1 + (double)ppm * 1e-6) + 0.5);
}

static void strike(struct sim_board *sim, uint32_t i, const struct eegd_fault *fault)
{
    struct sim_slot *slot = &sim->slots[i];
    uint64_t tick = sim_tick(&slot->clock, sim->now_ns);

    switch (fault->kind) {
    case EEGD_FAULT_DRDY_STOPPED:
        eegd_chip_stall(&slot->chip, tick);
        break;
    case EEGD_FAULT_BROWN_OUT:
        eegd_chip_brown_out(&slot->chip, tick);
        break;
    case EEGD_FAULT_RESET_MID_FRAME:
        sim->reset_pending |= 1u << i;
        break;
    case EEGD_FAULT_WRITES_LOST:
        slot->chip.lose_writes = (uint32_t)fault->value;
        break;
    case EEGD_FAULT_ID:
        slot->chip.id = (uint8_t)fault->value;
        break;
    case EEGD_FAULT_CLOCK:
        change_clock(sim, slot, fault->value);
        break;
    }
}

static int concerns(const struct sim_board *sim, const struct eegd_fault *fault, uint32_t i)
{
    if (fault->chip == i || fault->chip == EEGD_FAULT_ALL_CHIPS || fault->kind == EEGD_FAULT_DRDY_STOPPED)
        return 1;
    return fault->kind == EEGD_FAULT_CLOCK && !sim->config.own_clocks;
}

static void happen(struct sim_board *sim, const struct eegd_fault *fault)
{
    uint32_t i;

    for (i = 0; i < sim->config.n_chips; i++)
        if (concerns(sim, fault, i))
            strike(sim, i, fault);
}

void sim_faults_at(struct sim_board *sim, uint64_t fall)
{
    uint32_t f;

    for (f = 0; f < sim->resolved; f++)
        if (happens_once(sim->faults[f].kind) && age(sim, f, fall) == 0 &&
            !(sim->faults[f].at == EEGD_FAULT_NOW && fall == sim->fault_at[f]))
            happen(sim, &sim->faults[f]);
}

static void hold(struct sim_slot *slot, const struct eegd_fault *fault)
{
    uint8_t bit = (uint8_t)(1u << fault->channel);

    if (fault->kind == EEGD_FAULT_DEAD)
        slot->dead = 1;
    else if (fault->kind == EEGD_FAULT_GPIO)
        slot->chip.gpio_in = fault->value & 0x0F;
    else if (fault->kind == EEGD_FAULT_ELECTRODE_OFF)
        slot->chip.electrodes_off |= bit;
    else if (fault->value < 0)
        slot->chip.railed_low |= bit;
    else
        slot->chip.railed_high |= bit;
}

static int lasts(uint32_t kind)
{
    return (kind >= EEGD_FAULT_RAILED && kind <= EEGD_FAULT_DEAD) || kind == EEGD_FAULT_GPIO;
}

/* Faults that last: set afresh for each conversion, before its frame is built. */
void sim_faults_hold(struct sim_board *sim, uint64_t fall)
{
    uint32_t f, i;

    if (sim->resolved == 0 && !sim->had_faults)
        return;
    sim->had_faults = sim->resolved > 0;
    for (i = 0; i < sim->config.n_chips; i++) {
        struct sim_slot *slot = &sim->slots[i];

        slot->dead = slot->chip.railed_high = slot->chip.railed_low = slot->chip.electrodes_off = 0;
        slot->chip.gpio_in = slot->gpio_in;
    }
    for (f = 0; f < sim->resolved; f++) {
        const struct eegd_fault *fault = &sim->faults[f];

        if (!lasts(fault->kind) || !holds(sim, f, fall))
            continue;
        for (i = 0; i < sim->config.n_chips; i++)
            if (concerns(sim, fault, i))
                hold(&sim->slots[i], fault);
    }
}

void sim_faults_resolve(struct sim_board *sim)
{
    uint32_t n = n_faults(sim);

    if (n == sim->resolved)
        return;
    for (; sim->resolved < n; sim->resolved++) {
        const struct eegd_fault *fault = &sim->faults[sim->resolved];
        int now = fault->at == EEGD_FAULT_NOW;

        sim->fault_at[sim->resolved] = now ? sim_present_fall(sim) : fault->at;
        if (now && happens_once(fault->kind))
            happen(sim, fault);
    }
    sim_faults_hold(sim, sim_present_fall(sim));
}

/* ---- bytes ---- */

static void slip_bit(uint8_t *rx, uint32_t len)
{
    uint32_t i;

    for (i = 0; i < len; i++)
        rx[i] = (uint8_t)(rx[i] << 1 | (i + 1 < len ? rx[i + 1] >> 7 : 0));
}

static void slip_bytes(uint8_t *rx, uint32_t len, int64_t n)
{
    uint32_t by = n < 1 ? 1 : n < len ? (uint32_t)n : len;

    memmove(rx, rx + by, len - by);
    memset(rx + len - by, 0, by);
}

/* Mode 0 samples each bit before the chip has changed it. */
static void late_bit(uint8_t *rx, uint32_t len)
{
    uint32_t i;

    for (i = len; i-- > 0;)
        rx[i] = (uint8_t)(rx[i] >> 1 | (i > 0 ? rx[i - 1] << 7 : 0));
}

void sim_faults_spoil(struct sim_board *sim, uint8_t *rx, uint32_t len, int frame)
{
    uint64_t fall = sim_present_fall(sim);
    const struct eegd_fault *fault;

    if (sim->resolved == 0)
        return;
    if (frame && sim_fault_active(sim, EEGD_FAULT_BIT_SLIP, fall))
        slip_bit(rx, len);
    if (frame && (fault = sim_fault_active(sim, EEGD_FAULT_BYTE_SLIP, fall)))
        slip_bytes(rx, len, fault->value);
    if (sim_fault_active(sim, EEGD_FAULT_SPI_MODE, fall))
        late_bit(rx, len);
    if (frame && sim_fault_active(sim, EEGD_FAULT_FRAME_00, fall))
        memset(rx, 0x00, len);
    if (frame && sim_fault_active(sim, EEGD_FAULT_FRAME_FF, fall))
        memset(rx, 0xFF, len);
    if ((fault = sim_fault_active(sim, EEGD_FAULT_MISO_STUCK, fall)))
        memset(rx, fault->value ? 0xFF : 0x00, len);
}

/* ---- setting them ---- */

static int value_is_good(const struct eegd_fault *fault)
{
    switch (fault->kind) {
    case EEGD_FAULT_RAILED:
        return 1;
    case EEGD_FAULT_CLOCK:
        return fault->value >= -100000 && fault->value <= 100000;
    case EEGD_FAULT_IOCTL:
        return fault->value > 0 && fault->value < 4096;
    default:
        return fault->value >= 0 && fault->value <= 1000000000000;
    }
}

int eegd_board_sim_fault(struct eegd_board *board, const struct eegd_fault *fault)
{
    struct sim_board *sim = (struct sim_board *)board;
    uint32_t n = n_faults(sim);

    if (fault->kind >= EEGD_FAULT_KINDS || fault->channel > 7)
        return -EINVAL;
    if (fault->kind >= EEGD_FAULT_RAILED && fault->chip != EEGD_FAULT_ALL_CHIPS &&
        fault->chip >= sim->config.n_chips)
        return -EINVAL;
    if (!value_is_good(fault))
        return -EINVAL;
    if (n >= EEGD_MAX_FAULTS)
        return -ENOSPC;
    sim->faults[n] = *fault;
    atomic_store_explicit(&sim->n_faults, n + 1, memory_order_release);
    return 0;
}

void eegd_board_sim_clear_faults(struct eegd_board *board)
{
    struct sim_board *sim = (struct sim_board *)board;

    sim_faults_resolve(sim);
    sim->resolved = 0;
    atomic_store_explicit(&sim->n_faults, 0, memory_order_release);
    sim_faults_hold(sim, sim_present_fall(sim));
}
