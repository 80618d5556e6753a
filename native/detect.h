/* SPDX-License-Identifier: MIT */
/*
 * Detect: what the capture thread looks for in each sample, and tells through
 * event rings. A table of detectors of three kinds:
 *
 *   change  a channel crosses a threshold (change.h)
 *   stream  a channel's value at every sample whose index is a multiple of `interval`
 *   pins    GPIO pins of a chip, which its status word carries (SBAS499C 9.4.4.2), make another word
 *
 * Only samples that are in a frame are looked at. After a gap in the sample
 * index `change` settles anew; `stream` goes on by the index, a multiple within
 * the gap is not told; `pins` compares with the word before the gap.
 *
 * There is a ring for each priority, so that nothing can push out what matters
 * more: markers, detections, reports (values at an interval, and what debug
 * tells). Losses and faults have the ring of the capture thread itself. A full
 * ring drops and counts, in all and for each detector.
 *
 * Threads: a table is made, filled and freed by control. From its first sample
 * on its state is the capture thread's; control reads the counts, and whether
 * it has begun. A table is never changed: another one takes its place
 * (eegd_capture_detect), and goes on where that one was (eegd_detect_follow).
 * Nothing on the way of a sample allocates, locks or blocks.
 *
 * Python reads this text through cffi: plain declarations only.
 */
#ifndef EEGD_DETECT_H
#define EEGD_DETECT_H
#include <stdint.h>
#include "ads1299.h"
#include "change.h"

struct eegd_events;

#define EEGD_DETECTOR_CHANGE 0
#define EEGD_DETECTOR_STREAM 1
#define EEGD_DETECTOR_PINS 2
#define EEGD_MAX_DETECTORS 64

struct eegd_detector_config {
    uint32_t kind;  /* EEGD_DETECTOR_… */
    uint32_t id;    /* source of its events */
    uint32_t key;   /* the same detector in another table has the same one */
    uint32_t debug; /* tell every crossing that was considered, and what became of it */

    uint32_t channel;                 /* change, stream: plane */
    struct eegd_change_config change; /* stream: its dc_share and settle only */
    uint64_t interval;                /* stream: samples, 1 or more */

    uint32_t chip;   /* pins: whose status word */
    uint32_t n_pins; /* 1 … 4 */
    uint32_t pin[4]; /* bits of the status word, 0 … 3; the first one is the lowest bit of the word */
    uint32_t edges;  /* EEGD_EDGE_… of a single pin; both for several */
    uint32_t hold;   /* samples that a new word must last after its first, 0: none */
};

struct eegd_detect_config {
    struct eegd_conversion_map map;
    struct eegd_events *markers; /* pins */
    struct eegd_events *detections;
    struct eegd_events *reports;
    uint32_t n_detectors;
    struct eegd_detector_config detectors[64];
};

/* What became of a detector's crossings, values or words. */
struct eegd_detect_counts {
    uint64_t posted;
    uint64_t dropped; /* its ring was full */
};

/* One sample that is in a frame. */
struct eegd_detect_sample {
    const uint8_t *bytes; /* the conversion */
    uint64_t index;
    int64_t time_ns;
};

struct eegd_detect;

/* A table. NULL and errno: ENOMEM, EINVAL for what no detector can be. The config is copied. */
struct eegd_detect *eegd_detect_new(const struct eegd_detect_config *config);

/* The capture thread must be done with it. NULL is allowed. */
void eegd_detect_free(struct eegd_detect *detect);

/* Before the first sample of a table that takes the place of `before`, of the same conversion map. A detector
 * that looks for the same as one with its key did goes on with its mean, side or word; any other begins anew,
 * pins with the levels of the last sample. Capture thread. */
void eegd_detect_follow(struct eegd_detect *detect, const struct eegd_detect *before);

/* Capture thread. */
void eegd_detect_take(struct eegd_detect *detect, const struct eegd_detect_sample *sample);

/* 1 when it has seen a sample: the table that it replaced is used no more. Any thread. */
int eegd_detect_has_begun(const struct eegd_detect *detect);

/* Any thread. */
void eegd_detect_counts(const struct eegd_detect *detect, uint32_t index, struct eegd_detect_counts *counts);

#endif
