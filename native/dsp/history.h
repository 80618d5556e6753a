/* SPDX-License-Identifier: MIT */
/*
 * History: the last rows of something, in a ring of fixed length that one
 * thread writes and any number of others look into. The oldest row makes room
 * for the newest. Neither side waits; a reader gets the rows that were whole
 * while it read them, and never a torn one.
 *
 * Python reads this text through cffi: plain declarations only.
 */
#ifndef EEGD_DSP_HISTORY_H
#define EEGD_DSP_HISTORY_H
#include <stddef.h>
#include <stdint.h>

#define EEGD_HISTORY_ROWS 500 /* the usual length */

struct eegd_history;

/* n_rows (2 … 1048576) of n_bytes each. All memory is taken and touched here. NULL and errno on failure:
 * EINVAL or ENOMEM. */
struct eegd_history *eegd_history_new(uint32_t n_rows, size_t n_bytes);
void eegd_history_free(struct eegd_history *history); /* NULL is allowed; nobody may use it any more */

/* The writer only. */
void eegd_history_append(struct eegd_history *history, const void *row);

/* Any thread. Copies up to n of the newest rows, oldest first, one after another, and returns how many: as
 * many as there are, less those that were overwritten meanwhile. *first: number of the first of them, counted
 * from 1. */
uint32_t eegd_history_last(const struct eegd_history *history, uint32_t n, void *rows, uint64_t *first);

#endif
