/* SPDX-License-Identifier: MIT */
/* Creation, sealing, mapping and validation of segments and lease pages. Control thread only. */
#define _GNU_SOURCE
#include "segment.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "layout.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#define SIZE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define MAX_COLUMNS 1024u
#define MAX_SEGMENT_BYTES (4ull << 30)

static uint64_t round_up(uint64_t value, uint64_t step)
{
    return (value + step - 1) / step * step;
}

static uint64_t system_page(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t slabs_offset_of(uint32_t n_slabs)
{
    return round_up(sizeof(struct eegd_segment_header) + (uint64_t)n_slabs * sizeof(struct eegd_descriptor),
                    4096);
}

int eegd_geometry_complete(struct eegd_geometry *geometry)
{
    if (geometry->n_slabs < 2 || geometry->n_slabs > 65535 || geometry->n_channels < 1 ||
        geometry->n_channels > MAX_COLUMNS || geometry->slab_samples < 1 ||
        geometry->slab_samples > EEGD_MAX_FRAME_SAMPLES || geometry->kind > EEGD_KIND_FEATURES)
        return -EINVAL;
    if (geometry->kind == EEGD_KIND_RAW && geometry->n_channels > EEGD_MAX_CHANNELS)
        return -EINVAL;
    geometry->plane_stride = (uint32_t)round_up(geometry->slab_samples * sizeof(float), EEGD_PLANE_ALIGN);
    geometry->slab_stride = (uint64_t)geometry->plane_stride * geometry->n_channels;
    geometry->segment_bytes = round_up(
        slabs_offset_of(geometry->n_slabs) + geometry->slab_stride * geometry->n_slabs, system_page());
    return geometry->segment_bytes <= MAX_SEGMENT_BYTES ? 0 : -EINVAL;
}

/* A memfd of this size with every page allocated, so that no later write can meet a full memory. */
static int allocated_memfd(const char *name, uint64_t bytes)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)bytes) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    int error = posix_fallocate(fd, 0, (off_t)bytes);
    if (error) {
        close(fd);
        return -error;
    }
    return fd;
}

static void write_header(uint8_t *base, const struct eegd_geometry *geometry)
{
    struct eegd_segment_header *header = (struct eegd_segment_header *)base;
    header->layout_version = EEGD_LAYOUT_VERSION;
    header->header_bytes = sizeof(*header);
    header->segment_bytes = geometry->segment_bytes;
    header->descriptors_offset = sizeof(*header);
    header->slabs_offset = slabs_offset_of(geometry->n_slabs);
    header->slab_stride = geometry->slab_stride;
    header->plane_stride = geometry->plane_stride;
    header->n_slabs = geometry->n_slabs;
    header->n_channels = geometry->n_channels;
    header->slab_samples = geometry->slab_samples;
    header->rate_sps = geometry->rate_sps;
    header->stream_epoch = geometry->stream_epoch;
    header->kind = geometry->kind;
    header->flags = geometry->flags;
    header->magic = EEGD_SEGMENT_MAGIC;
}

static void point_into(struct eegd_segment *segment)
{
    segment->descriptors = segment->base + sizeof(struct eegd_segment_header);
    segment->slabs = segment->base + slabs_offset_of(segment->geometry.n_slabs);
}

int eegd_segment_create(struct eegd_segment *segment, const char *name, const struct eegd_geometry *geometry,
                        int *locked)
{
    char label[64];
    memset(segment, 0, sizeof(*segment));
    segment->fd = -1;
    segment->geometry = *geometry;
    int error = eegd_geometry_complete(&segment->geometry);
    if (error)
        return error;
    snprintf(label, sizeof(label), "eegd-%s", name);
    uint64_t bytes = segment->geometry.segment_bytes;
    int fd = allocated_memfd(label, bytes);
    if (fd < 0)
        return fd;
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (base == MAP_FAILED) {
        error = -errno;
        close(fd);
        return error;
    }
    memset(base, 0, bytes); /* touched by the writer: no first-write fault is left */
    int lock_failed = mlock(base, bytes);
    if (locked)
        *locked = !lock_failed;
    write_header(base, &segment->geometry);
    if (fcntl(fd, F_ADD_SEALS, SIZE_SEALS | F_SEAL_FUTURE_WRITE) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL) < 0) {
        error = -errno;
        munmap(base, bytes);
        close(fd);
        return error;
    }
    segment->fd = fd;
    segment->writable = 1;
    segment->base = base;
    point_into(segment);
    return 0;
}

/* Everything a peer wrote is checked against what we would have computed ourselves. */
static int geometry_from_header(const struct eegd_segment_header *header, uint64_t bytes,
                                struct eegd_geometry *geometry)
{
    if (header->magic != EEGD_SEGMENT_MAGIC || header->layout_version != EEGD_LAYOUT_VERSION ||
        header->header_bytes != sizeof(*header))
        return -EPROTO;
    *geometry = (struct eegd_geometry){.n_slabs = header->n_slabs,
                                       .n_channels = header->n_channels,
                                       .slab_samples = header->slab_samples,
                                       .kind = header->kind,
                                       .flags = header->flags,
                                       .stream_epoch = header->stream_epoch,
                                       .rate_sps = header->rate_sps};
    if (eegd_geometry_complete(geometry))
        return -EPROTO;
    /* The writer's page size may differ from ours (a container is no other machine, but costs nothing to
     * allow). */
    uint64_t needed = slabs_offset_of(geometry->n_slabs) + geometry->slab_stride * geometry->n_slabs;
    if (header->segment_bytes != bytes || bytes < needed || header->plane_stride != geometry->plane_stride ||
        header->slab_stride != geometry->slab_stride || header->descriptors_offset != sizeof(*header) ||
        header->slabs_offset != slabs_offset_of(geometry->n_slabs))
        return -EPROTO;
    geometry->segment_bytes = bytes;
    return 0;
}

static int sealed_size(int fd, int seals_wanted, uint64_t least, uint64_t most, uint64_t *bytes)
{
    struct stat status;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & seals_wanted) != seals_wanted || fstat(fd, &status) < 0)
        return -EPROTO;
    if (status.st_size < 0 || (uint64_t)status.st_size < least || (uint64_t)status.st_size > most)
        return -EPROTO;
    *bytes = (uint64_t)status.st_size;
    return 0;
}

int eegd_segment_map(struct eegd_segment *segment, int fd)
{
    uint64_t bytes;
    memset(segment, 0, sizeof(*segment));
    segment->fd = -1;
    int error = sealed_size(fd, SIZE_SEALS | F_SEAL_FUTURE_WRITE, sizeof(struct eegd_segment_header),
                            MAX_SEGMENT_BYTES, &bytes);
    if (error)
        return error;
    void *base = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    error = geometry_from_header(base, bytes, &segment->geometry);
    if (!error) {
        segment->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        error = segment->fd < 0 ? -errno : 0;
    }
    if (error) {
        munmap(base, bytes);
        return error;
    }
    segment->base = base;
    point_into(segment);
    return 0;
}

void eegd_segment_unmap(struct eegd_segment *segment)
{
    if (segment->base)
        munmap(segment->base, segment->geometry.segment_bytes);
    if (segment->fd >= 0)
        close(segment->fd);
    segment->base = NULL;
    segment->fd = -1;
}

static uint64_t page_bytes(uint32_t depth)
{
    return round_up(sizeof(struct eegd_lease_page) + (uint64_t)depth * sizeof(uint64_t), system_page());
}

int eegd_page_create(uint32_t depth)
{
    if (depth < 1 || depth > EEGD_MAX_DEPTH)
        return -EINVAL;
    uint64_t bytes = page_bytes(depth);
    int fd = allocated_memfd("eegd-leases", bytes);
    if (fd < 0)
        return fd;
    struct eegd_lease_page *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int error = page == MAP_FAILED ? -errno : 0;
    if (!error) {
        memset(page, 0, bytes);
        page->layout_version = EEGD_LAYOUT_VERSION;
        page->n_words = depth;
        page->magic = EEGD_PAGE_MAGIC;
        munmap(page, bytes);
        if (fcntl(fd, F_ADD_SEALS, SIZE_SEALS | F_SEAL_SEAL) < 0)
            error = -errno;
    }
    if (error) {
        close(fd);
        return error;
    }
    return fd;
}

int eegd_page_map(int fd, void **page, uint32_t *depth, uint64_t *bytes)
{
    int error =
        sealed_size(fd, SIZE_SEALS, sizeof(struct eegd_lease_page), page_bytes(EEGD_MAX_DEPTH), bytes);
    if (error)
        return error;
    struct eegd_lease_page *mapped = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        return -errno;
    *depth = mapped->n_words;
    if (mapped->magic != EEGD_PAGE_MAGIC || mapped->layout_version != EEGD_LAYOUT_VERSION || *depth < 1 ||
        *depth > (*bytes - sizeof(*mapped)) / sizeof(uint64_t)) {
        munmap(mapped, *bytes);
        return -EPROTO;
    }
    mlock(mapped, *bytes); /* best effort; written once above, so that only eviction could fault */
    *page = mapped;
    return 0;
}

void eegd_page_unmap(void *page, uint64_t bytes)
{
    munmap(page, bytes);
}
