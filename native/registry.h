/* SPDX-License-Identifier: MIT */
/*
 * Registry: to whom a mapped address belongs. Owners enter the segment that
 * they have mapped, so that a slab can be given back by its address alone.
 *
 * Threads: any, at any time, without a lock. The place of an owner does not
 * change while it is entered, so that a lookup by an address that its owner
 * keeps mapped (as that of a slab under lease) always finds it; but any other
 * owner may leave at that moment, so a lookup looks at the ranges alone, each
 * in one word, and follows the pointer of the one place that covers the
 * address.
 *
 * The registry owns nothing and lasts as long as the process. C only.
 */
#ifndef EEGD_REGISTRY_H
#define EEGD_REGISTRY_H
#include <stdint.h>

#define EEGD_MAX_REGISTERED 1024

/* Enters an owner of n_bytes at base (at most 4 GiB, base at the begin of a page). Its place, or -ENFILE
 * where all are taken. */
int eegd_registry_add(const void *base, uint64_t n_bytes, void *owner);

/* Takes it out again: before the memory is unmapped, since the addresses may be another owner's at once. */
void eegd_registry_remove(int place);

/* The owner of this address, or NULL. */
void *eegd_registry_find(const void *address);

#endif
