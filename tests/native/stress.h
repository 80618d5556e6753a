/* SPDX-License-Identifier: MIT */
/*
 * What the two stress programs share: a writer that publishes as fast as it can, and readers that hold up to
 * all their leases for random times and give them back in random order. Every number and every byte of a
 * frame follows from its frame number, so each reader checks all of them when it claims a frame and again
 * just before it lets go.
 *
 * Everything that is compared lies in struct stress, which processes share as an anonymous map.
 */
#ifndef STRESS_H
#define STRESS_H
#include <sched.h>
#include <time.h>
#include "stream_fixture.h"

#define STRESS_READERS 8
#define STRESS_MOST_LEASES 48

struct stress_reader {
    struct fixture_reader fixture; /* made by control before the reader begins */
    struct eegd_outlet *writer;    /* where it is of the same process, NULL elsewhere */
    int policy;
    uint32_t seed;
    int dies; /* is killed with all its leases */
    /* written by the reader, read when it has ended (taken: any time) */
    _Atomic uint64_t taken;
    _Atomic uint64_t wrong;
    uint64_t first_frame, next_frame, missed;
    uint64_t not_own; /* messages that led to another frame than their own (queue: none may) */
    uint64_t held_peak;
};

struct stress {
    _Atomic uint64_t offered; /* frames that every reader has been offered */
    _Atomic uint64_t wrong;
    struct stress_reader readers[STRESS_READERS];
};

static inline uint32_t chance(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static inline int64_t stress_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static inline void rest(uint32_t *seed)
{
    uint32_t dice = chance(seed) % 2048;
    if (dice == 0)
        nanosleep(&(struct timespec){.tv_nsec = chance(seed) % 300000}, NULL);
    else if (dice < 64)
        sched_yield();
}

/* ---- the frame that a frame number demands ---- */

static inline uint32_t length_of(uint64_t frame)
{
    return 1 + (uint32_t)(frame * 7919 % FIXTURE_SAMPLES);
}

static inline uint64_t lost_before(uint64_t frame)
{
    return frame % 97 == 96 ? 1 + frame % 5 : 0;
}

/* One frame is filled and published; returns the sample index after it. */
static inline uint64_t stress_publish(struct stress *stress, struct eegd_outlet *outlet, uint64_t frame,
                                      uint64_t sample_index)
{
    int slab = eegd_outlet_claim(outlet);
    if (slab < 0) { /* the pool may not run dry */
        atomic_fetch_add(&stress->wrong, 1);
        return sample_index;
    }
    sample_index += lost_before(frame);
    fixture_fill(outlet, (uint32_t)slab, frame, sample_index, length_of(frame));
    eegd_outlet_publish(outlet, (uint32_t)slab, stress_now_ns());
    /* release: what was offered comes before; pairs with the acquire in stress_take */
    atomic_store_explicit(&stress->offered, frame + 1, memory_order_release);
    return sample_index + length_of(frame);
}

/* ---- reader ---- */

/* Who gives a lease back: the reader itself, or (NULL: never) now and then another thread. */
static void (*stress_hand_over)(void *slab);

struct stress_leases {
    struct eegd_frame frames[STRESS_MOST_LEASES];
    uint32_t n;
};

static inline void say_wrong(struct stress_reader *reader, const char *what, const struct eegd_frame *frame)
{
    if (atomic_fetch_add(&reader->wrong, 1) < 5)
        fprintf(stderr, "reader %d, policy %d, lane %d, frame %llu: %s\n", reader->fixture.place,
                reader->policy, reader->fixture.lane, (unsigned long long)frame->descriptor.frame_number,
                what);
}

/* The descriptor in the segment must still be what it was when the frame was claimed, and the bytes its own.
 */
static inline void look(struct stress_reader *reader, const struct eegd_frame *frame, const char *when)
{
    const struct eegd_descriptor *descriptor = &frame->descriptor;
    if (!frame_is_right(frame))
        say_wrong(reader, when, frame);
    if (reader->writer) { /* at the writer's own addresses, where the thread sanitizer sees both sides */
        const uint32_t *words = (uint32_t *)(void *)eegd_outlet_slab(reader->writer, frame->slab_index);
        const struct eegd_descriptor *now = eegd_outlet_descriptor(reader->writer, frame->slab_index);
        if (!samples_are_right(words, frame->plane_stride, now) ||
            now->frame_number != descriptor->frame_number)
            say_wrong(reader, when, frame);
    }
    if (descriptor->n_samples != length_of(descriptor->frame_number) ||
        descriptor->lost_before != lost_before(descriptor->frame_number) ||
        descriptor->drdy_ns != (int64_t)descriptor->frame_number * 3)
        say_wrong(reader, "another frame's descriptor", frame);
}

static inline void let_go(struct stress_reader *reader, struct stress_leases *leases, uint32_t pick)
{
    look(reader, &leases->frames[pick], "changed under lease");
    if (stress_hand_over && chance(&reader->seed) % 4 == 0)
        stress_hand_over(leases->frames[pick].slab);
    else
        eegd_inlet_release(leases->frames[pick].slab);
    leases->frames[pick] = leases->frames[--leases->n];
}

static inline void account(struct stress_reader *reader, const struct eegd_frame *frame,
                           uint64_t offered_before, uint64_t taken)
{
    uint64_t number = frame->descriptor.frame_number;
    if (!taken)
        reader->first_frame = number;
    else if (number < reader->next_frame)
        say_wrong(reader, "out of order", frame);
    else
        reader->missed += number - reader->next_frame;
    /* latest: a frame that was offered while this one was queued would have taken its place */
    if (reader->policy == EEGD_POLICY_LATEST && number + 1 < offered_before)
        say_wrong(reader, "not the latest", frame);
    if (reader->policy == EEGD_POLICY_LOSSLESS && taken && number != reader->next_frame)
        say_wrong(reader, "lossless, and something is missing", frame);
    reader->next_frame = number + 1;
    look(reader, frame, "wrong when claimed");
}

static inline void check_message(struct stress_reader *reader, const struct eegd_frame *frame)
{
    uint64_t said = reader->fixture.pull.last_frame, number = frame->descriptor.frame_number;
    reader->not_own += number != said;
    if (number < said || (number != said && reader->policy != EEGD_POLICY_LATEST))
        say_wrong(reader, "its message named another frame", frame);
}

/* One attempt. The answer of eegd_inlet_take. */
static inline int stress_take(struct stress *stress, struct stress_reader *reader,
                              struct stress_leases *leases, int draining)
{
    struct eegd_frame *frame = &leases->frames[leases->n];
    uint64_t offered = atomic_load_explicit(&stress->offered, memory_order_acquire);
    int result = eegd_inlet_take(reader->fixture.inlet, 20000000, frame);
    if (result == 1) {
        uint64_t taken = atomic_load_explicit(&reader->taken, memory_order_relaxed);
        if (reader->fixture.lane == EEGD_LANE_ZEROMQ && !draining)
            check_message(reader, frame);
        account(reader, frame, offered, taken);
        leases->n++;
        if (leases->n > reader->held_peak)
            reader->held_peak = leases->n;
        atomic_store_explicit(&reader->taken, taken + 1, memory_order_relaxed);
    } else if (result == -ENOBUFS && leases->n != reader->fixture.depth && !stress_hand_over) {
        say_wrong(reader, "out of leases, and holds fewer", frame);
    } else if (result == -EPROTO || result == -ECHILD) {
        say_wrong(reader, strerror(-result), frame);
    }
    return result;
}

/* Takes until the connection ends, then what its page still says is queued. Leases are let go by chance. */
static inline void stress_read(struct stress *stress, struct stress_reader *reader)
{
    struct stress_leases leases = {.n = 0};
    int draining = 0, result;
    do {
        result = stress_take(stress, reader, &leases, draining);
        if (result == -EPIPE && !draining) {
            eegd_inlet_drain(reader->fixture.inlet);
            draining = 1;
            result = 0;
        }
        if (leases.n && (result == -ENOBUFS || chance(&reader->seed) % 4 == 0)) {
            uint32_t n = 1 + chance(&reader->seed) % leases.n;
            while (n--)
                let_go(reader, &leases, chance(&reader->seed) % leases.n);
        }
        if (leases.n == reader->fixture.depth && chance(&reader->seed) % 2)
            let_go(reader, &leases, 0);
        rest(&reader->seed);
    } while (result != -ENODATA);
    while (leases.n)
        let_go(reader, &leases, chance(&reader->seed) % leases.n);
    struct eegd_inlet_stats stats;
    do
        eegd_inlet_stats(reader->fixture.inlet, &stats);
    while (stress_hand_over && stats.held && !sched_yield());
    if (stats.stale || stats.held || stats.missed != reader->missed ||
        stats.taken != atomic_load(&reader->taken))
        say_wrong(reader, "the inlet's own counts differ", &leases.frames[0]);
}

/* ---- control ---- */

static inline struct stress *stress_new(void)
{
    struct stress *stress =
        mmap(NULL, sizeof(*stress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (stress == MAP_FAILED)
        abort();
    return stress;
}

/* Readers on both lanes, with depths from 2 up. `spare`: credit that is left for others. */
static inline struct eegd_outlet *stress_set_up(struct stress *stress, const int *policies, uint32_t reserve,
                                                uint32_t spare, int virtual_clock, uint32_t seed)
{
    static const uint32_t depths[STRESS_READERS] = {2, 5, 48, 16, 3, 33, 8, 4};
    uint32_t sum = spare;
    for (int i = 0; i < STRESS_READERS; i++)
        sum += depths[i];
    struct eegd_outlet *outlet =
        fixture_outlet(eegd_outlet_slabs_needed(sum, reserve), reserve, virtual_clock);
    for (int i = 0; i < STRESS_READERS; i++) {
        struct stress_reader *reader = &stress->readers[i];
        reader->policy = policies[i];
        reader->seed = seed + (uint32_t)i * 7919u;
        fixture_prepare(&reader->fixture, i & 1 ? EEGD_LANE_ZEROMQ : EEGD_LANE_DIRECT, depths[i]);
        reader->fixture.push.refuse_one_in = 1000; /* lossless: tried again until it is taken */
        fixture_join(outlet, &reader->fixture, policies[i]);
    }
    return outlet;
}

static inline uint64_t stress_taken(struct stress *stress)
{
    uint64_t sum = 0;
    for (int i = 0; i < STRESS_READERS; i++)
        sum += atomic_load_explicit(&stress->readers[i].taken, memory_order_relaxed);
    return sum;
}

/* After the end of writer and reader: both sides' counts must tell one story. */
static inline uint64_t stress_compare(const struct eegd_outlet *outlet, struct stress_reader *reader)
{
    struct eegd_reader_stats stats;
    uint64_t taken = reader->taken, frames = fixture_published(outlet);
    eegd_outlet_reader_stats(outlet, reader->fixture.place, &stats);
    if (!reader->dies) {
        uint64_t before = taken ? reader->first_frame - stats.joined_frame : 0;
        uint64_t after = taken ? frames - reader->next_frame : frames - stats.joined_frame;
        reader->wrong += stats.sent - stats.replaced != taken;
        reader->wrong += stats.missed != before + reader->missed + after;
        reader->wrong += stats.missed + taken != frames - stats.joined_frame;
        reader->wrong += stats.queued != 0 || stats.held != 0;
        reader->wrong += reader->policy == EEGD_POLICY_LOSSLESS && stats.missed != 0;
    }
    reader->wrong += stats.corrupt != 0;
    static const char *const policies[] = {"queue", "latest", "lossless"};
    printf("%3d %-8s %-6s %5u %11llu %11llu %11llu %8llu %8llu %5llu %5llu%s\n", reader->fixture.place,
           policies[reader->policy], reader->fixture.lane == EEGD_LANE_DIRECT ? "direct" : "zeromq",
           stats.depth, (unsigned long long)taken, (unsigned long long)stats.missed,
           (unsigned long long)stats.replaced, (unsigned long long)reader->not_own,
           (unsigned long long)stats.send_failed, (unsigned long long)reader->held_peak,
           (unsigned long long)reader->wrong, reader->dies ? "  died" : "");
    return reader->wrong;
}

/* Strikes every book, and counts what is not as it was at the start. The caller is the sending thread by now.
 */
static inline uint64_t stress_finish(struct stress *stress, struct eegd_outlet *outlet, int64_t ns)
{
    struct eegd_outlet_stats stats;
    uint64_t wrong = atomic_load(&stress->wrong), taken = stress_taken(stress);
    printf("%3s %-8s %-6s %5s %11s %11s %11s %8s %8s %5s %5s\n", "", "policy", "lane", "depth", "claimed",
           "missed", "replaced", "newer", "refused", "held", "wrong");
    for (int i = 0; i < STRESS_READERS; i++) {
        wrong += stress_compare(outlet, &stress->readers[i]);
        eegd_outlet_leave(outlet, stress->readers[i].fixture.place);
        eegd_outlet_idle(outlet);
        eegd_outlet_forget(outlet, stress->readers[i].fixture.place);
        stress->readers[i].fixture.inlet = NULL; /* whoever opened it closes it */
        fixture_drop(&stress->readers[i].fixture);
    }
    eegd_outlet_idle(outlet);
    eegd_outlet_stats(outlet, &stats);
    wrong += stats.free != stats.n_slabs || stats.claim_failures || stats.promised;
    printf("%llu frames, %llu claims in %.1f s, %u of %u slabs free, at least %u: %llu wrong\n",
           (unsigned long long)stats.frames, (unsigned long long)taken, (double)ns / 1e9, stats.free,
           stats.n_slabs, stats.least_free, (unsigned long long)wrong);
    eegd_outlet_free(outlet);
    return wrong;
}

#endif
