/* SPDX-License-Identifier: MIT */
/*
 * Verdict: whether a conversion that was read in time can be true, by its own
 * bytes and those of the one before. Status, marker, all 00 and all FF are one
 * conversion's own, and what is wrong in one of them says nothing about the
 * next: "before" is the last one in which they were right. Cut off: the last
 * four channels of a chip are exactly 0, where all of them were far from it in
 * the conversion before and one ahead of them still is, as when a chip resets in
 * the midst of the read. One that is cut off is never "before", so of several in
 * a row each is found; but in a replay (frozen_run 0), where channels may well be
 * 0 from some sample on, only the first. Frozen: a chip repeats a conversion more often than its
 * inputs' noise ever would. How often that is follows from how often each
 * channel has repeated a code lately: with eight live electrodes the first
 * repeat is one too many, with constant inputs it takes frozen_run equal ones.
 *
 * Capture thread only; embedded in its state. C only.
 */
#ifndef EEGD_VERDICT_H
#define EEGD_VERDICT_H
#include <stdint.h>
#include "capture.h"

#define EEGD_TAIL 4

struct eegd_verdict {
    const struct eegd_capture_config *config;
    uint32_t equal_run[4];                     /* per chip: conversions equal to the one before */
    uint32_t passed_run[4];                    /*   and how many of them were not called frozen */
    uint32_t stays[32];                        /* per channel: share that repeated a code, in 65536ths */
    uint8_t before[EEGD_MAX_CONVERSION_BYTES]; /* the last one with the right words */
    uint32_t n_codes[4];                       /* per chip: its channels, */
    uint8_t channel[4][32];                    /*   their numbers, */
    uint8_t code[4][32];                       /*   and where their codes are in the bytes */
    uint32_t tail[4][EEGD_TAIL];               /* per chip: where its last channels' codes are; 0: too few */
};

void eegd_verdict_init(struct eegd_verdict *verdict, const struct eegd_capture_config *config);

/* The counter (EEGD_COUNT_…) of what is wrong with it; -1 for a good conversion. */
int eegd_verdict_take(struct eegd_verdict *verdict, const uint8_t *bytes);

#endif
