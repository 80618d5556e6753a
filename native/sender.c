/* SPDX-License-Identifier: MIT */
/* The sending thread of its own. Capture hands slabs over through a ring; a futex wakes the sender. */
#define _GNU_SOURCE
#include "sender.h"
#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "monotonic.h"
#include "outlet.h"
#include "ring.h"
#include "thread.h"

#define IDLE_NS 100000000

struct eegd_sender {
    struct eegd_outlet *outlet;
    struct eegd_ring *full;  /* capture → sender: filled slabs */
    struct eegd_ring *free;  /* sender → capture: slabs to fill */
    uint32_t n_slabs;        /* that may be under way */
    uint32_t n_lent;         /* slabs that capture has or that lie in a ring; sender only */
    _Atomic uint32_t handed; /* raised by capture after each push; the futex */
    _Atomic uint32_t sleeping;
    _Atomic int stop;
    _Atomic int tid;
    struct eegd_thread_config thread_config;
    pthread_t thread;
};

/* Claims slabs for capture until all that may be under way are: free, being filled, or filled and waiting. */
static void lend_slabs(struct eegd_sender *sender)
{
    while (sender->n_lent < sender->n_slabs) {
        int slab = eegd_outlet_claim(sender->outlet);
        if (slab < 0)
            return;
        uint32_t element = (uint32_t)slab;
        eegd_ring_push(sender->free, &element);
        sender->n_lent++;
    }
}

static void wait_for_slab(struct eegd_sender *sender, uint32_t seen)
{
    struct timespec wait = {.tv_nsec = IDLE_NS};
    atomic_store_explicit(&sender->sleeping, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst); /* partner of the fence in eegd_sender_publish */
    syscall(SYS_futex, &sender->handed, FUTEX_WAIT_PRIVATE, seen, &wait, NULL, 0);
    atomic_store_explicit(&sender->sleeping, 0, memory_order_relaxed);
}

static void *run(void *argument)
{
    struct eegd_sender *sender = argument;
    eegd_thread_settle(&sender->thread_config);
    atomic_store(&sender->tid, eegd_thread_id());
    for (;;) {
        uint32_t seen = atomic_load_explicit(&sender->handed, memory_order_acquire);
        int stopping = atomic_load(&sender->stop);
        uint32_t slab;
        int published = 0;
        while (eegd_ring_pop(sender->full, &slab) == EEGD_RING_DONE) {
            eegd_outlet_publish(sender->outlet, slab, eegd_monotonic_ns());
            sender->n_lent--;
            lend_slabs(sender);
            published = 1;
        }
        if (stopping)
            return NULL;
        if (!published)
            eegd_outlet_idle(sender->outlet);
        lend_slabs(sender);
        wait_for_slab(sender, seen);
    }
}

static uint32_t slabs_between(const struct eegd_outlet *outlet)
{
    struct eegd_outlet_stats stats;
    eegd_outlet_stats(outlet, &stats);
    return stats.reserve > EEGD_SENDER_SLABS + 2 ? stats.reserve - 2 : EEGD_SENDER_SLABS;
}

/* Slabs that nothing came into go back to the pool. No thread of ours is left. */
static void free_sender(struct eegd_sender *sender)
{
    uint32_t slab;
    while (sender->free && eegd_ring_pop(sender->free, &slab) == EEGD_RING_DONE)
        eegd_outlet_abandon(sender->outlet, slab);
    eegd_ring_free(sender->full);
    eegd_ring_free(sender->free);
    free(sender);
}

struct eegd_sender *eegd_sender_start(struct eegd_outlet *outlet, int priority, int cpu, int *error)
{
    struct eegd_sender *sender = calloc(1, sizeof(*sender));
    if (!sender) {
        *error = -ENOMEM;
        return NULL;
    }
    sender->outlet = outlet;
    sender->thread_config =
        (struct eegd_thread_config){.name = "eegd-send", .priority = priority, .cpu = cpu};
    sender->n_slabs = slabs_between(outlet);
    uint32_t capacity = 2 * EEGD_SENDER_SLABS;
    while (capacity < sender->n_slabs)
        capacity *= 2;
    sender->full = eegd_ring_new(capacity, sizeof(uint32_t));
    sender->free = eegd_ring_new(capacity, sizeof(uint32_t));
    *error = sender->full && sender->free ? 0 : -ENOMEM;
    if (!*error) {
        lend_slabs(sender); /* control's turn still: the thread does not exist yet */
        *error = eegd_thread_start(&sender->thread, run, sender);
    }
    if (*error) {
        free_sender(sender);
        return NULL;
    }
    return sender;
}

static void wake(struct eegd_sender *sender)
{
    atomic_fetch_add_explicit(&sender->handed, 1, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst); /* partner of the fence in wait_for_slab */
    if (atomic_load_explicit(&sender->sleeping, memory_order_relaxed))
        syscall(SYS_futex, &sender->handed, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void eegd_sender_stop(struct eegd_sender *sender)
{
    atomic_store(&sender->stop, 1);
    wake(sender);
    pthread_join(sender->thread, NULL);
    free_sender(sender);
}

int eegd_sender_claim(struct eegd_sender *sender)
{
    uint32_t slab;
    return eegd_ring_pop(sender->free, &slab) == EEGD_RING_DONE ? (int)slab : -1;
}

void eegd_sender_publish(struct eegd_sender *sender, uint32_t slab)
{
    eegd_ring_push(sender->full, &slab);
    wake(sender);
}

int eegd_sender_tid(const struct eegd_sender *sender)
{
    return atomic_load(&((struct eegd_sender *)sender)->tid);
}
