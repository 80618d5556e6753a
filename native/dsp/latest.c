/* SPDX-License-Identifier: MIT */
/* Latest: two versions of shared words, see there why a torn one is never returned. Threads: see latest.h. */
#include "dsp/latest.h"
#include "dsp/shared_words.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>

#define CACHE_LINE 64
#define MAX_BYTES ((size_t)1 << 30)
#define READ_ATTEMPTS 64

struct eegd_latest {
    size_t n_bytes;
    size_t n_buffer; /* bytes from one buffer to the other */
    alignas(CACHE_LINE) _Atomic uint64_t number;
    alignas(CACHE_LINE) unsigned char buffers[];
};

static struct eegd_shared_words *buffer_of(const struct eegd_latest *latest, uint64_t number)
{
    return (struct eegd_shared_words *)(uintptr_t)(latest->buffers + (number & 1) * latest->n_buffer);
}

struct eegd_latest *eegd_latest_new(size_t n_bytes)
{
    struct eegd_latest *latest;
    size_t n_buffer, n_all;

    if (n_bytes < 1 || n_bytes > MAX_BYTES) {
        errno = EINVAL;
        return NULL;
    }
    n_buffer = sizeof(struct eegd_shared_words) + eegd_shared_words_for(n_bytes) * sizeof(uint64_t);
    n_buffer = (n_buffer + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    n_all = sizeof(*latest) + 2 * n_buffer;
    latest = aligned_alloc(CACHE_LINE, n_all);
    if (!latest)
        return NULL;
    memset(latest, 0, n_all);
    latest->n_bytes = n_bytes;
    latest->n_buffer = n_buffer;
    return latest;
}

void eegd_latest_free(struct eegd_latest *latest)
{
    free(latest);
}

void eegd_latest_publish(struct eegd_latest *latest, const void *result)
{
    uint64_t number = atomic_load_explicit(&latest->number, memory_order_relaxed) + 1;

    eegd_shared_words_write(buffer_of(latest, number), number, result, latest->n_bytes);
    atomic_store_explicit(&latest->number, number, memory_order_release); /* pairs with the acquire in read */
}

int64_t eegd_latest_read(const struct eegd_latest *latest, void *result)
{
    for (int i = 0; i < READ_ATTEMPTS; i++) {
        uint64_t number = atomic_load_explicit(&latest->number, memory_order_acquire), version;

        if (number == 0)
            return 0;
        version = eegd_shared_words_read(buffer_of(latest, number), result, latest->n_bytes);
        if (version)
            return (int64_t)version; /* this one, or already the one after the next: newer still */
    }
    return -EAGAIN;
}

uint64_t eegd_latest_number(const struct eegd_latest *latest)
{
    return atomic_load_explicit(&latest->number, memory_order_acquire);
}
