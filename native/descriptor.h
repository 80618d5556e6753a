/* SPDX-License-Identifier: MIT */
/*
 * Descriptor: the fixed 128-byte record of one frame. It lies in the stream's
 * segment, one per slab, and is written by the stream's single writer before
 * the lease that names it is published (release store of the lease word, pairs
 * with the acquire of the claim). Readers only ever see it after that.
 *
 * Python reads this text through cffi: keep it free of anything but plain
 * declarations and integer constants.
 */
#ifndef EEGD_DESCRIPTOR_H
#define EEGD_DESCRIPTOR_H
#include <stdint.h>

#define EEGD_MAX_CHANNELS 32
#define EEGD_MAX_FRAME_SAMPLES 400
#define EEGD_MAX_CHIPS 4
#define EEGD_MAX_READERS 63
#define EEGD_MAX_DEPTH 16384

/* What a stream's numbers are. */
#define EEGD_KIND_RAW 0      /* electrode minus reference, microvolts */
#define EEGD_KIND_FILTERED 1 /* microvolts after processing */
#define EEGD_KIND_FEATURES 2 /* named columns with units of their own */

/* Frame flags. The first four mean: these data are not a person's. */
#define EEGD_FLAG_SIMULATED 1
#define EEGD_FLAG_REPLAY 2
#define EEGD_FLAG_TEST_SIGNAL 4
#define EEGD_FLAG_SHORTED 8
#define EEGD_FLAG_NOT_A_PERSON 15
#define EEGD_FLAG_SHORT 16 /* closed early: a loss, a step of the fitted time or the epoch's end follows */
#define EEGD_FLAG_FIRST 32 /* first frame of its stream epoch */
#define EEGD_FLAG_UPSTREAM_LOSS 64 /* derived streams: something was lost or missed upstream before this */

struct eegd_descriptor {
    uint64_t frame_number;  /* counts this stream's frames from 0 in each epoch, without gaps */
    uint64_t sample_index;  /* index of the first sample; never wraps; counts on across losses */
    int64_t drdy_ns;        /* first sample's DRDY edge, CLOCK_MONOTONIC, as the kernel stamped it */
    double time_ns;         /* first sample's time as fitted, CLOCK_MONOTONIC ns */
    double period_ns;       /* fitted sample period in ns */
    int64_t publish_ns;     /* when the writer published the frame, CLOCK_MONOTONIC */
    int64_t wall_offset_ns; /* CLOCK_REALTIME minus CLOCK_MONOTONIC when the frame was published */
    uint64_t lost_before;   /* jump of the sample index since the frame before, in samples */
    uint32_t n_samples;     /* valid samples in each plane of the slab, 1 … capacity */
    uint32_t n_channels;    /* planes in the slab */
    uint32_t flags;         /* EEGD_FLAG_… */
    uint32_t kind;          /* EEGD_KIND_… */
    uint32_t railed;        /* channel masks, bit n = channel n of this stream: */
    uint32_t near_rail;     /*   at or beyond 90 % / 75 % of full scale, unchanging, */
    uint32_t flat;          /*   electrode off */
    uint32_t lead_off;
    uint32_t status_or[4];  /* raw: 24-bit status of each chip, OR-ed and AND-ed over the frame. */
    uint32_t status_and[4]; /* derived: see eegd_descriptor_source, which overlays these 32 bytes */
};

/* Where a derived frame came from; overlays status_or and status_and. */
struct eegd_descriptor_source {
    uint64_t frame_number; /* last input frame that went into it */
    uint64_t sample_index; /* first input sample of the range it covers */
    uint64_t n_samples;    /* length of that range */
    uint64_t missed;       /* input samples lost or missed within or before it, since the frame before */
};

#endif
