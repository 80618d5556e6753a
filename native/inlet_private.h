/* SPDX-License-Identifier: MIT */
/* What the two halves of an inlet share: inlet.c opens, waits and closes, inlet_leases.c claims words of the
 * page and gives them back. Threads: see inlet.h. C only. */
#ifndef EEGD_INLET_PRIVATE_H
#define EEGD_INLET_PRIVATE_H
#include <stdatomic.h>
#include "inlet.h"
#include "layout.h"
#include "segment.h"

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

/* How often this process is a child, after the first inlet was opened. */
uint32_t eegd_inlet_fork_generation(void);

/* True in a child of the process that opened it: page and connection are the parent's. */
int eegd_inlet_is_forked(const struct eegd_inlet *inlet);

/* The word with the oldest queued frame, or depth. */
uint32_t eegd_inlet_oldest_queued(const struct eegd_inlet *inlet);

/* queued → held. 1, 0 when the word is not queued, or -EPROTO. */
int eegd_inlet_claim(struct eegd_inlet *inlet, uint32_t word, struct eegd_frame *frame);

/* The same for the oldest one. */
int eegd_inlet_claim_oldest(struct eegd_inlet *inlet, struct eegd_frame *frame);

/* One lease, or the inlet's opener, is done with it; frees after the last one. */
void eegd_inlet_drop_user(struct eegd_inlet *inlet);

#endif
