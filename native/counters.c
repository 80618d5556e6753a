/* SPDX-License-Identifier: MIT */
/*
 * Counters: the segment behind the table, its entries, and the mapping of one
 * that another process made. The control thread allocates and frees; counting
 * itself is in counter_inline.h and on whichever thread owns the counter.
 *
 * An entry's state is a sequence number: odd while the entry is in use. Label
 * and id change only while it is even, and a reader that saw it change between
 * its two looks has read two counters at once and looks again. All words are
 * atomics, stored with release and loaded with acquire, so that neither side
 * moves a label across the state beside it.
 */
#define _GNU_SOURCE
#include "counters.h"
#include "counter_inline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

#define MAGIC UINT64_C(0x73746e6364676565) /* "eegdcnts", little-endian */
#define SEALS_NEEDED (F_SEAL_SHRINK | F_SEAL_GROW)
#define LABEL_WORDS (EEGD_COUNTERS_LABEL_BYTES / sizeof(uint64_t))
#define READ_ATTEMPTS 8

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

static size_t bytes_for(uint32_t capacity)
{
    return EEGD_COUNTERS_HEADER_BYTES + (size_t)capacity * EEGD_COUNTERS_ENTRY_BYTES;
}

static void attach(struct eegd_counters *counters, void *map, uint32_t capacity)
{
    counters->header = map;
    counters->entries = (struct entry *)((char *)map + EEGD_COUNTERS_HEADER_BYTES);
    counters->bytes = bytes_for(capacity);
    counters->capacity = capacity;
}

/* A segment of the right size, mapped for this process alone to write, then sealed. */
static int open_segment(struct eegd_counters *counters, uint32_t capacity)
{
    void *map;
    int error;

    counters->fd = memfd_create("eegd-counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (counters->fd < 0)
        return -errno;
    error = posix_fallocate(counters->fd, 0, (off_t)bytes_for(capacity));
    if (error)
        goto close_fd;
    error = ENOMEM;
    map = mmap(NULL, bytes_for(capacity), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, counters->fd, 0);
    if (map == MAP_FAILED)
        goto close_fd;
    attach(counters, map, capacity);
    if (fcntl(counters->fd, F_ADD_SEALS, SEALS_NEEDED | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0)
        return 0;
    error = errno;
    munmap(map, counters->bytes);
close_fd:
    close(counters->fd);
    return -error;
}

int eegd_counters_create(uint32_t capacity, struct eegd_counters **out)
{
    struct eegd_counters *counters;
    int error;

    if (capacity < 1 || capacity > EEGD_COUNTERS_MAX_CAPACITY)
        return -EINVAL;
    counters = calloc(1, sizeof(*counters));
    if (!counters)
        return -ENOMEM;
    error = open_segment(counters, capacity);
    if (error) {
        free(counters);
        return error;
    }
    counters->header->magic = MAGIC;
    counters->header->capacity = capacity;
    counters->header->header_bytes = EEGD_COUNTERS_HEADER_BYTES;
    counters->header->entry_bytes = EEGD_COUNTERS_ENTRY_BYTES;
    /* Pairs with the acquire in check_header. */
    atomic_store_explicit(&counters->header->version, EEGD_COUNTERS_VERSION, memory_order_release);
    *out = counters;
    return 0;
}

/* Only what can no longer be cut short may be mapped: else its owner could end us with SIGBUS. */
static int check_segment(int fd, size_t *bytes)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat stat;

    if (seals < 0)
        return errno == EBADF ? -EBADF : -EPROTO;
    if ((seals & SEALS_NEEDED) != SEALS_NEEDED)
        return -EPROTO;
    if (fstat(fd, &stat) < 0)
        return -errno;
    if (stat.st_size < (off_t)bytes_for(1) || stat.st_size > (off_t)bytes_for(EEGD_COUNTERS_MAX_CAPACITY))
        return -EPROTO;
    *bytes = (size_t)stat.st_size;
    return 0;
}

/* The capacity that the header states, or 0 when the header is not one. Each word is read once. */
static uint32_t check_header(const volatile struct header *header, size_t bytes)
{
    uint32_t capacity;

    if (atomic_load_explicit(&header->version, memory_order_acquire) != EEGD_COUNTERS_VERSION)
        return 0;
    capacity = header->capacity;
    if (header->magic != MAGIC || header->header_bytes != EEGD_COUNTERS_HEADER_BYTES ||
        header->entry_bytes != EEGD_COUNTERS_ENTRY_BYTES)
        return 0;
    if (capacity < 1 || capacity > EEGD_COUNTERS_MAX_CAPACITY || bytes != bytes_for(capacity))
        return 0;
    return capacity;
}

int eegd_counters_map(int fd, struct eegd_counters **out)
{
    struct eegd_counters *counters;
    size_t bytes = 0;
    uint32_t capacity;
    void *map;
    int error = check_segment(fd, &bytes);

    if (error)
        return error;
    map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    error = -EPROTO;
    capacity = check_header(map, bytes);
    if (!capacity)
        goto unmap;
    error = -ENOMEM;
    counters = calloc(1, sizeof(*counters));
    if (!counters)
        goto unmap;
    attach(counters, map, capacity);
    counters->fd = -1;
    *out = counters;
    return 0;

unmap:
    munmap(map, bytes);
    return error;
}

void eegd_counters_close(struct eegd_counters *counters)
{
    if (!counters)
        return;
    munmap(counters->header, counters->bytes);
    if (counters->fd >= 0)
        close(counters->fd);
    free(counters);
}

int eegd_counters_fd(const struct eegd_counters *counters)
{
    return counters->fd;
}

uint32_t eegd_counters_capacity(const struct eegd_counters *counters)
{
    return counters->capacity;
}

uint32_t eegd_counters_used(const struct eegd_counters *counters)
{
    uint32_t used = atomic_load_explicit(&counters->header->used, memory_order_acquire);

    return used < counters->capacity ? used : counters->capacity;
}

static int in_use(const struct entry *entry)
{
    return atomic_load_explicit(&entry->state, memory_order_acquire) & 1;
}

/* Printable, terminated, not empty. */
static int label_is_good(const char *label)
{
    const char *end = memchr(label, '\0', EEGD_COUNTERS_LABEL_BYTES);

    if (!end || end == label)
        return 0;
    for (; *label; label++)
        if (*label < ' ' || *label > '~')
            return 0;
    return 1;
}

static void load_label(const struct entry *entry, char *label)
{
    for (size_t i = 0; i < LABEL_WORDS; i++) {
        uint64_t word = atomic_load_explicit(&entry->label[i], memory_order_acquire);

        memcpy(label + i * sizeof(word), &word, sizeof(word));
    }
}

static void store_label(struct entry *entry, const char *label)
{
    char padded[EEGD_COUNTERS_LABEL_BYTES] = {0};

    memcpy(padded, label, strlen(label));
    for (size_t i = 0; i < LABEL_WORDS; i++) {
        uint64_t word;

        memcpy(&word, padded + i * sizeof(word), sizeof(word));
        atomic_store_explicit(&entry->label[i], word, memory_order_release);
    }
}

/* The first free index, or -errno when the table is full or the label taken. */
static int find_place(const struct eegd_counters *counters, const char *label)
{
    char other[EEGD_COUNTERS_LABEL_BYTES];
    int place = -ENOSPC;

    for (uint32_t i = 0; i < counters->capacity; i++) {
        if (!in_use(&counters->entries[i])) {
            if (place < 0)
                place = (int)i;
            continue;
        }
        load_label(&counters->entries[i], other);
        if (strcmp(other, label) == 0)
            return -EEXIST;
    }
    return place;
}

int eegd_counters_allocate(struct eegd_counters *counters, const char *label)
{
    struct entry *entry;
    int place;

    if (counters->fd < 0)
        return -EROFS;
    if (strnlen(label, EEGD_COUNTERS_LABEL_BYTES) == EEGD_COUNTERS_LABEL_BYTES || !label_is_good(label))
        return -EINVAL;
    place = find_place(counters, label);
    if (place < 0)
        return place;
    entry = &counters->entries[place];
    atomic_store_explicit(&entry->counter.value, 0, memory_order_release);
    atomic_store_explicit(&entry->id, ++counters->next_id, memory_order_release);
    store_label(entry, label);
    atomic_store_explicit(&entry->state, atomic_load_explicit(&entry->state, memory_order_relaxed) + 1,
                          memory_order_release); /* odd; pairs with the acquire in eegd_counters_read */
    if ((uint32_t)place >= atomic_load_explicit(&counters->header->used, memory_order_relaxed))
        atomic_store_explicit(&counters->header->used, (uint32_t)place + 1, memory_order_release);
    return place;
}

int eegd_counters_free(struct eegd_counters *counters, uint32_t index)
{
    struct entry *entry;

    if (counters->fd < 0)
        return -EROFS;
    if (index >= counters->capacity || !in_use(&counters->entries[index]))
        return -EINVAL;
    entry = &counters->entries[index];
    atomic_store_explicit(&entry->state, atomic_load_explicit(&entry->state, memory_order_relaxed) + 1,
                          memory_order_release); /* even */
    return 0;
}

struct eegd_counter *eegd_counters_at(struct eegd_counters *counters, uint32_t index)
{
    if (counters->fd < 0 || index >= counters->capacity || !in_use(&counters->entries[index]))
        return NULL;
    return &counters->entries[index].counter;
}

/* Every load is an acquire, so the second look at the state comes after them all. */
static int read_once(const struct entry *from, struct eegd_counters_entry *entry)
{
    uint32_t state = atomic_load_explicit(&from->state, memory_order_acquire);

    if (!(state & 1))
        return 0;
    load_label(from, entry->label);
    entry->id = atomic_load_explicit(&from->id, memory_order_acquire);
    entry->value = atomic_load_explicit(&from->counter.value, memory_order_acquire);
    if (atomic_load_explicit(&from->state, memory_order_relaxed) != state)
        return -EAGAIN;
    return label_is_good(entry->label) ? 1 : -EPROTO;
}

int eegd_counters_read(const struct eegd_counters *counters, uint32_t index,
                       struct eegd_counters_entry *entry)
{
    int result = -EAGAIN;

    if (index >= counters->capacity)
        return -EINVAL;
    for (int i = 0; i < READ_ATTEMPTS && result == -EAGAIN; i++)
        result = read_once(&counters->entries[index], entry);
    return result == -EAGAIN ? 0 : result; /* changing hands faster than one can look: not in use */
}

void eegd_counter_add(struct eegd_counter *counter, uint64_t n)
{
    eegd_counter_count(counter, n);
}

void eegd_counter_set(struct eegd_counter *counter, uint64_t value)
{
    eegd_counter_put(counter, value);
}

uint64_t eegd_counter_get(const struct eegd_counter *counter)
{
    return eegd_counter_value(counter);
}
