/* SPDX-License-Identifier: MIT */
/* A chip on the bench for the tests of the emulated ADS1299: constant potentials, a clock that the test
 * moves, transfers with proper pauses. One chip at a time; include in one C file of a test program. */
#ifndef CHIP_BENCH_H
#define CHIP_BENCH_H
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "chip.h"

#define BYTE 8 /* ticks per byte: 2.048 MHz */
#define SETTLE_250 32777
#define PERIOD_250 8192

/* A chip on the bench: constant potentials, a clock that the test moves. */
static struct bench {
    struct eegd_chip chip;
    uint64_t now;
    int64_t p[8], n[8], srb1, srb2, bias;
    const int32_t *codes;
    const uint8_t *frame;
    uint32_t frame_bytes;
    uint64_t limit, given;
} bench;

static inline int convert(void *context, uint64_t tick, struct eegd_chip_inputs *inputs)
{
    struct bench *b = context;

    (void)tick;
    if (b->limit && b->given == b->limit)
        return 0;
    b->given++;
    inputs->p_nv = b->p;
    inputs->n_nv = b->n;
    inputs->srb1_nv = b->srb1;
    inputs->srb2_nv = b->srb2;
    inputs->bias_nv = b->bias;
    inputs->codes = b->codes;
    inputs->frame = b->frame;
    inputs->frame_bytes = b->frame_bytes;
    return 1;
}

static inline void power_with(struct eegd_chip_config *config)
{
    memset(&bench, 0, sizeof(bench));
    CHECK_EQ(eegd_chip_init(&bench.chip, config, convert, &bench, 0), 0);
    bench.now = 20;
    eegd_chip_advance(&bench.chip, bench.now);
}

static inline void power(uint32_t n_channels)
{
    struct eegd_chip_config config;

    eegd_chip_defaults(&config);
    config.n_channels = n_channels;
    config.noise = EEGD_NOISE_OFF;
    power_with(&config);
}

static inline void cs(int level)
{
    eegd_chip_cs(&bench.chip, bench.now, level);
}

static inline uint8_t byte(uint8_t din)
{
    bench.now += BYTE;
    return eegd_chip_exchange(&bench.chip, bench.now, din, 0);
}

/* One chip select period with proper pauses. */
static inline void transfer(const uint8_t *tx, uint8_t *rx, uint32_t n)
{
    uint32_t i;

    bench.now += 4;
    cs(0);
    for (i = 0; i < n; i++)
        rx[i] = byte(tx[i]);
    bench.now += 4;
    cs(1);
}

static inline void command(uint8_t opcode)
{
    uint8_t rx;

    transfer(&opcode, &rx, 1);
}

static inline void write_reg(uint8_t address, uint8_t value)
{
    uint8_t tx[3] = {(uint8_t)(0x40 | address), 0, value}, rx[3];

    transfer(tx, rx, 3);
}

static inline uint8_t read_reg(uint8_t address)
{
    uint8_t tx[3] = {(uint8_t)(0x20 | address), 0, 0}, rx[3];

    transfer(tx, rx, 3);
    return rx[2];
}

static inline void read_all(uint8_t *registers)
{
    uint8_t tx[26] = {0x20, 0x17}, rx[26];

    transfer(tx, rx, 26);
    memcpy(registers, rx + 2, 24);
}

static inline void read_frame(uint8_t *rx)
{
    static const uint8_t zeros[32];

    transfer(zeros, rx, bench.chip.frame_bytes);
}

/* To the next DRDY fall and 8 ticks on, out of the keep-out zone. */
static inline void next_fall(void)
{
    uint64_t falls = bench.chip.falls;

    while (bench.chip.falls == falls && bench.chip.converting)
        eegd_chip_advance(&bench.chip, eegd_chip_next_event(&bench.chip));
    bench.now = bench.chip.last_fall + 8;
    eegd_chip_advance(&bench.chip, bench.now);
}

static inline int32_t code_of(const uint8_t *frame, uint32_t channel)
{
    const uint8_t *at = frame + 3 + 3 * channel;

    return (int32_t)((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8) >> 8;
}

static inline uint64_t count(uint32_t kind)
{
    return bench.chip.violation_counts[kind];
}

/* SDATAC, reference on, all channels at one setting, START, RDATAC. */
static inline void run(uint8_t config1, uint8_t setting)
{
    uint8_t i;

    command(0x11);
    write_reg(ADS1299_REG_CONFIG3, 0xE0);
    write_reg(ADS1299_REG_CONFIG1, config1);
    for (i = 0; i < bench.chip.config.n_channels; i++)
        write_reg((uint8_t)(ADS1299_REG_CH1SET + i), setting);
    command(0x08);
    command(0x10);
}

static inline int32_t first_code(uint8_t setting)
{
    uint8_t frame[27];

    run(0x96, setting);
    next_fall();
    read_frame(frame);
    return code_of(frame, 0);
}

#endif
