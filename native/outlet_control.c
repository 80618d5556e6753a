/* SPDX-License-Identifier: MIT */
/* Readers of a stream that come and go, and what is seen of them from outside. Control thread only; the
 * sending thread takes in what is asked for here at its next look. See outlet.h. */
#include <errno.h>
#include <string.h>
#include "outlet_private.h"

static void tell(struct eegd_outlet *outlet)
{
    atomic_fetch_add_explicit(&outlet->generation, 1, memory_order_release);
}

uint32_t eegd_outlet_credit_left(const struct eegd_outlet *outlet)
{
    uint32_t used = eegd_outlet_slabs_needed(outlet->promised, outlet->reserve);
    return used < outlet->pool.n_slabs ? outlet->pool.n_slabs - used : 0;
}

static int empty_place(const struct eegd_outlet *outlet)
{
    for (int place = 0; place < EEGD_MAX_READERS; place++)
        if (atomic_load_explicit(&outlet->readers[place].state, memory_order_acquire) == EEGD_READER_EMPTY)
            return place;
    return -EAGAIN;
}

int eegd_outlet_join(struct eegd_outlet *outlet, const struct eegd_reader_config *config)
{
    if (!config->page || config->depth < 1 || config->depth > EEGD_MAX_DEPTH ||
        config->policy < EEGD_POLICY_QUEUE || config->policy > EEGD_POLICY_LOSSLESS ||
        config->lane < EEGD_LANE_ZEROMQ || config->lane > EEGD_LANE_DIRECT ||
        (config->lane == EEGD_LANE_ZEROMQ) != (config->socket != NULL))
        return -EINVAL;
    if (config->depth > eegd_outlet_credit_left(outlet))
        return -ENOSPC;
    int place = empty_place(outlet);
    if (place < 0)
        return place;
    int error = eegd_book_open(&outlet->readers[place].book, config);
    if (error)
        return error;
    outlet->promised += config->depth;
    atomic_store_explicit(&outlet->readers[place].joined_frame, 0, memory_order_relaxed);
    atomic_store_explicit(&outlet->readers[place].state, EEGD_READER_JOINING, memory_order_release);
    tell(outlet);
    return place;
}

int eegd_outlet_state(const struct eegd_outlet *outlet, int place)
{
    if (place < 0 || place >= EEGD_MAX_READERS)
        return -EINVAL;
    return atomic_load_explicit(&outlet->readers[place].state, memory_order_acquire);
}

/* Moves one state on, unless the sending thread is done with the reader already. */
static void ask(struct eegd_outlet *outlet, int place, int state)
{
    int now = eegd_outlet_state(outlet, place);
    while (now >= EEGD_READER_JOINING && now < state)
        if (atomic_compare_exchange_weak(&outlet->readers[place].state, &now, state))
            break;
    tell(outlet);
}

void eegd_outlet_quiet(struct eegd_outlet *outlet, int place)
{
    ask(outlet, place, EEGD_READER_QUIET);
}

void eegd_outlet_leave(struct eegd_outlet *outlet, int place)
{
    ask(outlet, place, EEGD_READER_LEAVING);
}

void eegd_outlet_forget(struct eegd_outlet *outlet, int place)
{
    if (eegd_outlet_state(outlet, place) != EEGD_READER_GONE)
        return;
    outlet->promised -= outlet->readers[place].book.depth;
    eegd_book_close(&outlet->readers[place].book);
    atomic_store_explicit(&outlet->readers[place].state, EEGD_READER_EMPTY, memory_order_release);
    tell(outlet);
}

int eegd_outlet_reader_stats(const struct eegd_outlet *outlet, int place, struct eegd_reader_stats *stats)
{
    int state = eegd_outlet_state(outlet, place);
    memset(stats, 0, sizeof(*stats));
    stats->state = state;
    if (state <= EEGD_READER_EMPTY)
        return state;
    const struct eegd_book *book = &outlet->readers[place].book;
    stats->policy = book->policy;
    stats->lane = book->lane;
    stats->depth = book->depth;
    stats->sent = atomic_load_explicit(&book->sent, memory_order_relaxed);
    stats->missed = atomic_load_explicit(&book->missed, memory_order_relaxed);
    stats->replaced = atomic_load_explicit(&book->replaced, memory_order_relaxed);
    stats->send_failed = atomic_load_explicit(&book->send_failed, memory_order_relaxed);
    stats->corrupt = atomic_load_explicit(&book->corrupt, memory_order_relaxed);
    stats->joined_frame = atomic_load_explicit(&outlet->readers[place].joined_frame, memory_order_relaxed);
    uint64_t oldest = UINT64_MAX;
    for (uint32_t i = 0; i < book->depth; i++) {
        uint64_t word = atomic_load_explicit(&book->page->words[i], memory_order_relaxed);
        stats->queued += eegd_lease_state(word) == EEGD_LEASE_QUEUED;
        stats->held += eegd_lease_state(word) == EEGD_LEASE_HELD;
        if (eegd_lease_state(word) == EEGD_LEASE_QUEUED && eegd_lease_frame(word) < oldest)
            oldest = eegd_lease_frame(word);
    }
    const struct eegd_segment_header *header = (const struct eegd_segment_header *)outlet->segment.base;
    uint64_t next = atomic_load_explicit(&header->n_frames, memory_order_relaxed);
    stats->oldest_frame = oldest < next ? oldest : next;
    return state;
}

void eegd_outlet_stats(const struct eegd_outlet *outlet, struct eegd_outlet_stats *stats)
{
    const struct eegd_segment_header *header = (const struct eegd_segment_header *)outlet->segment.base;
    *stats = (struct eegd_outlet_stats){
        .n_slabs = outlet->pool.n_slabs,
        .reserve = outlet->reserve,
        .free = atomic_load_explicit(&outlet->n_free, memory_order_relaxed),
        .least_free = atomic_load_explicit(&outlet->least_free, memory_order_relaxed),
        .promised = outlet->promised,
        .holdup = atomic_load_explicit(&outlet->holdup, memory_order_relaxed),
        .frames = atomic_load_explicit(&header->n_frames, memory_order_relaxed),
        .samples = atomic_load_explicit(&header->n_samples, memory_order_relaxed),
        .next_sample = atomic_load_explicit(&header->next_sample, memory_order_relaxed),
        .lost = atomic_load_explicit(&header->n_lost, memory_order_relaxed),
        .claim_failures = atomic_load_explicit(&outlet->claim_failures, memory_order_relaxed),
        .stream_epoch = outlet->segment.geometry.stream_epoch,
        .segment_bytes = outlet->segment.geometry.segment_bytes,
        .locked = outlet->locked,
    };
}

void eegd_outlet_hurry(struct eegd_outlet *outlet)
{
    atomic_store_explicit(&outlet->hurry, 1, memory_order_relaxed);
}
