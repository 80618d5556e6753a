/* SPDX-License-Identifier: MIT */
/* An emulated board on the bench: a source that names each conversion, transfers and registers in one line.
 * On the virtual clock unless a test asks for real time. One board at a time; include in one C file of a test
 * program. */
#ifndef SIM_BENCH_H
#define SIM_BENCH_H
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "board_sim.h"
#include "check.h"
#include "descriptor.h"

#define PERIOD_250_NS 4000000LL
#define SETTLE_250_NS 16004395 /* 32777 tCLK, rounded up */
#define FAST 20000000

/* A source whose potentials name conversion and input: index * 100 uV + input * 1 uV on P. */
struct counting {
    struct eegd_source source;
    uint64_t limit;
    uint64_t calls;
    int64_t time_ns, period_ns;
    uint8_t frame[108];
    uint32_t frame_bytes;
};

static struct counting counting;

static inline int count_next(struct eegd_source *source, uint64_t index, int64_t time_ns, int64_t period_ns,
                             struct eegd_inputs *inputs)
{
    struct counting *c = (struct counting *)source;
    uint32_t i;

    if (c->limit && index >= c->limit)
        return 0;
    CHECK_EQ(index, c->calls);
    c->calls++;
    c->time_ns = time_ns;
    c->period_ns = period_ns;
    for (i = 0; i < 32; i++)
        inputs->p_nv[i] = (int64_t)(index % 1000) * 100000 + i * 1000;
    if (c->frame_bytes) {
        for (i = 0; i < c->frame_bytes; i++)
            c->frame[i] = (uint8_t)(index + i);
        inputs->frame = c->frame;
        inputs->frame_bytes = c->frame_bytes;
    }
    return 1;
}

static inline void count_free(struct eegd_source *source)
{
    (void)source;
}

static const struct eegd_source_ops count_ops = {.name = "counting", .next = count_next, .free = count_free};

static struct eegd_board *board;
static struct eegd_sim_config config;
static struct eegd_edge edge;
static int64_t end_ns;

static inline void fresh(uint32_t n_chips)
{
    uint32_t i;

    memset(&counting, 0, sizeof(counting));
    counting.source.ops = &count_ops;
    eegd_sim_defaults(&config);
    config.n_chips = n_chips;
    config.noise = EEGD_NOISE_OFF;
    config.virtual_clock = 1;
    config.reset_wired = config.pwdn_wired = 1;
    for (i = 0; i < 4; i++)
        config.cs[i] = 0;
}

static inline void open_board(void)
{
    int error = 1;

    board = eegd_board_sim_open(&config, &counting.source, &error);
    CHECK(board != NULL);
    CHECK_EQ(error, 0);
}

static inline int transfer(uint32_t cs, const uint8_t *tx, uint8_t *rx, uint32_t len, uint32_t speed_hz)
{
    struct eegd_transfer t = {.tx = tx, .rx = rx, .len = len, .speed_hz = speed_hz, .cs = cs, .delay_us = 3};

    return eegd_board_transfer(board, &t, &end_ns);
}

static inline void command(uint32_t cs, uint8_t opcode)
{
    CHECK_EQ(transfer(cs, &opcode, NULL, 1, 2000000), 0);
}

static inline void write_reg(uint32_t cs, uint8_t address, uint8_t value)
{
    uint8_t tx[3] = {(uint8_t)(0x40 | address), 0, value};

    CHECK_EQ(transfer(cs, tx, NULL, 3, 2000000), 0);
}

static inline uint8_t read_reg(uint32_t cs, uint8_t address)
{
    uint8_t tx[3] = {(uint8_t)(0x20 | address), 0, 0}, rx[3];

    CHECK_EQ(transfer(cs, tx, rx, 3, 2000000), 0);
    return rx[2];
}

static inline int read_frame(uint32_t cs, uint8_t *rx, uint32_t len)
{
    static const uint8_t zeros[256];

    return transfer(cs, zeros, rx, len, FAST);
}

/* Gain 1, electrodes, the given rate, RDATAC. */
static inline void configure(uint32_t cs, uint8_t config1)
{
    uint8_t i;

    eegd_board_sleep(board, 50000);
    command(cs, 0x11);
    write_reg(cs, ADS1299_REG_CONFIG3, 0xE0);
    write_reg(cs, ADS1299_REG_CONFIG1, config1);
    for (i = 0; i < 8; i++)
        write_reg(cs, (uint8_t)(ADS1299_REG_CH1SET + i), 0x00);
    command(cs, 0x10);
}

static inline void start(uint8_t config1)
{
    open_board();
    configure(0, config1);
    CHECK_EQ(eegd_board_set_line(board, EEGD_LINE_START, 1), 0);
}

static inline int next_edge(void)
{
    return eegd_board_wait(board, 1000000000, &edge);
}

static inline int32_t code_of(const uint8_t *frame, uint32_t chip, uint32_t channel)
{
    const uint8_t *at = frame + 27 * chip + 3 + 3 * channel;

    return (int32_t)((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8) >> 8;
}

static inline int32_t wanted(uint64_t index, uint32_t input)
{
    return eegd_chip_code((int64_t)(index % 1000) * 100000 + input * 1000, 1);
}

static inline void set_fault(uint32_t kind, uint64_t at, uint64_t count, int64_t value)
{
    struct eegd_fault fault = {.kind = kind, .chip = 0, .at = at, .count = count, .value = value};

    CHECK_EQ(eegd_board_sim_fault(board, &fault), 0);
}

static inline uint64_t violations(uint32_t kind)
{
    return eegd_board_sim_violation_count(board, kind);
}

#endif
