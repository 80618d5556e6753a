/* SPDX-License-Identifier: MIT */
/*
 * Pool: which slabs are free, and how many readers each of the others is with.
 * Private memory of the sending thread; no atomics are needed. C only.
 */
#ifndef EEGD_POOL_H
#define EEGD_POOL_H
#include <stdint.h>

struct eegd_pool {
    uint32_t n_slabs;
    uint32_t n_free;
    uint32_t least_free; /* lowest n_free so far */
    uint32_t *stack;     /* the free slabs; the one freed last is taken first, for its warm cache lines */
    uint16_t *holders;   /* readers per slab, plus one for the writer while it fills the slab */
};

/* 0 or -ENOMEM. Control thread. */
int eegd_pool_open(struct eegd_pool *pool, uint32_t n_slabs);
void eegd_pool_close(struct eegd_pool *pool);

/* A slab held once, by the caller; -1 when none is free. */
static inline int eegd_pool_take(struct eegd_pool *pool)
{
    if (!pool->n_free)
        return -1;
    uint32_t slab = pool->stack[--pool->n_free];
    if (pool->n_free < pool->least_free)
        pool->least_free = pool->n_free;
    pool->holders[slab] = 1;
    return (int)slab;
}

static inline void eegd_pool_hold(struct eegd_pool *pool, uint32_t slab)
{
    pool->holders[slab]++;
}

/* The last holder's drop makes the slab free. */
static inline void eegd_pool_drop(struct eegd_pool *pool, uint32_t slab)
{
    if (--pool->holders[slab] == 0)
        pool->stack[pool->n_free++] = slab;
}

#endif
