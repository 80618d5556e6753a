/* SPDX-License-Identifier: MIT */
/* Owners of mapped addresses. Any thread. See registry.h. */
#include "registry.h"
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#define PAGE_BITS 12
#define COUNT_BITS 21

struct place {
    void *_Atomic owner;
    _Atomic uint64_t range; /* first page and number of pages; 0: none */
};
static struct place places[EEGD_MAX_REGISTERED];
static _Atomic uint32_t end_of_places; /* none was ever taken from here on */

/* At most 2^20 pages of 4 KiB, which takes 21 bits; the rest of the word holds any address of a process. */
static uint64_t range_of(const void *base, uint64_t n_bytes)
{
    return ((uint64_t)(uintptr_t)base >> PAGE_BITS) << COUNT_BITS | (n_bytes + 4095) >> PAGE_BITS;
}

static int covers(uint64_t range, const void *address)
{
    uint64_t page = (uint64_t)(uintptr_t)address >> PAGE_BITS;
    return page - (range >> COUNT_BITS) < (range & ((1ull << COUNT_BITS) - 1));
}

int eegd_registry_add(const void *base, uint64_t n_bytes, void *owner)
{
    for (int i = 0; i < EEGD_MAX_REGISTERED; i++) {
        void *none = NULL;
        if (!atomic_compare_exchange_strong(&places[i].owner, &none, owner))
            continue;
        atomic_store(&places[i].range, range_of(base, n_bytes));
        uint32_t end = atomic_load(&end_of_places);
        while (end <= (uint32_t)i && !atomic_compare_exchange_weak(&end_of_places, &end, (uint32_t)i + 1))
            ;
        return i;
    }
    return -ENFILE;
}

void eegd_registry_remove(int place)
{
    atomic_store(&places[place].range, 0);
    atomic_store(&places[place].owner, NULL);
}

void *eegd_registry_find(const void *address)
{
    /* Both acquires pair with the stores in eegd_registry_add. */
    uint32_t end = atomic_load_explicit(&end_of_places, memory_order_acquire);
    for (uint32_t i = 0; i < end; i++)
        if (covers(atomic_load_explicit(&places[i].range, memory_order_acquire), address))
            return atomic_load_explicit(&places[i].owner, memory_order_acquire);
    return NULL;
}
