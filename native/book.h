/* SPDX-License-Identifier: MIT */
/*
 * Book: what the writer knows about one reader's leases. The writer believes
 * the book, never the page: from the page it takes only the answer "this word,
 * free", and the swap of a queued word for a newer frame (policy latest).
 * Anything else in the page costs the reader that credit and is counted.
 *
 * Sending thread only, except open and close (control thread). C only.
 */
#ifndef EEGD_BOOK_H
#define EEGD_BOOK_H
#include <stdatomic.h>
#include <stdint.h>
#include "layout.h"
#include "outlet.h"
#include "pool.h"

struct eegd_book_entry {
    uint64_t frame;
    uint32_t slab;
    uint32_t older; /* words in the order they were given; EEGD_NO_WORD ends the list */
    uint32_t newer;
    uint32_t corrupt; /* the page's answer was counted as corrupt already */
};

#define EEGD_NO_WORD 0xFFFFFFFFu

struct eegd_book {
    struct eegd_lease_page *page;
    void *socket;
    uint32_t depth;
    int policy;
    int lane;
    struct eegd_book_entry *entries; /* per word */
    uint64_t *free_words;            /* bit per word: set while the word is free by the book */
    uint32_t n_out;                  /* words that are not free */
    uint32_t oldest, newest;
    uint32_t sweep; /* where the next look at 64 words begins */
    uint32_t last;  /* word given last; words are given in rising order, going round */
    uint32_t bell;
    _Atomic uint64_t sent, missed, replaced, send_failed,
        corrupt; /* written here, relaxed; read by control */
};

int eegd_book_open(struct eegd_book *book, const struct eegd_reader_config *reader);
void eegd_book_close(struct eegd_book *book);

#define EEGD_GIVEN 1
#define EEGD_NO_CREDIT 0
#define EEGD_NOT_SENT (-1)

/* Gives the frame to the reader if it can take it now; counts nothing otherwise, so that it can be tried
 * again. */
int eegd_book_try(struct eegd_book *book, struct eegd_pool *pool, const struct eegd_message *message);

/* The same for the last time: 1: the reader has it now; 0: it missed it, counted. */
int eegd_book_offer(struct eegd_book *book, struct eegd_pool *pool, const struct eegd_message *message);

/* Looks at the oldest word given, and at up to `n` more. */
void eegd_book_collect(struct eegd_book *book, struct eegd_pool *pool, uint32_t n);

/* Strikes every entry: the reader is gone. */
void eegd_book_strike(struct eegd_book *book, struct eegd_pool *pool);

/* Lane direct: raises the bell, after the word where there is one. A reader that sleeps, or is about to, is
 * woken; where it finds no word it looks at its connection. */
void eegd_book_ring(struct eegd_book *book);

static inline int eegd_book_has_credit(const struct eegd_book *book)
{
    return book->n_out < book->depth;
}

#endif
