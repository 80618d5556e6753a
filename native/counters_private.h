/* SPDX-License-Identifier: MIT */
/* What the two halves of a table of counters share: counters_segment.c makes, checks and maps the segment,
 * counters.c has the entries in it. See counters.h. C only. */
#ifndef EEGD_COUNTERS_PRIVATE_H
#define EEGD_COUNTERS_PRIVATE_H
#include <stdatomic.h>
#include <stddef.h>
#include "counter_inline.h"
#include "counters.h"

#define MAGIC UINT64_C(0x73746e6364676565) /* "eegdcnts", little-endian */
#define LABEL_WORDS (EEGD_COUNTERS_LABEL_BYTES / sizeof(uint64_t))

struct header {
    uint64_t magic;
    _Atomic uint32_t version; /* stored last: what stands above and below is complete */
    uint32_t capacity;
    uint32_t header_bytes;
    uint32_t entry_bytes;
    _Atomic uint32_t used;
    uint32_t reserved[25];
};

struct entry {
    struct eegd_counter counter;
    _Atomic uint32_t id;
    _Atomic uint32_t state; /* odd: in use */
    _Atomic uint64_t label[LABEL_WORDS];
};

_Static_assert(sizeof(struct header) == EEGD_COUNTERS_HEADER_BYTES, "header layout");
_Static_assert(sizeof(struct entry) == EEGD_COUNTERS_ENTRY_BYTES, "entry layout");
_Static_assert(offsetof(struct entry, label) == 16, "entry layout");
_Static_assert(sizeof(_Atomic uint64_t) == 8 && ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics without a lock");

struct eegd_counters {
    struct header *header;
    struct entry *entries;
    size_t bytes;
    uint32_t capacity; /* as checked when mapped; the segment's own word is not looked at again */
    uint32_t next_id;
    int fd; /* −1: a reader's map */
};

#endif
