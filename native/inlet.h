/* SPDX-License-Identifier: MIT */
/*
 * Inlet: the reading end of one stream epoch. It maps the writer's segment
 * read-only and its own lease page, waits for frames, and gives leases back.
 *
 * Threads: one thread at a time calls take; release may be called from any
 * thread (Python's collector runs anywhere). After a fork the child's inlet is
 * dead: take returns -ECHILD, release does nothing.
 *
 * Memory: the maps stay until close was asked for and the last lease is given
 * back; whoever comes last unmaps. Arrays on frames therefore never dangle.
 */
#ifndef EEGD_INLET_H
#define EEGD_INLET_H
#include <stdint.h>
#include "descriptor.h"

struct eegd_inlet;

/* One frame as taken: a copy of its descriptor and the address of its slab, valid until
 * eegd_inlet_release(slab). */
struct eegd_frame {
    struct eegd_descriptor descriptor; /* first: a pointer to the frame is one to its descriptor */
    void *slab;
    uint32_t slab_index;
    uint32_t plane_stride; /* bytes */
};

struct eegd_inlet_stats {
    uint32_t depth;
    uint32_t held;       /* leases that this process holds now */
    uint64_t taken;      /* frames */
    uint64_t missed;     /* frames: jumps of the frame number */
    uint64_t stale;      /* messages or words that were not what they must be */
    uint64_t last_frame; /* frame number taken last */
    uint64_t last_sample_end;
    uint64_t published; /* frames that the writer has published by now */
};

/* Maps segment and page (both fds stay the caller's). lane: EEGD_LANE_…; socket: the underlying PULL socket
 * of the zeromq lane; connection_fd: the attach connection, watched for the end; a duplicate of it stays open
 * as long as a lease does, since the writer ends leases with the connection. NULL and *error on failure. */
struct eegd_inlet *eegd_inlet_open(int segment_fd, int page_fd, int lane, void *socket, int connection_fd,
                                   int *error);

/* Next frame, waiting at most timeout_ns (0: do not wait) and never longer than 100 ms at once. 1: *frame is
 * filled, its lease is held; 0: nothing yet. -EPIPE: the connection has something to say (end packet, or end
 * of file). -ENOBUFS: nothing is queued and this process holds every credit, so nothing can come until it
 * gives one back. -EPROTO: the writer's memory contradicts itself. -EINTR, -ECHILD. */
int eegd_inlet_take(struct eegd_inlet *inlet, int64_t timeout_ns, struct eegd_frame *frame);

/* From now on take looks only at the page: what is still queued, oldest first, then -ENODATA. For the end of
 * an epoch, whether orderly or a crash. The socket is not used again. */
void eegd_inlet_drain(struct eegd_inlet *inlet);

/* 1 when a frame is queued (or the inlet is draining and has something), else 0. Does not take it. */
int eegd_inlet_pending(struct eegd_inlet *inlet);

/* Ends the lease on the slab at this address, which eegd_inlet_take gave. Any thread. */
void eegd_inlet_release(void *slab);

/* No more frames. Socket and connection are not used again. The memory goes with the last lease. */
void eegd_inlet_close(struct eegd_inlet *inlet);

/* Only on the thread that calls take. */
void eegd_inlet_stats(struct eegd_inlet *inlet, struct eegd_inlet_stats *stats);

/* Leases held by all inlets of this process, open or closed. */
uint32_t eegd_inlet_leases_held(void);

#endif
