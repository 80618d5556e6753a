/* SPDX-License-Identifier: MIT */
/*
 * Counters: one table of labelled 64-bit numbers in a memfd, which other
 * processes read without asking. The daemon allocates a counter once, its
 * owning thread counts with one plain store, and whoever was given the
 * descriptor maps it read-only.
 *
 *     offset 0     header, 128 bytes    magic, geometry, used; version last
 *     128          entry 0, 128 bytes   value, id, state, label
 *     256          entry 1 …            to entry capacity − 1
 *
 * Each entry has its two cache lines to itself, so counting threads never
 * share one. The segment is sealed against shrinking and growing, and against
 * writable maps other than the writer's own.
 *
 * Threads: allocate and free belong to the control thread. Each counter has
 * one thread that changes it. Reading is for everyone.
 *
 * C code on the capture path takes its stores from counter_inline.h. Python
 * reads this text through cffi: plain declarations only.
 */
#ifndef EEGD_COUNTERS_H
#define EEGD_COUNTERS_H
#include <stdint.h>

#define EEGD_COUNTERS_VERSION 1
#define EEGD_COUNTERS_MAX_CAPACITY 65536
#define EEGD_COUNTERS_HEADER_BYTES 128
#define EEGD_COUNTERS_ENTRY_BYTES 128
#define EEGD_COUNTERS_LABEL_BYTES 112 /* with the terminating zero */

/* A table as mapped here: the writer's own, or somebody else's, read-only. */
struct eegd_counters;
/* One counter's number. Valid until its table is closed. */
struct eegd_counter;

/* A copy of one entry. */
struct eegd_counters_entry {
    uint64_t value;
    uint32_t id; /* never given twice by one table: tells a reused entry from the one before */
    char label[112];
};

/* Makes a table for `capacity` counters (1 … 65536), with all its pages present. 0 and *counters, or -errno.
 */
int eegd_counters_create(uint32_t capacity, struct eegd_counters **counters);

/* Maps a table from a descriptor that somebody else sent. Nothing in it is believed: seals, size, magic,
 * version and geometry are checked first. The descriptor stays the caller's and may be closed afterwards. 0
 * and *counters; -EPROTO: this is no such table; other -errno. */
int eegd_counters_map(int fd, struct eegd_counters **counters);

/* Unmaps; the writer's descriptor is closed too. No thread may use its counters any more. NULL is allowed. */
void eegd_counters_close(struct eegd_counters *counters);

/* The writer's descriptor, to be sent to readers; owned by the table. -1 for a mapped one. */
int eegd_counters_fd(const struct eegd_counters *counters);

uint32_t eegd_counters_capacity(const struct eegd_counters *counters);

/* Entries below this index are, or once were, in use. Never more than the capacity, whatever the writer says.
 */
uint32_t eegd_counters_used(const struct eegd_counters *counters);

/* A counter that starts at 0; the label is 1 … 111 printable ASCII characters. Returns its index.
 * -EINVAL: label; -EEXIST: label in use; -ENOSPC: table full; -EROFS: mapped from somebody else. */
int eegd_counters_allocate(struct eegd_counters *counters, const char *label);

/* Gives the entry back. The thread that counted must have stopped. 0, -EINVAL (not in use), -EROFS. */
int eegd_counters_free(struct eegd_counters *counters, uint32_t index);

/* The counter at an allocated index, for the thread that counts. NULL where there is none. */
struct eegd_counter *eegd_counters_at(struct eegd_counters *counters, uint32_t index);

/* Copies one entry. 1: filled in; 0: not in use; -EINVAL: index; -EPROTO: its label is not one. */
int eegd_counters_read(const struct eegd_counters *counters, uint32_t index,
                       struct eegd_counters_entry *entry);

/* For Python and cold paths. add and set: the counter's own thread only. */
void eegd_counter_add(struct eegd_counter *counter, uint64_t n);
void eegd_counter_set(struct eegd_counter *counter, uint64_t value);
uint64_t eegd_counter_get(const struct eegd_counter *counter);

#endif
