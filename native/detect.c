/* SPDX-License-Identifier: MIT */
/* The table of detectors. eegd_detect_take and what it calls run on the capture thread. See detect.h. */
#include "detect.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "descriptor.h"
#include "ring.h"

#define STATUS_PINS 4 /* of a chip, bits 3 … 0 of its status word */

struct pins {
    int known;
    uint32_t word;      /* in force */
    uint32_t candidate; /* another word, since: */
    int has_candidate;
    uint64_t since;
    int64_t since_ns;
    uint64_t within; /* samples between the last one with the word in force and the candidate's first */
};

struct detector {
    struct eegd_detector_config config;
    struct eegd_change change;
    struct pins pins;
    _Atomic uint64_t posted, dropped; /* one writer, the capture thread */
};

struct eegd_detect {
    struct eegd_conversion_map map;
    struct eegd_events *markers, *detections, *reports;
    uint64_t last;                   /* index of the sample before */
    uint32_t status[EEGD_MAX_CHIPS]; /*   and its status words */
    int started;
    _Atomic int begun;
    uint32_t n_detectors;
    struct detector detectors[];
};

/* ---- capture thread ---- */

static void count_one(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static int tell(struct detector *detector, struct eegd_events *ring, const struct eegd_event *event)
{
    int done = eegd_events_post(ring, event) == EEGD_RING_DONE;
    count_one(done ? &detector->posted : &detector->dropped);
    return done;
}

/* The ring of the reports counts what of this is dropped, the detector does not. */
static void tell_considered(struct eegd_detect *detect, struct eegd_event event, uint64_t direction,
                            uint32_t verdict)
{
    event.kind = EEGD_EVENT_CONSIDERED;
    event.a = direction;
    event.b = verdict;
    event.c = 0;
    eegd_events_post(detect->reports, &event);
}

static struct eegd_event event_of(const struct detector *detector, uint32_t kind,
                                  const struct eegd_detect_sample *sample, double value)
{
    return (struct eegd_event){.kind = kind,
                               .source = detector->config.id,
                               .sample_index = sample->index,
                               .time_ns = sample->time_ns,
                               .value = value};
}

static void take_change(struct eegd_detect *detect, struct detector *detector,
                        const struct eegd_detect_sample *sample, double value)
{
    struct eegd_change *change = &detector->change;
    uint32_t verdict = eegd_change_take(change, value);
    if (verdict == EEGD_CROSSING_NONE)
        return;
    struct eegd_event event = event_of(detector, EEGD_EVENT_DETECTION, sample, change->value);
    event.a = (uint64_t)change->rising;
    if (verdict == EEGD_CROSSING_TAKEN && !tell(detector, detect->detections, &event))
        verdict = EEGD_CROSSING_RING_FULL;
    if (detector->config.debug)
        tell_considered(detect, event, event.a, verdict);
}

static void take_stream(struct eegd_detect *detect, struct detector *detector,
                        const struct eegd_detect_sample *sample, double value)
{
    double centred = eegd_change_centre(&detector->change, value);
    if (sample->index % detector->config.interval)
        return;
    struct eegd_event event = event_of(detector, EEGD_EVENT_STREAM_VALUE, sample, centred);
    tell(detector, detect->reports, &event);
}

static uint32_t word_of(const struct eegd_detector_config *config, uint32_t status)
{
    uint32_t word = 0;
    for (uint32_t i = 0; i < config->n_pins; i++)
        word |= (status >> config->pin[i] & 1) << i;
    return word;
}

static struct eegd_event word_event(const struct detector *detector)
{
    const struct pins *pins = &detector->pins;
    return (struct eegd_event){.kind = EEGD_EVENT_CHIP_MARKER,
                               .source = detector->config.id,
                               .sample_index = pins->since,
                               .time_ns = pins->since_ns,
                               .value = pins->candidate,
                               .a = pins->candidate,
                               .b = pins->word,
                               .c = pins->within};
}

/* The candidate is gone before it has lasted. */
static void drop_candidate(struct eegd_detect *detect, struct detector *detector)
{
    if (detector->pins.has_candidate && detector->config.debug)
        tell_considered(detect, word_event(detector), detector->pins.candidate, EEGD_CROSSING_TOO_SHORT);
    detector->pins.has_candidate = 0;
}

static void accept_candidate(struct eegd_detect *detect, struct detector *detector)
{
    struct pins *pins = &detector->pins;
    struct eegd_event event = word_event(detector);
    uint32_t edge = pins->candidate ? EEGD_EDGE_RISING : EEGD_EDGE_FALLING;
    uint32_t verdict = detector->config.n_pins > 1 || detector->config.edges & edge
                           ? EEGD_CROSSING_TAKEN
                           : EEGD_CROSSING_OTHER_EDGE;
    if (verdict == EEGD_CROSSING_TAKEN && !tell(detector, detect->markers, &event))
        verdict = EEGD_CROSSING_RING_FULL;
    if (detector->config.debug)
        tell_considered(detect, event, pins->candidate, verdict);
    pins->word = pins->candidate;
    pins->has_candidate = 0;
}

static void take_pins(struct eegd_detect *detect, struct detector *detector,
                      const struct eegd_detect_sample *sample, uint64_t since_last)
{
    const struct eegd_detector_config *config = &detector->config;
    struct pins *pins = &detector->pins;
    uint32_t word = word_of(config, detect->status[config->chip]);
    if (!pins->known) {
        pins->known = 1;
        pins->word = word;
        return;
    }
    if (!pins->has_candidate && word == pins->word)
        return;
    if (pins->has_candidate && word != pins->candidate)
        drop_candidate(detect, detector);
    if (word == pins->word)
        return;
    if (!pins->has_candidate) {
        pins->has_candidate = 1;
        pins->candidate = word;
        pins->since = sample->index;
        pins->since_ns = sample->time_ns;
        pins->within = since_last;
    }
    if (sample->index - pins->since >= config->hold)
        accept_candidate(detect, detector);
}

static void take_one(struct eegd_detect *detect, struct detector *detector,
                     const struct eegd_detect_sample *sample, uint64_t since_last)
{
    if (detector->config.kind == EEGD_DETECTOR_PINS) {
        take_pins(detect, detector, sample, since_last);
        return;
    }
    if (since_last != 1)
        eegd_change_settle(&detector->change);
    double value = (double)eegd_conversion_microvolts(&detect->map, sample->bytes, detector->config.channel);
    if (detector->config.kind == EEGD_DETECTOR_CHANGE)
        take_change(detect, detector, sample, value);
    else
        take_stream(detect, detector, sample, value);
}

void eegd_detect_take(struct eegd_detect *detect, const struct eegd_detect_sample *sample)
{
    uint64_t since_last = detect->started ? sample->index - detect->last : 1;
    detect->started = 1;
    detect->last = sample->index;
    for (uint32_t chip = 0; chip < detect->map.n_chips; chip++)
        detect->status[chip] = eegd_conversion_status(&detect->map, sample->bytes, chip);
    /* Pairs with eegd_detect_has_begun: the table before is not looked at any more. */
    if (!atomic_load_explicit(&detect->begun, memory_order_relaxed))
        atomic_store_explicit(&detect->begun, 1, memory_order_release);
    for (uint32_t i = 0; i < detect->n_detectors; i++)
        take_one(detect, &detect->detectors[i], sample, since_last);
}

/* ---- one table after another ---- */

static const struct detector *with_key(const struct eegd_detect *detect, uint32_t key)
{
    for (uint32_t i = 0; i < detect->n_detectors; i++)
        if (detect->detectors[i].config.key == key)
            return &detect->detectors[i];
    return NULL;
}

static int are_same_pins(const struct eegd_detector_config *a, const struct eegd_detector_config *b)
{
    int same = a->chip == b->chip && a->n_pins == b->n_pins;
    for (uint32_t i = 0; same && i < a->n_pins; i++)
        same = a->pin[i] == b->pin[i];
    return same;
}

/* Which edges count, what is told of them, and the interval have no past. */
static int is_same_signal(const struct eegd_detector_config *a, const struct eegd_detector_config *b)
{
    const struct eegd_change_config *x = &a->change, *y = &b->change;
    return a->channel == b->channel && x->threshold == y->threshold && x->hysteresis == y->hysteresis &&
           x->dc_share == y->dc_share && x->settle == y->settle;
}

static void follow_pins(struct detector *detector, const struct detector *before,
                        const struct eegd_detect *table)
{
    const struct eegd_detector_config *config = &detector->config;
    if (before && are_same_pins(config, &before->config))
        detector->pins = before->pins;
    else if (table->started)
        detector->pins = (struct pins){.known = 1, .word = word_of(config, table->status[config->chip])};
}

void eegd_detect_follow(struct eegd_detect *detect, const struct eegd_detect *before)
{
    detect->started = before->started;
    detect->last = before->last;
    for (uint32_t chip = 0; chip < EEGD_MAX_CHIPS; chip++)
        detect->status[chip] = before->status[chip];
    for (uint32_t i = 0; i < detect->n_detectors; i++) {
        struct detector *detector = &detect->detectors[i];
        const struct detector *same = with_key(before, detector->config.key);
        if (same && same->config.kind != detector->config.kind)
            same = NULL;
        if (detector->config.kind == EEGD_DETECTOR_PINS) {
            follow_pins(detector, same, before);
        } else if (same && is_same_signal(&detector->config, &same->config)) {
            detector->change = same->change;
            detector->change.config = detector->config.change;
        }
    }
}

/* ---- control ---- */

static int is_usable(const struct eegd_conversion_map *map, const struct eegd_detector_config *config)
{
    switch (config->kind) {
    case EEGD_DETECTOR_CHANGE:
        return config->channel < map->n_channels && config->change.hysteresis >= 0;
    case EEGD_DETECTOR_STREAM:
        return config->channel < map->n_channels && config->interval >= 1;
    case EEGD_DETECTOR_PINS:
        for (uint32_t i = 0; i < config->n_pins && i < STATUS_PINS; i++)
            if (config->pin[i] >= STATUS_PINS)
                return 0;
        return config->chip < map->n_chips && config->n_pins >= 1 && config->n_pins <= STATUS_PINS;
    default:
        return 0;
    }
}

struct eegd_detect *eegd_detect_new(const struct eegd_detect_config *config)
{
    int usable = config->markers && config->detections && config->reports &&
                 config->n_detectors <= EEGD_MAX_DETECTORS && config->map.n_chips <= EEGD_MAX_CHIPS;
    for (uint32_t i = 0; usable && i < config->n_detectors; i++)
        usable = is_usable(&config->map, &config->detectors[i]);
    if (!usable) {
        errno = EINVAL;
        return NULL;
    }
    struct eegd_detect *detect =
        calloc(1, sizeof(*detect) + config->n_detectors * sizeof(detect->detectors[0]));
    if (!detect)
        return NULL;
    detect->map = config->map;
    detect->markers = config->markers;
    detect->detections = config->detections;
    detect->reports = config->reports;
    detect->n_detectors = config->n_detectors;
    for (uint32_t i = 0; i < config->n_detectors; i++) {
        detect->detectors[i].config = config->detectors[i];
        eegd_change_init(&detect->detectors[i].change, &config->detectors[i].change);
    }
    return detect;
}

void eegd_detect_free(struct eegd_detect *detect)
{
    free(detect);
}

int eegd_detect_has_begun(const struct eegd_detect *detect)
{
    return atomic_load_explicit(&detect->begun, memory_order_acquire);
}

void eegd_detect_counts(const struct eegd_detect *detect, uint32_t index, struct eegd_detect_counts *counts)
{
    *counts = (struct eegd_detect_counts){0, 0};
    if (index >= detect->n_detectors)
        return;
    counts->posted = atomic_load_explicit(&detect->detectors[index].posted, memory_order_relaxed);
    counts->dropped = atomic_load_explicit(&detect->detectors[index].dropped, memory_order_relaxed);
}
