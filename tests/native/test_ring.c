/* SPDX-License-Identifier: MIT */
/* Rings: full, empty, wrapped, counted; and two threads at once, for the thread sanitizer too. */
#include "check.h"
#include "ring.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#define STRESS_ELEMENTS 1000000
#define STRESS_EVENTS 300000

static int readable(const struct eegd_events *events, int timeout_ms)
{
    struct pollfd waiting = {.fd = eegd_events_fd(events), .events = POLLIN};

    return poll(&waiting, 1, timeout_ms) == 1;
}

static void test_new_refuses_what_is_not_a_power_of_two(void)
{
    static const uint32_t refused[] = {0, 1, 3, 63, 65, EEGD_RING_MAX_CAPACITY * 2u};

    for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        errno = 0;
        CHECK(!eegd_ring_new(refused[i], 4));
        CHECK_EQ(errno, EINVAL);
        CHECK(!eegd_events_new(refused[i]));
    }
    CHECK(!eegd_ring_new(64, 0));
    CHECK(!eegd_ring_new(64, 257));
    eegd_ring_free(NULL);
    eegd_events_free(NULL);
}

static void test_full_is_an_answer_and_counted(void)
{
    struct eegd_ring *ring = eegd_ring_new(4, sizeof(uint32_t));
    struct eegd_ring_stats stats;
    uint32_t out = 0;

    CHECK_EQ(eegd_ring_pop(ring, &out), EEGD_RING_EMPTY);
    for (uint32_t i = 0; i < 4; i++)
        CHECK_EQ(eegd_ring_push(ring, &i), EEGD_RING_DONE);
    for (uint32_t i = 4; i < 7; i++)
        CHECK_EQ(eegd_ring_push(ring, &i), EEGD_RING_FULL);
    eegd_ring_stats(ring, &stats);
    CHECK_EQ(stats.capacity, 4);
    CHECK_EQ(stats.depth, 4);
    CHECK_EQ(stats.peak, 4);
    CHECK_EQ(stats.posted, 4);
    CHECK_EQ(stats.taken, 0);
    CHECK_EQ(stats.dropped, 3);
    for (uint32_t i = 0; i < 4; i++) {
        CHECK_EQ(eegd_ring_pop(ring, &out), EEGD_RING_DONE);
        CHECK_EQ(out, i);
    }
    CHECK_EQ(eegd_ring_pop(ring, &out), EEGD_RING_EMPTY);
    eegd_ring_free(ring);
}

static void test_order_holds_across_many_wraps_for_every_element_size(void)
{
    for (uint32_t bytes = 1; bytes <= 256; bytes++) {
        struct eegd_ring *ring = eegd_ring_new(8, bytes);
        unsigned char in[256], out[256], wanted[256];
        int wrong = 0;

        for (int i = 0; i < 100; i++) {
            memset(in, i, bytes);
            wrong += eegd_ring_push(ring, in) != EEGD_RING_DONE;
            if (i < 5)
                continue;
            memset(wanted, i - 5, bytes);
            wrong += eegd_ring_pop(ring, out) != EEGD_RING_DONE || memcmp(out, wanted, bytes) != 0;
        }
        CHECK_EQ(wrong, 0);
        eegd_ring_free(ring);
    }
}

static void test_descriptor_is_readable_exactly_while_something_is_there(void)
{
    struct eegd_events *events = eegd_events_new(8);
    struct eegd_event event = {.kind = EEGD_EVENT_LOSS_MISSED}, out[8];

    CHECK(!readable(events, 0));
    for (uint64_t i = 0; i < 5; i++) {
        event.a = i;
        CHECK_EQ(eegd_events_post(events, &event), EEGD_RING_DONE);
        CHECK(readable(events, 0));
    }
    CHECK_EQ(eegd_events_take(events, out, 2), 2);
    CHECK(readable(events, 0));
    CHECK_EQ(eegd_events_take(events, out, 3), 3);
    CHECK_EQ(out[2].a, 4);
    CHECK_EQ(eegd_events_take(events, out, 8), 0);
    CHECK(!readable(events, 0));
    CHECK_EQ(eegd_events_take(events, out, 0), 0);
    eegd_events_post(events, &event);
    CHECK(readable(events, 0));
    CHECK_EQ(eegd_events_take(events, out, 8), 1);
    CHECK(!readable(events, 0));
    eegd_events_free(events);
}

static void test_event_numbers_jump_by_what_was_dropped(void)
{
    struct eegd_events *events = eegd_events_new(2);
    struct eegd_event event = {.kind = EEGD_EVENT_STALLED, .value = 1.5}, out[4];

    CHECK_EQ(eegd_events_post(events, &event), EEGD_RING_DONE);
    CHECK_EQ(eegd_events_post(events, &event), EEGD_RING_DONE);
    CHECK_EQ(eegd_events_post(events, &event), EEGD_RING_FULL);
    CHECK_EQ(eegd_events_post(events, &event), EEGD_RING_FULL);
    CHECK_EQ(eegd_events_take(events, out, 4), 2);
    CHECK_EQ(out[0].number, 0);
    CHECK_EQ(out[1].number, 1);
    eegd_events_post(events, &event);
    CHECK_EQ(eegd_events_take(events, out, 4), 1);
    CHECK_EQ(out[0].number, 4);
    CHECK(out[0].value == 1.5);
    eegd_events_free(events);
}

static void *push_all(void *arg)
{
    for (uint32_t i = 0; i < STRESS_ELEMENTS; i++)
        while (eegd_ring_push(arg, &i) == EEGD_RING_FULL)
            sched_yield();
    return NULL;
}

struct watch {
    const struct eegd_ring *ring;
    int impossible;
};

/* A third thread asks until everything has come out. */
static void *watch_stats(void *arg)
{
    struct watch *watch = arg;
    struct eegd_ring_stats stats = {0}, before = {0};

    while (stats.taken < STRESS_ELEMENTS) {
        eegd_ring_stats(watch->ring, &stats);
        watch->impossible += stats.depth > stats.capacity || stats.peak > stats.capacity ||
                             stats.posted < stats.taken || stats.posted < before.posted ||
                             stats.taken < before.taken || stats.dropped < before.dropped;
        before = stats;
        sched_yield();
    }
    return NULL;
}

static void test_a_million_slab_numbers_cross_in_order_while_a_third_thread_watches(void)
{
    struct eegd_ring *ring = eegd_ring_new(64, sizeof(uint32_t));
    struct watch watch = {.ring = ring};
    struct eegd_ring_stats stats;
    pthread_t producer, watcher;
    int wrong = 0;

    pthread_create(&producer, NULL, push_all, ring);
    pthread_create(&watcher, NULL, watch_stats, &watch);
    for (uint32_t i = 0; i < STRESS_ELEMENTS; i++) {
        uint32_t out = 0;

        while (eegd_ring_pop(ring, &out) == EEGD_RING_EMPTY)
            sched_yield();
        wrong += out != i;
    }
    pthread_join(producer, NULL);
    pthread_join(watcher, NULL);
    CHECK_EQ(wrong, 0);
    CHECK_EQ(watch.impossible, 0);
    eegd_ring_stats(ring, &stats);
    CHECK_EQ(stats.posted, STRESS_ELEMENTS);
    CHECK_EQ(stats.taken, STRESS_ELEMENTS);
    CHECK_EQ(stats.depth, 0);
    eegd_ring_free(ring);
}

/* Posts in bursts of changing length, with nothing to wake the consumer but the descriptor. */
static void *post_all(void *arg)
{
    struct eegd_events *events = arg;
    struct eegd_event event = {.kind = EEGD_EVENT_LOSS_MISSED};
    uint32_t dice = 12345;

    for (uint64_t i = 0; i < STRESS_EVENTS; i++) {
        event.a = i;
        event.c = ~i;
        while (eegd_events_post(events, &event) == EEGD_RING_FULL)
            sched_yield();
        dice = dice * 1664525u + 1013904223u;
        if (dice >> 29 == 0)
            sched_yield();
    }
    return NULL;
}

/* A lost wake-up would leave the consumer in poll with events in the ring, and the producer, sooner or later,
 * before a full ring: the long timeout is a verdict, not a pace. */
static void test_no_wake_up_is_lost(void)
{
    struct eegd_events *events = eegd_events_new(16);
    struct eegd_event out[5];
    pthread_t producer;
    uint64_t next = 0;
    int wrong = 0, lost = 0;

    pthread_create(&producer, NULL, post_all, events);
    while (next < STRESS_EVENTS) {
        int n;

        if (!readable(events, 20000))
            lost++;
        n = eegd_events_take(events, out, 5);
        for (int i = 0; i < n; i++, next++)
            wrong += out[i].a != next || out[i].c != ~next;
    }
    pthread_join(producer, NULL);
    CHECK_EQ(wrong, 0);
    CHECK_EQ(lost, 0);
    CHECK_EQ(eegd_events_take(events, out, 5), 0);
    CHECK(!readable(events, 0));
    eegd_events_free(events);
}

int main(void)
{
    RUN(test_new_refuses_what_is_not_a_power_of_two);
    RUN(test_full_is_an_answer_and_counted);
    RUN(test_order_holds_across_many_wraps_for_every_element_size);
    RUN(test_descriptor_is_readable_exactly_while_something_is_there);
    RUN(test_event_numbers_jump_by_what_was_dropped);
    RUN(test_a_million_slab_numbers_cross_in_order_while_a_third_thread_watches);
    RUN_ON_A_REAL_CPU(test_no_wake_up_is_lost, "lets LDAR overtake STLR, which aarch64 itself does not");
    return check_report();
}
