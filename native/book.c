/* SPDX-License-Identifier: MIT */
/* The writer's side of the lease words of one reader. See layout.h for the words' life. */
#define _GNU_SOURCE
#include "book.h"
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "libzmq_calls.h"

#define SWEEP_WORDS 64u

static void count(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

int eegd_book_open(struct eegd_book *book, const struct eegd_reader_config *reader)
{
    memset(book, 0, sizeof(*book));
    uint32_t n_bitmap = (reader->depth + 63) / 64;
    book->entries = malloc(reader->depth * sizeof(*book->entries));
    book->free_words = malloc(n_bitmap * sizeof(*book->free_words));
    if (!book->entries || !book->free_words) {
        eegd_book_close(book);
        return -ENOMEM;
    }
    memset(book->entries, 0, reader->depth * sizeof(*book->entries));
    memset(book->free_words, 0xFF, n_bitmap * sizeof(*book->free_words));
    if (reader->depth % 64)
        book->free_words[n_bitmap - 1] = (1ull << (reader->depth % 64)) - 1;
    book->page = reader->page;
    book->socket = reader->socket;
    book->depth = reader->depth;
    book->policy = reader->policy;
    book->lane = reader->lane;
    book->oldest = book->newest = book->sweep = EEGD_NO_WORD;
    book->last = reader->depth - 1;
    return 0;
}

void eegd_book_close(struct eegd_book *book)
{
    free(book->entries);
    free(book->free_words);
    book->entries = NULL;
    book->free_words = NULL;
}

/* The next free word after the one given last, going round. Only called while there is one. */
static uint32_t next_free_word(const struct eegd_book *book)
{
    uint32_t n_bitmap = (book->depth + 63) / 64;
    uint32_t start = (book->last + 1) % book->depth;
    uint64_t bits = book->free_words[start / 64] & (~0ull << (start % 64));
    for (uint32_t i = start / 64;;) {
        if (bits)
            return i * 64 + (uint32_t)__builtin_ctzll(bits);
        i = (i + 1) % n_bitmap;
        bits = book->free_words[i];
    }
}

static void enter(struct eegd_book *book, uint32_t word, uint64_t frame, uint32_t slab)
{
    struct eegd_book_entry *entry = &book->entries[word];
    *entry =
        (struct eegd_book_entry){.frame = frame, .slab = slab, .older = book->newest, .newer = EEGD_NO_WORD};
    if (book->newest != EEGD_NO_WORD)
        book->entries[book->newest].newer = word;
    else
        book->oldest = word;
    book->newest = word;
    book->last = word;
    book->n_out++;
    book->free_words[word / 64] &= ~(1ull << (word % 64));
}

static void strike(struct eegd_book *book, uint32_t word)
{
    struct eegd_book_entry *entry = &book->entries[word];
    if (entry->older != EEGD_NO_WORD)
        book->entries[entry->older].newer = entry->newer;
    else
        book->oldest = entry->newer;
    if (entry->newer != EEGD_NO_WORD)
        book->entries[entry->newer].older = entry->older;
    else
        book->newest = entry->older;
    if (book->sweep == word)
        book->sweep = entry->newer;
    book->n_out--;
    book->free_words[word / 64] |= 1ull << (word % 64);
}

/* True when the page says that this word was given back, and nothing else. */
static int is_given_back(struct eegd_book *book, uint32_t word)
{
    struct eegd_book_entry *entry = &book->entries[word];
    /* pairs with the store-release of eegd_inlet_release: the reader's last access comes before our next
     * write */
    uint64_t seen = atomic_load_explicit(&book->page->words[word], memory_order_acquire);
    uint64_t given = eegd_lease_word(entry->frame, entry->slab, EEGD_LEASE_FREE);
    if (seen == given)
        return 1;
    if ((seen & ~3ull) != given || eegd_lease_state(seen) > EEGD_LEASE_HELD) {
        if (!entry->corrupt)
            count(&book->corrupt);
        entry->corrupt = 1;
    }
    return 0;
}

static int collect_word(struct eegd_book *book, struct eegd_pool *pool, uint32_t word)
{
    if (!is_given_back(book, word))
        return 0;
    uint32_t slab = book->entries[word].slab;
    strike(book, word);
    eegd_pool_drop(pool, slab);
    return 1;
}

void eegd_book_collect(struct eegd_book *book, struct eegd_pool *pool, uint32_t n)
{
    /* Readers mostly give back in order: while the oldest is free, go on (a frame gives one, so two catch
     * up). */
    for (int i = 0; i < 2 && book->oldest != EEGD_NO_WORD; i++)
        if (!collect_word(book, pool, book->oldest))
            break;
    for (uint32_t i = 0; i < n && book->n_out; i++) {
        uint32_t word = book->sweep != EEGD_NO_WORD ? book->sweep : book->oldest;
        book->sweep = book->entries[word].newer;
        collect_word(book, pool, word);
    }
}

void eegd_book_strike(struct eegd_book *book, struct eegd_pool *pool)
{
    while (book->oldest != EEGD_NO_WORD) {
        uint32_t slab = book->entries[book->oldest].slab;
        strike(book, book->oldest);
        eegd_pool_drop(pool, slab);
    }
}

/* latest: the one message under way now stands for the newer frame. */
static int replace_queued(struct eegd_book *book, struct eegd_pool *pool, const struct eegd_message *message)
{
    if (book->newest == EEGD_NO_WORD)
        return 0;
    struct eegd_book_entry *entry = &book->entries[book->newest];
    uint64_t queued = eegd_lease_word(entry->frame, entry->slab, EEGD_LEASE_QUEUED);
    uint64_t newer = eegd_lease_word(message->frame_number, message->slab, EEGD_LEASE_QUEUED);
    /* release: the newer frame's slab and descriptor come before the word; pairs with the acquire of a claim
     */
    if (!atomic_compare_exchange_strong_explicit(&book->page->words[book->newest], &queued, newer,
                                                 memory_order_release, memory_order_relaxed))
        return 0;
    eegd_pool_hold(pool, message->slab);
    eegd_pool_drop(pool, entry->slab);
    entry->frame = message->frame_number;
    entry->slab = message->slab;
    count(&book->replaced);
    count(&book->missed);
    count(&book->sent);
    return 1;
}

void eegd_book_ring(struct eegd_book *book)
{
    struct eegd_lease_page *page = book->page;
    atomic_store_explicit(&page->bell, ++book->bell, memory_order_release);
    /* Orders the bell before the look at `waiting`; the reader orders `waiting` before its look at the bell.
     * One of the two sees the other, so that no wake-up is lost. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&page->waiting, memory_order_relaxed))
        syscall(SYS_futex, &page->bell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static int announce(struct eegd_book *book, const struct eegd_message *message)
{
    if (book->lane == EEGD_LANE_DIRECT) {
        eegd_book_ring(book);
        return 1;
    }
    return eegd_zmq.send(book->socket, message, sizeof(*message), EEGD_ZMQ_DONTWAIT) == sizeof(*message);
}

int eegd_book_try(struct eegd_book *book, struct eegd_pool *pool, const struct eegd_message *offered)
{
    eegd_book_collect(book, pool, 0);
    if (book->policy == EEGD_POLICY_LATEST && replace_queued(book, pool, offered))
        return EEGD_GIVEN;
    if (!eegd_book_has_credit(book))
        eegd_book_collect(book, pool, SWEEP_WORDS);
    if (!eegd_book_has_credit(book))
        return EEGD_NO_CREDIT;
    struct eegd_message message = *offered;
    message.word = next_free_word(book);
    uint64_t queued = eegd_lease_word(message.frame_number, message.slab, EEGD_LEASE_QUEUED);
    enter(book, message.word, message.frame_number, message.slab);
    eegd_pool_hold(pool, message.slab);
    /* release: slab and descriptor come first; pairs with the acquire of a claim */
    atomic_store_explicit(&book->page->words[message.word], queued, memory_order_release);
    if (announce(book, &message)) {
        count(&book->sent);
        return EEGD_GIVEN;
    }
    if (!atomic_compare_exchange_strong_explicit(&book->page->words[message.word], &queued, queued & ~3ull,
                                                 memory_order_relaxed, memory_order_relaxed)) {
        count(&book->sent); /* claimed without its message, as a reader does that takes what its page still
                               says */
        return EEGD_GIVEN;
    }
    strike(book, message.word);
    eegd_pool_drop(pool, message.slab);
    return EEGD_NOT_SENT;
}

int eegd_book_offer(struct eegd_book *book, struct eegd_pool *pool, const struct eegd_message *offered)
{
    int result = eegd_book_try(book, pool, offered);
    if (result == EEGD_NOT_SENT)
        count(&book->send_failed);
    if (result != EEGD_GIVEN)
        count(&book->missed);
    return result == EEGD_GIVEN;
}
