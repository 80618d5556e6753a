/* SPDX-License-Identifier: MIT */
/*
 * Board: checks what any implementation may rely on and passes the call on.
 * Runs on whichever thread owns the board; eegd_board_wake on any.
 */
#include "board.h"

#include <errno.h>
#include <stddef.h>

#define MAX_TRANSFER 4096
#define MAX_CS 3

int eegd_board_wait(struct eegd_board *board, int64_t timeout_ns, struct eegd_edge *edge)
{
    return board->ops->wait(board, timeout_ns, edge);
}

int eegd_board_transfer(struct eegd_board *board, const struct eegd_transfer *transfer, int64_t *end_ns)
{
    if (!transfer->tx || transfer->len == 0 || transfer->speed_hz == 0 || transfer->cs > MAX_CS)
        return -EINVAL;
    if (transfer->len > MAX_TRANSFER)
        return -EMSGSIZE;
    return board->ops->transfer(board, transfer, end_ns);
}

int eegd_board_set_line(struct eegd_board *board, int line, int level)
{
    if (line < EEGD_LINE_START || line > EEGD_LINE_PWDN || (level != 0 && level != 1))
        return -EINVAL;
    return board->ops->set_line(board, line, level);
}

int64_t eegd_board_now(struct eegd_board *board)
{
    return board->ops->now(board);
}

int eegd_board_sleep(struct eegd_board *board, int64_t ns)
{
    return ns > 0 ? board->ops->sleep(board, ns) : 0;
}

int eegd_board_drain(struct eegd_board *board, uint64_t *seq)
{
    uint64_t ignored;
    return board->ops->drain(board, seq ? seq : &ignored);
}

void eegd_board_wake(struct eegd_board *board)
{
    board->ops->wake(board);
}

void eegd_board_close(struct eegd_board *board)
{
    if (board)
        board->ops->close(board);
}
