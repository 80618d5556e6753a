/* SPDX-License-Identifier: MIT */
/*
 * Lease words between threads over one mapping, for the thread sanitizer: a sending thread, eight readers, a
 * thread that gives back leases for the others, and control, which lets further readers come and go
 * meanwhile. Then the same with capture and sender as two threads.
 *
 * usage: stress_threads [CLAIMS [SEED]]     exit status 0: not one frame, byte, order or count was wrong
 */
#define _GNU_SOURCE
#include <pthread.h>
#include "sender.h"
#include "shared_maps.h"
#include "stress.h"

static const int policies[STRESS_READERS] = {
    EEGD_POLICY_QUEUE,  EEGD_POLICY_QUEUE,  EEGD_POLICY_QUEUE,  EEGD_POLICY_QUEUE,
    EEGD_POLICY_LATEST, EEGD_POLICY_LATEST, EEGD_POLICY_LATEST, EEGD_POLICY_LATEST,
};

/* ---- leases that another thread gives back ---- */

static struct {
    pthread_mutex_t lock;
    void *slabs[1024];
    uint32_t n;
    int stop;
} collector = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void hand_over(void *slab)
{
    pthread_mutex_lock(&collector.lock);
    int fits = collector.n < sizeof(collector.slabs) / sizeof(collector.slabs[0]);
    if (fits)
        collector.slabs[collector.n++] = slab;
    pthread_mutex_unlock(&collector.lock);
    if (!fits)
        eegd_inlet_release(slab);
}

static void *collect(void *unused)
{
    (void)unused;
    for (int stop = 0; !stop;) {
        pthread_mutex_lock(&collector.lock);
        void *slab = collector.n ? collector.slabs[--collector.n] : NULL;
        stop = collector.stop && !slab;
        pthread_mutex_unlock(&collector.lock);
        if (slab)
            eegd_inlet_release(slab);
        else
            sched_yield();
    }
    return NULL;
}

/* ---- the threads ---- */

struct job {
    struct stress *stress;
    struct stress_reader *reader;
    struct eegd_outlet *outlet;
    struct eegd_sender *sender;
    uint64_t claims;
    uint32_t seed;
    _Atomic int over;    /* enough was claimed */
    _Atomic int may_end; /* control needs no sending thread any more */
};

static void *read_frames(void *argument)
{
    struct job *job = argument;
    stress_read(job->stress, job->reader);
    eegd_inlet_close(job->reader->fixture.inlet);
    return NULL;
}

static void *write_frames(void *argument)
{
    struct job *job = argument;
    uint64_t sample = 0;
    for (uint64_t frame = 0; frame % 64 || stress_taken(job->stress) < job->claims; frame++) {
        sample = stress_publish(job->stress, job->outlet, frame, sample);
        rest(&job->seed);
    }
    job->over = 1;
    while (!job->may_end) {
        eegd_outlet_idle(job->outlet);
        sched_yield();
    }
    return NULL;
}

/* As capture does it: slabs come from the sender and go to it. */
static void *write_through_sender(void *argument)
{
    struct job *job = argument;
    uint64_t sample = 0;
    for (uint64_t frame = 0; frame % 64 || stress_taken(job->stress) < job->claims; frame++) {
        int slab;
        while ((slab = eegd_sender_claim(job->sender)) < 0)
            sched_yield();
        sample += lost_before(frame);
        fixture_fill(job->outlet, (uint32_t)slab, frame, sample, length_of(frame));
        sample += length_of(frame);
        eegd_sender_publish(job->sender, (uint32_t)slab);
        rest(&job->seed);
    }
    job->over = 1;
    return NULL;
}

/* Control: one more reader joins, takes a little, and leaves, in all the ways one can. */
static void come_and_go(struct job *job, uint32_t *seed)
{
    struct fixture_reader reader;
    struct eegd_frame frames[4];
    int n = 0, way = (int)(chance(seed) % 4);
    fixture_prepare(&reader, chance(seed) % 2 ? EEGD_LANE_ZEROMQ : EEGD_LANE_DIRECT, 4);
    fixture_open(job->outlet, &reader);
    if (fixture_join(job->outlet, &reader, chance(seed) % 2 ? EEGD_POLICY_LATEST : EEGD_POLICY_QUEUE) < 0)
        atomic_fetch_add(&job->stress->wrong, 1);
    for (int i = 0; i < 40 && way != 0; i++) { /* way 0: leaves before it is active, if it is fast */
        if (n < 4 && eegd_inlet_take(reader.inlet, 100000, &frames[n]) == 1) {
            atomic_fetch_add(&job->stress->wrong, !frame_is_right(&frames[n]));
            n++;
        } else if (n) {
            eegd_inlet_release(frames[--n].slab);
        }
        if (way == 2 && i == 20)
            eegd_outlet_quiet(job->outlet, reader.place);
    }
    if (way == 3) { /* the inlet ends before the writer knows, the leases later */
        eegd_inlet_close(reader.inlet);
        reader.inlet = NULL;
    }
    eegd_outlet_leave(job->outlet, reader.place);
    while (eegd_outlet_state(job->outlet, reader.place) != EEGD_READER_GONE)
        sched_yield();
    eegd_outlet_forget(job->outlet, reader.place);
    while (n)
        eegd_inlet_release(frames[--n].slab);
    fixture_drop(&reader);
}

static uint64_t run(const char *title, int with_sender, uint64_t claims, uint32_t seed)
{
    struct stress *stress = stress_new();
    struct job jobs[STRESS_READERS + 1] = {0}, *writer = &jobs[STRESS_READERS];
    pthread_t threads[STRESS_READERS], writer_thread, collector_thread;
    int error = 0, n_visits = 0;
    uint32_t reserve = with_sender ? EEGD_SENDER_SLABS : 1;
    struct eegd_outlet *outlet = stress_set_up(stress, policies, reserve, 4, 0, seed);
    printf("%s, seed %u\n", title, seed);
    *writer = (struct job){.stress = stress, .outlet = outlet, .claims = claims, .seed = seed};
    for (int i = 0; i < STRESS_READERS; i++) {
        fixture_open(outlet, &stress->readers[i].fixture);
        stress->readers[i].writer = outlet;
    }
    collector.stop = 0;
    stress_hand_over = hand_over;
    int64_t began = stress_now_ns();
    if (with_sender)
        writer->sender = eegd_sender_start(outlet, 0, -1, &error);
    CHECK_EQ(error, 0);
    pthread_create(&collector_thread, NULL, collect, NULL);
    for (int i = 0; i < STRESS_READERS; i++) {
        jobs[i] = (struct job){.stress = stress, .reader = &stress->readers[i]};
        pthread_create(&threads[i], NULL, read_frames, &jobs[i]);
    }
    pthread_create(&writer_thread, NULL, with_sender ? write_through_sender : write_frames, writer);
    for (; !writer->over; n_visits++)
        come_and_go(writer, &seed);
    writer->may_end = 1;
    pthread_join(writer_thread, NULL);
    if (with_sender)
        eegd_sender_stop(writer->sender);
    int64_t ended = stress_now_ns();
    for (int i = 0; i < STRESS_READERS; i++) { /* end of file: readers drain what they have */
        close(stress->readers[i].fixture.connection[0]);
        stress->readers[i].fixture.connection[0] = -1;
        pthread_join(threads[i], NULL);
    }
    pthread_mutex_lock(&collector.lock);
    collector.stop = 1;
    pthread_mutex_unlock(&collector.lock);
    pthread_join(collector_thread, NULL);
    uint64_t wrong = stress_finish(stress, outlet, ended - began);
    printf("%d readers came and went; %u leases held at the end\n", n_visits, eegd_inlet_leases_held());
    CHECK_EQ(eegd_inlet_leases_held(), 0);
    munmap(stress, sizeof(*stress));
    return wrong;
}

int main(int n_arguments, char **arguments)
{
    uint64_t claims = n_arguments > 1 ? strtoull(arguments[1], NULL, 10) : 200000;
    uint32_t seed = n_arguments > 2 ? (uint32_t)strtoul(arguments[2], NULL, 10) : 1;
    fake_zmq_use();
    uint64_t wrong = run("one sending thread", 0, claims, seed);
    wrong += run("capture and sender", 1, claims / 2, seed + 1);
    CHECK_EQ(wrong, 0);
    return check_report();
}
