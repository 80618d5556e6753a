/* SPDX-License-Identifier: MIT */
/* The writing end: frame numbers and totals, the reader table's states, commitments, virtual time, the
 * sender. */
#define _GNU_SOURCE
#include "outlet.h"
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "sender.h"
#include "stream_fixture.h"

static uint32_t free_slabs(struct eegd_outlet *outlet)
{
    struct eegd_outlet_stats stats;
    eegd_outlet_idle(outlet);
    eegd_outlet_stats(outlet, &stats);
    return stats.free;
}

static struct eegd_reader_stats stats_of(const struct eegd_outlet *outlet, int place)
{
    struct eegd_reader_stats stats;
    eegd_outlet_reader_stats(outlet, place, &stats);
    return stats;
}

static void test_impossible_configurations_are_refused(void)
{
    struct eegd_outlet_config good = {
        .name = "test", .n_slabs = 8, .n_channels = 2, .slab_samples = 4, .reserve = 1, .rate_sps = 250};
    struct eegd_outlet_config wrong[] = {good, good, good, good};
    wrong[0].reserve = 0;
    wrong[1].reserve = 8;
    wrong[2].n_slabs = 65536;
    wrong[3].slab_samples = 401;
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        int error = 0;
        CHECK(!eegd_outlet_new(&wrong[i], &error));
        CHECK_EQ(error, -EINVAL);
    }
}

static void test_frame_numbers_have_no_gaps_and_lost_before_is_the_jump(void)
{
    struct eegd_outlet *outlet = fixture_outlet(4, 2, 0);
    struct eegd_outlet_stats stats;
    static const struct {
        uint64_t sample_index;
        uint32_t n_samples;
        uint64_t lost_before;
    } frames[] = {{3, 5, 3}, {8, 20, 0}, {28, 1, 0}, {1000029, 20, 1000000}, {1000049, 7, 0}};
    for (uint64_t i = 0; i < 5; i++) {
        int slab = eegd_outlet_claim(outlet);
        struct eegd_descriptor *descriptor = eegd_outlet_descriptor(outlet, (uint32_t)slab);
        fixture_fill(outlet, (uint32_t)slab, i, frames[i].sample_index, frames[i].n_samples);
        descriptor->flags = EEGD_FLAG_SHORT;
        eegd_outlet_publish(outlet, (uint32_t)slab, 123456789);
        CHECK_EQ(descriptor->frame_number, i);
        CHECK_EQ(descriptor->lost_before, frames[i].lost_before);
        CHECK_EQ(descriptor->publish_ns, 123456789);
        CHECK_EQ(descriptor->n_channels, FIXTURE_CHANNELS);
        CHECK_EQ(descriptor->flags, EEGD_FLAG_SHORT | EEGD_FLAG_SIMULATED | (i ? 0 : EEGD_FLAG_FIRST));
        CHECK(descriptor->wall_offset_ns > 0);
    }
    eegd_outlet_stats(outlet, &stats);
    CHECK_EQ(stats.frames, 5);
    CHECK_EQ(stats.samples, 53);
    CHECK_EQ(stats.next_sample, 1000056);
    CHECK_EQ(stats.lost, 1000003);
    CHECK_EQ(stats.free, 4);
    CHECK_EQ(stats.least_free, 3);
    eegd_outlet_free(outlet);
}

static void test_claim_reports_and_counts_that_no_slab_is_free(void)
{
    struct eegd_outlet *outlet = fixture_outlet(3, 1, 0);
    struct eegd_outlet_stats stats;
    int slabs[3];
    for (int i = 0; i < 3; i++)
        CHECK((slabs[i] = eegd_outlet_claim(outlet)) >= 0);
    CHECK(slabs[0] != slabs[1] && slabs[1] != slabs[2] && slabs[0] != slabs[2]);
    CHECK_EQ(eegd_outlet_claim(outlet), -1);
    CHECK_EQ(eegd_outlet_claim(outlet), -1);
    eegd_outlet_abandon(outlet, (uint32_t)slabs[1]);
    CHECK_EQ(eegd_outlet_claim(outlet), slabs[1]);
    eegd_outlet_stats(outlet, &stats);
    CHECK_EQ(stats.claim_failures, 2);
    eegd_outlet_free(outlet);
}

static void test_reader_goes_through_its_states(void)
{
    struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
    struct fixture_reader reader;
    fixture_publish(outlet);
    fixture_publish(outlet);
    fixture_prepare(&reader, EEGD_LANE_DIRECT, 8);
    int place = fixture_join(outlet, &reader, EEGD_POLICY_QUEUE);
    CHECK_EQ(place, 0);
    CHECK_EQ(eegd_outlet_state(outlet, place), EEGD_READER_JOINING);
    CHECK_EQ(fixture_publish(outlet), 1); /* active at the start of a frame, and that frame is its first */
    CHECK_EQ(eegd_outlet_state(outlet, place), EEGD_READER_ACTIVE);
    CHECK_EQ(stats_of(outlet, place).joined_frame, 2);
    CHECK_EQ(fixture_publish(outlet), 1);
    eegd_outlet_quiet(outlet, place);
    CHECK_EQ(eegd_outlet_state(outlet, place), EEGD_READER_QUIET);
    CHECK_EQ(fixture_publish(outlet), 0);
    CHECK_EQ(stats_of(outlet, place).queued, 2); /* keeps what it has */
    CHECK_EQ(stats_of(outlet, place).oldest_frame, 2);
    CHECK_EQ(stats_of(outlet, place).missed, 0); /* it was not to get this one */
    CHECK_EQ(free_slabs(outlet), 18);
    eegd_outlet_leave(outlet, place);
    CHECK_EQ(eegd_outlet_state(outlet, place), EEGD_READER_LEAVING);
    eegd_outlet_forget(outlet, place); /* too early: nothing happens */
    CHECK_EQ(eegd_outlet_state(outlet, place), EEGD_READER_LEAVING);
    eegd_outlet_quiet(outlet, place); /* no way back */
    CHECK_EQ(eegd_outlet_state(outlet, place), EEGD_READER_LEAVING);
    CHECK_EQ(fixture_publish(outlet), 0);
    CHECK_EQ(eegd_outlet_state(outlet, place), EEGD_READER_GONE);
    CHECK_EQ(free_slabs(outlet), 20);
    eegd_outlet_leave(outlet, place);
    CHECK_EQ(eegd_outlet_state(outlet, place), EEGD_READER_GONE);
    eegd_outlet_forget(outlet, place);
    CHECK_EQ(eegd_outlet_state(outlet, place), EEGD_READER_EMPTY);
    CHECK_EQ(eegd_outlet_state(outlet, 63), -EINVAL);
    CHECK_EQ(eegd_outlet_state(outlet, -1), -EINVAL);
    fixture_drop(&reader);
    eegd_outlet_free(outlet);
}

static void test_reader_may_leave_or_fall_quiet_before_it_is_active(void)
{
    struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
    struct fixture_reader leaver, mute;
    fixture_prepare(&leaver, EEGD_LANE_DIRECT, 4);
    fixture_prepare(&mute, EEGD_LANE_DIRECT, 4);
    fixture_join(outlet, &leaver, EEGD_POLICY_QUEUE);
    fixture_join(outlet, &mute, EEGD_POLICY_QUEUE);
    eegd_outlet_leave(outlet, leaver.place);
    eegd_outlet_quiet(outlet, mute.place);
    CHECK_EQ(fixture_publish(outlet), 0);
    CHECK_EQ(eegd_outlet_state(outlet, leaver.place), EEGD_READER_GONE);
    CHECK_EQ(eegd_outlet_state(outlet, mute.place), EEGD_READER_QUIET);
    eegd_outlet_forget(outlet, leaver.place);
    fixture_drop(&leaver);
    fixture_detach(outlet, &mute);
    CHECK_EQ(eegd_outlet_credit_left(outlet), 18);
    eegd_outlet_free(outlet);
}

struct sleeper {
    struct eegd_lease_page *page;
    uint32_t bell; /* as it was when the reader looked for frames */
    _Atomic int woken;
};

/* Not as an inlet does it, which looks at its connection every 100 ms. */
static void *sleep_without_limit(void *argument)
{
    struct sleeper *sleeper = argument;
    atomic_store(&sleeper->page->waiting, 1);
    while (syscall(SYS_futex, &sleeper->page->bell, FUTEX_WAIT, sleeper->bell, NULL, NULL, 0) < 0 &&
           errno == EINTR)
        ;
    sleeper->woken = 1;
    return NULL;
}

/* Whether it sleeps already, is about to, or still is at its work. */
static void test_direct_reader_does_not_sleep_on_when_it_has_to_leave(void)
{
    for (int i = 0; i < 3; i++) {
        struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
        struct fixture_reader reader;
        struct sleeper sleeper = {0};
        pthread_t thread;
        fixture_attach(outlet, &reader, EEGD_POLICY_QUEUE, EEGD_LANE_DIRECT, 4);
        fixture_publish(outlet);
        sleeper.page = reader.page;
        sleeper.bell = sleeper.page->bell;
        if (i < 2)
            pthread_create(&thread, NULL, sleep_without_limit, &sleeper);
        while (i == 1 && !atomic_load(&sleeper.page->waiting))
            sched_yield();
        eegd_outlet_leave(outlet, reader.place);
        eegd_outlet_idle(outlet);
        CHECK_EQ(sleeper.page->bell, sleeper.bell + 1);
        if (i == 2)
            pthread_create(&thread, NULL, sleep_without_limit, &sleeper);
        while (sleeper.page->bell == sleeper.bell && !sleeper.woken) /* where it failed: no hang */
            syscall(SYS_futex, &sleeper.page->bell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
        pthread_join(thread, NULL);
        fixture_detach(outlet, &reader);
        eegd_outlet_free(outlet);
    }
}

static void test_join_refuses_what_would_overcommit_the_pool(void)
{
    struct eegd_outlet *outlet = fixture_outlet(20, 3, 0);
    struct fixture_reader one, two, three;
    CHECK_EQ(eegd_outlet_credit_left(outlet), 17);
    CHECK_EQ(eegd_outlet_slabs_needed(17, 3), 20);
    fixture_prepare(&one, EEGD_LANE_DIRECT, 10);
    fixture_prepare(&two, EEGD_LANE_DIRECT, 8);
    fixture_prepare(&three, EEGD_LANE_DIRECT, 7);
    CHECK_EQ(fixture_join(outlet, &one, EEGD_POLICY_QUEUE), 0);
    CHECK_EQ(fixture_join(outlet, &two, EEGD_POLICY_QUEUE), -ENOSPC);
    CHECK_EQ(fixture_join(outlet, &three, EEGD_POLICY_QUEUE), 1);
    CHECK_EQ(eegd_outlet_credit_left(outlet), 0);
    eegd_outlet_leave(outlet, one.place);
    eegd_outlet_idle(outlet);
    CHECK_EQ(fixture_join(outlet, &two, EEGD_POLICY_QUEUE), -ENOSPC); /* gone, but not forgotten */
    eegd_outlet_forget(outlet, one.place);
    CHECK_EQ(fixture_join(outlet, &two, EEGD_POLICY_QUEUE), 0); /* the place is used again */
    fixture_drop(&one);
    fixture_detach(outlet, &two);
    fixture_detach(outlet, &three);
    eegd_outlet_free(outlet);
}

static void test_join_refuses_nonsense(void)
{
    struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
    struct fixture_reader reader;
    fixture_prepare(&reader, EEGD_LANE_ZEROMQ, 8);
    struct eegd_reader_config good = {.page = reader.page, .depth = 8, .socket = &reader.push};
    struct eegd_reader_config wrong[] = {good, good, good, good, good, good, good};
    wrong[0].page = NULL;
    wrong[1].depth = 0;
    wrong[2].depth = EEGD_MAX_DEPTH + 1;
    wrong[3].policy = 3;
    wrong[4].socket = NULL;           /* zeromq without a socket */
    wrong[5].lane = EEGD_LANE_DIRECT; /* direct with one */
    wrong[6].lane = 2, wrong[6].socket = NULL;
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CHECK_EQ(eegd_outlet_join(outlet, &wrong[i]), -EINVAL);
    CHECK_EQ(eegd_outlet_credit_left(outlet), 18);
    fixture_drop(&reader);
    eegd_outlet_free(outlet);
}

static void test_sixty_three_readers_get_every_frame_and_the_next_is_refused(void)
{
    static struct fixture_reader readers[EEGD_MAX_READERS + 1];
    struct eegd_outlet *outlet = fixture_outlet(63 * 4 + 4, 2, 0);
    for (int i = 0; i < EEGD_MAX_READERS; i++)
        fixture_attach(outlet, &readers[i], i % 3, i & 1 ? EEGD_LANE_ZEROMQ : EEGD_LANE_DIRECT, 4);
    fixture_prepare(&readers[63], EEGD_LANE_DIRECT, 1);
    CHECK_EQ(fixture_join(outlet, &readers[63], EEGD_POLICY_QUEUE), -EAGAIN);
    for (int frame = 0; frame < 50; frame++) {
        CHECK_EQ(fixture_publish(outlet), EEGD_MAX_READERS);
        for (int i = 0; i < EEGD_MAX_READERS; i++) {
            struct eegd_frame taken;
            CHECK_EQ(eegd_inlet_take(readers[i].inlet, 0, &taken), 1);
            CHECK_EQ(taken.descriptor.frame_number, frame);
            CHECK(frame_is_right(&taken));
            eegd_inlet_release(taken.slab);
        }
    }
    for (int i = 0; i < EEGD_MAX_READERS; i++)
        fixture_detach(outlet, &readers[i]);
    fixture_drop(&readers[63]);
    CHECK_EQ(free_slabs(outlet), 63 * 4 + 4);
    eegd_outlet_free(outlet);
}

static void test_all_slabs_come_back_from_a_reader_that_vanishes(void)
{
    struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
    struct fixture_reader dead, alive;
    struct eegd_frame frame;
    fixture_attach(outlet, &dead, EEGD_POLICY_QUEUE, EEGD_LANE_ZEROMQ, 9);
    fixture_attach(outlet, &alive, EEGD_POLICY_QUEUE, EEGD_LANE_DIRECT, 9);
    for (int i = 0; i < 9; i++)
        CHECK_EQ(fixture_publish(outlet), 2);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(eegd_inlet_take(dead.inlet, 0, &frame), 1); /* four held, five queued */
    eegd_outlet_leave(outlet, dead.place);
    CHECK_EQ(free_slabs(outlet), 11); /* the other reader still has all nine */
    for (int i = 0; i < 9; i++) {
        CHECK_EQ(eegd_inlet_take(alive.inlet, 0, &frame), 1);
        CHECK_EQ(frame.descriptor.frame_number, i);
        CHECK(frame_is_right(&frame));
        eegd_inlet_release(frame.slab);
    }
    CHECK_EQ(free_slabs(outlet), 20);
    eegd_outlet_forget(outlet, dead.place);
    fixture_drop(&dead);
    fixture_detach(outlet, &alive);
    eegd_outlet_free(outlet);
}

static void test_place_used_again_starts_from_nothing(void)
{
    struct eegd_outlet *outlet = fixture_outlet(10, 2, 0);
    struct fixture_reader reader;
    for (int i = 0; i < 100; i++) {
        fixture_attach(outlet, &reader, EEGD_POLICY_QUEUE, i & 1 ? EEGD_LANE_DIRECT : EEGD_LANE_ZEROMQ, 2);
        CHECK_EQ(reader.place, 0);
        for (int k = 0; k < 3; k++)
            fixture_publish(outlet);
        struct eegd_reader_stats stats = stats_of(outlet, 0);
        CHECK_EQ(stats.sent, 2);
        CHECK_EQ(stats.missed, 1);
        CHECK_EQ(stats.joined_frame, i * 3);
        fixture_detach(outlet, &reader);
    }
    CHECK_EQ(free_slabs(outlet), 10);
    eegd_outlet_free(outlet);
}

/* Whatever readers do, as long as their depths fit, a slab is free for every frame. */
static void test_pool_never_runs_dry_within_its_bound(void)
{
    enum { N = 6 };
    for (unsigned seed = 0; seed < 12; seed++) {
        struct fixture_reader readers[N];
        void *leases[N][32];
        uint32_t n_leases[N] = {0}, depth[N], sum = 0;
        struct eegd_outlet_stats stats;
        srand(seed);
        for (int i = 0; i < N; i++)
            sum += depth[i] = 1 + (uint32_t)rand() % 30;
        struct eegd_outlet *outlet = fixture_outlet(eegd_outlet_slabs_needed(sum, 1), 1, 0);
        for (int i = 0; i < N; i++)
            fixture_attach(outlet, &readers[i], i & 1 ? EEGD_POLICY_LATEST : EEGD_POLICY_QUEUE, i & 2 ? 1 : 0,
                           depth[i]);
        CHECK_EQ(eegd_outlet_credit_left(outlet), 0);
        for (int step = 0; step < 8000; step++) {
            int i = rand() % N;
            struct eegd_frame frame;
            if (rand() % 3 == 0)
                CHECK(fixture_publish(outlet) >= 0);
            if (rand() % 2 && eegd_inlet_take(readers[i].inlet, 0, &frame) == 1) {
                CHECK(frame_is_right(&frame));
                leases[i][n_leases[i]++] = frame.slab;
            } else if (rand() % 3 == 0 && n_leases[i]) {
                uint32_t pick = (uint32_t)rand() % n_leases[i];
                eegd_inlet_release(leases[i][pick]);
                leases[i][pick] = leases[i][--n_leases[i]];
            } else if (rand() % 500 == 0) { /* leaves with all it has, and comes back */
                fixture_detach(outlet, &readers[i]);
                while (n_leases[i])
                    eegd_inlet_release(leases[i][--n_leases[i]]);
                fixture_attach(outlet, &readers[i], i & 1 ? EEGD_POLICY_LATEST : EEGD_POLICY_QUEUE,
                               i & 2 ? 1 : 0, depth[i]);
            }
        }
        for (int i = 0; i < N; i++) {
            fixture_detach(outlet, &readers[i]);
            while (n_leases[i])
                eegd_inlet_release(leases[i][--n_leases[i]]);
        }
        eegd_outlet_stats(outlet, &stats);
        CHECK_EQ(stats.claim_failures, 0);
        CHECK_EQ(free_slabs(outlet), stats.n_slabs);
        eegd_outlet_free(outlet);
    }
}

/* ---- virtual time ---- */

struct virtual_run {
    struct eegd_outlet *outlet;
    int n_frames;
    _Atomic int done;
};

static void *publish_frames(void *argument)
{
    struct virtual_run *run = argument;
    for (int i = 0; i < run->n_frames; i++)
        fixture_publish(run->outlet);
    run->done = 1;
    return NULL;
}

static uint32_t wait_for_holdup(const struct eegd_outlet *outlet)
{
    struct eegd_outlet_stats stats;
    do {
        sched_yield();
        eegd_outlet_stats(outlet, &stats);
    } while (!stats.holdup);
    return stats.holdup;
}

static void test_virtual_time_waits_for_a_lossless_reader_and_loses_nothing(void)
{
    struct virtual_run run = {.outlet = fixture_outlet(20, 2, 1), .n_frames = 500};
    struct fixture_reader patient, hasty;
    struct eegd_frame frame;
    pthread_t thread;
    fixture_attach(run.outlet, &patient, EEGD_POLICY_LOSSLESS, EEGD_LANE_DIRECT, 3);
    fixture_attach(run.outlet, &hasty, EEGD_POLICY_QUEUE, EEGD_LANE_DIRECT, 2); /* loses as ever */
    pthread_create(&thread, NULL, publish_frames, &run);
    CHECK_EQ(wait_for_holdup(run.outlet), patient.place + 1);
    for (int i = 0; i < run.n_frames;) {
        int result = eegd_inlet_take(patient.inlet, 1000000000, &frame);
        CHECK(result >= 0);
        if (result != 1)
            continue;
        CHECK_EQ(frame.descriptor.frame_number, i);
        CHECK(frame_is_right(&frame));
        eegd_inlet_release(frame.slab);
        i++;
    }
    pthread_join(thread, NULL);
    CHECK_EQ(stats_of(run.outlet, patient.place).missed, 0);
    CHECK_EQ(stats_of(run.outlet, hasty.place).missed, 498);
    fixture_detach(run.outlet, &patient);
    fixture_detach(run.outlet, &hasty);
    eegd_outlet_free(run.outlet);
}

struct counted_wait {
    struct eegd_outlet *outlet;
    double seconds;
    long sleeps;
    int n_given;
};

static void *publish_one_frame(void *argument)
{
    struct counted_wait *wait = argument;
    struct timespec began, ended;
    struct rusage before, after;
    clock_gettime(CLOCK_MONOTONIC, &began);
    getrusage(RUSAGE_THREAD, &before);
    wait->n_given = fixture_publish(wait->outlet);
    getrusage(RUSAGE_THREAD, &after);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    wait->seconds = (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9;
    wait->sleeps = after.ru_nvcsw - before.ru_nvcsw;
    return NULL;
}

/* A look takes the processor from the very reader that is waited for. */
static void test_virtual_time_looks_seldom_for_a_reader_that_takes_long(void)
{
    struct counted_wait wait = {.outlet = fixture_outlet(20, 2, 1)};
    struct fixture_reader reader;
    struct eegd_frame frame;
    pthread_t thread;
    fixture_attach(wait.outlet, &reader, EEGD_POLICY_LOSSLESS, EEGD_LANE_DIRECT, 1);
    CHECK_EQ(fixture_publish(wait.outlet), 1);
    pthread_create(&thread, NULL, publish_one_frame, &wait);
    wait_for_holdup(wait.outlet);
    usleep(200000); /* the reader is at its work */
    CHECK_EQ(eegd_inlet_take(reader.inlet, 0, &frame), 1);
    eegd_inlet_release(frame.slab);
    pthread_join(thread, NULL);
    CHECK_EQ(wait.n_given, 1);
    /* Four of 50 us, then each a quarter longer up to 2 ms: 25 at most until then. */
    CHECK((double)wait.sleeps <= 32 + wait.seconds / 1e-3);
    fixture_detach(wait.outlet, &reader);
    eegd_outlet_free(wait.outlet);
}

static void test_virtual_time_sends_again_what_zeromq_had_no_room_for(void)
{
    struct eegd_outlet *outlet = fixture_outlet(20, 2, 1);
    struct fixture_reader reader;
    struct eegd_frame frame;
    fixture_attach(outlet, &reader, EEGD_POLICY_LOSSLESS, EEGD_LANE_ZEROMQ, 3);
    for (int i = 0; i < 20; i++) {
        reader.push.refuse = 2;
        CHECK_EQ(fixture_publish(outlet), 1);
        CHECK_EQ(eegd_inlet_take(reader.inlet, 0, &frame), 1);
        CHECK_EQ(frame.descriptor.frame_number, i);
        eegd_inlet_release(frame.slab);
    }
    CHECK_EQ(reader.push.n_refused, 40);
    CHECK_EQ(stats_of(outlet, reader.place).sent, 20);
    CHECK_EQ(stats_of(outlet, reader.place).missed, 0);
    fixture_detach(outlet, &reader);
    CHECK_EQ(free_slabs(outlet), 20);
    eegd_outlet_free(outlet);
}

static void test_reader_that_falls_quiet_while_it_is_waited_for_gets_nothing_more(void)
{
    struct virtual_run run = {.outlet = fixture_outlet(20, 2, 1), .n_frames = 3};
    struct fixture_reader reader;
    pthread_t thread;
    fixture_attach(run.outlet, &reader, EEGD_POLICY_LOSSLESS, EEGD_LANE_ZEROMQ, 8);
    reader.push.refuse = UINT32_MAX;
    pthread_create(&thread, NULL, publish_frames, &run);
    CHECK_EQ(wait_for_holdup(run.outlet), reader.place + 1);
    eegd_outlet_quiet(run.outlet, reader.place);
    pthread_join(thread, NULL);
    struct eegd_outlet_stats stats;
    eegd_outlet_stats(run.outlet, &stats);
    CHECK_EQ(stats.holdup, 0);
    CHECK_EQ(stats_of(run.outlet, reader.place).sent, 0);
    CHECK_EQ(stats_of(run.outlet, reader.place).missed, 0);
    fixture_detach(run.outlet, &reader);
    eegd_outlet_free(run.outlet);
}

static void test_hurry_ends_the_wait_for_good(void)
{
    struct virtual_run run = {.outlet = fixture_outlet(20, 2, 1), .n_frames = 50};
    struct fixture_reader reader;
    pthread_t thread;
    fixture_attach(run.outlet, &reader, EEGD_POLICY_LOSSLESS, EEGD_LANE_DIRECT, 3);
    pthread_create(&thread, NULL, publish_frames, &run);
    wait_for_holdup(run.outlet);
    CHECK_EQ(run.done, 0);
    eegd_outlet_hurry(run.outlet);
    pthread_join(thread, NULL);
    CHECK_EQ(stats_of(run.outlet, reader.place).missed, 47);
    fixture_detach(run.outlet, &reader);
    eegd_outlet_free(run.outlet);
}

static void test_wait_ends_when_its_reader_leaves_and_others_may_come_and_go_meanwhile(void)
{
    struct virtual_run run = {.outlet = fixture_outlet(20, 2, 1), .n_frames = 50};
    struct fixture_reader stuck, leaver, newcomer;
    pthread_t thread;
    fixture_attach(run.outlet, &stuck, EEGD_POLICY_LOSSLESS, EEGD_LANE_DIRECT, 3);
    fixture_attach(run.outlet, &leaver, EEGD_POLICY_QUEUE, EEGD_LANE_DIRECT, 3);
    pthread_create(&thread, NULL, publish_frames, &run);
    wait_for_holdup(run.outlet);
    eegd_outlet_leave(run.outlet, leaver.place);
    while (eegd_outlet_state(run.outlet, leaver.place) != EEGD_READER_GONE)
        sched_yield();
    eegd_outlet_forget(run.outlet, leaver.place);
    fixture_drop(&leaver);
    fixture_prepare(&newcomer, EEGD_LANE_DIRECT, 3);
    fixture_join(run.outlet, &newcomer, EEGD_POLICY_QUEUE);
    while (eegd_outlet_state(run.outlet, newcomer.place) != EEGD_READER_ACTIVE)
        sched_yield();
    CHECK_EQ(run.done, 0);
    CHECK_EQ(stats_of(run.outlet, newcomer.place).joined_frame, 3); /* the frame that waits is its first */
    eegd_outlet_leave(run.outlet, stuck.place);
    pthread_join(thread, NULL);
    CHECK_EQ(stats_of(run.outlet, newcomer.place).oldest_frame, 3);
    fixture_detach(run.outlet, &newcomer);
    eegd_outlet_idle(run.outlet);
    eegd_outlet_forget(run.outlet, stuck.place);
    fixture_drop(&stuck);
    CHECK_EQ(free_slabs(run.outlet), 20);
    eegd_outlet_free(run.outlet);
}

/* ---- the sender ---- */

static void test_sender_publishes_what_was_handed_over_before_it_stops(void)
{
    enum { FRAMES = 5000 };
    struct eegd_outlet *outlet = fixture_outlet(100, EEGD_SENDER_SLABS, 0);
    struct fixture_reader reader;
    struct eegd_outlet_stats stats;
    int error = 0;
    fixture_prepare(&reader, EEGD_LANE_DIRECT, 60);
    fixture_join(outlet, &reader, EEGD_POLICY_QUEUE);
    struct eegd_sender *sender = eegd_sender_start(outlet, 0, -1, &error);
    CHECK_EQ(error, 0);
    for (uint64_t frame = 0; frame < FRAMES; frame++) {
        int slab;
        while ((slab = eegd_sender_claim(sender)) < 0)
            sched_yield();
        fixture_fill(outlet, (uint32_t)slab, frame, frame * FIXTURE_SAMPLES, FIXTURE_SAMPLES);
        eegd_sender_publish(sender, (uint32_t)slab);
    }
    int in_hand = -1; /* capture ends with a slab in its hand */
    while (in_hand < 0)
        in_hand = eegd_sender_claim(sender);
    eegd_sender_stop(sender);
    eegd_outlet_abandon(outlet, (uint32_t)in_hand);
    eegd_outlet_stats(outlet, &stats);
    CHECK_EQ(stats.frames, FRAMES);
    CHECK_EQ(stats.claim_failures, 0);
    CHECK_EQ(stats_of(outlet, reader.place).sent, 60);
    CHECK_EQ(stats_of(outlet, reader.place).missed, FRAMES - 60);
    CHECK_EQ(free_slabs(outlet), 40);
    fixture_detach(outlet, &reader);
    CHECK_EQ(free_slabs(outlet), 100);
    eegd_outlet_free(outlet);
}

static void test_idle_sender_notices_readers_that_come_and_go(void)
{
    struct eegd_outlet *outlet = fixture_outlet(100, EEGD_SENDER_SLABS, 0);
    struct fixture_reader reader;
    int error = 0;
    struct eegd_sender *sender = eegd_sender_start(outlet, 0, -1, &error);
    fixture_prepare(&reader, EEGD_LANE_DIRECT, 4);
    fixture_join(outlet, &reader, EEGD_POLICY_QUEUE);
    while (eegd_outlet_state(outlet, reader.place) != EEGD_READER_ACTIVE)
        sched_yield();
    eegd_outlet_leave(outlet, reader.place);
    while (eegd_outlet_state(outlet, reader.place) != EEGD_READER_GONE)
        sched_yield();
    eegd_outlet_forget(outlet, reader.place);
    fixture_drop(&reader);
    CHECK(eegd_sender_tid(sender) > 0);
    eegd_sender_stop(sender);
    CHECK_EQ(free_slabs(outlet), 100);
    eegd_outlet_free(outlet);
}

int main(void)
{
    fake_zmq_use();
    RUN(test_impossible_configurations_are_refused);
    RUN(test_frame_numbers_have_no_gaps_and_lost_before_is_the_jump);
    RUN(test_claim_reports_and_counts_that_no_slab_is_free);
    RUN(test_reader_goes_through_its_states);
    RUN(test_reader_may_leave_or_fall_quiet_before_it_is_active);
    RUN(test_direct_reader_does_not_sleep_on_when_it_has_to_leave);
    RUN(test_join_refuses_what_would_overcommit_the_pool);
    RUN(test_join_refuses_nonsense);
    RUN(test_sixty_three_readers_get_every_frame_and_the_next_is_refused);
    RUN(test_all_slabs_come_back_from_a_reader_that_vanishes);
    RUN(test_place_used_again_starts_from_nothing);
    RUN(test_pool_never_runs_dry_within_its_bound);
    RUN(test_virtual_time_waits_for_a_lossless_reader_and_loses_nothing);
    RUN(test_virtual_time_looks_seldom_for_a_reader_that_takes_long);
    RUN(test_virtual_time_sends_again_what_zeromq_had_no_room_for);
    RUN(test_reader_that_falls_quiet_while_it_is_waited_for_gets_nothing_more);
    RUN(test_hurry_ends_the_wait_for_good);
    RUN(test_wait_ends_when_its_reader_leaves_and_others_may_come_and_go_meanwhile);
    RUN(test_sender_publishes_what_was_handed_over_before_it_stops);
    RUN(test_idle_sender_notices_readers_that_come_and_go);
    return check_report();
}
