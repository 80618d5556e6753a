/* SPDX-License-Identifier: MIT */
/*
 * A stream in one process for the tests: an outlet, and readers with a page, a pretended connection and, on
 * the zeromq lane, a pretended socket. Every sample is a function of frame number and channel, so that any
 * byte of any frame can be checked by whoever has it.
 */
#ifndef STREAM_FIXTURE_H
#define STREAM_FIXTURE_H
#include <stdlib.h>
#include <sys/mman.h>
#include "check.h"
#include "fake_zmq.h"
#include "inlet.h"
#include "layout.h"
#include "outlet.h"
#include "segment.h"

struct fixture_reader {
    int page_fd;
    void *page; /* the writer's map */
    uint64_t page_bytes;
    uint32_t depth;
    int lane;
    int connection[2]; /* writer's end, reader's end */
    struct fake_socket push, pull;
    struct eegd_inlet *inlet;
    int place;
};

#define FIXTURE_CHANNELS 3
#define FIXTURE_SAMPLES 20

static inline uint32_t pattern(uint64_t frame, uint32_t channel, uint32_t sample)
{
    return (uint32_t)frame * 2654435761u + channel * 40503u + sample * 97u + 1u;
}

static inline struct eegd_outlet *fixture_outlet(uint32_t n_slabs, uint32_t reserve, int virtual_clock)
{
    struct eegd_outlet_config config = {.name = "test",
                                        .n_slabs = n_slabs,
                                        .n_channels = FIXTURE_CHANNELS,
                                        .slab_samples = FIXTURE_SAMPLES,
                                        .flags = EEGD_FLAG_SIMULATED,
                                        .reserve = reserve,
                                        .rate_sps = 250,
                                        .stream_epoch = 77,
                                        .virtual_clock = virtual_clock};
    int error = 0;
    struct eegd_outlet *outlet = eegd_outlet_new(&config, &error);
    CHECK_EQ(error, 0);
    return outlet;
}

/* Fills the claimed slab for the frame that comes next. */
static inline void fixture_fill(struct eegd_outlet *outlet, uint32_t slab, uint64_t frame,
                                uint64_t sample_index, uint32_t n_samples)
{
    uint32_t stride = eegd_outlet_plane_stride(outlet) / (uint32_t)sizeof(float);
    uint32_t *words = (uint32_t *)(void *)eegd_outlet_slab(outlet, slab);
    struct eegd_descriptor *descriptor = eegd_outlet_descriptor(outlet, slab);
    for (uint32_t channel = 0; channel < FIXTURE_CHANNELS; channel++)
        for (uint32_t i = 0; i < n_samples; i++)
            words[channel * stride + i] = pattern(frame, channel, i);
    memset(descriptor, 0, sizeof(*descriptor));
    descriptor->sample_index = sample_index;
    descriptor->n_samples = n_samples;
    descriptor->drdy_ns = (int64_t)frame * 3;
}

static inline uint64_t fixture_published(const struct eegd_outlet *outlet)
{
    struct eegd_outlet_stats stats;
    eegd_outlet_stats(outlet, &stats);
    return stats.frames;
}

/* One full frame; the number of readers that got it, or -1 when no slab was free. */
static inline int fixture_publish(struct eegd_outlet *outlet)
{
    uint64_t frame = fixture_published(outlet);
    int slab = eegd_outlet_claim(outlet);
    if (slab < 0)
        return -1;
    fixture_fill(outlet, (uint32_t)slab, frame, frame * FIXTURE_SAMPLES, FIXTURE_SAMPLES);
    return eegd_outlet_publish(outlet, (uint32_t)slab, 1000 + (int64_t)frame);
}

static inline int samples_are_right(const uint32_t *words, uint32_t plane_stride,
                                    const struct eegd_descriptor *frame)
{
    uint32_t stride = plane_stride / (uint32_t)sizeof(float);
    for (uint32_t channel = 0; channel < frame->n_channels; channel++)
        for (uint32_t i = 0; i < frame->n_samples; i++)
            if (words[channel * stride + i] != pattern(frame->frame_number, channel, i))
                return 0;
    return 1;
}

/* True when every sample of the frame is what its number demands. */
static inline int frame_is_right(const struct eegd_frame *frame)
{
    return samples_are_right(frame->slab, frame->plane_stride, &frame->descriptor);
}

/* Page, connection and sockets of a reader; it is not in the table yet. */
static inline void fixture_prepare(struct fixture_reader *reader, int lane, uint32_t depth)
{
    int pair[2] = {-1, -1};
    uint32_t page_depth = 0;
    memset(reader, 0, sizeof(*reader));
    reader->lane = lane;
    reader->depth = depth;
    reader->place = -1;
    reader->page_fd = eegd_page_create(depth);
    CHECK(reader->page_fd >= 0);
    CHECK_EQ(eegd_page_map(reader->page_fd, &reader->page, &page_depth, &reader->page_bytes), 0);
    CHECK_EQ(page_depth, depth);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, reader->connection), 0);
    if (lane == EEGD_LANE_ZEROMQ)
        CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    reader->push = (struct fake_socket){.fd = pair[0], .dice = depth};
    reader->pull = (struct fake_socket){.fd = pair[1]};
}

static inline int fixture_join(struct eegd_outlet *outlet, struct fixture_reader *reader, int policy)
{
    struct eegd_reader_config config = {.page = reader->page,
                                        .depth = reader->depth,
                                        .policy = policy,
                                        .lane = reader->lane,
                                        .socket = reader->lane == EEGD_LANE_ZEROMQ ? &reader->push : NULL};
    return reader->place = eegd_outlet_join(outlet, &config);
}

static inline struct eegd_inlet *fixture_open(struct eegd_outlet *outlet, struct fixture_reader *reader)
{
    int error = 0;
    reader->inlet = eegd_inlet_open(eegd_outlet_segment_fd(outlet), reader->page_fd, reader->lane,
                                    reader->lane == EEGD_LANE_ZEROMQ ? &reader->pull : NULL,
                                    reader->connection[1], &error);
    CHECK_EQ(error, 0);
    return reader->inlet;
}

/* All of it: a reader that is active and has its inlet open. */
static inline void fixture_attach(struct eegd_outlet *outlet, struct fixture_reader *reader, int policy,
                                  int lane, uint32_t depth)
{
    fixture_prepare(reader, lane, depth);
    CHECK(fixture_join(outlet, reader, policy) >= 0);
    fixture_open(outlet, reader);
    eegd_outlet_idle(outlet);
    CHECK_EQ(eegd_outlet_state(outlet, reader->place), EEGD_READER_ACTIVE);
}

/* What is the reader's own, in whatever state. */
static inline void fixture_drop(struct fixture_reader *reader)
{
    if (reader->inlet)
        eegd_inlet_close(reader->inlet);
    if (reader->page)
        eegd_page_unmap(reader->page, reader->page_bytes);
    int fds[] = {reader->page_fd, reader->connection[0], reader->connection[1], reader->push.fd,
                 reader->pull.fd};
    for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* Leaves the table, where the test itself is the sending thread, and lets go of everything. */
static inline void fixture_detach(struct eegd_outlet *outlet, struct fixture_reader *reader)
{
    eegd_outlet_leave(outlet, reader->place);
    eegd_outlet_idle(outlet);
    CHECK_EQ(eegd_outlet_state(outlet, reader->place), EEGD_READER_GONE);
    eegd_outlet_forget(outlet, reader->place);
    CHECK_EQ(eegd_outlet_state(outlet, reader->place), EEGD_READER_EMPTY);
    fixture_drop(reader);
}

static inline _Atomic uint64_t *fixture_words(const struct fixture_reader *reader)
{
    return ((struct eegd_lease_page *)reader->page)->words;
}

#endif
