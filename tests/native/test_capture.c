/* SPDX-License-Identifier: MIT */
/* The capture thread on a board that follows a script: what becomes of each edge and each read. */
#include <errno.h>
#include <math.h>
#include <semaphore.h>
#include "board.h"
#include "capture.h"
#include "counter_inline.h"
#include "detect.h"
#include "ring.h"
#include "stream_fixture.h"

#define BASE_NS 8640000000000000ll /* 100 days */
#define N_CHIPS 2
#define FRAME_BYTES 27
#define MAX_STEPS 16000

/* One edge as the host sees it, and what a read then gives. */
struct step {
    int64_t drdy_ns;
    uint64_t seq;
    int64_t read_ns;  /* from the stamp to the end of the last chip's read */
    uint32_t number;  /* of the conversion that is read */
    int failing_chip; /* its transfer fails with -ETIMEDOUT; -1: none */
    uint8_t status;   /* first byte of the second chip */
    uint8_t gpio;     /* last nibble of the second chip's status */
    uint8_t off;      /* electrodes off, of the first chip */
    uint32_t code;    /* of the second chip's first channel; 0: by its number */
    int waits;        /* the edge does not come before control has done what it wants to do */
};

static struct script {
    struct eegd_board board; /* first */
    struct step steps[MAX_STEPS];
    int n_steps, next;
    int end; /* what wait answers after the last step */
    int64_t now_ns;
    double period_ns;
    uint64_t n_edges, seq;
    sem_t waiting, go; /* at a step that waits */
} script;

static struct eegd_counter counters[EEGD_N_COUNTS];
static struct eegd_capture_config config;
static struct eegd_outlet *outlet;
static struct fixture_reader reader;
static struct eegd_capture_stats stats;

static int script_wait(struct eegd_board *board, int64_t timeout_ns, struct eegd_edge *edge)
{
    (void)board;
    if (script.next == script.n_steps) {
        script.now_ns += timeout_ns > 0 ? timeout_ns : 0;
        return script.end;
    }
    const struct step *step = &script.steps[script.next++];
    if (step->waits) {
        sem_post(&script.waiting);
        sem_wait(&script.go);
    }
    *edge = (struct eegd_edge){.drdy_ns = step->drdy_ns, .seq = step->seq};
    script.now_ns = step->drdy_ns;
    return 1;
}

static void write_code(uint8_t *bytes, uint32_t code)
{
    bytes[0] = (uint8_t)(code >> 16);
    bytes[1] = (uint8_t)(code >> 8);
    bytes[2] = (uint8_t)code;
}

static int script_transfer(struct eegd_board *board, const struct eegd_transfer *transfer, int64_t *end_ns)
{
    (void)board;
    if (!transfer->rx) /* START */
        return script.end == -EIO ? -EIO : 0;
    const struct step *step = &script.steps[script.next - 1];
    if (step->failing_chip == (int)transfer->cs)
        return -ETIMEDOUT;
    memset(transfer->rx, 0, transfer->len);
    transfer->rx[0] = transfer->cs == 1 ? step->status : 0xC0;
    for (uint32_t channel = 0; channel < 8; channel++)
        write_code(transfer->rx + 3 + 3 * channel, step->number * 8 + channel);
    if (transfer->cs == 0)
        write_code(transfer->rx, 0xC00000 | (uint32_t)step->off << 12);
    else
        transfer->rx[2] = step->gpio;
    if (transfer->cs == 1 && step->code)
        write_code(transfer->rx + 3, step->code);
    script.now_ns = step->drdy_ns + step->read_ns * ((int64_t)transfer->cs + 1) / N_CHIPS;
    *end_ns = script.now_ns;
    return 0;
}

static int script_set_line(struct eegd_board *board, int line, int level)
{
    (void)board, (void)line, (void)level;
    return 0;
}

static int64_t script_now(struct eegd_board *board)
{
    (void)board;
    return script.now_ns;
}

static int script_drain(struct eegd_board *board, uint64_t *seq)
{
    (void)board;
    *seq = 0;
    return 0;
}

static void script_wake(struct eegd_board *board)
{
    (void)board;
}

static const struct eegd_board_ops script_ops = {.name = "script",
                                                 .wait = script_wait,
                                                 .transfer = script_transfer,
                                                 .set_line = script_set_line,
                                                 .now = script_now,
                                                 .drain = script_drain,
                                                 .wake = script_wake};

/* Two chips, each with its own chip select; channels 0 and 1 are of the first, 2 of the second. */
static void prepare(double rate_sps)
{
    memset(&script, 0, sizeof(script));
    memset(counters, 0, sizeof(counters));
    script.board.ops = &script_ops;
    sem_init(&script.waiting, 0, 0);
    sem_init(&script.go, 0, 0);
    script.end = -ENODATA;
    script.period_ns = 1e9 / rate_sps;
    outlet = fixture_outlet(300, 40, 0);
    fixture_attach(outlet, &reader, EEGD_POLICY_QUEUE, EEGD_LANE_DIRECT, 250);
    config = (struct eegd_capture_config){
        .board = &script.board,
        .outlet = outlet,
        .map = {.n_chips = N_CHIPS,
                .chip_offset = {0, FRAME_BYTES},
                .n_bytes = N_CHIPS * FRAME_BYTES,
                .n_channels = FIXTURE_CHANNELS,
                .channel_offset = {3, 6, FRAME_BYTES + 3},
                .lsb_uv = {1, 1, 1}},
        .n_transfers = N_CHIPS,
        .transfer_bytes = {FRAME_BYTES, FRAME_BYTES},
        .transfer_cs = {0, 1},
        .sclk_hz = 8000000,
        .register_sclk_hz = 2000000,
        .frame_samples = FIXTURE_SAMPLES,
        .period_ns = script.period_ns,
        .tclk_ns = 488.28125,
        .stall_ns = 1000000000,
        .frozen_run = 4,
        .max_bad_run = 50,
        .cpu = -1,
    };
    for (int i = 0; i < EEGD_N_COUNTS; i++)
        config.counters[i] = &counters[i];
}

/* The next conversion's edge, in time and read in time. */
static struct step *step(void)
{
    struct step *next = &script.steps[script.n_steps++];
    uint64_t number = script.n_edges++;
    *next = (struct step){.drdy_ns = BASE_NS + (int64_t)((double)number * script.period_ns),
                          .seq = ++script.seq,
                          .read_ns = (int64_t)(script.period_ns / 10),
                          .number = (uint32_t)number,
                          .failing_chip = -1,
                          .status = 0xC0};
    return next;
}

static void steps(int n)
{
    for (int i = 0; i < n; i++)
        step();
}

static uint64_t counted(int which)
{
    return eegd_counter_value(&counters[which]);
}

static void run_capture(void)
{
    int error = 0;
    struct eegd_capture *capture = eegd_capture_start(&config, &error);
    CHECK_EQ(error, 0);
    eegd_capture_join(capture);
    eegd_capture_stats(capture, &stats);
    eegd_capture_free(capture);
}

static void finish(void)
{
    fixture_detach(outlet, &reader);
    eegd_outlet_free(outlet);
}

/* Takes the next frame; every sample of it must be the conversion of its own index (+ first). */
static int take(struct eegd_frame *frame, uint32_t first)
{
    if (eegd_inlet_take(reader.inlet, 0, frame) != 1)
        return 0;
    const float *planes = frame->slab;
    uint32_t stride = frame->plane_stride / (uint32_t)sizeof(float);
    const struct eegd_descriptor *descriptor = &frame->descriptor;
    for (uint32_t i = 0; i < descriptor->n_samples; i++) {
        uint64_t number = first + descriptor->sample_index + i;
        CHECK_EQ(planes[i], number * 8);
        CHECK_EQ(planes[stride + i], number * 8 + 1);
        CHECK_EQ(planes[2 * stride + i], number * 8);
    }
    eegd_inlet_release(frame->slab);
    return 1;
}

/* Reads all; the sum of lost_before. Times go forward, indices without an unexplained jump. */
static uint64_t read_all(uint32_t first)
{
    struct eegd_frame frame;
    uint64_t lost = 0, next = 0;
    double time_ns = 0;
    while (take(&frame, first)) {
        CHECK_EQ(frame.descriptor.sample_index, next + frame.descriptor.lost_before);
        CHECK(frame.descriptor.time_ns > time_ns);
        time_ns = frame.descriptor.time_ns;
        lost += frame.descriptor.lost_before;
        next = frame.descriptor.sample_index + frame.descriptor.n_samples;
    }
    return lost;
}

static uint64_t losses(void)
{
    return counted(EEGD_COUNT_MISSED) + counted(EEGD_COUNT_BAD) + counted(EEGD_COUNT_LATE) +
           counted(EEGD_COUNT_OVERRUN);
}

static void test_every_conversion_is_in_a_frame_and_the_last_one_is_short(void)
{
    struct eegd_frame frame;
    prepare(250);
    steps(2 * FIXTURE_SAMPLES + 7);
    run_capture();
    CHECK_EQ(stats.state, EEGD_CAPTURE_OVER);
    CHECK_EQ(stats.sample_index, 2 * FIXTURE_SAMPLES + 7);
    CHECK_EQ(stats.first_drdy_ns, BASE_NS);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK(take(&frame, 0));
        CHECK_EQ(frame.descriptor.sample_index, i * FIXTURE_SAMPLES);
        CHECK_EQ(frame.descriptor.drdy_ns, BASE_NS + i * FIXTURE_SAMPLES * 4000000ll);
        CHECK_EQ(frame.descriptor.n_samples, i < 2 ? FIXTURE_SAMPLES : 7);
        CHECK_EQ((frame.descriptor.flags & EEGD_FLAG_SHORT) != 0, i == 2);
        CHECK_EQ(frame.descriptor.status_and[1], 0xC00000);
    }
    CHECK(!take(&frame, 0));
    CHECK_EQ(losses(), 0);
    finish();
}

static void test_a_late_stamp_loses_nothing_at_16000_sps(void)
{
    prepare(16000);
    const int n_steps = 4000; /* of which the last ones are 50 us late, of 62.5 */
    for (int i = 0; i < n_steps; i++) {
        struct step *late = step();
        if (i % 40 == 20)
            late->drdy_ns += 20000 + 750 * (i / 100);
        late->read_ns = 8000;
    }
    run_capture();
    CHECK_EQ(read_all(0), 0);
    CHECK_EQ(losses(), 0);
    CHECK_EQ(counted(EEGD_COUNT_EXTRA_EDGES), 0);
    CHECK_EQ(stats.sample_index, n_steps);
    finish();
}

static void test_missed_edges_end_the_frame_and_move_the_index(void)
{
    struct eegd_frame frame;
    prepare(1000);
    steps(105);
    script.n_edges += 3; /* merged: no gap in the sequence */
    steps(100);
    script.n_edges += 2;
    script.seq += 2; /* the queue has overflowed */
    steps(100);
    run_capture();
    CHECK_EQ(counted(EEGD_COUNT_MISSED), 5);
    for (int i = 0; i < 5; i++)
        CHECK(take(&frame, 0));
    CHECK(take(&frame, 0));
    CHECK_EQ(frame.descriptor.n_samples, 5);
    CHECK(frame.descriptor.flags & EEGD_FLAG_SHORT);
    CHECK(take(&frame, 0));
    CHECK_EQ(frame.descriptor.lost_before, 3);
    CHECK_EQ(frame.descriptor.sample_index, 108);
    CHECK_EQ(losses(), 5);
    finish();
}

static void test_an_error_of_one_chips_bus_loses_that_sample_only(void)
{
    prepare(1000);
    steps(100);
    step()->failing_chip = 1;
    steps(30);
    step()->failing_chip = 0;
    steps(30);
    run_capture();
    CHECK_EQ(read_all(0), 2);
    CHECK_EQ(counted(EEGD_COUNT_SPI_ERRORS), 2);
    CHECK_EQ(losses(), 2);
    CHECK_EQ(stats.sample_index, 162);
    finish();
}

static void test_a_wrong_status_of_the_second_chip_is_bad(void)
{
    prepare(1000);
    steps(50);
    step()->status = 0x60;
    steps(50);
    run_capture();
    CHECK_EQ(read_all(0), 1);
    CHECK_EQ(counted(EEGD_COUNT_BAD_STATUS), 1);
    CHECK_EQ(losses(), 1);
    finish();
}

static void test_a_chip_that_does_not_drive_its_pins_as_set_is_bad(void)
{
    prepare(1000);
    config.map.status_mask[1] = 0xC;
    config.map.status[1] = 0x8;
    for (int i = 0; i < 20; i++)
        step()->gpio = i == 10 ? 0x0 : i == 11 ? 0xC : 0x8 | (i & 3); /* bits 0 and 1 are inputs */
    run_capture();
    CHECK_EQ(counted(EEGD_COUNT_MARKER), 2);
    CHECK_EQ(losses(), 2);
    CHECK_EQ(read_all(0), 2);
    finish();
}

/* What was missed before the first wait is lost, where nothing is discarded. */
static void test_edges_missed_right_after_the_start_are_counted(void)
{
    struct eegd_frame frame;
    prepare(1000);
    script.n_edges = script.seq = 3;
    steps(40);
    run_capture();
    CHECK_EQ(counted(EEGD_COUNT_MISSED), 3);
    CHECK_EQ(losses(), 3);
    CHECK(take(&frame, 0));
    CHECK_EQ(frame.descriptor.sample_index, 3);
    CHECK_EQ(frame.descriptor.lost_before, 3);
    finish();
}

static void test_a_silence_as_of_a_restarted_chip_ends_capture_before_its_first_conversion(void)
{
    prepare(1000);
    steps(200);
    script.n_edges += 17;
    steps(20);
    run_capture();
    CHECK_EQ(stats.state, EEGD_CAPTURE_RESTARTED);
    CHECK_EQ(stats.sample_index, 200);
    CHECK(fabs(stats.found_ns - 18e6) < 1e3);
    CHECK_EQ(counted(EEGD_COUNT_CONVERSIONS), 200);
    finish();

    prepare(1000);
    config.start_command = 0x08; /* such a chip does not start again by itself */
    steps(200);
    script.n_edges += 17;
    steps(20);
    run_capture();
    CHECK_EQ(stats.state, EEGD_CAPTURE_OVER);
    CHECK_EQ(losses(), 17);
    finish();
}

static void test_edges_at_a_rate_that_was_not_set_end_capture(void)
{
    prepare(1000);
    script.period_ns *= 2;
    steps(1000);
    run_capture();
    CHECK_EQ(stats.state, EEGD_CAPTURE_WRONG_RATE);
    CHECK(fabs(stats.found_ns - 2e6) < 1e3);
    finish();
}

/* An electrode that comes off for 200 ms is in the frames; one that stays off is an event too. */
static void test_a_channels_state_is_told_once_when_it_has_lasted(void)
{
    struct eegd_event events[8];
    struct eegd_frame frame;
    uint32_t off = 0;
    prepare(1000);
    config.events = eegd_events_new(64);
    config.hold_samples = 500;
    config.lead_off_mask[1] = 2 << 12;
    for (int i = 0; i < 2500; i++)
        step()->off = (i >= 100 && i < 300) || i >= 600 ? 2 : 0;
    run_capture();
    CHECK_EQ(eegd_events_take(config.events, events, 8), 2);
    CHECK_EQ(events[0].kind, EEGD_EVENT_CHANNEL_STATE);
    CHECK_EQ(events[0].source, 1);
    CHECK_EQ(events[0].a, EEGD_STATE_LEAD_OFF);
    CHECK_EQ(events[0].b, 1);
    CHECK_EQ(events[0].sample_index, 600);
    CHECK_EQ(events[0].time_ns, BASE_NS + 600000000);
    CHECK_EQ(events[0].value, 500);
    CHECK_EQ(events[1].kind, EEGD_EVENT_REPLAY_OVER);
    CHECK_EQ(stats.states[EEGD_STATE_LEAD_OFF], 2);
    while (take(&frame, 0))
        off += frame.descriptor.lead_off == 2 ? frame.descriptor.n_samples : 0;
    CHECK(off >= 200 + 1900);
    eegd_events_free(config.events);
    finish();
}

static void test_a_read_that_ends_at_the_next_edge_is_late(void)
{
    prepare(1000);
    steps(1500); /* the fit is locked */
    step()->read_ns = 1000000 - 2100;
    steps(50);
    step()->read_ns = 1000000 - 1800; /* within 4 tCLK of it */
    steps(50);
    run_capture();
    CHECK_EQ(counted(EEGD_COUNT_LATE), 1);
    CHECK_EQ(read_all(0), 1);
    CHECK_EQ(losses(), 1);
    finish();
}

/* An equal conversion is published until it is the n-th; what comes then is lost. */
static void test_a_frozen_chip_is_bad_from_the_nth_equal_conversion_on(void)
{
    prepare(1000);
    steps(50);
    for (int i = 0; i < 10; i++)
        step()->number = 49;
    run_capture();
    CHECK_EQ(counted(EEGD_COUNT_FROZEN), 8); /* frozen_run = 4: three of the eleven were let through */
    CHECK_EQ(losses(), 8);
    CHECK_EQ(stats.sample_index, 60);
    finish();
}

static void test_discarded_conversions_are_no_losses_and_the_index_begins_after_them(void)
{
    struct eegd_frame frame;
    prepare(1000);
    config.discard = 3;
    steps(1);
    script.n_edges += 1; /* missed among those that nobody wants */
    steps(42);
    run_capture();
    CHECK_EQ(counted(EEGD_COUNT_DISCARDED), 3);
    CHECK_EQ(counted(EEGD_COUNT_CONVERSIONS), 43);
    CHECK_EQ(losses(), 0);
    CHECK(take(&frame, 4));
    CHECK_EQ(frame.descriptor.sample_index, 0);
    CHECK_EQ(frame.descriptor.lost_before, 0);
    CHECK_EQ(stats.first_drdy_ns, BASE_NS + 4000000);
    finish();
}

static void test_an_extra_edge_is_not_read(void)
{
    prepare(1000);
    steps(100);
    struct step *extra = step();
    script.n_edges--;
    *extra = extra[-1];
    extra->drdy_ns += 5000;
    extra->seq++;
    steps(100);
    run_capture();
    CHECK_EQ(counted(EEGD_COUNT_EXTRA_EDGES), 1);
    CHECK_EQ(counted(EEGD_COUNT_CONVERSIONS), 200);
    CHECK_EQ(read_all(0), 0);
    CHECK_EQ(losses(), 0);
    finish();
}

/* All stamps were 300 us late, and from one edge on they are not: the fit was wrong, and its step is within
 * no frame. */
static void test_a_new_fit_of_the_clock_ends_the_frame_and_is_told(void)
{
    struct eegd_frame frame;
    struct eegd_event event;
    uint64_t n_short = 0, end = 0;
    double error_ns = 0;
    prepare(250);
    config.events = eegd_events_new(64);
    for (int i = 0; i < 400; i++)
        step()->drdy_ns += 300000;
    steps(205);
    run_capture();
    CHECK_EQ(eegd_events_take(config.events, &event, 1), 1);
    CHECK_EQ(event.kind, EEGD_EVENT_CLOCK_RELOCK);
    CHECK(fabs(event.value + 300000) < 20000);
    while (take(&frame, 0)) {
        const struct eegd_descriptor *descriptor = &frame.descriptor;
        uint64_t last = descriptor->sample_index + descriptor->n_samples - 1;
        double last_ns = descriptor->time_ns + (descriptor->n_samples - 1) * descriptor->period_ns;
        CHECK_EQ(descriptor->lost_before, 0);
        n_short += last != 604 && (descriptor->flags & EEGD_FLAG_SHORT);
        error_ns = last_ns - (double)BASE_NS - (double)last * script.period_ns;
        CHECK(fabs(error_ns - (n_short < 1 || last < 410 ? 300000 : 0)) < 20000);
        end = last + 1;
    }
    CHECK_EQ(n_short, 1);
    CHECK_EQ(end, 605);
    CHECK_EQ(losses(), 0);
    eegd_events_free(config.events);
    finish();
}

static void test_without_a_free_slab_samples_are_overruns(void)
{
    prepare(1000);
    while (eegd_outlet_claim(outlet) >= 0)
        ;
    steps(30);
    run_capture();
    CHECK_EQ(counted(EEGD_COUNT_OVERRUN), 30);
    CHECK_EQ(counted(EEGD_COUNT_SAMPLES), 0);
    CHECK_EQ(losses(), 30);
    CHECK_EQ(stats.sample_index, 30);
    finish();
}

static struct eegd_detect_config detectors;

/* A table that tells the value of every sample that it sees, and each change of a pin of the second chip. */
static struct eegd_events *add_detectors(void)
{
    detectors = (struct eegd_detect_config){.map = config.map,
                                            .markers = eegd_events_new(2),
                                            .detections = eegd_events_new(2),
                                            .reports = eegd_events_new(512),
                                            .n_detectors = 2,
                                            .detectors = {{.kind = EEGD_DETECTOR_STREAM, .interval = 1},
                                                          {.kind = EEGD_DETECTOR_PINS,
                                                           .id = 1,
                                                           .key = 1,
                                                           .chip = 1,
                                                           .n_pins = 1,
                                                           .edges = EEGD_EDGE_RISING | EEGD_EDGE_FALLING}}};
    config.detect = eegd_detect_new(&detectors);
    return detectors.reports;
}

static void free_rings(void)
{
    eegd_events_free(detectors.markers);
    eegd_events_free(detectors.detections);
    eegd_events_free(detectors.reports);
}

static void test_detectors_see_exactly_the_samples_that_are_in_frames(void)
{
    struct eegd_event event;
    struct eegd_events *reports;
    struct eegd_frame frame;
    prepare(1000);
    reports = add_detectors();
    steps(50);
    step()->failing_chip = 1; /* bad: sample 50 */
    steps(20);
    script.n_edges += 2; /* missed: samples 71 and 72 */
    script.seq += 2;
    steps(20);
    step()->read_ns = (int64_t)script.period_ns; /* late: sample 93 */
    steps(20);
    run_capture();
    CHECK_EQ(losses(), 4);
    CHECK(eegd_detect_has_begun(config.detect));
    while (eegd_inlet_take(reader.inlet, 0, &frame) == 1) {
        const float *planes = frame.slab;
        for (uint32_t i = 0; i < frame.descriptor.n_samples; i++) {
            CHECK_EQ(eegd_events_take(reports, &event, 1), 1);
            CHECK_EQ(event.sample_index, frame.descriptor.sample_index + i);
            CHECK(event.value == (double)planes[i]);
            CHECK(fabs((double)event.time_ns - frame.descriptor.time_ns - i * frame.descriptor.period_ns) <
                  2);
        }
        eegd_inlet_release(frame.slab);
    }
    CHECK_EQ(eegd_events_take(reports, &event, 1), 0);
    eegd_detect_free(config.detect);
    free_rings();
    finish();
}

/* ---- rings that are full for a second at the highest rate, in the script's time ---- */

#define SECOND 16000
#define PAUSE                                                                                                \
    2000 /* samples from one visit of control to the next: it reads the frames, and takes some events */

struct kept_frame {
    struct eegd_descriptor descriptor;
    float samples[FIXTURE_CHANNELS][FIXTURE_SAMPLES];
};

static struct kept_frame kept[2][SECOND / FIXTURE_SAMPLES + 1];

static int keep_frames(struct kept_frame *frames, int n)
{
    struct eegd_frame frame;
    while (eegd_inlet_take(reader.inlet, 0, &frame) == 1) {
        struct kept_frame *one = &frames[n++];
        one->descriptor = frame.descriptor;
        one->descriptor.publish_ns = one->descriptor.wall_offset_ns = 0; /* by this computer's clock */
        for (uint32_t channel = 0; channel < FIXTURE_CHANNELS; channel++)
            memcpy(one->samples[channel], (const uint8_t *)frame.slab + (size_t)channel * frame.plane_stride,
                   frame.descriptor.n_samples * sizeof(float));
        eegd_inlet_release(frame.slab);
    }
    return n;
}

/* A second in which every sample is a crossing, a new word and a value. Control takes n_taken events of each
 * ring at each visit. Returns the frames. */
static int run_second(struct kept_frame *frames, struct eegd_events *const *rings, int n_taken)
{
    static struct eegd_event events[PAUSE];
    int error = 0, n = 0;
    for (int i = 0; i < SECOND; i++) {
        struct step *made = step();
        made->gpio = i & 1;
        made->code = i & 1 ? 3000 : 1000;
        made->waits = i && i % PAUSE == 0;
    }
    struct eegd_capture *capture = eegd_capture_start(&config, &error);
    CHECK_EQ(error, 0);
    for (int i = PAUSE; i < SECOND; i += PAUSE) {
        sem_wait(&script.waiting);
        n = keep_frames(frames, n);
        for (int ring = 0; ring < 3 && n_taken; ring++)
            CHECK_EQ(eegd_events_take(rings[ring], events, n_taken), n_taken);
        sem_post(&script.go);
    }
    eegd_capture_join(capture);
    eegd_capture_free(capture);
    CHECK_EQ(counted(EEGD_COUNT_SAMPLES), SECOND);
    CHECK_EQ(losses(), 0);
    return keep_frames(frames, n);
}

/* One event at every sample from `first` on, told one by one to a ring that is no ring. */
static struct eegd_ring_stats count_by_hand(uint64_t capacity, int first, int n_taken)
{
    struct eegd_ring_stats wanted = {.capacity = capacity};
    for (int i = 0; i < SECOND; i++) {
        if (i && i % PAUSE == 0) {
            wanted.taken += (uint64_t)n_taken;
            wanted.depth -= (uint64_t)n_taken;
        }
        if (i < first)
            continue;
        int fits = wanted.depth < capacity;
        wanted.posted += (uint64_t)fits;
        wanted.depth += (uint64_t)fits;
        wanted.dropped += (uint64_t)!fits;
        wanted.peak = wanted.depth > wanted.peak ? wanted.depth : wanted.peak;
    }
    return wanted;
}

static void check_rings(struct eegd_events *const *rings, int n_taken)
{
    static const int firsts[3] = {1, 1, 0}; /* the first word and side are no event, the first value is */
    static const uint32_t places[3] = {1, 2, 0};
    for (int ring = 0; ring < 3; ring++) {
        struct eegd_ring_stats stats_of, wanted;
        struct eegd_detect_counts counts;
        eegd_events_stats(rings[ring], &stats_of);
        wanted = count_by_hand(stats_of.capacity, firsts[ring], n_taken);
        CHECK(!memcmp(&stats_of, &wanted, sizeof(wanted)));
        eegd_detect_counts(config.detect, places[ring], &counts);
        CHECK_EQ(counts.posted, wanted.posted);
        CHECK_EQ(counts.dropped, wanted.dropped);
        CHECK(counts.dropped > SECOND / 2);
    }
}

static void test_rings_that_are_full_for_a_second_at_16000_sps_disturb_no_frame(void)
{
    prepare(SECOND);
    int n_frames = run_second(kept[0], NULL, 0);
    finish();
    CHECK_EQ(n_frames, SECOND / FIXTURE_SAMPLES);
    for (int n_taken = 0; n_taken <= 100; n_taken += 100) {
        prepare(SECOND);
        add_detectors();
        free_rings();
        eegd_detect_free(config.detect);
        struct eegd_events *rings[3] = {eegd_events_new(256), eegd_events_new(1024), eegd_events_new(1024)};
        detectors.markers = rings[0];
        detectors.detections = rings[1];
        detectors.reports = rings[2];
        detectors.n_detectors = 3;
        detectors.detectors[2] =
            (struct eegd_detector_config){.kind = EEGD_DETECTOR_CHANGE,
                                          .id = 2,
                                          .key = 2,
                                          .channel = 2,
                                          .change = {.threshold = 2000, .hysteresis = 100, .edges = 3}};
        config.detect = eegd_detect_new(&detectors);
        memset(kept[1], 0, sizeof(kept[1]));
        CHECK_EQ(run_second(kept[1], rings, n_taken), n_frames);
        CHECK(!memcmp(kept[0], kept[1], (size_t)n_frames * sizeof(kept[0][0])));
        check_rings(rings, n_taken);
        eegd_detect_free(config.detect);
        free_rings();
        finish();
    }
}

/* The pin changes at every sample, also at those of the swaps, and all that detectors tell is as of one
 * table. */
static void test_a_change_at_the_sample_of_a_swap_is_told(void)
{
    struct eegd_detect *tables[10] = {NULL};
    struct eegd_detect_counts counts;
    uint64_t n_pins = 0;
    int error = 0;
    prepare(1000);
    add_detectors();
    tables[0] = config.detect;
    for (int i = 0; i < 1000; i++) {
        struct step *made = step();
        made->gpio = i & 1;
        made->waits = i && i % 100 == 0;
    }
    struct eegd_capture *capture = eegd_capture_start(&config, &error);
    for (int i = 1; i < 10; i++) {
        sem_wait(&script.waiting);
        struct eegd_detect *skipped = eegd_detect_new(&detectors);
        tables[i] = eegd_detect_new(&detectors);
        eegd_capture_detect(capture, skipped);
        eegd_capture_detect(capture, tables[i]); /* before the thread has seen the other one */
        eegd_detect_free(skipped);
        sem_post(&script.go);
    }
    eegd_capture_join(capture);
    for (int i = 0; i < 10; i++) {
        CHECK(eegd_detect_has_begun(tables[i]));
        eegd_detect_counts(tables[i], 1, &counts);
        CHECK_EQ(counts.posted + counts.dropped, i ? 100 : 99);
        n_pins += counts.posted + counts.dropped;
        eegd_detect_free(tables[i]);
    }
    CHECK_EQ(n_pins, 999);
    eegd_capture_free(capture);
    free_rings();
    finish();
}

/* For the thread sanitizer above all: a table takes the place of another in the midst of it. */
static void test_tables_replace_each_other_while_it_runs(void)
{
    struct eegd_detect *tables[20] = {NULL};
    struct eegd_detect_counts counts;
    int error = 0, n_begun = 0;
    uint64_t n_told = 0, n_pins = 0;
    prepare(1000);
    add_detectors();
    tables[0] = config.detect;
    for (int i = 0; i < 3900; i++)
        step()->gpio = i & 1;
    struct eegd_capture *capture = eegd_capture_start(&config, &error);
    for (int i = 1; i < 20; i++) {
        tables[i] = eegd_detect_new(&detectors);
        eegd_capture_detect(capture, tables[i]);
        for (int looks = 0; looks < 1000 && !eegd_detect_has_begun(tables[i]); looks++)
            eegd_detect_counts(tables[i - 1], 0, &counts);
    }
    eegd_capture_join(capture);
    for (int i = 0; i < 20; i++) {
        eegd_detect_counts(tables[i], 0, &counts);
        n_told += counts.posted + counts.dropped;
        eegd_detect_counts(tables[i], 1, &counts);
        n_pins += counts.posted + counts.dropped;
        n_begun += eegd_detect_has_begun(tables[i]);
        eegd_detect_free(tables[i]);
    }
    CHECK_EQ(n_told, 3900);
    CHECK_EQ(n_pins, 3899);
    CHECK(n_begun >= 1);
    eegd_capture_free(capture);
    free_rings();
    finish();
}

static void test_detectors_see_nothing_of_an_overrun(void)
{
    struct eegd_event event;
    struct eegd_events *reports;
    prepare(1000);
    reports = add_detectors();
    while (eegd_outlet_claim(outlet) >= 0)
        ;
    steps(30);
    run_capture();
    CHECK_EQ(counted(EEGD_COUNT_OVERRUN), 30);
    CHECK_EQ(eegd_events_take(reports, &event, 1), 0);
    CHECK(!eegd_detect_has_begun(config.detect));
    eegd_detect_free(config.detect);
    free_rings();
    finish();
}

static void test_it_ends_by_itself_and_says_why(void)
{
    prepare(250);
    steps(10);
    script.end = 0;
    run_capture();
    CHECK_EQ(stats.state, EEGD_CAPTURE_STALLED);
    CHECK_EQ(counted(EEGD_COUNT_STALLS), 1);
    finish();

    prepare(250);
    steps(10);
    for (int i = 0; i < 60; i++)
        step()->failing_chip = 0;
    run_capture();
    CHECK_EQ(stats.state, EEGD_CAPTURE_BAD);
    CHECK_EQ(stats.error, -ETIMEDOUT);
    CHECK_EQ(losses(), 50);
    finish();

    prepare(250);
    step()->failing_chip = 0; /* long ago, and over */
    steps(10);
    script.end = 0;
    run_capture();
    CHECK_EQ(stats.state, EEGD_CAPTURE_STALLED);
    CHECK_EQ(stats.error, 0);
    finish();

    prepare(250);
    steps(10);
    script.end = -ENODEV;
    run_capture();
    CHECK_EQ(stats.state, EEGD_CAPTURE_BOARD_ERROR);
    CHECK_EQ(stats.error, -ENODEV);
    CHECK_EQ(read_all(0), 0);
    CHECK_EQ(stats.sample_index, 10);
    finish();

    prepare(250);
    script.end = -EIO;
    config.start_command = 0x08;
    config.n_start_cs = 1;
    run_capture();
    CHECK_EQ(stats.state, EEGD_CAPTURE_BOARD_ERROR);
    CHECK_EQ(stats.error, -EIO);
    finish();
}

static void test_a_sender_publishes_the_same_and_gives_all_slabs_back(void)
{
    struct eegd_outlet_stats now;
    prepare(4000);
    config.use_sender = 1;
    steps(900);
    script.n_edges += 2;
    steps(905);
    run_capture();
    CHECK_EQ(read_all(0), 2);
    CHECK_EQ(losses(), 2);
    for (int i = 0; i < 4; i++)
        eegd_outlet_idle(outlet);
    eegd_outlet_stats(outlet, &now);
    CHECK_EQ(now.free, now.n_slabs);
    CHECK_EQ(now.next_sample, stats.sample_index);
    finish();
}

static void test_what_cannot_work_is_refused(void)
{
    int error = 0;
    prepare(250);
    config.use_sender = 1;
    script.board.virtual_clock = 1;
    CHECK(!eegd_capture_start(&config, &error));
    CHECK_EQ(error, -EINVAL);
    config.use_sender = 0;
    config.transfer_bytes[1] = 26;
    CHECK(!eegd_capture_start(&config, &error));
    CHECK_EQ(error, -EINVAL);
    finish();
}

int main(void)
{
    fake_zmq_use();
    RUN(test_every_conversion_is_in_a_frame_and_the_last_one_is_short);
    RUN(test_a_late_stamp_loses_nothing_at_16000_sps);
    RUN(test_missed_edges_end_the_frame_and_move_the_index);
    RUN(test_an_error_of_one_chips_bus_loses_that_sample_only);
    RUN(test_a_wrong_status_of_the_second_chip_is_bad);
    RUN(test_a_chip_that_does_not_drive_its_pins_as_set_is_bad);
    RUN(test_edges_missed_right_after_the_start_are_counted);
    RUN(test_a_silence_as_of_a_restarted_chip_ends_capture_before_its_first_conversion);
    RUN(test_edges_at_a_rate_that_was_not_set_end_capture);
    RUN(test_a_channels_state_is_told_once_when_it_has_lasted);
    RUN(test_a_read_that_ends_at_the_next_edge_is_late);
    RUN(test_a_frozen_chip_is_bad_from_the_nth_equal_conversion_on);
    RUN(test_discarded_conversions_are_no_losses_and_the_index_begins_after_them);
    RUN(test_an_extra_edge_is_not_read);
    RUN(test_a_new_fit_of_the_clock_ends_the_frame_and_is_told);
    RUN(test_without_a_free_slab_samples_are_overruns);
    RUN(test_detectors_see_exactly_the_samples_that_are_in_frames);
    RUN(test_rings_that_are_full_for_a_second_at_16000_sps_disturb_no_frame);
    RUN(test_a_change_at_the_sample_of_a_swap_is_told);
    RUN(test_tables_replace_each_other_while_it_runs);
    RUN(test_detectors_see_nothing_of_an_overrun);
    RUN(test_it_ends_by_itself_and_says_why);
    RUN(test_a_sender_publishes_the_same_and_gives_all_slabs_back);
    RUN(test_what_cannot_work_is_refused);
    return check_report();
}
