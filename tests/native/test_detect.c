/* SPDX-License-Identifier: MIT */
/* Detectors as the capture thread runs them: which event goes to which ring, at which sample, and what a gap
 * or a full ring does. */
#include "detect.h"
#include <errno.h>
#include <string.h>
#include "check.h"
#include "ring.h"

#define PERIOD_NS 4000000

static struct eegd_detect_config config;
static struct eegd_detect *detect;
static uint64_t sample_index;
static struct eegd_event event;

static void prepare(void)
{
    config = (struct eegd_detect_config){
        .map = {.n_chips = 1, .n_bytes = 27, .n_channels = 2, .channel_offset = {3, 6}, .lsb_uv = {1, 1}},
        .markers = eegd_events_new(4),
        .detections = eegd_events_new(4),
        .reports = eegd_events_new(64)};
    detect = NULL;
    sample_index = 0;
}

static struct eegd_detector_config *add(uint32_t kind)
{
    struct eegd_detector_config *added = &config.detectors[config.n_detectors];
    *added = (struct eegd_detector_config){.kind = kind,
                                           .id = 100 + config.n_detectors,
                                           .key = config.n_detectors,
                                           .channel = 1,
                                           .change = {.threshold = 50, .hysteresis = 10, .edges = 3},
                                           .interval = 5,
                                           .n_pins = 1,
                                           .edges = 3};
    config.n_detectors++;
    return added;
}

static void take_bytes(int32_t code, uint32_t pins)
{
    uint8_t bytes[27] = {0xC0, 0, (uint8_t)pins};
    bytes[6] = (uint8_t)(code >> 16);
    bytes[7] = (uint8_t)(code >> 8);
    bytes[8] = (uint8_t)code;
    struct eegd_detect_sample sample = {
        .bytes = bytes, .index = sample_index, .time_ns = (int64_t)sample_index * PERIOD_NS};
    if (!detect)
        detect = eegd_detect_new(&config);
    eegd_detect_take(detect, &sample);
    sample_index++;
}

/* As the capture thread does it where control has put another table in force. */
static void swap(void)
{
    struct eegd_detect *next = eegd_detect_new(&config);
    eegd_detect_follow(next, detect);
    eegd_detect_free(detect);
    detect = next;
}

static int next_of(struct eegd_events *ring)
{
    return eegd_events_take(ring, &event, 1);
}

static uint64_t dropped_of(const struct eegd_events *ring)
{
    struct eegd_ring_stats stats;
    eegd_events_stats(ring, &stats);
    return stats.dropped;
}

static void finish(void)
{
    eegd_detect_free(detect);
    eegd_events_free(config.markers);
    eegd_events_free(config.detections);
    eegd_events_free(config.reports);
}

static void test_a_crossing_names_its_detector_sample_and_time(void)
{
    prepare();
    add(EEGD_DETECTOR_CHANGE);
    take_bytes(0, 0);
    take_bytes(-3, 0);
    take_bytes(80, 0);
    take_bytes(81, 0);
    CHECK_EQ(next_of(config.detections), 1);
    CHECK_EQ(event.kind, EEGD_EVENT_DETECTION);
    CHECK_EQ(event.source, 100);
    CHECK_EQ(event.sample_index, 2);
    CHECK_EQ(event.time_ns, 2 * PERIOD_NS);
    CHECK_EQ(event.a, 1);
    CHECK(event.value == 80);
    CHECK_EQ(next_of(config.detections), 0);
    CHECK_EQ(next_of(config.reports), 0);
    finish();
}

static void test_a_gap_makes_a_change_detector_settle_anew(void)
{
    prepare();
    add(EEGD_DETECTOR_CHANGE);
    take_bytes(0, 0);
    sample_index += 3;
    take_bytes(80, 0); /* crossed within the gap: nobody knows when */
    CHECK_EQ(next_of(config.detections), 0);
    take_bytes(0, 0);
    CHECK_EQ(next_of(config.detections), 1);
    CHECK_EQ(event.sample_index, 5);
    CHECK_EQ(event.a, 0);
    finish();
}

static void test_a_stream_goes_by_the_sample_index_across_gaps(void)
{
    static const uint64_t wanted[4] = {0, 5, 15, 20};
    prepare();
    add(EEGD_DETECTOR_STREAM);
    for (int i = 0; i < 7; i++)
        take_bytes((int32_t)sample_index, 0);
    sample_index = 11; /* 10 is lost */
    while (sample_index < 24)
        take_bytes((int32_t)sample_index, 0);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(next_of(config.reports), 1);
        CHECK_EQ(event.kind, EEGD_EVENT_STREAM_VALUE);
        CHECK_EQ(event.sample_index, wanted[i]);
        CHECK(event.value == (double)wanted[i]);
    }
    CHECK_EQ(next_of(config.reports), 0);
    finish();
}

static void test_a_pin_is_told_at_the_sample_that_shows_it(void)
{
    prepare();
    add(EEGD_DETECTOR_PINS)->pin[0] = 2;
    take_bytes(0, 0x4); /* as it was found: no change */
    take_bytes(0, 0x4);
    take_bytes(0, 0x3); /* others do not matter */
    take_bytes(0, 0x0);
    sample_index += 6;
    take_bytes(0, 0x4);
    CHECK_EQ(next_of(config.markers), 1);
    CHECK_EQ(event.kind, EEGD_EVENT_CHIP_MARKER);
    CHECK_EQ(event.sample_index, 2);
    CHECK_EQ(event.a, 0);
    CHECK_EQ(event.b, 1);
    CHECK_EQ(event.c, 1);
    CHECK_EQ(next_of(config.markers), 1);
    CHECK_EQ(event.sample_index, 10);
    CHECK_EQ(event.a, 1);
    CHECK_EQ(event.c, 7); /* somewhere since sample 3 */
    CHECK_EQ(next_of(config.markers), 0);
    finish();
}

static void test_one_edge_of_a_pin_can_be_left_out(void)
{
    prepare();
    add(EEGD_DETECTOR_PINS)->edges = EEGD_EDGE_FALLING;
    for (int i = 0; i < 6; i++)
        take_bytes(0, i % 2);
    for (uint64_t sample = 2; sample < 6; sample += 2) {
        CHECK_EQ(next_of(config.markers), 1);
        CHECK_EQ(event.sample_index, sample);
    }
    CHECK_EQ(next_of(config.markers), 0);
    finish();
}

static void test_a_half_changed_word_that_does_not_last_is_never_told(void)
{
    static const uint32_t words[] = {0x0, 0x8, 0xA, 0xA, 0xA, 0x0, 0x2, 0x2, 0xA, 0x2, 0x2};
    struct eegd_detector_config *word;
    prepare();
    word = add(EEGD_DETECTOR_PINS);
    word->n_pins = 2;
    word->pin[0] = 3; /* the lowest bit of the word */
    word->pin[1] = 1;
    word->hold = 1;
    word->debug = 1;
    for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        take_bytes(0, words[i]);
    CHECK_EQ(next_of(config.markers), 1);
    CHECK_EQ(event.a, 3);
    CHECK_EQ(event.b, 0);
    CHECK_EQ(event.sample_index, 2); /* its first sample, though told at the second */
    CHECK_EQ(event.time_ns, 2 * PERIOD_NS);
    CHECK_EQ(next_of(config.markers), 1);
    CHECK_EQ(event.a, 2);
    CHECK_EQ(event.sample_index, 6);
    CHECK_EQ(next_of(config.markers), 0);
    CHECK_EQ(next_of(config.reports), 1);
    CHECK_EQ(event.b, EEGD_CROSSING_TOO_SHORT);
    CHECK_EQ(event.a, 1);
    CHECK_EQ(event.sample_index, 1);
    finish();
}

static void test_debug_tells_what_became_of_each_crossing(void)
{
    static const int32_t codes[] = {0, 52, 0, 80, 80, 0};
    static const uint32_t verdicts[] = {EEGD_CROSSING_IN_BAND, EEGD_CROSSING_ALREADY, EEGD_CROSSING_TAKEN,
                                        EEGD_CROSSING_OTHER_EDGE};
    static const uint64_t samples[] = {1, 2, 3, 5};
    struct eegd_detector_config *change;
    prepare();
    change = add(EEGD_DETECTOR_CHANGE);
    change->change.edges = EEGD_EDGE_RISING;
    change->debug = 1;
    for (int i = 0; i < 6; i++)
        take_bytes(codes[i], 0);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(next_of(config.reports), 1);
        CHECK_EQ(event.kind, EEGD_EVENT_CONSIDERED);
        CHECK_EQ(event.b, verdicts[i]);
        CHECK_EQ(event.sample_index, samples[i]);
    }
    CHECK_EQ(next_of(config.reports), 0);
    finish();
}

static void test_a_full_ring_drops_and_counts_and_leaves_the_others_alone(void)
{
    struct eegd_detect_counts counts;
    prepare();
    add(EEGD_DETECTOR_CHANGE)->debug = 1;
    add(EEGD_DETECTOR_PINS);
    for (int i = 0; i < 11; i++) /* ten crossings, four fit */
        take_bytes(i % 2 ? 80 : 0, 0);
    take_bytes(80, 1);
    eegd_detect_counts(detect, 0, &counts);
    CHECK_EQ(counts.posted, 4);
    CHECK_EQ(counts.dropped, 7);
    CHECK_EQ(dropped_of(config.detections), 7);
    CHECK_EQ(dropped_of(config.markers), 0);
    CHECK_EQ(next_of(config.markers), 1);
    CHECK_EQ(event.sample_index, 11);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(next_of(config.reports), 1);
    CHECK_EQ(event.b, EEGD_CROSSING_RING_FULL);
    eegd_detect_counts(detect, 7, &counts);
    CHECK_EQ(counts.posted, 0);
    finish();
}

static void test_a_random_walk_has_no_duplicates(void)
{
    uint32_t state = 12345;
    int32_t code = 0, last = -1;
    int n_told = 0;
    prepare();
    add(EEGD_DETECTOR_CHANGE);
    for (int i = 0; i < 1000000; i++) {
        state = state * 1664525u + 1013904223u;
        code += (int32_t)(state >> 16) % 9 - 4;
        code = code > 500 ? 500 : code < -500 ? -500 : code;
        take_bytes(code, 0);
        if (!next_of(config.detections))
            continue;
        n_told++;
        CHECK_EQ(event.sample_index, sample_index - 1);
        CHECK(last != (int32_t)event.a);
        CHECK(event.a ? code >= 55 : code < 45);
        last = (int32_t)event.a;
    }
    CHECK(n_told > 100);
    CHECK_EQ(dropped_of(config.detections), 0);
    finish();
}

/* The signal of one detector, and the levels of the pins, over 2000 samples with gaps and a half-changed
 * word. */
static void take_all(int with_swaps)
{
    uint32_t state = 99;
    for (int i = 0; i < 2000; i++) {
        state = state * 1664525u + 1013904223u;
        sample_index += i % 401 == 400 ? 3 : 0;
        take_bytes(60000 + (int32_t)(state >> 16) % 300 + i % 150, state >> 28 & (i % 2 ? 0xF : 0x3));
        if (with_swaps && i % 7 == 3) {
            config.detectors[0].change.threshold = i % 11;
            config.detectors[4].interval = 1 + i % 5;
            swap();
        }
    }
}

static uint32_t take_of(uint32_t source, struct eegd_event *events, uint32_t max)
{
    struct eegd_events *rings[3] = {config.markers, config.detections, config.reports};
    uint32_t n = 0;
    for (int ring = 0; ring < 3; ring++)
        while (next_of(rings[ring]))
            if (event.source == source && n < max) {
                event.number = 0; /* which counts those of the others, too */
                events[n++] = event;
            }
    return n;
}

/* Detectors 0 and 4 change time and again; 1, 2 and 3 must not notice. */
static void prepare_five(void)
{
    prepare();
    eegd_events_free(config.markers);
    eegd_events_free(config.detections);
    eegd_events_free(config.reports);
    config.markers = eegd_events_new(4096);
    config.detections = eegd_events_new(4096);
    config.reports = eegd_events_new(4096);
    add(EEGD_DETECTOR_CHANGE);
    struct eegd_detector_config *kept = add(EEGD_DETECTOR_CHANGE);
    kept->change = (struct eegd_change_config){
        .threshold = 60, .hysteresis = 40, .dc_share = 0.01, .settle = 100, .edges = 3};
    kept = add(EEGD_DETECTOR_PINS);
    kept->n_pins = 2;
    kept->pin[1] = 2;
    kept->hold = 1;
    kept = add(EEGD_DETECTOR_STREAM);
    kept->change = (struct eegd_change_config){.dc_share = 0.02, .settle = 50};
    kept->interval = 9;
    add(EEGD_DETECTOR_STREAM);
}

static void test_what_did_not_change_goes_on_as_if_no_table_had_been_replaced(void)
{
    static struct eegd_event whole[4096], swapped[4096];
    for (uint32_t kept = 1; kept <= 3; kept++) {
        prepare_five();
        take_all(0);
        uint32_t n = take_of(100 + kept, whole, 4096);
        finish();
        prepare_five();
        take_all(1);
        CHECK_EQ(take_of(100 + kept, swapped, 4096), n);
        CHECK(n > 50);
        CHECK(!memcmp(whole, swapped, n * sizeof(whole[0])));
        finish();
    }
}

static void test_a_detector_that_changed_settles_anew(void)
{
    prepare();
    add(EEGD_DETECTOR_CHANGE);
    take_bytes(0, 0);
    config.detectors[0].change.threshold = 40;
    swap();
    take_bytes(80, 0); /* on which side of 40 it had been, nobody looked */
    CHECK_EQ(next_of(config.detections), 0);
    config.detectors[0].change.edges = EEGD_EDGE_FALLING; /* which has no past */
    swap();
    take_bytes(0, 0);
    CHECK_EQ(next_of(config.detections), 1);
    CHECK_EQ(event.sample_index, 2);
    finish();
}

static void test_another_detector_in_the_same_place_does_not_go_on(void)
{
    prepare();
    add(EEGD_DETECTOR_CHANGE);
    take_bytes(0, 0);
    config.detectors[0].key = 7;
    swap();
    take_bytes(80, 0);
    config.detectors[0] = (struct eegd_detector_config){.kind = EEGD_DETECTOR_STREAM,
                                                        .key = 7,
                                                        .channel = 1,
                                                        .interval = 1,
                                                        .change = config.detectors[0].change};
    swap();
    take_bytes(81, 0);
    CHECK_EQ(next_of(config.detections), 0);
    CHECK_EQ(next_of(config.reports), 1);
    CHECK(event.value == 81);
    finish();
}

static void test_a_pin_that_changes_at_the_sample_of_the_swap_is_told(void)
{
    prepare();
    add(EEGD_DETECTOR_PINS);
    take_bytes(0, 0);
    config.detectors[0].edges = EEGD_EDGE_RISING; /* changed itself */
    add(EEGD_DETECTOR_PINS)->pin[0] = 3;          /* and another one is new */
    swap();
    sample_index += 2;
    take_bytes(0, 0x9);
    for (uint32_t source = 100; source <= 101; source++) {
        CHECK_EQ(next_of(config.markers), 1);
        CHECK_EQ(event.source, source);
        CHECK_EQ(event.sample_index, 3);
        CHECK_EQ(event.a, 1);
        CHECK_EQ(event.b, 0);
        CHECK_EQ(event.c, 3); /* two were lost before it */
    }
    CHECK_EQ(next_of(config.markers), 0);
    finish();
}

static void test_a_word_that_waits_for_its_time_is_not_lost_by_another_time(void)
{
    prepare();
    add(EEGD_DETECTOR_PINS)->hold = 100;
    take_bytes(0, 0);
    for (int i = 0; i < 10; i++)
        take_bytes(0, 1);
    CHECK_EQ(next_of(config.markers), 0);
    config.detectors[0].hold = 5;
    swap();
    take_bytes(0, 1);
    CHECK_EQ(next_of(config.markers), 1);
    CHECK_EQ(event.sample_index, 1); /* its first sample, long before */
    config.detectors[0].pin[0] = 2;
    swap();
    take_bytes(0, 1); /* other pins, another word */
    CHECK_EQ(next_of(config.markers), 0);
    finish();
}

static void test_what_no_detector_can_be_is_refused(void)
{
    prepare();
    add(EEGD_DETECTOR_CHANGE)->channel = 2;
    CHECK(!eegd_detect_new(&config) && errno == EINVAL);
    config.detectors[0] = (struct eegd_detector_config){.kind = EEGD_DETECTOR_STREAM};
    CHECK(!eegd_detect_new(&config) && errno == EINVAL);
    config.detectors[0] = (struct eegd_detector_config){.kind = EEGD_DETECTOR_PINS, .n_pins = 1, .pin = {4}};
    CHECK(!eegd_detect_new(&config) && errno == EINVAL);
    config.detectors[0] = (struct eegd_detector_config){.kind = 3};
    CHECK(!eegd_detect_new(&config) && errno == EINVAL);
    config.n_detectors = 0;
    detect = eegd_detect_new(&config);
    CHECK(detect && !eegd_detect_has_begun(detect));
    take_bytes(0, 0);
    CHECK(eegd_detect_has_begun(detect));
    finish();
}

int main(void)
{
    RUN(test_a_crossing_names_its_detector_sample_and_time);
    RUN(test_a_gap_makes_a_change_detector_settle_anew);
    RUN(test_a_stream_goes_by_the_sample_index_across_gaps);
    RUN(test_a_pin_is_told_at_the_sample_that_shows_it);
    RUN(test_one_edge_of_a_pin_can_be_left_out);
    RUN(test_a_half_changed_word_that_does_not_last_is_never_told);
    RUN(test_debug_tells_what_became_of_each_crossing);
    RUN(test_a_full_ring_drops_and_counts_and_leaves_the_others_alone);
    RUN(test_a_random_walk_has_no_duplicates);
    RUN(test_what_did_not_change_goes_on_as_if_no_table_had_been_replaced);
    RUN(test_a_detector_that_changed_settles_anew);
    RUN(test_another_detector_in_the_same_place_does_not_go_on);
    RUN(test_a_pin_that_changes_at_the_sample_of_the_swap_is_told);
    RUN(test_a_word_that_waits_for_its_time_is_not_lost_by_another_time);
    RUN(test_what_no_detector_can_be_is_refused);
    return check_report();
}
