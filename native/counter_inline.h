/* SPDX-License-Identifier: MIT */
/*
 * One counter, for C on the hot path; not for cffi. A counter has a single
 * writer, so counting is a load and a store, not a locked instruction; relaxed,
 * since a count publishes nothing but itself.
 */
#ifndef EEGD_COUNTER_INLINE_H
#define EEGD_COUNTER_INLINE_H
#include <stdatomic.h>
#include <stdint.h>

struct eegd_counter {
    _Atomic uint64_t value;
};

static inline uint64_t eegd_counter_value(const struct eegd_counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

static inline void eegd_counter_put(struct eegd_counter *counter, uint64_t value)
{
    atomic_store_explicit(&counter->value, value, memory_order_relaxed);
}

static inline void eegd_counter_count(struct eegd_counter *counter, uint64_t n)
{
    eegd_counter_put(counter, eegd_counter_value(counter) + n);
}

#endif
