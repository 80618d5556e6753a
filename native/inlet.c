/* SPDX-License-Identifier: MIT */
/* The reader's side of a stream: opening, waiting, closing; inlet_leases.c has the words of the page. Runs in
 * the reader's process only; nothing here can reach the writer but the words of this reader's own page.
 * Threads: see inlet.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "inlet_private.h"
#include "libzmq_calls.h"
#include "outlet.h"
#include "registry.h"

#define SLICE_NS 100000000ll
#define MAX_STALE (4 * EEGD_MAX_DEPTH)

static void free_inlet(struct eegd_inlet *inlet)
{
    if (inlet->place >= 0)
        eegd_registry_remove(inlet->place);
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
        inlet->place = eegd_registry_add(inlet->segment.base, inlet->segment.geometry.segment_bytes, inlet);
        *error = inlet->place < 0 ? inlet->place : 0;
    }
    if (*error) {
        free_inlet(inlet);
        return NULL;
    }
    inlet->lane = lane;
    inlet->socket = socket;
    inlet->generation = eegd_inlet_fork_generation();
    inlet->last_word = inlet->depth - 1;
    inlet->counts.depth = inlet->depth;
    atomic_store(&inlet->n_users, 1);
    return inlet;
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
        int result = length == sizeof(message) && message.word < inlet->depth
                         ? eegd_inlet_claim(inlet, message.word, frame)
                         : 0;
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
    result = eegd_inlet_claim_oldest(inlet, frame);
    if (result == 1) {
        inlet->n_announced++;
        return 1;
    }
    if (result == 0) { /* a bell without a word: the writer has let us go, or the page was altered */
        inlet->n_announced = bell;
        if (connection_spoke(inlet))
            return -EPIPE;
        inlet->counts.stale++;
    }
    return result;
}

int eegd_inlet_take(struct eegd_inlet *inlet, int64_t timeout_ns, struct eegd_frame *frame)
{
    if (eegd_inlet_is_forked(inlet))
        return -ECHILD;
    if (inlet->draining) {
        int result = eegd_inlet_claim_oldest(inlet, frame);
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
    return !eegd_inlet_is_forked(inlet) && eegd_inlet_oldest_queued(inlet) < inlet->depth;
}

/* ---- leaving ---- */

void eegd_inlet_drop_user(struct eegd_inlet *inlet)
{
    if (atomic_fetch_sub_explicit(&inlet->n_users, 1, memory_order_acq_rel) == 1)
        free_inlet(inlet);
}

void eegd_inlet_close(struct eegd_inlet *inlet)
{
    if (!eegd_inlet_is_forked(inlet))
        eegd_inlet_drop_user(inlet);
}

void eegd_inlet_stats(struct eegd_inlet *inlet, struct eegd_inlet_stats *stats)
{
    const struct eegd_segment_header *header = (const struct eegd_segment_header *)inlet->segment.base;
    *stats = inlet->counts;
    stats->held = atomic_load_explicit(&inlet->n_held, memory_order_relaxed);
    stats->published = atomic_load_explicit(&header->n_frames, memory_order_relaxed);
}
