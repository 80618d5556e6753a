/* SPDX-License-Identifier: MIT */
/* What the two sides of an outlet share: outlet.c is the sending thread's, outlet_control.c the control
 * thread's. C only. */
#ifndef EEGD_OUTLET_PRIVATE_H
#define EEGD_OUTLET_PRIVATE_H
#include "book.h"
#include "layout.h"
#include "outlet.h"
#include "pool.h"
#include "segment.h"

struct reader {
    _Atomic int state;
    _Atomic uint64_t joined_frame;
    struct eegd_book book;
};

struct eegd_outlet {
    struct eegd_segment segment;
    struct eegd_pool pool;
    struct reader readers[EEGD_MAX_READERS];
    /* sending thread */
    int listed[EEGD_MAX_READERS]; /* places that are active or quiet */
    int n_listed;
    uint32_t seen_generation;
    uint64_t next_frame;
    uint64_t next_sample;
    /* between the threads */
    _Atomic uint32_t generation; /* control raises it after every change of a state */
    _Atomic int hurry;
    _Atomic uint32_t holdup;
    _Atomic uint64_t claim_failures;
    _Atomic uint32_t n_free, least_free;
    /* control thread, and constants */
    uint32_t reserve;
    uint32_t promised;
    uint32_t flags;
    int virtual_clock;
    int locked;
};

#endif
