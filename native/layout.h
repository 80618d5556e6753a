/* SPDX-License-Identifier: MIT */
/*
 * Layout of the memory that two processes share: the segment of a stream epoch
 * and the lease page of one reader. C only (atomics); other languages follow
 * docs/protocol.md, which states the same offsets.
 *
 *   segment (memfd, sealed; readers map it read-only)
 *   ┌──────────────┬───────────────────────────┬──────────────────────────────┐
 *   │ header 256 B │ descriptor[n_slabs] 128 B │ slab[n_slabs] slab_stride B  │
 *   └──────────────┴───────────────────────────┴──────────────────────────────┘
 *     slab: plane of channel 0, plane of channel 1 …; each plane_stride bytes (64-byte multiple) of float32
 *
 *   lease page (memfd, one per reader; reader and writer map it read-write)
 *   ┌──────────────┬────────────┬───────────────┬───────────────────┐
 *   │ header  64 B │ bell  64 B │ waiting  64 B │ word[n_words] 8 B │
 *   └──────────────┴────────────┴───────────────┴───────────────────┘
 *
 * Byte order is the machine's. Any change raises EEGD_LAYOUT_VERSION.
 */
#ifndef EEGD_LAYOUT_H
#define EEGD_LAYOUT_H
#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include "descriptor.h"

#define EEGD_SEGMENT_MAGIC 0x3147455344474545ull /* "EEGDSEG1" in memory on a little-endian machine */
#define EEGD_PAGE_MAGIC 0x3147415044474545ull    /* "EEGDPAG1" */
#define EEGD_LAYOUT_VERSION 1u
#define EEGD_PLANE_ALIGN 64u

struct eegd_segment_header {
    uint64_t magic;
    uint32_t layout_version;
    uint32_t header_bytes;
    uint64_t segment_bytes;
    uint64_t descriptors_offset;
    uint64_t slabs_offset;
    uint64_t slab_stride;  /* bytes from slab to slab */
    uint32_t plane_stride; /* bytes from plane to plane */
    uint32_t n_slabs;
    uint32_t n_channels;
    uint32_t slab_samples; /* capacity of a plane in samples */
    double rate_sps;       /* nominal */
    uint64_t stream_epoch; /* differs from every other epoch of this stream on this machine */
    uint32_t kind;         /* EEGD_KIND_… */
    uint32_t flags;        /* EEGD_FLAG_… that hold for the whole epoch */
    uint8_t reserved[104];
    /* Totals: single writer is the stream's sending thread; relaxed, for display and for the end of the
     * epoch. */
    _Atomic uint64_t n_frames;    /* published */
    _Atomic uint64_t n_samples;   /* published */
    _Atomic uint64_t next_sample; /* sample index after the last published frame */
    _Atomic uint64_t n_lost;      /* sum of lost_before */
    uint8_t reserved_totals[32];
};
static_assert(sizeof(struct eegd_segment_header) == 256, "segment header is four cache lines");
static_assert(offsetof(struct eegd_segment_header, n_frames) == 192, "totals have a cache line of their own");
static_assert(sizeof(struct eegd_descriptor) == 128, "descriptor is two cache lines");
static_assert(offsetof(struct eegd_descriptor, status_or) == 96, "descriptor offsets are the protocol");
static_assert(sizeof(struct eegd_descriptor_source) == 32, "overlays status_or and status_and");

struct eegd_lease_page {
    uint64_t magic;
    uint32_t layout_version;
    uint32_t n_words; /* the reader's depth */
    uint8_t reserved[48];
    _Atomic uint32_t bell; /* writer: counts messages, raised after the word; futex of the direct lane */
    uint8_t bell_pad[60];
    _Atomic uint32_t waiting; /* reader: 1 while it sleeps, or is about to, on the bell */
    uint8_t waiting_pad[60];
    _Atomic uint64_t words[]; /* n_words lease words, zero (free) at first */
};
static_assert(sizeof(struct eegd_lease_page) == 192, "words begin at 192");
static_assert(offsetof(struct eegd_lease_page, bell) == 64 &&
                  offsetof(struct eegd_lease_page, waiting) == 128,
              "bell and waiting have cache lines of their own");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "lease words must be lock-free between processes");

/*
 * Lease word: frame number (46 bits), slab (16), state (2).
 *
 *   free → queued    writer, store-release, descriptor first
 *   queued → held    reader, compare-and-swap, acquire
 *   queued → queued  writer, policy latest only, compare-and-swap, release: a newer frame and its slab
 *   queued → free    writer, compare-and-swap, when the message could not be sent
 *   held → free      reader, store-release
 */
#define EEGD_LEASE_FREE 0u
#define EEGD_LEASE_QUEUED 1u
#define EEGD_LEASE_HELD 2u
#define EEGD_LEASE_FRAME_MAX ((1ull << 46) - 1)

static inline uint64_t eegd_lease_word(uint64_t frame, uint32_t slab, uint32_t state)
{
    return (frame << 18) | ((uint64_t)(slab & 0xFFFFu) << 2) | state;
}

static inline uint64_t eegd_lease_frame(uint64_t word)
{
    return word >> 18;
}

static inline uint32_t eegd_lease_slab(uint64_t word)
{
    return (uint32_t)(word >> 2) & 0xFFFFu;
}

static inline uint32_t eegd_lease_state(uint64_t word)
{
    return (uint32_t)word & 3u;
}

/* The message that announces a queued word on the ZeroMQ lane: 32 bytes, machine byte order. */
struct eegd_message {
    uint64_t frame_number; /* as of sending; the word may stand for a newer one by the time it is claimed */
    uint32_t word;
    uint32_t slab;
    uint64_t sample_index;
    int64_t publish_ns;
};
static_assert(sizeof(struct eegd_message) == 32, "libzmq allocates for messages above 33 bytes");

#endif
