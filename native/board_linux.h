/* SPDX-License-Identifier: MIT */
/*
 * The real board: spidev devices and GPIO v2 line requests behind the board
 * table. The descriptors are opened and configured by the caller (SPI mode 1,
 * 8 bits, DRDY as an input with falling edges and CLOCK_MONOTONIC stamps).
 *
 * Sequence. The kernel numbers events twice. line_seqno is counted when an
 * event is queued, so it jumps where the queue overflowed. An edge that comes
 * before the one before was queued is merged with it and leaves no trace there.
 * seqno, with more than one line in the request, is counted in the interrupt
 * itself and jumps for merged edges as well (drivers/gpio/gpiolib-cdev.c). So an
 * idle line in DRDY's request is worth having: with one, seqno counts.
 *
 * Ownership: open duplicates every descriptor (close-on-exec) and close closes
 * the duplicates; the caller keeps its own, and may close them after open. Line
 * requests and locks live as long as one of both.
 *
 * Threads: as board.h says. No call allocates or locks but open and close.
 */
#ifndef EEGD_BOARD_LINUX_H
#define EEGD_BOARD_LINUX_H
#include <stdint.h>
#include "board.h"

struct eegd_linux_config {
    uint32_t n_spi;       /* 1 ... 4 */
    int spi_fd[4];        /* spidev, by chip select */
    int drdy_fd;          /* line request of DRDY; made non-blocking, since nobody else may read from it */
    uint32_t drdy_offset; /* of DRDY on its GPIO chip */
    int64_t idle_offset;  /* of the idle line in the same request; -1: DRDY is alone in it */
    int output_fd;        /* line request of START, RESET and PWDN; -1: none is wired */
    int output_index[3];  /* EEGD_LINE_...: which place in that request; -1: not wired */
};

/* NULL and *error = -EINVAL, -ENOMEM or what dup and eventfd say. Touches no line and no chip. A transfer may
 * have 2048 bytes, for spidev counts each of its segments as 128 of its buffer's 4096; else -EMSGSIZE. */
struct eegd_board *eegd_board_linux_open(const struct eegd_linux_config *config, int *error);

#endif
