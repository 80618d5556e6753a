/* SPDX-License-Identifier: MIT */
/* The reading end: what take answers when, the end of an epoch, leases given back anywhere and by anyone. */
#define _GNU_SOURCE
#include "inlet.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include "stream_fixture.h"

static const int lanes[] = {EEGD_LANE_ZEROMQ, EEGD_LANE_DIRECT};
#define EACH_LANE(lane) for (int lane##_i = 0, lane = lanes[0]; lane##_i < 2; lane = lanes[++lane##_i & 1])

static int take(struct fixture_reader *reader, struct eegd_frame *frame)
{
    return eegd_inlet_take(reader->inlet, 0, frame);
}

static void end_epoch(struct fixture_reader *reader)
{
    close(reader->connection[0]);
    reader->connection[0] = -1;
}

/* True while the page at this address is mapped. */
static int is_mapped(void *address)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    void *start = (void *)((uintptr_t)address & ~(page - 1));
    return msync(start, page, MS_ASYNC) == 0;
}

static void test_frames_come_in_order_and_their_bytes_are_right(void)
{
    EACH_LANE(lane)
    {
        struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
        struct fixture_reader reader;
        struct eegd_frame frame;
        struct eegd_inlet_stats stats;
        fixture_attach(outlet, &reader, EEGD_POLICY_QUEUE, lane, 6);
        for (int round = 0; round < 50; round++) {
            CHECK_EQ(take(&reader, &frame), 0);
            for (int i = 0; i < 5; i++)
                fixture_publish(outlet);
            CHECK_EQ(eegd_inlet_pending(reader.inlet), 1);
            for (int i = 0; i < 5; i++) {
                CHECK_EQ(take(&reader, &frame), 1);
                CHECK_EQ(frame.descriptor.frame_number, round * 5 + i);
                CHECK_EQ(frame.descriptor.n_samples, FIXTURE_SAMPLES);
                CHECK_EQ(frame.descriptor.n_channels, FIXTURE_CHANNELS);
                CHECK(frame_is_right(&frame));
                eegd_inlet_release(frame.slab);
            }
            CHECK_EQ(eegd_inlet_pending(reader.inlet), 0);
        }
        eegd_inlet_stats(reader.inlet, &stats);
        CHECK_EQ(stats.taken, 250);
        CHECK_EQ(stats.published, 250);
        CHECK_EQ(stats.last_frame, 249);
        CHECK_EQ(stats.last_sample_end, 250 * FIXTURE_SAMPLES);
        CHECK_EQ(stats.missed + stats.stale + stats.held, 0);
        CHECK_EQ(stats.depth, 6);
        fixture_detach(outlet, &reader);
        eegd_outlet_free(outlet);
    }
}

static void test_missed_counts_of_reader_and_writer_agree(void)
{
    EACH_LANE(lane)
    {
        struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
        struct fixture_reader reader;
        struct eegd_frame frame;
        struct eegd_inlet_stats stats;
        struct eegd_reader_stats writers;
        fixture_attach(outlet, &reader, EEGD_POLICY_QUEUE, lane, 4);
        for (int round = 0; round < 20; round++) {
            for (int i = 0; i < 4 + round; i++)
                fixture_publish(outlet);
            while (take(&reader, &frame) == 1)
                eegd_inlet_release(frame.slab);
        }
        fixture_publish(outlet); /* so that the last gap has an end */
        CHECK_EQ(take(&reader, &frame), 1);
        eegd_inlet_stats(reader.inlet, &stats);
        eegd_outlet_reader_stats(outlet, reader.place, &writers);
        CHECK_EQ(stats.missed, 190);
        CHECK_EQ(writers.missed, 190);
        CHECK_EQ(stats.taken, writers.sent);
        fixture_detach(outlet, &reader);
        eegd_inlet_release(frame.slab);
        eegd_outlet_free(outlet);
    }
}

static void test_latest_reader_wakes_to_the_newest_frame(void)
{
    EACH_LANE(lane)
    {
        struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
        struct fixture_reader reader;
        struct eegd_frame frame, held;
        struct eegd_inlet_stats stats;
        fixture_attach(outlet, &reader, EEGD_POLICY_LATEST, lane, 3);
        fixture_publish(outlet);
        CHECK_EQ(take(&reader, &held), 1);
        for (int i = 0; i < 1000; i++)
            CHECK_EQ(fixture_publish(outlet), 1);
        CHECK_EQ(take(&reader, &frame), 1);
        CHECK_EQ(frame.descriptor.frame_number, 1000);
        CHECK(frame_is_right(&frame));
        CHECK(frame_is_right(&held));
        CHECK_EQ(take(&reader, &frame), 0); /* one message, one frame */
        eegd_inlet_stats(reader.inlet, &stats);
        CHECK_EQ(stats.missed, 999);
        CHECK_EQ(stats.stale, 0);
        fixture_detach(outlet, &reader);
        eegd_inlet_release(held.slab);
        eegd_inlet_release(frame.slab);
        eegd_outlet_free(outlet);
    }
}

static void test_take_says_when_every_lease_is_held_by_the_caller(void)
{
    EACH_LANE(lane)
    {
        struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
        struct fixture_reader reader;
        struct eegd_frame frames[3], frame;
        fixture_attach(outlet, &reader, EEGD_POLICY_QUEUE, lane, 3);
        for (int i = 0; i < 5; i++)
            fixture_publish(outlet);
        for (int i = 0; i < 3; i++)
            CHECK_EQ(take(&reader, &frames[i]), 1);
        CHECK_EQ(eegd_inlet_take(reader.inlet, 1000000000, &frame),
                 -ENOBUFS); /* at once, whatever the timeout */
        CHECK_EQ(eegd_inlet_leases_held(), 3);
        eegd_inlet_release(frames[1].slab);
        CHECK_EQ(take(&reader, &frame), 0);
        fixture_publish(outlet);
        CHECK_EQ(take(&reader, &frame), 1);
        CHECK_EQ(frame.descriptor.frame_number, 5);
        CHECK_EQ(take(&reader, &frame), -ENOBUFS);
        end_epoch(&reader);
        CHECK_EQ(take(&reader, &frame), -EPIPE); /* the end is not hidden by it */
        fixture_detach(outlet, &reader);
        eegd_inlet_release(frames[0].slab);
        eegd_inlet_release(frames[2].slab);
        CHECK_EQ(eegd_inlet_leases_held(), 1);
        eegd_inlet_release(frame.slab);
        CHECK_EQ(eegd_inlet_leases_held(), 0);
        eegd_outlet_free(outlet);
    }
}

static void test_end_of_connection_is_told_and_nothing_sent_is_lost(void)
{
    EACH_LANE(lane)
    {
        struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
        struct fixture_reader reader;
        struct eegd_frame frame;
        fixture_attach(outlet, &reader, EEGD_POLICY_QUEUE, lane, 6);
        CHECK_EQ(take(&reader, &frame), 0);
        end_epoch(&reader);
        CHECK_EQ(eegd_inlet_take(reader.inlet, 1000000000, &frame), -EPIPE);
        for (int i = 0; i < 9; i++)
            fixture_publish(outlet); /* six of them queued, announced or not */
        eegd_outlet_free(outlet);    /* the writer is gone altogether */
        eegd_inlet_drain(reader.inlet);
        for (int i = 0; i < 6; i++) {
            CHECK_EQ(eegd_inlet_pending(reader.inlet), 1);
            CHECK_EQ(take(&reader, &frame), 1);
            CHECK_EQ(frame.descriptor.frame_number, i);
            CHECK(frame_is_right(&frame));
            eegd_inlet_release(frame.slab);
        }
        CHECK_EQ(eegd_inlet_pending(reader.inlet), 0);
        CHECK_EQ(take(&reader, &frame), -ENODATA);
        CHECK_EQ(take(&reader, &frame), -ENODATA);
        fixture_drop(&reader);
    }
}

static void test_drain_goes_by_frame_number_wherever_the_words_lie(void)
{
    struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
    struct fixture_reader reader;
    struct eegd_frame held[5], frame;
    fixture_attach(outlet, &reader, EEGD_POLICY_QUEUE, EEGD_LANE_ZEROMQ, 5);
    for (int i = 0; i < 5; i++) {
        fixture_publish(outlet);
        CHECK_EQ(take(&reader, &held[i]), 1);
    }
    static const int order[] = {3, 0, 4, 1}; /* words come back in this order, each takes the next frame */
    for (int i = 0; i < 4; i++) {
        eegd_inlet_release(held[order[i]].slab);
        fixture_publish(outlet);
    }
    eegd_inlet_drain(reader.inlet);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(take(&reader, &frame), 1);
        CHECK_EQ(frame.descriptor.frame_number, 5 + i);
        eegd_inlet_release(frame.slab);
    }
    CHECK_EQ(take(&reader, &frame), -ENODATA);
    CHECK(frame_is_right(&held[2]));
    eegd_inlet_release(held[2].slab);
    fixture_detach(outlet, &reader);
    eegd_outlet_free(outlet);
}

static void test_message_that_names_no_queued_word_is_counted_and_passed_over(void)
{
    struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
    struct fixture_reader reader;
    struct eegd_frame frame;
    struct eegd_inlet_stats stats;
    fixture_attach(outlet, &reader, EEGD_POLICY_QUEUE, EEGD_LANE_ZEROMQ, 4);
    struct eegd_message forged = {.word = 4}, free_word = {.word = 3};
    CHECK_EQ(send(reader.push.fd, &forged, sizeof(forged), 0), sizeof(forged));
    CHECK_EQ(send(reader.push.fd, &free_word, sizeof(free_word), 0), sizeof(free_word));
    CHECK_EQ(send(reader.push.fd, "short", 5, 0), 5);
    fixture_publish(outlet);
    CHECK_EQ(take(&reader, &frame), 1);
    CHECK_EQ(frame.descriptor.frame_number, 0);
    eegd_inlet_stats(reader.inlet, &stats);
    CHECK_EQ(stats.stale, 3);
    eegd_inlet_release(frame.slab);
    fixture_detach(outlet, &reader);
    eegd_outlet_free(outlet);
}

static void test_bell_without_a_word_does_no_harm(void)
{
    struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
    struct fixture_reader reader;
    struct eegd_frame frame;
    fixture_attach(outlet, &reader, EEGD_POLICY_QUEUE, EEGD_LANE_DIRECT, 4);
    ((struct eegd_lease_page *)reader.page)->bell = 1000;
    CHECK_EQ(take(&reader, &frame), 0);
    fixture_publish(outlet);
    CHECK_EQ(take(&reader, &frame), 1);
    CHECK_EQ(frame.descriptor.frame_number, 0);
    eegd_inlet_release(frame.slab);
    fixture_detach(outlet, &reader);
    eegd_outlet_free(outlet);
}

/* After the frames that are there, without a sleep: it never is about to. */
static void test_reader_that_was_at_its_work_when_it_had_to_leave_hears_of_it(void)
{
    struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
    struct fixture_reader reader;
    struct eegd_frame frame;
    struct eegd_inlet_stats stats;
    fixture_attach(outlet, &reader, EEGD_POLICY_QUEUE, EEGD_LANE_DIRECT, 4);
    struct eegd_lease_page *page = reader.page;
    for (int i = 0; i < 3; i++)
        fixture_publish(outlet);
    CHECK_EQ(take(&reader, &frame), 1);
    end_epoch(&reader);
    eegd_outlet_leave(outlet, reader.place);
    eegd_outlet_idle(outlet);
    for (int i = 0; i < 2; i++) {
        eegd_inlet_release(frame.slab);
        CHECK_EQ(take(&reader, &frame), 1);
    }
    eegd_inlet_release(frame.slab);
    atomic_store(&page->waiting, 7); /* a take that is about to sleep writes it */
    CHECK_EQ(eegd_inlet_take(reader.inlet, 100000000, &frame), -EPIPE);
    CHECK_EQ(atomic_load(&page->waiting), 7);
    eegd_inlet_stats(reader.inlet, &stats);
    CHECK_EQ(stats.stale, 0);
    CHECK_EQ(stats.taken, 3);
    fixture_detach(outlet, &reader);
    eegd_outlet_free(outlet);
}

static void test_writer_that_contradicts_itself_is_told(void)
{
    EACH_LANE(lane)
    {
        struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
        struct fixture_reader reader;
        struct eegd_frame frame;
        fixture_attach(outlet, &reader, EEGD_POLICY_QUEUE, lane, 8);
        for (int i = 0; i < 5; i++)
            fixture_publish(outlet);
        _Atomic uint64_t *words = fixture_words(&reader);
        words[0] = eegd_lease_word(0, 20, EEGD_LEASE_QUEUED);                        /* no such slab */
        words[1] = eegd_lease_word(9, eegd_lease_slab(words[1]), EEGD_LEASE_QUEUED); /* another frame's */
        eegd_outlet_descriptor(outlet, eegd_lease_slab(words[2]))->n_samples = FIXTURE_SAMPLES + 1;
        eegd_outlet_descriptor(outlet, eegd_lease_slab(words[3]))->n_channels = FIXTURE_CHANNELS + 1;
        int n_refused = 0, n_taken = 0;
        for (int i = 0; i < 10; i++) {
            int result = take(&reader, &frame);
            n_refused += result == -EPROTO;
            if (result == 1) {
                n_taken++;
                CHECK_EQ(frame.descriptor.frame_number, 4);
                eegd_inlet_release(frame.slab);
            }
        }
        CHECK_EQ(n_refused, 4);
        CHECK_EQ(n_taken, 1);
        fixture_detach(outlet, &reader);
        eegd_outlet_free(outlet);
    }
}

static void *release_slab(void *slab)
{
    eegd_inlet_release(slab);
    return NULL;
}

static void test_another_thread_may_release_and_twice_is_harmless(void)
{
    struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
    struct fixture_reader reader;
    struct eegd_frame frame;
    fixture_attach(outlet, &reader, EEGD_POLICY_QUEUE, EEGD_LANE_DIRECT, 2);
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        CHECK_EQ(fixture_publish(outlet), 1);
        CHECK_EQ(take(&reader, &frame), 1);
        pthread_create(&thread, NULL, release_slab, frame.slab);
        pthread_join(thread, NULL);
        eegd_inlet_release(frame.slab);
    }
    CHECK_EQ(eegd_inlet_leases_held(), 0);
    eegd_inlet_release(NULL);
    eegd_inlet_release(outlet); /* an address that is no slab of anyone's */
    fixture_detach(outlet, &reader);
    eegd_outlet_free(outlet);
}

/* Looking an address up must not follow another inlet that ends at that moment. */
struct other {
    struct eegd_outlet *outlet;
    int page_fd, connection;
    int n_failed;
};

static void *open_and_close(void *argument)
{
    struct other *other = argument;
    for (int i = 0; i < 1000; i++) {
        int error;
        struct eegd_inlet *inlet = eegd_inlet_open(eegd_outlet_segment_fd(other->outlet), other->page_fd,
                                                   EEGD_LANE_DIRECT, NULL, other->connection, &error);
        if (inlet)
            eegd_inlet_close(inlet);
        other->n_failed += !inlet;
    }
    return NULL;
}

static void test_release_is_safe_while_other_inlets_come_and_go(void)
{
    struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
    struct fixture_reader first, reader;
    struct eegd_frame frame;
    pthread_t thread;
    fixture_prepare(&first, EEGD_LANE_DIRECT, 2); /* its place comes before the reader's, and is taken anew */
    fixture_open(outlet, &first);
    fixture_attach(outlet, &reader, EEGD_POLICY_QUEUE, EEGD_LANE_DIRECT, 2);
    eegd_inlet_close(first.inlet);
    first.inlet = NULL;
    struct other other = {.outlet = outlet, .page_fd = first.page_fd, .connection = first.connection[1]};
    pthread_create(&thread, NULL, open_and_close, &other);
    for (int i = 0; i < 20000; i++) {
        CHECK_EQ(fixture_publish(outlet), 1);
        CHECK_EQ(take(&reader, &frame), 1);
        eegd_inlet_release(frame.slab);
    }
    pthread_join(thread, NULL);
    CHECK_EQ(other.n_failed, 0);
    fixture_drop(&first);
    fixture_detach(outlet, &reader);
    eegd_outlet_free(outlet);
}

static void test_memory_stays_until_the_last_lease_is_back(void)
{
    struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
    struct fixture_reader reader;
    struct eegd_frame one, two;
    fixture_attach(outlet, &reader, EEGD_POLICY_QUEUE, EEGD_LANE_ZEROMQ, 3);
    fixture_publish(outlet);
    fixture_publish(outlet);
    CHECK_EQ(take(&reader, &one), 1);
    CHECK_EQ(take(&reader, &two), 1);
    fixture_detach(outlet, &reader); /* closes the inlet */
    eegd_outlet_free(outlet);
    CHECK(frame_is_right(&one));
    CHECK(frame_is_right(&two));
    CHECK_EQ(eegd_inlet_leases_held(), 2);
    eegd_inlet_release(one.slab);
    CHECK(is_mapped(two.slab));
    CHECK(frame_is_right(&two));
    eegd_inlet_release(two.slab);
    CHECK(!is_mapped(two.slab));
    CHECK_EQ(eegd_inlet_leases_held(), 0);
    eegd_inlet_release(two.slab); /* nobody's any more */
}

static void test_forked_child_can_neither_take_nor_release(void)
{
    EACH_LANE(lane)
    {
        struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
        struct fixture_reader reader;
        struct eegd_frame frame, next;
        int status = -1;
        fixture_attach(outlet, &reader, EEGD_POLICY_QUEUE, lane, 3);
        fixture_publish(outlet);
        fixture_publish(outlet);
        CHECK_EQ(take(&reader, &frame), 1);
        uint64_t word = fixture_words(&reader)[0];
        CHECK_EQ(eegd_lease_state(word), EEGD_LEASE_HELD);
        pid_t child = fork();
        if (child == 0) {
            int wrong = take(&reader, &next) != -ECHILD;
            wrong |= eegd_inlet_pending(reader.inlet) != 0;
            wrong |= eegd_inlet_leases_held() != 0;
            eegd_inlet_release(frame.slab);
            eegd_inlet_close(reader.inlet);
            wrong |= !frame_is_right(&frame); /* still mapped */
            _exit(wrong);
        }
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(status, 0);
        CHECK_EQ(fixture_words(&reader)[0], word);
        CHECK_EQ(eegd_inlet_leases_held(), 1);
        CHECK_EQ(take(&reader, &next), 1); /* the parent goes on */
        CHECK_EQ(next.descriptor.frame_number, 1);
        eegd_inlet_release(frame.slab);
        eegd_inlet_release(next.slab);
        fixture_detach(outlet, &reader);
        eegd_outlet_free(outlet);
    }
}

struct wake {
    struct fixture_reader *reader;
    int n_frames;
    _Atomic int n_taken;
};

static void *take_all(void *argument)
{
    struct wake *wake = argument;
    struct eegd_frame frame;
    while (wake->n_taken < wake->n_frames) {
        if (eegd_inlet_take(wake->reader->inlet, 100000000, &frame) == 1) {
            eegd_inlet_release(frame.slab);
            wake->n_taken++;
        }
    }
    return NULL;
}

static void test_sleeping_reader_is_woken_for_every_frame(void)
{
    EACH_LANE(lane)
    {
        struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
        struct fixture_reader reader;
        struct eegd_reader_stats stats;
        pthread_t thread;
        fixture_attach(outlet, &reader, EEGD_POLICY_LOSSLESS, lane, 4);
        struct wake wake = {.reader = &reader, .n_frames = 2000};
        pthread_create(&thread, NULL, take_all, &wake);
        for (int i = 0; i < wake.n_frames; i++) {
            CHECK_EQ(fixture_publish(outlet), 1);
            while (wake.n_taken < i) /* one frame under way at a time, so that it sleeps in between */
                sched_yield();
        }
        pthread_join(thread, NULL);
        eegd_outlet_reader_stats(outlet, reader.place, &stats);
        CHECK_EQ(stats.missed, 0);
        CHECK_EQ(stats.sent, 2000);
        fixture_detach(outlet, &reader);
        eegd_outlet_free(outlet);
    }
}

static void test_inlet_refuses_what_is_no_stream(void)
{
    struct eegd_outlet *outlet = fixture_outlet(20, 2, 0);
    struct fixture_reader reader;
    int error = 0;
    fixture_prepare(&reader, EEGD_LANE_DIRECT, 4);
    int segment = eegd_outlet_segment_fd(outlet), connection = reader.connection[1];
    CHECK(!eegd_inlet_open(reader.page_fd, segment, EEGD_LANE_DIRECT, NULL, connection,
                           &error)); /* the wrong way round */
    CHECK_EQ(error, -EPROTO);
    CHECK(!eegd_inlet_open(segment, segment, EEGD_LANE_DIRECT, NULL, connection, &error));
    CHECK_EQ(error, -EPERM); /* a segment is no page: it cannot even be mapped as one */
    CHECK(!eegd_inlet_open(-1, reader.page_fd, EEGD_LANE_DIRECT, NULL, connection, &error));
    CHECK_EQ(error, -EPROTO);
    CHECK(!eegd_inlet_open(segment, reader.page_fd, EEGD_LANE_DIRECT, NULL, -1, &error));
    CHECK_EQ(error, -EBADF); /* nobody would ever learn of the end */
    fixture_drop(&reader);
    eegd_outlet_free(outlet);
}

int main(void)
{
    fake_zmq_use();
    RUN(test_frames_come_in_order_and_their_bytes_are_right);
    RUN(test_missed_counts_of_reader_and_writer_agree);
    RUN(test_latest_reader_wakes_to_the_newest_frame);
    RUN(test_take_says_when_every_lease_is_held_by_the_caller);
    RUN(test_end_of_connection_is_told_and_nothing_sent_is_lost);
    RUN(test_drain_goes_by_frame_number_wherever_the_words_lie);
    RUN(test_message_that_names_no_queued_word_is_counted_and_passed_over);
    RUN(test_bell_without_a_word_does_no_harm);
    RUN(test_reader_that_was_at_its_work_when_it_had_to_leave_hears_of_it);
    RUN(test_writer_that_contradicts_itself_is_told);
    RUN(test_another_thread_may_release_and_twice_is_harmless);
    RUN(test_release_is_safe_while_other_inlets_come_and_go);
    RUN(test_memory_stays_until_the_last_lease_is_back);
    RUN(test_forked_child_can_neither_take_nor_release);
    RUN(test_sleeping_reader_is_woken_for_every_frame);
    RUN(test_inlet_refuses_what_is_no_stream);
    return check_report();
}
