/* SPDX-License-Identifier: MIT */
/*
 * Framing: the frame being filled. It claims a slab when the first sample
 * comes, decodes each conversion into it, and publishes it when it is full or
 * when the capture thread closes it early, because a frame never spans a loss
 * or a step of the fitted time.
 *
 * Capture thread only; embedded in its state. C only.
 */
#ifndef EEGD_FRAMING_H
#define EEGD_FRAMING_H
#include <stdint.h>
#include "capture.h"

struct eegd_channel_seen;
struct eegd_sender;
struct eegd_descriptor;

struct eegd_framing {
    const struct eegd_capture_config *config;
    struct eegd_sender *sender; /* NULL: the capture thread publishes by itself */
    uint32_t stride;            /* floats from plane to plane */
    int slab;                   /* -1: none claimed */
    uint32_t n_samples;
    float *planes;
    struct eegd_descriptor *descriptor;
};

/* One sample as it comes. */
struct eegd_sample {
    const uint8_t *bytes; /* the conversion */
    uint64_t index;
    int64_t drdy_ns;
    double time_ns;   /* fitted, of the edge as stamped */
    double period_ns; /* fitted */
    const struct eegd_channel_seen *seen;
};

void eegd_framing_init(struct eegd_framing *framing, const struct eegd_capture_config *config);

/* 1: the sample is in the frame (and the frame published, if that filled it); 0: no slab is free. */
int eegd_framing_append(struct eegd_framing *framing, const struct eegd_sample *sample);

/* Publishes what the frame holds, if anything. */
void eegd_framing_close(struct eegd_framing *framing, double period_ns);

#endif
