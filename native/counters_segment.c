/* SPDX-License-Identifier: MIT */
/* The segment behind a table of counters: made and sealed by its writer, checked and mapped by anybody else.
 * Control thread of either process. See counters.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "counters_private.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

#define SEALS_NEEDED (F_SEAL_SHRINK | F_SEAL_GROW)

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
