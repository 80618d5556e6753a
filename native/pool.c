/* SPDX-License-Identifier: MIT */
/* Set-up of the pool: every page of its books is touched here, on the control thread. */
#include "pool.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int eegd_pool_open(struct eegd_pool *pool, uint32_t n_slabs)
{
    memset(pool, 0, sizeof(*pool));
    pool->stack = malloc(n_slabs * sizeof(*pool->stack));
    pool->holders = malloc(n_slabs * sizeof(*pool->holders));
    if (!pool->stack || !pool->holders) {
        eegd_pool_close(pool);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < n_slabs; i++) {
        pool->stack[i] = n_slabs - 1 - i; /* slab 0 comes off first */
        pool->holders[i] = 0;
    }
    pool->n_slabs = pool->n_free = pool->least_free = n_slabs;
    return 0;
}

void eegd_pool_close(struct eegd_pool *pool)
{
    free(pool->stack);
    free(pool->holders);
    memset(pool, 0, sizeof(*pool));
}
