/* SPDX-License-Identifier: MIT */
/* Segment, pool and reader table of one stream epoch: its life, and the sending thread's side. Threads: see
 * outlet.h. */
#define _GNU_SOURCE
#include "outlet_private.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include "descriptor.h"
#include "monotonic.h"

#define LEAST_REST_NS 50000
#define LONGEST_REST_NS 2000000
#define WALL_SPREAD_NS 5000

uint32_t eegd_outlet_slabs_needed(uint32_t sum_of_depths, uint32_t reserve)
{
    return sum_of_depths + reserve;
}

static struct eegd_segment_header *header_of(struct eegd_outlet *outlet)
{
    return (struct eegd_segment_header *)outlet->segment.base;
}

static void show_free(struct eegd_outlet *outlet)
{
    atomic_store_explicit(&outlet->n_free, outlet->pool.n_free, memory_order_relaxed);
    atomic_store_explicit(&outlet->least_free, outlet->pool.least_free, memory_order_relaxed);
}

struct eegd_outlet *eegd_outlet_new(const struct eegd_outlet_config *config, int *error)
{
    struct eegd_geometry geometry = {.n_slabs = config->n_slabs,
                                     .n_channels = config->n_channels,
                                     .slab_samples = config->slab_samples,
                                     .kind = config->kind,
                                     .flags = config->flags,
                                     .stream_epoch = config->stream_epoch,
                                     .rate_sps = config->rate_sps};
    if (config->reserve < 1 || config->reserve >= config->n_slabs) {
        *error = -EINVAL;
        return NULL;
    }
    struct eegd_outlet *outlet = calloc(1, sizeof(*outlet));
    if (!outlet) {
        *error = -ENOMEM;
        return NULL;
    }
    *error = eegd_segment_create(&outlet->segment, config->name, &geometry, &outlet->locked);
    if (!*error)
        *error = eegd_pool_open(&outlet->pool, config->n_slabs);
    if (*error) {
        eegd_outlet_free(outlet);
        return NULL;
    }
    outlet->reserve = config->reserve;
    outlet->flags = config->flags;
    outlet->virtual_clock = config->virtual_clock;
    show_free(outlet);
    return outlet;
}

void eegd_outlet_free(struct eegd_outlet *outlet)
{
    for (int place = 0; place < EEGD_MAX_READERS; place++)
        eegd_book_close(&outlet->readers[place].book);
    eegd_pool_close(&outlet->pool);
    eegd_segment_unmap(&outlet->segment);
    free(outlet);
}

int eegd_outlet_segment_fd(const struct eegd_outlet *outlet)
{
    return outlet->segment.fd;
}

uint32_t eegd_outlet_plane_stride(const struct eegd_outlet *outlet)
{
    return outlet->segment.geometry.plane_stride;
}

float *eegd_outlet_slab(struct eegd_outlet *outlet, uint32_t slab)
{
    return (float *)(outlet->segment.slabs + outlet->segment.geometry.slab_stride * slab);
}

struct eegd_descriptor *eegd_outlet_descriptor(struct eegd_outlet *outlet, uint32_t slab)
{
    return (struct eegd_descriptor *)(outlet->segment.descriptors + sizeof(struct eegd_descriptor) * slab);
}

/* ---- sending thread ---- */

/* Takes in what control changed since the last look. */
static void look_at_table(struct eegd_outlet *outlet)
{
    /* acquire: what control wrote about a joining reader comes before its state, and that before the
     * generation */
    uint32_t generation = atomic_load_explicit(&outlet->generation, memory_order_acquire);
    if (generation == outlet->seen_generation)
        return;
    outlet->seen_generation = generation;
    outlet->n_listed = 0;
    for (int place = 0; place < EEGD_MAX_READERS; place++) {
        struct reader *reader = &outlet->readers[place];
        int state = atomic_load_explicit(&reader->state, memory_order_acquire);
        if (state == EEGD_READER_JOINING) {
            atomic_store_explicit(&reader->joined_frame, outlet->next_frame, memory_order_relaxed);
            /* control may have asked it to leave in this very moment: then it is struck on the next look */
            atomic_compare_exchange_strong(&reader->state, &state, EEGD_READER_ACTIVE);
            state = atomic_load(&reader->state);
        }
        if (state == EEGD_READER_LEAVING) {
            eegd_book_strike(&reader->book, &outlet->pool);
            if (reader->book.lane == EEGD_LANE_DIRECT)
                eegd_book_ring(&reader->book); /* it was told why before it was to leave */
            /* release: the last use of page and socket comes first; pairs with the acquire of
             * eegd_outlet_state */
            atomic_store_explicit(&reader->state, EEGD_READER_GONE, memory_order_release);
        } else if (state == EEGD_READER_ACTIVE || state == EEGD_READER_QUIET) {
            outlet->listed[outlet->n_listed++] = place;
        }
    }
}

static void collect_all(struct eegd_outlet *outlet, uint32_t n)
{
    for (int i = 0; i < outlet->n_listed; i++)
        eegd_book_collect(&outlet->readers[outlet->listed[i]].book, &outlet->pool, n);
}

int eegd_outlet_claim(struct eegd_outlet *outlet)
{
    int slab = eegd_pool_take(&outlet->pool);
    if (slab < 0) {
        look_at_table(outlet);
        collect_all(outlet, 64);
        slab = eegd_pool_take(&outlet->pool);
    }
    if (slab < 0)
        atomic_fetch_add_explicit(&outlet->claim_failures, 1, memory_order_relaxed);
    return slab;
}

void eegd_outlet_abandon(struct eegd_outlet *outlet, uint32_t slab)
{
    eegd_pool_drop(&outlet->pool, slab);
}

void eegd_outlet_idle(struct eegd_outlet *outlet)
{
    look_at_table(outlet);
    collect_all(outlet, 64);
    show_free(outlet);
}

/* The first active lossless reader that has no credit, or -1. */
static int place_without_credit(struct eegd_outlet *outlet)
{
    for (int i = 0; i < outlet->n_listed; i++) {
        struct reader *reader = &outlet->readers[outlet->listed[i]];
        struct eegd_book *book = &reader->book;
        if (book->policy != EEGD_POLICY_LOSSLESS ||
            atomic_load_explicit(&reader->state, memory_order_relaxed) != EEGD_READER_ACTIVE)
            continue;
        eegd_book_collect(book, &outlet->pool, eegd_book_has_credit(book) ? 0 : book->depth);
        if (!eegd_book_has_credit(book))
            return outlet->listed[i];
    }
    return -1;
}

/* Sleeps for a quarter of the time that this frame has waited: so looking costs a long wait little of a
 * processor that others could use, and adds little to any. *since_ns: 0 on the first call of a wait. */
static void rest(struct eegd_outlet *outlet, int place, int64_t *since_ns)
{
    int64_t now_ns = eegd_monotonic_ns();
    if (!*since_ns)
        *since_ns = now_ns;
    int64_t rest_ns = (now_ns - *since_ns) / 4;
    if (rest_ns < LEAST_REST_NS)
        rest_ns = LEAST_REST_NS;
    if (rest_ns > LONGEST_REST_NS)
        rest_ns = LONGEST_REST_NS;
    atomic_store_explicit(&outlet->holdup, (uint32_t)place + 1, memory_order_relaxed);
    nanosleep(&(struct timespec){.tv_nsec = rest_ns}, NULL);
}

/* In virtual time a lossless reader holds the stream up until it has credit, or is gone, or control is in a
 * hurry. Meanwhile others may come and go. */
static void wait_for_credit(struct eegd_outlet *outlet)
{
    int64_t since_ns = 0;
    int place;
    while (!atomic_load_explicit(&outlet->hurry, memory_order_relaxed) &&
           (place = place_without_credit(outlet)) >= 0) {
        rest(outlet, place, &since_ns);
        look_at_table(outlet);
    }
    atomic_store_explicit(&outlet->holdup, 0, memory_order_relaxed);
}

static int must_wait(const struct eegd_outlet *outlet, const struct reader *reader)
{
    return outlet->virtual_clock && reader->book.policy == EEGD_POLICY_LOSSLESS &&
           atomic_load_explicit(&reader->state, memory_order_relaxed) == EEGD_READER_ACTIVE &&
           !atomic_load_explicit(&outlet->hurry, memory_order_relaxed);
}

/* Offers the frame. In virtual time ZeroMQ may have no room although there is credit, for it hears late of
 * what was drained: that is waited for too. */
static int give(struct eegd_outlet *outlet, int place, const struct eegd_message *message)
{
    struct reader *reader = &outlet->readers[place];
    int64_t since_ns = 0;
    while (must_wait(outlet, reader)) {
        if (eegd_book_try(&reader->book, &outlet->pool, message) == EEGD_GIVEN) {
            atomic_store_explicit(&outlet->holdup, 0, memory_order_relaxed);
            return 1;
        }
        rest(outlet, place, &since_ns);
    }
    atomic_store_explicit(&outlet->holdup, 0, memory_order_relaxed);
    if (atomic_load_explicit(&reader->state, memory_order_relaxed) != EEGD_READER_ACTIVE)
        return 0; /* it left, or was to be quiet, while it was waited for */
    return eegd_book_offer(&reader->book, &outlet->pool, message);
}

/* The wall clock is read between two looks at the other one; again where we were interrupted meanwhile. */
static int64_t wall_offset_ns(void)
{
    struct timespec wall;
    int64_t before_ns = 0, after_ns = WALL_SPREAD_NS;
    for (int i = 0; i < 3 && after_ns - before_ns >= WALL_SPREAD_NS; i++) {
        before_ns = eegd_monotonic_ns();
        clock_gettime(CLOCK_REALTIME, &wall);
        after_ns = eegd_monotonic_ns();
    }
    return wall.tv_sec * INT64_C(1000000000) + wall.tv_nsec - before_ns - (after_ns - before_ns) / 2;
}

static void complete(struct eegd_outlet *outlet, struct eegd_descriptor *descriptor, int64_t now_ns)
{
    const struct eegd_geometry *geometry = &outlet->segment.geometry;
    descriptor->frame_number = outlet->next_frame;
    descriptor->lost_before = descriptor->sample_index - outlet->next_sample;
    descriptor->flags |= outlet->flags | (outlet->next_frame == 0 ? EEGD_FLAG_FIRST : 0);
    descriptor->kind = geometry->kind;
    descriptor->n_channels = geometry->n_channels;
    descriptor->publish_ns = now_ns;
    descriptor->wall_offset_ns = wall_offset_ns();
}

static void show_totals(struct eegd_outlet *outlet, const struct eegd_descriptor *descriptor)
{
    struct eegd_segment_header *header = header_of(outlet);
    uint64_t n_samples =
        atomic_load_explicit(&header->n_samples, memory_order_relaxed) + descriptor->n_samples;
    uint64_t n_lost = atomic_load_explicit(&header->n_lost, memory_order_relaxed) + descriptor->lost_before;
    atomic_store_explicit(&header->n_frames, outlet->next_frame, memory_order_relaxed);
    atomic_store_explicit(&header->n_samples, n_samples, memory_order_relaxed);
    atomic_store_explicit(&header->next_sample, outlet->next_sample, memory_order_relaxed);
    atomic_store_explicit(&header->n_lost, n_lost, memory_order_relaxed);
    show_free(outlet);
}

int eegd_outlet_publish(struct eegd_outlet *outlet, uint32_t slab, int64_t now_ns)
{
    struct eegd_descriptor *descriptor = eegd_outlet_descriptor(outlet, slab);
    look_at_table(outlet);
    if (outlet->virtual_clock)
        wait_for_credit(outlet);
    complete(outlet, descriptor, now_ns);
    struct eegd_message message = {.frame_number = descriptor->frame_number,
                                   .slab = slab,
                                   .sample_index = descriptor->sample_index,
                                   .publish_ns = now_ns};
    int n_given = 0;
    for (int i = 0; i < outlet->n_listed; i++) {
        struct reader *reader = &outlet->readers[outlet->listed[i]];
        if (atomic_load_explicit(&reader->state, memory_order_relaxed) == EEGD_READER_ACTIVE)
            n_given += give(outlet, outlet->listed[i], &message);
        else
            eegd_book_collect(&reader->book, &outlet->pool, 1);
    }
    outlet->next_frame++;
    outlet->next_sample = descriptor->sample_index + descriptor->n_samples;
    eegd_pool_drop(&outlet->pool, slab);
    show_totals(outlet, descriptor); /* the descriptor stays as it is until the slab is claimed anew */
    return n_given;
}
