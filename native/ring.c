/* SPDX-License-Identifier: MIT */
/*
 * Ring: one producer, one consumer, both of this process. `head` counts what
 * went in and has the producer as its only writer, `tail` counts what came out
 * and has the consumer as its only writer; each lies on a cache line of its
 * own, with whatever else that thread alone writes.
 *
 * Plain rings need release and acquire only. Event rings need more, because
 * the producer decides by `tail` whether to wake and the consumer by `head`
 * whether to sleep:
 *
 *     producer                          consumer
 *     H: head = h + 1                   U: tail = h
 *     T: read tail; is it h? wake       C: clear the eventfd
 *                                       G: read head; is it h? sleep
 *
 * With release and acquire alone T and G may both read the older value: no
 * wake, and sleep. So H, T, U and G are sequentially consistent, in one total
 * order S that agrees with each thread's own order. Say the consumer sleeps
 * although event h is in the ring; then G read h.
 *  - T read less than h, no wake: T did not see U, hence T before U in S, and
 *    H, T, U, G in this order; so G saw H. Contradiction.
 *  - T read h, wake: either the write came after C, and the eventfd is readable
 *    when the consumer sleeps on it; or before, and then C, under the lock of
 *    the eventfd, comes after the write, which comes after H; so G saw H.
 *  - T read h + 1: the consumer has the event already.
 */
#include "ring.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define CACHE_LINE 64
#define MAX_ELEMENT_BYTES 256

struct eegd_ring {
    uint32_t capacity, mask, element_bytes;
    size_t bytes; /* of the whole mapping */
    /* written by the producer only */
    alignas(CACHE_LINE) _Atomic uint64_t head;
    _Atomic uint64_t peak;
    _Atomic uint64_t dropped;
    /* written by the consumer only */
    alignas(CACHE_LINE) _Atomic uint64_t tail;
    alignas(CACHE_LINE) unsigned char elements[];
};

struct eegd_events {
    struct eegd_ring *ring;
    int fd;
};

static_assert(sizeof(struct eegd_event) == 64, "an event is one cache line");

struct eegd_ring *eegd_ring_new(uint32_t capacity, uint32_t element_bytes)
{
    struct eegd_ring *ring;
    size_t bytes;

    if (capacity < 2 || capacity > EEGD_RING_MAX_CAPACITY || (capacity & (capacity - 1)) ||
        element_bytes < 1 || element_bytes > MAX_ELEMENT_BYTES) {
        errno = EINVAL;
        return NULL;
    }
    bytes = sizeof(*ring) + (size_t)capacity * element_bytes;
    ring = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (ring == MAP_FAILED)
        return NULL;
    /* Locked where the limit allows; where it does not, the pages are at least present. */
    if (mlock(ring, bytes) < 0)
        errno = 0;
    ring->bytes = bytes;
    ring->capacity = capacity;
    ring->mask = capacity - 1;
    ring->element_bytes = element_bytes;
    return ring;
}

void eegd_ring_free(struct eegd_ring *ring)
{
    if (ring)
        munmap(ring, ring->bytes);
}

static void *place_of(struct eegd_ring *ring, uint64_t position)
{
    return ring->elements + (size_t)(position & ring->mask) * ring->element_bytes;
}

/* Words of a thread's own: nobody else writes them, so no read-modify-write is needed. */
static void add_own(_Atomic uint64_t *word, uint64_t n)
{
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + n, memory_order_relaxed);
}

/* Puts the element at head without publishing it; false when there is no room. */
static int fill(struct eegd_ring *ring, uint64_t head, const void *element)
{
    /* Pairs with the store of tail: the consumer has copied the old element out before we overwrite it. */
    uint64_t depth = head - atomic_load_explicit(&ring->tail, memory_order_acquire);

    if (depth == ring->capacity) {
        add_own(&ring->dropped, 1);
        return 0;
    }
    memcpy(place_of(ring, head), element, ring->element_bytes);
    if (depth + 1 > atomic_load_explicit(&ring->peak, memory_order_relaxed))
        atomic_store_explicit(&ring->peak, depth + 1, memory_order_relaxed);
    return 1;
}

int eegd_ring_push(struct eegd_ring *ring, const void *element)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

    if (!fill(ring, head, element))
        return EEGD_RING_FULL;
    /* Pairs with the acquire in eegd_ring_pop. */
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return EEGD_RING_DONE;
}

int eegd_ring_pop(struct eegd_ring *ring, void *element)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

    if (atomic_load_explicit(&ring->head, memory_order_acquire) == tail)
        return EEGD_RING_EMPTY;
    memcpy(element, place_of(ring, tail), ring->element_bytes);
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release); /* pairs with the acquire in fill */
    return EEGD_RING_DONE;
}

void eegd_ring_stats(const struct eegd_ring *ring, struct eegd_ring_stats *stats)
{
    /* tail first: head can only have grown since, so the depth is never negative. */
    stats->taken = atomic_load_explicit(&ring->tail, memory_order_acquire);
    stats->posted = atomic_load_explicit(&ring->head, memory_order_acquire);
    stats->dropped = atomic_load_explicit(&ring->dropped, memory_order_relaxed);
    stats->peak = atomic_load_explicit(&ring->peak, memory_order_relaxed);
    stats->capacity = ring->capacity;
    stats->depth = stats->posted - stats->taken;
    if (stats->depth > stats->capacity)
        stats->depth = stats->capacity;
}

struct eegd_events *eegd_events_new(uint32_t capacity)
{
    struct eegd_events *events = malloc(sizeof(*events));

    if (!events)
        return NULL;
    events->ring = eegd_ring_new(capacity, sizeof(struct eegd_event));
    if (!events->ring)
        goto free_events;
    events->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (events->fd < 0)
        goto free_ring;
    return events;

free_ring:
    eegd_ring_free(events->ring);
free_events:
    free(events);
    return NULL;
}

void eegd_events_free(struct eegd_events *events)
{
    if (!events)
        return;
    close(events->fd);
    eegd_ring_free(events->ring);
    free(events);
}

int eegd_events_fd(const struct eegd_events *events)
{
    return events->fd;
}

/* Both can only fail by having nothing to do: the eventfd is full of wakes, or has none. */
static void set_wake(const struct eegd_events *events)
{
    uint64_t one = 1;

    if (write(events->fd, &one, sizeof(one)) < 0)
        assert(errno == EAGAIN);
}

static void clear_wake(const struct eegd_events *events)
{
    uint64_t wakes;

    if (read(events->fd, &wakes, sizeof(wakes)) < 0)
        assert(errno == EAGAIN);
}

int eegd_events_post(struct eegd_events *events, const struct eegd_event *event)
{
    struct eegd_ring *ring = events->ring;
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    struct eegd_event numbered = *event;

    numbered.number = head + atomic_load_explicit(&ring->dropped, memory_order_relaxed);
    if (!fill(ring, head, &numbered))
        return EEGD_RING_FULL;
    atomic_store_explicit(&ring->head, head + 1, memory_order_seq_cst);  /* H */
    if (atomic_load_explicit(&ring->tail, memory_order_seq_cst) == head) /* T */
        set_wake(events);
    return EEGD_RING_DONE;
}

/* Copies out what is there, up to max, and gives the places back with one store. */
static int take_present(struct eegd_ring *ring, struct eegd_event *out, int max)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint64_t present = atomic_load_explicit(&ring->head, memory_order_acquire) - tail;
    int n = present < (uint64_t)max ? (int)present : max;

    for (int i = 0; i < n; i++)
        memcpy(&out[i], place_of(ring, tail + i), sizeof(*out));
    atomic_store_explicit(&ring->tail, tail + n, memory_order_seq_cst); /* U */
    return n;
}

static int found_empty(const struct eegd_ring *ring)
{
    return atomic_load_explicit(&ring->head, memory_order_seq_cst) == /* G */
           atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

int eegd_events_take(struct eegd_events *events, struct eegd_event *out, int max)
{
    int n = 0, cleared = 0;

    while (n < max) {
        n += take_present(events->ring, out + n, max - n);
        if (n == max)
            break;
        clear_wake(events); /* C */
        cleared = 1;
        if (found_empty(events->ring))
            return n;
    }
    /* max reached after the wake was eaten: whatever is left must wake again. */
    if (cleared && !found_empty(events->ring))
        set_wake(events);
    return n;
}

void eegd_events_stats(const struct eegd_events *events, struct eegd_ring_stats *stats)
{
    eegd_ring_stats(events->ring, stats);
}
