/* SPDX-License-Identifier: MIT */
/* History: a ring of shared words, see there why a torn row is never returned. Threads: see history.h. */
#include "dsp/history.h"
#include "dsp/shared_words.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>

#define CACHE_LINE 64
#define MAX_ROWS 1048576
#define MAX_BYTES ((size_t)1 << 20)

struct eegd_history {
    uint32_t n_rows;
    size_t n_bytes;
    size_t n_row;                                /* bytes from one row to the next */
    alignas(CACHE_LINE) _Atomic uint64_t number; /* of the newest row; 0: none */
    alignas(CACHE_LINE) unsigned char rows[];
};

static struct eegd_shared_words *row_of(const struct eegd_history *history, uint64_t number)
{
    return (struct eegd_shared_words *)(uintptr_t)(history->rows + number % history->n_rows * history->n_row);
}

struct eegd_history *eegd_history_new(uint32_t n_rows, size_t n_bytes)
{
    struct eegd_history *history;
    size_t n_row, n_all;

    if (n_rows < 2 || n_rows > MAX_ROWS || n_bytes < 1 || n_bytes > MAX_BYTES) {
        errno = EINVAL;
        return NULL;
    }
    n_row = sizeof(struct eegd_shared_words) + eegd_shared_words_for(n_bytes) * sizeof(uint64_t);
    n_all = (sizeof(*history) + n_rows * n_row + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    history = aligned_alloc(CACHE_LINE, n_all);
    if (!history)
        return NULL;
    memset(history, 0, n_all);
    history->n_rows = n_rows;
    history->n_bytes = n_bytes;
    history->n_row = n_row;
    return history;
}

void eegd_history_free(struct eegd_history *history)
{
    free(history);
}

void eegd_history_append(struct eegd_history *history, const void *row)
{
    uint64_t number = atomic_load_explicit(&history->number, memory_order_relaxed) + 1;

    eegd_shared_words_write(row_of(history, number), number, row, history->n_bytes);
    atomic_store_explicit(&history->number, number,
                          memory_order_release); /* pairs with the acquire in last */
}

uint32_t eegd_history_last(const struct eegd_history *history, uint32_t n, void *rows, uint64_t *first)
{
    uint64_t newest = atomic_load_explicit(&history->number, memory_order_acquire);
    unsigned char *bytes = rows;
    uint32_t n_read = 0;

    if (n > history->n_rows)
        n = history->n_rows;
    if (n > newest)
        n = (uint32_t)newest;
    /* From the newest back, which the writer comes to last: the first that it has overwritten ends it. */
    while (n_read < n) {
        uint64_t number = newest - n_read;

        if (eegd_shared_words_read(row_of(history, number), bytes + (n - 1 - n_read) * history->n_bytes,
                                   history->n_bytes) != number)
            break;
        n_read++;
    }
    memmove(bytes, bytes + (n - n_read) * history->n_bytes, n_read * history->n_bytes);
    *first = newest - n_read + 1;
    return n_read;
}
