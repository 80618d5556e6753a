/* SPDX-License-Identifier: MIT */
/*
 * Ring: a bounded queue between exactly one producing and one consuming
 * thread of this process, and on top of it the event ring, which carries what
 * a C thread has to tell the control thread.
 *
 * No call blocks, locks, allocates or prints, except the two that create and
 * the two that free. "Full" and "empty" are answers, not errors. Positions are
 * 64-bit and never wrap, so posted, taken and depth follow from two words.
 *
 * The rings of slab numbers between capture and sender use the plain ring; who
 * has to be woken there is the callers' own business. An event ring brings a
 * descriptor to wait on.
 *
 * Python reads this text through cffi: plain declarations only.
 */
#ifndef EEGD_RING_H
#define EEGD_RING_H
#include <stdint.h>

#define EEGD_RING_DONE 1  /* the element went in, or came out */
#define EEGD_RING_FULL 0  /* push: no room; the element was dropped and counted */
#define EEGD_RING_EMPTY 0 /* pop: nothing there now */
#define EEGD_RING_MAX_CAPACITY 1048576

/* What a ring looks like from outside. A third thread may ask at any time; the numbers are each true, and
 * depth never exceeds capacity, but the ring moves on while they are read. */
struct eegd_ring_stats {
    uint64_t capacity; /* the most it can hold */
    uint64_t depth;    /* elements in it now */
    uint64_t peak;     /* highest depth that a push has seen */
    uint64_t posted;   /* elements that went in */
    uint64_t taken;    /* elements that came out */
    uint64_t dropped;  /* elements that found it full */
};

struct eegd_ring;

/* A ring of `capacity` (a power of two, 2 … 1048576) elements of `element_bytes` (1 … 256) each. All memory
 * is taken, touched and, where RLIMIT_MEMLOCK allows, locked here. NULL and errno on failure: EINVAL or
 * ENOMEM. */
struct eegd_ring *eegd_ring_new(uint32_t capacity, uint32_t element_bytes);

/* Frees the ring. Both threads must have finished with it. NULL is allowed. */
void eegd_ring_free(struct eegd_ring *ring);

/* Copies one element in. Producer only. EEGD_RING_DONE, or EEGD_RING_FULL (counted). */
int eegd_ring_push(struct eegd_ring *ring, const void *element);

/* Copies the oldest element out. Consumer only. EEGD_RING_DONE or EEGD_RING_EMPTY. */
int eegd_ring_pop(struct eegd_ring *ring, void *element);

/* Any thread. */
void eegd_ring_stats(const struct eegd_ring *ring, struct eegd_ring_stats *stats);

/* What an event tells. Losses: sample_index is the first sample lost, a the number of samples. */
#define EEGD_EVENT_LOSS_MISSED 2 /* DRDY edges went by unseen; a: samples */
#define EEGD_EVENT_LOSS_BAD 3  /* conversions that cannot be true; a: samples, value: counter of the cause */
#define EEGD_EVENT_LOSS_LATE 4 /* reads that ended after the next edge; a: samples, value: ns too late */
#define EEGD_EVENT_LOSS_OVERRUN 5  /* no free slab; a: samples */
#define EEGD_EVENT_STALLED 6       /* no edge for too long; value: ns since the last one */
#define EEGD_EVENT_REPLAY_OVER 11  /* the recording has ended; a: samples in all */
#define EEGD_EVENT_BOARD_FAILED 12 /* the board or the chips failed; a: errno, value: EEGD_CAPTURE_… */
#define EEGD_EVENT_CLOCK_RELOCK 13 /* the fit of the edges started over; value: step in ns */
/* A channel's state has lasted for the hold; source: channel, a: EEGD_STATE_…, b: 1 on, 0 off again.
 * sample_index and time_ns are of the first sample at which it was so, value: samples since. */
#define EEGD_EVENT_CHANNEL_STATE 14
/* What detectors find; source: the detector's id, sample_index and time_ns of the sample, value: µV. */
#define EEGD_EVENT_DETECTION 15    /* a: 1 rising, 0 falling */
#define EEGD_EVENT_STREAM_VALUE 16 /* a value at its interval */
/* GPIO pins of a chip; a: the word that they are now, b: the one before, c: samples that the change lies in.
 */
#define EEGD_EVENT_CHIP_MARKER 17
/* debug: a crossing that was considered; a: 1 rising, 0 falling (pins: the word), b: EEGD_CROSSING_… */
#define EEGD_EVENT_CONSIDERED 18

/* One event, 64 bytes. Fields that a kind does not name are 0. */
struct eegd_event {
    uint32_t kind;         /* EEGD_EVENT_… */
    uint32_t source;       /* as the kind says */
    uint64_t sample_index; /* the sample it belongs to */
    int64_t time_ns;       /* CLOCK_MONOTONIC */
    double value;
    uint64_t a, b, c;
    uint64_t number; /* set by post: counts what was posted and what was dropped, so a jump is a drop */
};

struct eegd_events;

/* An event ring of `capacity` (a power of two) with a descriptor of its own. NULL and errno on failure. */
struct eegd_events *eegd_events_new(uint32_t capacity);

/* Closes the descriptor and frees. Both threads must have finished with it. NULL is allowed. */
void eegd_events_free(struct eegd_events *events);

/* Readable while there is something to take, and now and then when a post under way was already taken: a wake
 * without an event is normal, an event without a wake cannot be. Owned by the ring; never read it yourself.
 */
int eegd_events_fd(const struct eegd_events *events);

/* Copies one event in and wakes the consumer when the ring was empty (one write to an eventfd; nothing
 * otherwise). Producer only. EEGD_RING_DONE, or EEGD_RING_FULL (counted, dropped). */
int eegd_events_post(struct eegd_events *events, const struct eegd_event *event);

/* Takes up to `max` events, oldest first; returns how many. Consumer only. Fewer than max means that the ring
 * was found empty and its wakes cleared; else the descriptor stays readable while anything is left. */
int eegd_events_take(struct eegd_events *events, struct eegd_event *out, int max);

/* Any thread. */
void eegd_events_stats(const struct eegd_events *events, struct eegd_ring_stats *stats);

#endif
