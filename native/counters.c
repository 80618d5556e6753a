/* SPDX-License-Identifier: MIT */
/*
 * The entries of a table of counters; counters_segment.c has the memory that
 * they are in. The control thread allocates and frees; counting itself is in
 * counter_inline.h and on whichever thread owns the counter.
 *
 * An entry's state is a sequence number: odd while the entry is in use. Label
 * and id change only while it is even, and a reader that saw it change between
 * its two looks has read two counters at once and looks again. All words are
 * atomics, stored with release and loaded with acquire, so that neither side
 * moves a label across the state beside it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include "counters_private.h"

#define READ_ATTEMPTS 8

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
