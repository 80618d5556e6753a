/* SPDX-License-Identifier: MIT */
/*
 * Shared words: a stretch of memory that one thread writes while others read
 * it, with a sequence number that tells a reader whether it has read one
 * version. Each word is an atomic of its own, so a read that comes too late is
 * a wrong value that is thrown away, and not a race.
 *
 *     writer                              reader
 *     sequence = 2n - 1                   A: first = sequence, acquire
 *     W: fence, release                   words, relaxed
 *     words, relaxed                      R: fence, acquire
 *     D: sequence = 2n, release           second = sequence
 *
 * A sees D: all words of version n are visible. A word of a later version was
 * read: then W before it and R after it make its odd sequence number visible
 * to the second look, which differs from the first.
 *
 * For C alone: atomics.
 */
#ifndef EEGD_DSP_SHARED_WORDS_H
#define EEGD_DSP_SHARED_WORDS_H
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct eegd_shared_words {
    _Atomic uint64_t sequence; /* 2n: version n is there; odd: being written; 0: nothing yet */
    _Atomic uint64_t words[];
};

/* Words that hold n_bytes. */
static inline size_t eegd_shared_words_for(size_t n_bytes)
{
    return (n_bytes + sizeof(uint64_t) - 1) / sizeof(uint64_t);
}

/* The one writer. version: higher than the one before. */
static inline void eegd_shared_words_write(struct eegd_shared_words *to, uint64_t version, const void *from,
                                           size_t n_bytes)
{
    const unsigned char *bytes = from;
    size_t n_whole = n_bytes / sizeof(uint64_t), rest = n_bytes % sizeof(uint64_t);
    uint64_t word;

    atomic_store_explicit(&to->sequence, 2 * version - 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release); /* W */
    for (size_t i = 0; i < n_whole; i++) {
        memcpy(&word, bytes + i * sizeof(word), sizeof(word));
        atomic_store_explicit(&to->words[i], word, memory_order_relaxed);
    }
    if (rest) {
        word = 0;
        memcpy(&word, bytes + n_whole * sizeof(word), rest);
        atomic_store_explicit(&to->words[n_whole], word, memory_order_relaxed);
    }
    atomic_store_explicit(&to->sequence, 2 * version, memory_order_release); /* D */
}

/* Any reader: the version that is now in `to` as a whole, or 0 when the writer was at it. */
static inline uint64_t eegd_shared_words_read(const struct eegd_shared_words *from, void *to, size_t n_bytes)
{
    unsigned char *bytes = to;
    size_t n_whole = n_bytes / sizeof(uint64_t), rest = n_bytes % sizeof(uint64_t);
    uint64_t first = atomic_load_explicit(&from->sequence, memory_order_acquire); /* A */
    uint64_t word;

    if (first == 0 || first & 1)
        return 0;
    for (size_t i = 0; i < n_whole; i++) {
        word = atomic_load_explicit(&from->words[i], memory_order_relaxed);
        memcpy(bytes + i * sizeof(word), &word, sizeof(word));
    }
    if (rest) {
        word = atomic_load_explicit(&from->words[n_whole], memory_order_relaxed);
        memcpy(bytes + n_whole * sizeof(word), &word, rest);
    }
    atomic_thread_fence(memory_order_acquire); /* R */
    return atomic_load_explicit(&from->sequence, memory_order_relaxed) == first ? first / 2 : 0;
}

#endif
