/* SPDX-License-Identifier: MIT */
/*
 * Outlet: the writing end of one stream epoch. It owns the segment, the stack
 * of free slabs, and the book of which reader was given which slab.
 *
 * Threads. The *sending thread* calls claim, publish and idle: it alone owns
 * the book, the stack and the sockets of active readers. The *control thread*
 * creates, joins, quiets, removes and reads statistics. They meet in one atomic
 * state per reader,
 *
 *   empty → joining → active → (quiet →) leaving → gone → empty
 *
 * where control writes joining, quiet, leaving and empty, the sending thread
 * active and gone. Before there is a sending thread, and after it has ended,
 * control may call its functions too.
 *
 * Nothing here allocates, locks, logs or waits on the sending thread, except
 * that publishing waits for lossless readers in virtual time, and for a futex
 * wake of a sleeping direct reader.
 */
#ifndef EEGD_OUTLET_H
#define EEGD_OUTLET_H
#include <stdint.h>

#define EEGD_POLICY_QUEUE 0
#define EEGD_POLICY_LATEST 1
#define EEGD_POLICY_LOSSLESS 2

#define EEGD_LANE_ZEROMQ 0
#define EEGD_LANE_DIRECT 1

#define EEGD_READER_EMPTY 0
#define EEGD_READER_JOINING 1
#define EEGD_READER_ACTIVE 2
#define EEGD_READER_QUIET 3
#define EEGD_READER_LEAVING 4
#define EEGD_READER_GONE 5

struct eegd_outlet;
struct eegd_descriptor;

struct eegd_outlet_config {
    const char *name; /* of the stream; names the memfd */
    uint32_t n_slabs;
    uint32_t n_channels;
    uint32_t slab_samples; /* capacity of a slab, samples per channel */
    uint32_t kind;
    uint32_t flags;   /* EEGD_FLAG_… that hold for every frame */
    uint32_t reserve; /* slabs that are not for readers: being filled, or between capture and sender */
    double rate_sps;
    uint64_t stream_epoch;
    int virtual_clock; /* publishing waits until each lossless reader has a credit */
};

/* What control gives the sending thread about a new reader. The page and socket stay the reader's until gone.
 */
struct eegd_reader_config {
    void *page;     /* mapped lease page */
    uint32_t depth; /* credits; the page has as many words */
    int policy;
    int lane;
    void *socket; /* underlying PUSH socket; NULL on the direct lane */
};

/* Counts of one reader; written by the sending thread, relaxed. */
struct eegd_reader_stats {
    int state;
    int policy;
    int lane;
    uint32_t depth;
    uint32_t queued;      /* words that the page says are queued */
    uint32_t held;        /* … held by the reader */
    uint64_t sent;        /* frames given to this reader */
    uint64_t missed;      /* frames it did not get for lack of credit, a newer one's sake, or a failed send */
    uint64_t replaced;    /* of these: replaced by a newer one (latest) */
    uint64_t send_failed; /* of these: ZeroMQ would not take the message */
    uint64_t corrupt;     /* answers in the page that can not be; each costs the reader that credit */
    uint64_t oldest_frame; /* oldest frame it has queued, or the next one to come when it has none queued */
    uint64_t joined_frame; /* first frame it could get */
};

struct eegd_outlet_stats {
    uint32_t n_slabs;
    uint32_t reserve;
    uint32_t free;       /* on the stack now */
    uint32_t least_free; /* lowest value so far */
    uint32_t promised;   /* sum of the depths of all readers that are not empty */
    uint32_t holdup; /* place + 1 of the lossless reader that publishing waits for in virtual time, or 0 */
    uint64_t frames;
    uint64_t samples;
    uint64_t next_sample;
    uint64_t lost;
    uint64_t claim_failures; /* claims that found no free slab */
    uint64_t stream_epoch;
    uint64_t segment_bytes;
    int locked; /* the segment is locked in memory */
};

/* Slabs that a pool must have so that these depths can all be out at once. The one place that says so. */
uint32_t eegd_outlet_slabs_needed(uint32_t sum_of_depths, uint32_t reserve);

/* NULL and *error (-errno) on failure. */
struct eegd_outlet *eegd_outlet_new(const struct eegd_outlet_config *config, int *error);
/* Only when no sending thread exists any more. Readers' maps stay valid. */
void eegd_outlet_free(struct eegd_outlet *outlet);

int eegd_outlet_segment_fd(const struct eegd_outlet *outlet);
uint32_t eegd_outlet_plane_stride(const struct eegd_outlet *outlet);

/* Sending thread. A free slab's number, or -1 (counted): none is free. */
int eegd_outlet_claim(struct eegd_outlet *outlet);
/* Sending thread (or the one it handed the slab to). */
float *eegd_outlet_slab(struct eegd_outlet *outlet, uint32_t slab);
struct eegd_descriptor *eegd_outlet_descriptor(struct eegd_outlet *outlet, uint32_t slab);
/* Sending thread. The caller has cleared the descriptor and filled in what is its own. Fills frame number,
 * lost_before, kind, channel count, publish time and the epoch's flags of the slab's descriptor, then offers
 * it to every active reader. The slab is no longer the caller's. Returns the number of readers that got it.
 */
int eegd_outlet_publish(struct eegd_outlet *outlet, uint32_t slab, int64_t now_ns);
/* Sending thread: give back a claimed slab unused. */
void eegd_outlet_abandon(struct eegd_outlet *outlet, uint32_t slab);
/* Sending thread, at least every 100 ms while nothing is published: looks at the reader table and collects
 * credits. */
void eegd_outlet_idle(struct eegd_outlet *outlet);

/* Control thread. A place 0 … 62, or -EAGAIN: all 63 are taken; -ENOSPC: the depth would overcommit the pool;
 * -EINVAL. */
int eegd_outlet_join(struct eegd_outlet *outlet, const struct eegd_reader_config *reader);
int eegd_outlet_state(const struct eegd_outlet *outlet, int place);
/* No more frames for this reader; it keeps what it has. */
void eegd_outlet_quiet(struct eegd_outlet *outlet, int place);
/* Asks the sending thread to strike the reader's book; the state turns to gone when that is done. The bell of
 * a direct reader then rings once more, without a word, so that it finds on its connection what it was told
 * before. */
void eegd_outlet_leave(struct eegd_outlet *outlet, int place);
/* gone → empty; frees the book. Page and socket are the caller's again. */
void eegd_outlet_forget(struct eegd_outlet *outlet, int place);
/* Credit left for new readers, in slabs. */
uint32_t eegd_outlet_credit_left(const struct eegd_outlet *outlet);
int eegd_outlet_reader_stats(const struct eegd_outlet *outlet, int place, struct eegd_reader_stats *stats);
void eegd_outlet_stats(const struct eegd_outlet *outlet, struct eegd_outlet_stats *stats);
/* Any thread: ends a wait in virtual time for good, so that the epoch can end. */
void eegd_outlet_hurry(struct eegd_outlet *outlet);

#endif
