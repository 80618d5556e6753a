/* SPDX-License-Identifier: MIT */
/*
 * Segment: the memory of one stream epoch, and the lease page of one reader,
 * as memfds that are sealed and validated. See layout.h for what is inside.
 *
 * A writer creates and maps read-write, then seals against shrinking, growing
 * and future writable mappings. A reader gets the descriptor of the memfd over
 * a socket, checks seals, size and every header field, and maps read-only;
 * nothing that a peer may later do can make that mapping fault.
 */
#ifndef EEGD_SEGMENT_H
#define EEGD_SEGMENT_H
#include <stdint.h>

/* What a segment holds; filled by the creator, or from the header by the reader. */
struct eegd_geometry {
    uint32_t n_slabs;      /* 2 … 65535 */
    uint32_t n_channels;   /* 1 … 32 for electrodes; features may have up to 1024 columns */
    uint32_t slab_samples; /* 1 … 400 */
    uint32_t kind;
    uint32_t flags;
    uint32_t plane_stride;  /* bytes; computed */
    uint64_t slab_stride;   /* bytes; computed */
    uint64_t segment_bytes; /* computed, a multiple of the system's page size */
    uint64_t stream_epoch;
    double rate_sps;
};

/* A mapped segment. Opaque pointers into it stay valid until eegd_segment_unmap. */
struct eegd_segment {
    int fd;
    int writable;
    struct eegd_geometry geometry;
    uint8_t *base;
    uint8_t *descriptors;
    uint8_t *slabs;
};

/* Fills the computed fields. 0, or -EINVAL where a field is out of range. */
int eegd_geometry_complete(struct eegd_geometry *geometry);

/* Creates, allocates, maps, touches, tries to lock, and seals. 0 or -errno; *locked (may be NULL) says if
 * mlock succeeded. */
int eegd_segment_create(struct eegd_segment *segment, const char *name, const struct eegd_geometry *geometry,
                        int *locked);

/* Maps a peer's segment read-only. Takes a duplicate of fd. -EPROTO where anything is not as it must be. */
int eegd_segment_map(struct eegd_segment *segment, int fd);

void eegd_segment_unmap(struct eegd_segment *segment);

/* Lease page of `depth` words: creates the memfd, sized, touched, sealed; returns its fd or -errno. */
int eegd_page_create(uint32_t depth);

/* Maps a lease page read-write after checking seals and size; returns 0 or -errno. *depth is what fits and is
 * said. */
int eegd_page_map(int fd, void **page, uint32_t *depth, uint64_t *bytes);
void eegd_page_unmap(void *page, uint64_t bytes);

#endif
