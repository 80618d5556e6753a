/* SPDX-License-Identifier: MIT */
/* The reader's leases: words of its page, from queued to held to free. Claiming is on the thread that calls
 * take, giving back on any; a child of a fork does neither. See inlet.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include "inlet_private.h"
#include "registry.h"

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

int eegd_inlet_is_forked(const struct eegd_inlet *inlet)
{
    return inlet->generation != atomic_load_explicit(&fork_generation, memory_order_relaxed);
}

uint32_t eegd_inlet_fork_generation(void)
{
    pthread_once(&fork_watch, watch_forks);
    return atomic_load(&fork_generation);
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

int eegd_inlet_claim(struct eegd_inlet *inlet, uint32_t word, struct eegd_frame *frame)
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

/* Mostly the first one looked at. */
uint32_t eegd_inlet_oldest_queued(const struct eegd_inlet *inlet)
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

int eegd_inlet_claim_oldest(struct eegd_inlet *inlet, struct eegd_frame *frame)
{
    uint32_t word = eegd_inlet_oldest_queued(inlet);
    return word < inlet->depth ? eegd_inlet_claim(inlet, word, frame) : 0;
}

/* ---- giving back ---- */

void eegd_inlet_release(void *slab)
{
    struct eegd_inlet *inlet = eegd_registry_find(slab);
    if (!inlet || eegd_inlet_is_forked(inlet) || (uint8_t *)slab < inlet->segment.slabs)
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
    eegd_inlet_drop_user(inlet);
}

uint32_t eegd_inlet_leases_held(void)
{
    return atomic_load_explicit(&leases_held, memory_order_relaxed);
}
