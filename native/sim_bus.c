/* SPDX-License-Identifier: MIT */
/*
 * The emulated board's SPI bus: chip selects, bytes at their true times, daisy
 * chains. Runs on the thread that owns the board.
 */
#include <string.h>

#include "sim.h"

#define STRICT_GAP_NS 1000 /* the least time that CS stays high between two calls */

struct wire {
    const struct eegd_transfer *transfer;
    struct sim_chain *chain;
    uint8_t *rx; /* may be NULL */
    int64_t start_ns;
    uint32_t reset_at; /* byte at which a fault resets chips; len for never */
};

/* When the last bit of byte i is clocked. */
static int64_t byte_ns(const struct wire *wire, uint32_t i)
{
    return wire->start_ns + (int64_t)((uint64_t)(i + 1) * 8000000000u / wire->transfer->speed_hz);
}

/* What DOUT of a chain's chip j carries at a position of its read, while all of them send conversions. */
static uint8_t chain_byte(const struct sim_chain *chain, uint32_t j, uint32_t position)
{
    for (; j < chain->n && !chain->slots[j]->dead; j++) {
        const struct eegd_chip *chip = &chain->slots[j]->chip;

        if (!eegd_chip_sending(chip))
            break;
        if (position < chip->frame_bytes)
            return chip->out[position];
        if (chip->reg[ADS1299_REG_CONFIG1] & 0x40)
            return chip->out[position % chip->frame_bytes];
        position -= chip->frame_bytes;
    }
    return 0;
}

/* The byte at DAISY_IN of chip j while byte i is clocked, delayed by that chip's own frame. */
static uint8_t daisy_in(const struct sim_board *sim, const struct wire *wire, uint32_t j, uint32_t i)
{
    const struct sim_slot *slot = wire->chain->slots[j];
    uint32_t bytes = slot->chip.frame_bytes;

    if (j + 1 >= wire->chain->n)
        return 0;
    if (eegd_chip_sending(&slot->chip))
        return slot->chip.position >= bytes ? chain_byte(wire->chain, j + 1, slot->chip.position - bytes) : 0;
    if (!sim->config.daisy_registers || i < bytes || i - bytes >= SIM_HISTORY)
        return 0;
    return wire->chain->slots[j + 1]->history[i - bytes];
}

static int in_chain(const struct sim_chain *chain, const struct sim_slot *slot)
{
    uint32_t j;

    for (j = 0; j < chain->n; j++)
        if (chain->slots[j] == slot)
            return 1;
    return 0;
}

/* Chips with another chip select see the clock all the same. */
static void clock_others(struct sim_board *sim, const struct wire *wire, int64_t ns)
{
    uint32_t i;

    if (wire->chain->n == sim->config.n_chips)
        return;
    for (i = 0; i < sim->config.n_chips; i++)
        if (!in_chain(wire->chain, &sim->slots[i]))
            eegd_chip_sclk(&sim->slots[i].chip, sim_tick(&sim->slots[i].clock, ns));
}

static void reset_chips(struct sim_board *sim)
{
    uint32_t i;

    for (i = 0; i < sim->config.n_chips; i++)
        if (sim->reset_pending >> i & 1)
            eegd_chip_reset(&sim->slots[i].chip, sim->slots[i].chip.now);
    sim->reset_pending = 0;
}

static void clock_byte(struct sim_board *sim, const struct wire *wire, uint32_t i)
{
    int64_t ns = byte_ns(wire, i);
    uint8_t in[4], miso = wire->chain->n ? 0 : 0xFF; /* nobody drives MISO: pulled up */
    uint32_t j;

    sim_advance(sim, ns);
    if (i == wire->reset_at)
        reset_chips(sim);
    for (j = 0; j < wire->chain->n; j++)
        in[j] = daisy_in(sim, wire, j, i);
    for (j = 0; j < wire->chain->n; j++) {
        struct sim_slot *slot = wire->chain->slots[j];
        uint8_t dout = 0;

        if (!slot->dead)
            dout = eegd_chip_exchange(&slot->chip, sim_tick(&slot->clock, ns), wire->transfer->tx[i], in[j]);
        if (i < SIM_HISTORY)
            slot->history[i] = dout;
        if (j == 0)
            miso = dout;
    }
    clock_others(sim, wire, ns);
    if (wire->rx)
        wire->rx[i] = miso;
}

/* n bytes of a conversion from a position on, chip after chip. */
static void copy_conversion(const struct sim_chain *chain, uint32_t position, uint8_t *rx, uint32_t n)
{
    uint32_t i = 0, j, first = 0;

    for (j = 0; j < chain->n && !chain->slots[j]->dead; j++) {
        const struct eegd_chip *chip = &chain->slots[j]->chip;
        uint32_t from, length;

        if (chip->reg[ADS1299_REG_CONFIG1] & 0x40)
            break; /* multiple readback: byte by byte below */
        if (position + i < first + chip->frame_bytes && i < n) {
            from = position + i - first;
            length = chip->frame_bytes - from < n - i ? chip->frame_bytes - from : n - i;
            memcpy(rx + i, chip->out + from, length);
            i += length;
        }
        first += chip->frame_bytes;
    }
    for (; i < n; i++)
        rx[i] = chain_byte(chain, 0, position + i);
}

/* Bytes i ... i + n - 1 are zeros and nothing happens meanwhile: all at once. 0 when that is not so. */
static int clock_zeros(struct sim_board *sim, const struct wire *wire, uint32_t i, uint32_t n)
{
    int64_t first_ns = byte_ns(wire, i), last_ns = byte_ns(wire, i + n - 1);
    struct sim_chain *chain = wire->chain;
    uint64_t last[4];
    uint32_t j;

    if (chain->n == 0 || (wire->reset_at >= i && wire->reset_at < i + n) || sim_next_fall(sim) <= last_ns)
        return 0;
    for (j = 0; j < chain->n; j++) {
        const struct sim_slot *slot = chain->slots[j];

        last[j] = sim_tick(&slot->clock, last_ns);
        if (!slot->dead && !eegd_chip_can_skip(&slot->chip, sim_tick(&slot->clock, first_ns), last[j]))
            return 0;
    }
    if (wire->rx)
        copy_conversion(chain, chain->slots[0]->chip.position, wire->rx + i, n);
    clock_others(sim, wire, first_ns);
    for (j = 0; j < chain->n; j++)
        if (!chain->slots[j]->dead)
            eegd_chip_skip(&chain->slots[j]->chip, last[j], n);
    clock_others(sim, wire, last_ns);
    sim->now_ns = last_ns;
    return 1;
}

static void clock_bytes(struct sim_board *sim, const struct wire *wire)
{
    const struct eegd_transfer *transfer = wire->transfer;
    uint32_t i = 0, zeros_end = 0;

    while (i < transfer->len) {
        if (zeros_end <= i)
            for (zeros_end = i; zeros_end < transfer->len && transfer->tx[zeros_end] == 0;)
                zeros_end++;
        if (zeros_end > i && clock_zeros(sim, wire, i, zeros_end - i))
            i = zeros_end;
        else
            clock_byte(sim, wire, i++);
    }
}

static void select_chips(struct sim_board *sim, const struct sim_chain *chain, int level)
{
    uint32_t j;

    for (j = 0; j < chain->n; j++)
        eegd_chip_cs(&chain->slots[j]->chip, sim_tick(&chain->slots[j]->clock, sim->now_ns), level);
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The moment of the first SCLK edge. */
static int64_t begin_ns(struct sim_board *sim, int64_t wire_ns)
{
    const struct sim_slot *slot = &sim->slots[0];
    uint64_t fall = sim_present_fall(sim);
    int64_t start_ns, next_ns = sim_next_fall(sim);
    const struct eegd_fault *fault;

    if (sim->config.strict)
        start_ns = later(sim->now_ns, sim->cs_rose_ns + STRICT_GAP_NS);
    else
        start_ns = later(sim->now_ns, sim->cs_rose_ns + sim->config.latency_ns);
    if (slot->chip.falls > 0 && !sim->config.strict)
        start_ns = later(start_ns, sim_ns(&slot->clock, slot->chip.last_fall) + sim->config.latency_ns);
    start_ns = later(start_ns, sim->not_before);
    fault = sim_fault_active(sim, EEGD_FAULT_SLOW_IOCTL, fall);
    if (fault)
        start_ns += fault->value;
    if (sim_fault_active(sim, EEGD_FAULT_TORN, fall) && next_ns != SIM_NEVER)
        start_ns = later(start_ns, next_ns - wire_ns / 2);
    return start_ns;
}

int sim_transfer(struct eegd_board *board, const struct eegd_transfer *transfer, int64_t *end_ns)
{
    struct sim_board *sim = (struct sim_board *)board;
    struct wire wire = {.transfer = transfer, .chain = &sim->chains[transfer->cs], .rx = transfer->rx};
    const struct eegd_fault *fault;
    int64_t last_ns;
    int frame;

    sim_catch_up(sim);
    fault = sim_fault_active(sim, EEGD_FAULT_IOCTL, sim_present_fall(sim));
    if (fault)
        return -(int)fault->value;
    wire.start_ns = begin_ns(sim, byte_ns(&wire, transfer->len - 1) - wire.start_ns);
    last_ns = byte_ns(&wire, transfer->len - 1);
    frame = wire.chain->n && transfer->len >= wire.chain->slots[0]->chip.frame_bytes &&
            (transfer->tx[0] == 0x12 || eegd_chip_sending(&wire.chain->slots[0]->chip));
    wire.reset_at = sim->reset_pending && frame ? transfer->len / 2 : transfer->len;
    sim_advance(sim, wire.start_ns);
    select_chips(sim, wire.chain, 0);
    clock_bytes(sim, &wire);
    sim_advance(sim, last_ns + (int64_t)transfer->delay_us * 1000);
    select_chips(sim, wire.chain, 1);
    sim->cs_rose_ns = sim->now_ns;
    if (transfer->rx)
        sim_faults_spoil(sim, transfer->rx, transfer->len, frame);
    if (end_ns)
        *end_ns = last_ns;
    if (sim->config.strict)
        sim_block_until(sim->cs_rose_ns);
    return 0;
}
