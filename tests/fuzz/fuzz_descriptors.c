/* SPDX-License-Identifier: MIT */
/*
 * A hostile writer's memory in a reader: segments, and then lease words, descriptors and messages on both
 * lanes. Whatever they hold, a frame lies within its segment, or there is a clean error. Built with the
 * address and undefined-behaviour sanitizers. One thread, but for the scribbler of the last phase.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include "fuzz.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

/* ---- what a hostile writer sends: segments ---- */

static void good_header(uint8_t *base, const struct eegd_geometry *geometry)
{
    uint64_t slabs =
        (sizeof(struct eegd_segment_header) + geometry->n_slabs * sizeof(struct eegd_descriptor) + 4095) /
        4096 * 4096;
    struct eegd_segment_header header = {.magic = EEGD_SEGMENT_MAGIC,
                                         .layout_version = EEGD_LAYOUT_VERSION,
                                         .header_bytes = sizeof(header),
                                         .segment_bytes = geometry->segment_bytes,
                                         .descriptors_offset = sizeof(header),
                                         .slabs_offset = slabs,
                                         .slab_stride = geometry->slab_stride,
                                         .plane_stride = geometry->plane_stride,
                                         .n_slabs = geometry->n_slabs,
                                         .n_channels = geometry->n_channels,
                                         .slab_samples = geometry->slab_samples,
                                         .rate_sps = geometry->rate_sps,
                                         .kind = geometry->kind};
    memcpy(base, &header, sizeof(header));
}

/* Some descriptor that is no sealed memory at all. */
static int other_fd(void)
{
    int pair[2];
    switch (below(4)) {
    case 0:
        return open("/dev/zero", O_RDWR | O_CLOEXEC);
    case 1:
        return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    case 2:
        CHECK_EQ(pipe(pair), 0);
        close(pair[1]);
        return pair[0];
    default:
        return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    }
}

static volatile uint8_t sink;

static void touch(const uint8_t *memory, uint64_t bytes)
{
    sink = memory[0];
    sink = memory[bytes - 1];
}

static long n_mapped;

static void map_and_look(int fd)
{
    struct eegd_segment segment;
    struct stat status;
    int error = eegd_segment_map(&segment, fd);
    if (error) {
        CHECK(error == -EPROTO || error == -ENOMEM || error == -EACCES || error == -EINVAL ||
              error == -EPERM);
        CHECK(segment.base == NULL && segment.fd == -1);
        return;
    }
    const struct eegd_geometry *geometry = &segment.geometry;
    CHECK_EQ(fstat(fd, &status), 0);
    CHECK_EQ(geometry->segment_bytes, status.st_size);
    uint64_t descriptors_end =
        (uint64_t)(segment.descriptors - segment.base) + geometry->n_slabs * sizeof(struct eegd_descriptor);
    uint64_t slabs_end = (uint64_t)(segment.slabs - segment.base) + geometry->slab_stride * geometry->n_slabs;
    CHECK(descriptors_end <= (uint64_t)(segment.slabs - segment.base));
    CHECK(slabs_end <= geometry->segment_bytes);
    CHECK(geometry->slab_samples * sizeof(float) <= geometry->plane_stride);
    touch(segment.descriptors, geometry->n_slabs * sizeof(struct eegd_descriptor));
    touch(segment.slabs, geometry->slab_stride * geometry->n_slabs);
    eegd_segment_unmap(&segment);
    n_mapped++;
}

static void one_segment(void)
{
    struct eegd_geometry geometry = {.n_slabs = 2 + below(5),
                                     .n_channels = 1 + below(4),
                                     .slab_samples = 1 + below(40),
                                     .kind = below(3),
                                     .rate_sps = 250};
    uint8_t *map;
    CHECK_EQ(eegd_geometry_complete(&geometry), 0);
    size_t bytes = geometry.segment_bytes;
    if (one_in(10))
        bytes = one_in(2) ? below(512) : bytes + below(8192) - 4096;
    int fd = memory_of(bytes, &map);
    uint8_t header[sizeof(struct eegd_segment_header)];
    good_header(header, &geometry);
    if (one_in(50))
        fill_random(header, sizeof(header));
    else if (!one_in(8))
        scribble(header, one_in(2) ? 88 : sizeof(header), 1 + below(3));
    memcpy(map ? map : header, header, bytes < sizeof(header) ? bytes : sizeof(header));
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE;
    if (one_in(10))
        seals &= (int)dice();
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, seals), 0);
    map_and_look(fd);
    if (map)
        munmap(map, bytes);
    close(fd);
    if (one_in(20)) {
        fd = other_fd();
        map_and_look(fd);
        close(fd);
    }
}

static void segments_of_a_hostile_writer(void)
{
    int n_fds = count_fds();
    n_mapped = 0;
    for (long i = 0; i < n_wanted; i++) {
        alive();
        one_segment();
    }
    CHECK_EQ(count_fds(), n_fds);
    printf("     %ld segments, %ld of them mapped\n", n_wanted, n_mapped);
}

/* ---- what a hostile writer does once it is attached to ---- */

#define MAX_HELD 64

struct hostile {
    struct eegd_geometry geometry;
    uint8_t *segment; /* the writer's map */
    int segment_fd;
    struct eegd_lease_page *page;
    int page_fd;
    uint64_t page_bytes;
    uint32_t depth;
    int lane;
    int connection[2];
    int pipe[2];
    struct fake_socket pull;
    struct eegd_inlet *inlet;
    void *held[MAX_HELD];
    int n_held;
    uint64_t frame;
};

static void open_hostile(struct hostile *hostile)
{
    int error = 0;
    void *page;
    memset(hostile, 0, sizeof(*hostile));
    hostile->geometry = (struct eegd_geometry){
        .n_slabs = 2 + below(20), .n_channels = 1 + below(4), .slab_samples = 1 + below(40), .rate_sps = 250};
    CHECK_EQ(eegd_geometry_complete(&hostile->geometry), 0);
    hostile->segment_fd = memory_of(hostile->geometry.segment_bytes, &hostile->segment);
    good_header(hostile->segment, &hostile->geometry);
    CHECK_EQ(fcntl(hostile->segment_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE), 0);
    hostile->page_fd = eegd_page_create(1 + below(24));
    CHECK_EQ(eegd_page_map(hostile->page_fd, &page, &hostile->depth, &hostile->page_bytes), 0);
    hostile->page = page;
    hostile->lane = one_in(2) ? EEGD_LANE_DIRECT : EEGD_LANE_ZEROMQ;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, hostile->connection), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, hostile->pipe), 0);
    hostile->pull = (struct fake_socket){.fd = hostile->pipe[1]};
    if (one_in(4)) { /* the page that is sent may be anything, too */
        scribble((uint8_t *)page, sizeof(*hostile->page), 1 + below(3));
        hostile->page->n_words = one_in(2) ? (uint32_t)odd_number() : hostile->page->n_words;
    }
    hostile->inlet = eegd_inlet_open(hostile->segment_fd, hostile->page_fd, hostile->lane,
                                     hostile->lane == EEGD_LANE_ZEROMQ ? &hostile->pull : NULL,
                                     hostile->connection[1], &error);
    CHECK(hostile->inlet ? error == 0 : error < 0);
}

static void close_hostile(struct hostile *hostile)
{
    if (hostile->inlet && one_in(2)) { /* leases may outlive the inlet */
        eegd_inlet_close(hostile->inlet);
        hostile->inlet = NULL;
    }
    while (hostile->n_held)
        eegd_inlet_release(hostile->held[--hostile->n_held]);
    if (hostile->inlet)
        eegd_inlet_close(hostile->inlet);
    munmap(hostile->segment, hostile->geometry.segment_bytes);
    eegd_page_unmap(hostile->page, hostile->page_bytes);
    int fds[] = {hostile->segment_fd,    hostile->page_fd, hostile->connection[0],
                 hostile->connection[1], hostile->pipe[0], hostile->pipe[1]};
    for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        close(fds[i]);
}

static struct eegd_descriptor *descriptor_of(struct hostile *hostile, uint32_t slab)
{
    return (struct eegd_descriptor *)(void *)(hostile->segment + sizeof(struct eegd_segment_header)) + slab;
}

static void send_message(struct hostile *hostile, uint32_t word)
{
    uint8_t bytes[80];
    struct eegd_message message = {.frame_number = hostile->frame, .word = word};
    fill_random(bytes, sizeof(bytes));
    if (!one_in(8))
        memcpy(bytes, &message, sizeof(message));
    size_t length = one_in(8) ? 1 + below(sizeof(bytes) - 1) : sizeof(message);
    send(hostile->pipe[0], bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A frame as it should be, in half of the cases with one thing wrong. */
static void give_frame(struct hostile *hostile)
{
    uint32_t slab = below(hostile->geometry.n_slabs), word = below(hostile->depth);
    struct eegd_descriptor good = {.frame_number = hostile->frame,
                                   .sample_index = hostile->frame * hostile->geometry.slab_samples,
                                   .n_samples = 1 + below(hostile->geometry.slab_samples),
                                   .n_channels = hostile->geometry.n_channels,
                                   .kind = hostile->geometry.kind};
    if (one_in(4))
        scribble((uint8_t *)&good, sizeof(good), 1 + below(2));
    memcpy(descriptor_of(hostile, slab), &good, sizeof(good));
    uint32_t named = one_in(8) ? (uint32_t)odd_number() : slab;
    uint64_t frame = one_in(8) ? odd_number() : hostile->frame;
    uint64_t value = eegd_lease_word(frame, named, one_in(8) ? below(4) : EEGD_LEASE_QUEUED);
    atomic_store(&hostile->page->words[word], one_in(16) ? dice() : value);
    if (!one_in(8))
        atomic_fetch_add(&hostile->page->bell, one_in(16) ? (uint32_t)odd_number() : 1);
    if (hostile->lane == EEGD_LANE_ZEROMQ)
        send_message(hostile, one_in(8) ? (uint32_t)odd_number() : word);
    hostile->frame = one_in(64) ? odd_number() : hostile->frame + 1;
}

static void look_at_frame(struct hostile *hostile, const struct eegd_frame *frame)
{
    const struct eegd_geometry *geometry = &hostile->geometry;
    const struct eegd_descriptor *descriptor = &frame->descriptor;
    CHECK(frame->slab_index < geometry->n_slabs);
    CHECK_EQ(frame->plane_stride, geometry->plane_stride);
    CHECK_EQ(descriptor->n_channels, geometry->n_channels);
    CHECK(descriptor->n_samples >= 1 && descriptor->n_samples <= geometry->slab_samples);
    CHECK(descriptor->sample_index <= (uint64_t)INT64_MAX - descriptor->n_samples);
    const uint8_t *slab = frame->slab;
    touch(slab, (uint64_t)frame->plane_stride * descriptor->n_channels);
    for (int i = 0; i < hostile->n_held; i++)
        CHECK(hostile->held[i] != frame->slab); /* no slab is given twice */
    if (hostile->n_held == MAX_HELD)
        eegd_inlet_release(hostile->held[--hostile->n_held]);
    hostile->held[hostile->n_held++] = frame->slab;
}

static long n_frames, n_refused;

static void take_one(struct hostile *hostile)
{
    struct eegd_frame frame;
    int result = eegd_inlet_take(hostile->inlet, 0, &frame);
    if (result == 1) {
        n_frames++;
        look_at_frame(hostile, &frame);
        return;
    }
    n_refused += result == -EPROTO;
    CHECK(result == 0 || result == -EPROTO || result == -EPIPE || result == -ENOBUFS || result == -ENODATA ||
          result == -EINTR);
}

static void one_step(struct hostile *hostile)
{
    struct eegd_inlet_stats stats;
    switch (below(16)) {
    case 0:
        scribble(hostile->segment, sizeof(struct eegd_segment_header), 1 + below(4));
        break;
    case 1:
        scribble(hostile->segment, hostile->geometry.segment_bytes, 1 + below(16));
        break;
    case 2:
        scribble((uint8_t *)hostile->page, hostile->page_bytes, 1 + below(16));
        break;
    case 3:
        send(hostile->connection[0], "{}", 2, MSG_DONTWAIT | MSG_NOSIGNAL);
        break;
    case 4:
        eegd_inlet_stats(hostile->inlet, &stats);
        CHECK(eegd_inlet_pending(hostile->inlet) <= 1);
        break;
    case 5:
        if (one_in(16))
            eegd_inlet_drain(hostile->inlet);
        break;
    case 6:
    case 7:
        if (hostile->n_held) {
            int i = (int)below((uint32_t)hostile->n_held);
            eegd_inlet_release(hostile->held[i]);
            hostile->held[i] = hostile->held[--hostile->n_held];
        }
        break;
    default:
        give_frame(hostile);
    }
    take_one(hostile);
}

#define STEPS 50

static void frames_of_a_hostile_writer(void)
{
    struct hostile hostile;
    int n_fds = count_fds();
    long n_steps = 0, n_opened = 0;
    n_frames = n_refused = 0;
    for (long i = 0; n_steps < n_wanted; i++) {
        alive();
        open_hostile(&hostile);
        for (int step = 0; step < STEPS && hostile.inlet; step++, n_steps++)
            one_step(&hostile);
        n_opened += hostile.inlet != NULL;
        close_hostile(&hostile);
        CHECK_EQ(eegd_inlet_leases_held(), 0);
    }
    CHECK_EQ(count_fds(), n_fds);
    CHECK(n_frames > n_steps / 20);
    printf("     %ld steps on %ld inlets: %ld frames, %ld refused\n", n_steps, n_opened, n_frames, n_refused);
}

/* The same with the writer scribbling at every moment, between any two instructions of the reader. */
struct scribbler {
    struct hostile *hostile;
    _Atomic int over;
};

static void *scribble_on(void *argument)
{
    struct scribbler *scribbler = argument;
    struct hostile *hostile = scribbler->hostile;
    uint64_t state = 1;
    while (!atomic_load(&scribbler->over)) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        uint32_t slab = (uint32_t)(state >> 33) % hostile->geometry.n_slabs;
        volatile struct eegd_descriptor *descriptor = descriptor_of(hostile, slab);
        descriptor->n_samples = (uint32_t)(state >> 20);
        descriptor->n_channels = (uint32_t)(state >> 24);
        uint64_t word = eegd_lease_word(descriptor->frame_number, slab, EEGD_LEASE_QUEUED);
        atomic_store(&hostile->page->words[(state >> 40) % hostile->depth], word);
        atomic_fetch_add(&hostile->page->bell, 1);
        descriptor->n_channels = hostile->geometry.n_channels;
        descriptor->n_samples = 1;
    }
    return NULL;
}

static void frames_while_the_writer_scribbles(void)
{
    struct hostile hostile;
    pthread_t thread;
    long n_steps = 0;
    n_frames = n_refused = 0;
    while (n_steps < n_wanted) {
        alive();
        open_hostile(&hostile);
        struct scribbler scribbler = {.hostile = &hostile};
        if (hostile.inlet && pthread_create(&thread, NULL, scribble_on, &scribbler) == 0) {
            for (int step = 0; step < 40 * STEPS; step++, n_steps++) {
                if (hostile.lane == EEGD_LANE_ZEROMQ)
                    send_message(&hostile, below(hostile.depth));
                take_one(&hostile);
                if (hostile.n_held && !one_in(8))
                    eegd_inlet_release(hostile.held[--hostile.n_held]);
            }
            atomic_store(&scribbler.over, 1);
            pthread_join(thread, NULL);
        }
        close_hostile(&hostile);
        CHECK_EQ(eegd_inlet_leases_held(), 0);
    }
    printf("     %ld steps: %ld frames, %ld refused\n", n_steps, n_frames, n_refused);
}

int main(int n_arguments, char **arguments)
{
    fuzz_begin("fuzz_descriptors", n_arguments, arguments);
    RUN(segments_of_a_hostile_writer);
    RUN(frames_of_a_hostile_writer);
    RUN(frames_while_the_writer_scribbles);
    return check_report();
}
