/* SPDX-License-Identifier: MIT */
/*
 * Derived: fills the descriptor of a frame that was made from another stream's frames, as far as it follows
 * from the descriptor of the last of these. What publishing fills in is left to it (see outlet.h).
 *
 * Sending thread of the derived stream. The input's descriptor is the caller's copy, and is only read.
 *
 * Python reads this text through cffi: plain declarations only.
 */
#ifndef EEGD_DERIVED_H
#define EEGD_DERIVED_H
#include <stdint.h>

struct eegd_outlet;
struct eegd_descriptor;

/* What holds for a whole epoch. */
struct eegd_derivation {
    double ratio;   /* values for each sample of the input */
    int is_feature; /* a frame is one value, at the time of the last sample that it covers; else a sample for
                       each sample, at the same times */
    int is_same_channels; /* channel masks mean the same there and here */
};

/* What one frame covers. */
struct eegd_covered {
    uint64_t sample_index; /* first input sample */
    uint64_t n_samples;
    uint64_t missed; /* input samples lost or missed within or before it, since the frame before */
    uint32_t flags;  /* EEGD_FLAG_… that it has from its input */
};

/* Clears the descriptor of a claimed slab and fills it in. index: of its first sample in the derived stream.
 */
void eegd_derived_fill(struct eegd_outlet *outlet, uint32_t slab, uint64_t index,
                       const struct eegd_derivation *derivation, const struct eegd_covered *covered,
                       const struct eegd_descriptor *input);

#endif
