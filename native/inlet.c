/* SPDX-License-Identifier: MIT */
/* The reader's side of a stream. Runs in the reader's process only; nothing here can reach the writer but the
 * words of this reader's own page. Threads: see inlet.h. */
#define _GNU_SOURCE
#include "inlet.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "layout.h"
#include "libzmq_calls.h"
#include "outlet.h"
#include "segment.h"

#define SLICE_NS 100000000ll
#define MAX_INLETS 1024
#define MAX_STALE (4 * EEGD_MAX_DEPTH)
#define RANGE_PAGE_BITS 12
#define RANGE_COUNT_BITS 21

struct eegd_inlet {
    struct eegd_segment segment;
    struct eegd_lease_page *page;
    uint64_t page_bytes;
    uint32_t depth;
    int lane;
    void *socket;
    int connection_fd;
    int draining;
    int place;            /* in the registry */
    uint32_t generation;  /* of forks, when opened */
    uint32_t *word_of;    /* slab → word + 1 while this process holds it */
    uint32_t last_word;   /* word taken last: the next frame is most likely in the one after it */
    uint32_t n_announced; /* direct: words taken, to compare with the bell */
    uint64_t next_frame;  /* frame number that follows the last one taken */
    int took_any;
    struct eegd_inlet_stats counts;
    _Atomic uint32_t n_held;
    _Atomic uint32_t n_users; /* leases held, plus one until closed; the last one frees */
};

/* Where release finds the inlet of an address. The place of an inlet does not change while one of its leases
 * exists, so a lookup by an address under lease needs no lock; but any other inlet may end at that moment, so
 * it looks at the ranges alone, each in one word, and follows the pointer of the one place that covers the
 * address. */
struct registry_place {
    struct eegd_inlet *_Atomic inlet;
    _Atomic uint64_t range; /* mapped segment: first page and number of pages; 0: none */
};
static struct registry_place registry[MAX_INLETS];
static _Atomic uint32_t registry_end;
static _Atomic uint32_t leases_held; /* by all inlets of this process */
static _Atomic uint32_t fork_generation;
static pthread_once_t fork_watch = PTHREAD_ONCE_INIT;

static void in_child(void)
{
    atomic_fetch_add(&fork_generation, 1);
    atomic_store(&leases_held, 0);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, in_child);
}

static int is_forked(const struct eegd_inlet *inlet)
{
    return inlet->generation != atomic_load_explicit(&fork_generation, memory_order_relaxed);
}

/* At most 2^20 pages of 4 KiB, which takes 21 bits; the rest of the word holds any address of a process. */
static uint64_t range_of(const struct eegd_segment *segment)
{
    return ((uint64_t)(uintptr_t)segment->base >> RANGE_PAGE_BITS) << RANGE_COUNT_BITS |
           (segment->geometry.segment_bytes + 4095) >> RANGE_PAGE_BITS;
}

static int covers(uint64_t range, const void *address)
{
    uint64_t page = (uint64_t)(uintptr_t)address >> RANGE_PAGE_BITS;
    return page - (range >> RANGE_COUNT_BITS) < (range & ((1ull << RANGE_COUNT_BITS) - 1));
}

static int registry_add(struct eegd_inlet *inlet)
{
    for (int place = 0; place < MAX_INLETS; place++) {
        struct eegd_inlet *none = NULL;
        if (atomic_compare_exchange_strong(&registry[place].inlet, &none, inlet)) {
            atomic_store(&registry[place].range, range_of(&inlet->segment));
            uint32_t end = atomic_load(&registry_end);
            while (end <= (uint32_t)place &&
                   !atomic_compare_exchange_weak(&registry_end, &end, (uint32_t)place + 1))
                ;
            return place;
        }
    }
    return -ENFILE;
}

static void free_inlet(struct eegd_inlet *inlet)
{
    if (inlet->place >= 0) { /* before the unmapping: the addresses may be another inlet's at once */
        atomic_store(&registry[inlet->place].range, 0);
        atomic_store(&registry[inlet->place].inlet, NULL);
    }
    eegd_segment_unmap(&inlet->segment);
    if (inlet->page)
        munmap(inlet->page, inlet->page_bytes);
    if (inlet->connection_fd >= 0)
        close(inlet->connection_fd); /* only now may the writer strike this reader's leases */
    free(inlet->word_of);
    free(inlet);
}

struct eegd_inlet *eegd_inlet_open(int segment_fd, int page_fd, int lane, void *socket, int connection_fd,
                                   int *error)
{
    pthread_once(&fork_watch, watch_forks);
    struct eegd_inlet *inlet = calloc(1, sizeof(*inlet));
    if (!inlet) {
        *error = -ENOMEM;
        return NULL;
    }
    inlet->place = -1;
    inlet->segment.fd = -1;
    inlet->connection_fd = fcntl(connection_fd, F_DUPFD_CLOEXEC, 3);
    *error = inlet->connection_fd < 0 ? -errno : 0;
    if (!*error)
        *error = eegd_segment_map(&inlet->segment, segment_fd);
    if (!*error)
        *error = eegd_page_map(page_fd, (void **)&inlet->page, &inlet->depth, &inlet->page_bytes);
    if (!*error) {
        inlet->word_of = calloc(inlet->segment.geometry.n_slabs, sizeof(*inlet->word_of));
        *error = inlet->word_of ? 0 : -ENOMEM;
    }
    if (!*error) {
        inlet->place = registry_add(inlet);
        *error = inlet->place < 0 ? inlet->place : 0;
    }
    if (*error) {
        free_inlet(inlet);
        return NULL;
    }
    inlet->lane = lane;
    inlet->socket = socket;
    inlet->generation = atomic_load(&fork_generation);
    inlet->last_word = inlet->depth - 1;
    inlet->counts.depth = inlet->depth;
    atomic_store(&inlet->n_users, 1);
    return inlet;
}

/* ---- claiming ---- */

static int fill_frame(struct eegd_inlet *inlet, uint64_t word_value, uint32_t word, struct eegd_frame *frame)
{
    const struct eegd_geometry *geometry = &inlet->segment.geometry;
    uint32_t slab = eegd_lease_slab(word_value);
    if (slab >= geometry->n_slabs || inlet->word_of[slab])
        return -EPROTO;
    memcpy(&frame->descriptor, inlet->segment.descriptors + slab * sizeof(struct eegd_descriptor),
           sizeof(struct eegd_descriptor));
    const struct eegd_descriptor *descriptor = &frame->descriptor;
    if ((descriptor->frame_number & EEGD_LEASE_FRAME_MAX) != eegd_lease_frame(word_value) ||
        descriptor->n_channels != geometry->n_channels || descriptor->n_samples < 1 ||
        descriptor->n_samples > geometry->slab_samples ||
        descriptor->sample_index > (uint64_t)INT64_MAX - EEGD_MAX_FRAME_SAMPLES)
        return -EPROTO;
    frame->slab = inlet->segment.slabs + geometry->slab_stride * slab;
    frame->slab_index = slab;
    frame->plane_stride = geometry->plane_stride;
    inlet->word_of[slab] = word + 1;
    atomic_fetch_add_explicit(&inlet->n_held, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&inlet->n_users, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&leases_held, 1, memory_order_relaxed);
    return 1;
}

static void count_frame(struct eegd_inlet *inlet, const struct eegd_descriptor *descriptor)
{
    if (inlet->took_any && descriptor->frame_number > inlet->next_frame)
        inlet->counts.missed += descriptor->frame_number - inlet->next_frame;
    inlet->took_any = 1;
    inlet->next_frame = descriptor->frame_number + 1;
    inlet->counts.taken++;
    inlet->counts.last_frame = descriptor->frame_number;
    inlet->counts.last_sample_end = descriptor->sample_index + descriptor->n_samples;
}

/* queued → held. 1, 0 when the word is not queued, or -EPROTO. */
static int claim(struct eegd_inlet *inlet, uint32_t word, struct eegd_frame *frame)
{
    _Atomic uint64_t *place = &inlet->page->words[word];
    uint64_t value = atomic_load_explicit(place, memory_order_relaxed);
    do {
        if (eegd_lease_state(value) != EEGD_LEASE_QUEUED)
            return 0;
        /* acquire: pairs with the writer's release of this word, or of the newer frame that took it over */
    } while (!atomic_compare_exchange_weak_explicit(place, &value, (value & ~3ull) | EEGD_LEASE_HELD,
                                                    memory_order_acquire, memory_order_relaxed));
    int result = fill_frame(inlet, value, word, frame);
    if (result == 1) {
        inlet->last_word = word;
        count_frame(inlet, &frame->descriptor);
    }
    return result;
}

/* The word with the oldest queued frame, or depth. Mostly the first one looked at. */
static uint32_t oldest_queued(const struct eegd_inlet *inlet)
{
    uint32_t best = inlet->depth;
    uint64_t best_frame = UINT64_MAX;
    for (uint32_t i = 0, word = inlet->last_word; i < inlet->depth; i++) {
        word = word + 1 < inlet->depth ? word + 1 : 0;
        uint64_t value = atomic_load_explicit(&inlet->page->words[word], memory_order_relaxed);
        if (eegd_lease_state(value) != EEGD_LEASE_QUEUED || eegd_lease_frame(value) >= best_frame)
            continue;
        best = word;
        best_frame = eegd_lease_frame(value);
        if (best_frame == (inlet->next_frame & EEGD_LEASE_FRAME_MAX))
            break;
    }
    return best;
}

static int claim_oldest(struct eegd_inlet *inlet, struct eegd_frame *frame)
{
    uint32_t word = oldest_queued(inlet);
    return word < inlet->depth ? claim(inlet, word, frame) : 0;
}

/* ---- waiting ---- */

static int connection_spoke(const struct eegd_inlet *inlet)
{
    struct pollfd item = {.fd = inlet->connection_fd, .events = POLLIN};
    return poll(&item, 1, 0) > 0;
}

static int nothing_can_come(struct eegd_inlet *inlet)
{
    return atomic_load_explicit(&inlet->n_held, memory_order_relaxed) >= inlet->depth;
}

/* Stale messages end the look after a while, so that a writer that sends nothing else cannot keep us here. */
static int receive(struct eegd_inlet *inlet, struct eegd_frame *frame)
{
    struct eegd_message message;
    for (uint32_t i = 0; i < MAX_STALE; i++) {
        int length = eegd_zmq.recv(inlet->socket, &message, sizeof(message), EEGD_ZMQ_DONTWAIT);
        if (length < 0)
            return eegd_zmq.error() == EAGAIN ? 0 : -eegd_zmq.error();
        int result =
            length == sizeof(message) && message.word < inlet->depth ? claim(inlet, message.word, frame) : 0;
        if (result)
            return result;
        inlet->counts.stale++;
    }
    return 0;
}

static int take_zeromq(struct eegd_inlet *inlet, int64_t timeout_ns, struct eegd_frame *frame)
{
    int result = receive(inlet, frame);
    if (result)
        return result;
    if (nothing_can_come(inlet))
        return connection_spoke(inlet) ? -EPIPE : -ENOBUFS;
    struct eegd_zmq_pollitem items[2] = {
        {.socket = inlet->socket, .events = EEGD_ZMQ_POLLIN},
        {.fd = inlet->connection_fd, .events = EEGD_ZMQ_POLLIN},
    };
    int n_ready = eegd_zmq.poll(items, 2, (long)((timeout_ns + 999999) / 1000000));
    if (n_ready < 0)
        return -eegd_zmq.error();
    result = receive(inlet, frame);
    if (result)
        return result;
    return n_ready > 0 && items[1].revents ? -EPIPE : 0;
}

static int bell_rang(struct eegd_inlet *inlet, uint32_t *bell)
{
    /* acquire: the word was written before the bell */
    *bell = atomic_load_explicit(&inlet->page->bell, memory_order_acquire);
    return *bell != inlet->n_announced;
}

static int take_direct(struct eegd_inlet *inlet, int64_t timeout_ns, struct eegd_frame *frame)
{
    uint32_t bell;
    int result = 0;
    if (!bell_rang(inlet, &bell)) {
        if (nothing_can_come(inlet))
            return connection_spoke(inlet) ? -EPIPE : -ENOBUFS;
        struct timespec wait = {timeout_ns / 1000000000ll, timeout_ns % 1000000000ll};
        atomic_store_explicit(&inlet->page->waiting, 1, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst); /* partner of the fence in the writer's ring() */
        if (timeout_ns > 0 && syscall(SYS_futex, &inlet->page->bell, FUTEX_WAIT, bell, &wait, NULL, 0) < 0)
            result = errno == EINTR ? -EINTR : 0;
        atomic_store_explicit(&inlet->page->waiting, 0, memory_order_relaxed);
        if (!bell_rang(inlet, &bell))
            return result ? result : connection_spoke(inlet) ? -EPIPE : 0;
    }
    result = claim_oldest(inlet, frame);
    if (result == 1) {
        inlet->n_announced++;
        return 1;
    }
    if (result == 0) { /* the bell promises a word that is not there: the page was altered */
        inlet->n_announced = bell;
        inlet->counts.stale++;
    }
    return result;
}

int eegd_inlet_take(struct eegd_inlet *inlet, int64_t timeout_ns, struct eegd_frame *frame)
{
    if (is_forked(inlet))
        return -ECHILD;
    if (inlet->draining) {
        int result = claim_oldest(inlet, frame);
        return result ? result : -ENODATA;
    }
    if (timeout_ns > SLICE_NS)
        timeout_ns = SLICE_NS;
    if (timeout_ns < 0)
        timeout_ns = 0;
    return inlet->lane == EEGD_LANE_DIRECT ? take_direct(inlet, timeout_ns, frame)
                                           : take_zeromq(inlet, timeout_ns, frame);
}

void eegd_inlet_drain(struct eegd_inlet *inlet)
{
    inlet->draining = 1;
}

int eegd_inlet_pending(struct eegd_inlet *inlet)
{
    return !is_forked(inlet) && oldest_queued(inlet) < inlet->depth;
}

/* ---- leaving ---- */

static struct eegd_inlet *inlet_of(const void *address)
{
    uint32_t end = atomic_load_explicit(&registry_end, memory_order_acquire);
    for (uint32_t place = 0; place < end; place++)
        if (covers(atomic_load_explicit(&registry[place].range, memory_order_acquire), address))
            return atomic_load_explicit(&registry[place].inlet, memory_order_acquire);
    return NULL;
}

static void drop_user(struct eegd_inlet *inlet)
{
    if (atomic_fetch_sub_explicit(&inlet->n_users, 1, memory_order_acq_rel) == 1)
        free_inlet(inlet);
}

void eegd_inlet_release(void *slab)
{
    struct eegd_inlet *inlet = inlet_of(slab);
    if (!inlet || is_forked(inlet) || (uint8_t *)slab < inlet->segment.slabs)
        return;
    uint64_t offset = (uint64_t)((uint8_t *)slab - inlet->segment.slabs);
    uint32_t index = (uint32_t)(offset / inlet->segment.geometry.slab_stride);
    uint32_t word = inlet->word_of[index];
    if (!word)
        return;
    inlet->word_of[index] = 0;
    uint64_t value = atomic_load_explicit(&inlet->page->words[word - 1], memory_order_relaxed);
    atomic_fetch_sub_explicit(&inlet->n_held, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&leases_held, 1, memory_order_relaxed);
    /* release: our last look at the slab comes before; pairs with the acquire of the writer's is_given_back
     */
    atomic_store_explicit(&inlet->page->words[word - 1], value & ~3ull, memory_order_release);
    drop_user(inlet);
}

void eegd_inlet_close(struct eegd_inlet *inlet)
{
    if (!is_forked(inlet))
        drop_user(inlet);
}

void eegd_inlet_stats(struct eegd_inlet *inlet, struct eegd_inlet_stats *stats)
{
    const struct eegd_segment_header *header = (const struct eegd_segment_header *)inlet->segment.base;
    *stats = inlet->counts;
    stats->held = atomic_load_explicit(&inlet->n_held, memory_order_relaxed);
    stats->published = atomic_load_explicit(&header->n_frames, memory_order_relaxed);
}

uint32_t eegd_inlet_leases_held(void)
{
    return atomic_load_explicit(&leases_held, memory_order_relaxed);
}
