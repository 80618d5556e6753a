/* SPDX-License-Identifier: MIT */
/*
 * Board: everything the daemon may do with the hardware, as a small table of
 * functions: wait for a DRDY edge, clock bytes over SPI, set a line, read the
 * time, sleep. Two implementations exist: `linux` (spidev and GPIO v2 line
 * events) and `sim` (the emulated ADS1299). Nothing above this table knows
 * which one it talks to.
 *
 * Threads: one owner at a time. The driver (control thread) owns the board
 * until the capture thread starts and again after it was joined; only
 * eegd_board_wake may be called from another thread meanwhile.
 *
 * Returns: 0 or a count; failures are -errno. Times are CLOCK_MONOTONIC in ns;
 * on a virtual clock they are the emulated chip's, which runs as fast as it is
 * read.
 */
#ifndef EEGD_BOARD_H
#define EEGD_BOARD_H
#include <stdint.h>

#define EEGD_LINE_START 0
#define EEGD_LINE_RESET 1
#define EEGD_LINE_PWDN 2

/* One falling DRDY edge. */
struct eegd_edge {
    int64_t drdy_ns; /* when the edge fell, as the kernel (or the emulated chip) stamped it */
    uint64_t seq;    /* of the line's own sequence; a jump means edges that nobody can read any more */
};

/* One chip select period: len bytes out and in at the same time. */
struct eegd_transfer {
    const uint8_t *tx; /* len bytes; zeros while reading frames, since the chip decodes DIN all the time */
    uint8_t *rx;       /* len bytes, or NULL */
    uint32_t len;      /* bytes, 1 … 4096 */
    uint32_t speed_hz; /* SCLK */
    uint32_t cs;       /* which chip select, 0 … 3 */
    uint32_t delay_us; /* wait after the last bit before CS rises (4 tCLK after a command) */
};

struct eegd_board;

struct eegd_board_ops {
    const char *name;
    /* Next DRDY edge, the newest when several are pending (seq tells). 1: edge filled in; 0: timeout or
     * woken; -ENODATA: a replay is over; other -errno: the line is gone. timeout_ns < 0 waits without limit.
     */
    int (*wait)(struct eegd_board *, int64_t timeout_ns, struct eegd_edge *edge);
    /* Blocking. *end_ns (may be NULL) is when the last bit was clocked. 0 or -errno. */
    int (*transfer)(struct eegd_board *, const struct eegd_transfer *, int64_t *end_ns);
    /* level 0 or 1 at the chip's pin. -ENOTSUP where the line is not wired. */
    int (*set_line)(struct eegd_board *, int line, int level);
    int64_t (*now)(struct eegd_board *);
    int (*sleep)(struct eegd_board *, int64_t ns);
    /* Forget pending edges; *seq is that of the last edge so far, forgotten or not: the next one's is *seq +
     * 1 or, where edges were missed meanwhile, more. */
    int (*drain)(struct eegd_board *, uint64_t *seq);
    /* Makes a wait under way (or the next one) return 0 at once. Any thread, async-signal-safe. */
    void (*wake)(struct eegd_board *);
    void (*close)(struct eegd_board *);
};

/* First member of every implementation. */
struct eegd_board {
    const struct eegd_board_ops *ops;
    int virtual_clock; /* 1: time is the emulated chip's and runs as fast as its readers */
};

int eegd_board_wait(struct eegd_board *board, int64_t timeout_ns, struct eegd_edge *edge);
int eegd_board_transfer(struct eegd_board *board, const struct eegd_transfer *transfer, int64_t *end_ns);
int eegd_board_set_line(struct eegd_board *board, int line, int level);
int64_t eegd_board_now(struct eegd_board *board);
int eegd_board_sleep(struct eegd_board *board, int64_t ns);
/* seq may be NULL. */
int eegd_board_drain(struct eegd_board *board, uint64_t *seq);
void eegd_board_wake(struct eegd_board *board);
/* Closes and frees. The pointer is dead afterwards. */
void eegd_board_close(struct eegd_board *board);

#endif
