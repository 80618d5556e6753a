/* SPDX-License-Identifier: MIT */
/*
 * Source: what the electrodes of an emulated board see, conversion by
 * conversion. The emulated chips ask for the next conversion when it becomes
 * ready; everything behind that (gain, MUX, SRB, noise, clipping, status) is
 * the chip's own affair, unless the source gives codes or whole frames.
 *
 * Threads: a source belongs to the board that it was given to and is called on
 * whichever thread owns the board (the capture thread while it runs): `next`
 * must not allocate, lock, block or print. Arrays handed to a constructor are
 * not copied: the caller keeps them alive until the source was freed.
 *
 * Inputs are numbered through the chips from 0: with chips of 8 and 4 channels
 * they are 0 ... 7 and 8 ... 11. Potentials are in nV against the mid-supply.
 */
#ifndef EEGD_SOURCE_H
#define EEGD_SOURCE_H
#include <stdint.h>

#define EEGD_SOURCE_INPUTS 32

/* One conversion as the pins see it. The board clears it (all zero, NULL) before each call of `next`. */
struct eegd_inputs {
    int64_t p_nv[32]; /* INnP pin of each input */
    int64_t n_nv[32]; /* INnN pin of each input */
    int64_t srb1_nv;  /* SRB1 pins */
    int64_t srb2_nv;  /* SRB2 pins */
    int64_t bias_nv;  /* BIASIN against BIASREF */
    /* Not NULL: the conversion's bytes of all chips in chain order, status words included, verbatim. */
    const uint8_t *frame;
    uint32_t frame_bytes; /* length of frame; what a chip would send beyond it is 00 */
    /* Not NULL: the chips' codes, one per input, where a channel's MUX is electrodes. */
    const int32_t *codes;
};

struct eegd_source;

struct eegd_source_ops {
    const char *name;
    /* Fills in conversion `index`, which counts 0, 1, 2 ... without gaps or repeats over the life of the
     * board. time_ns: the sum of the sample periods of all conversions before this one, on the nominal chip
     * clock, so that an index has the same time in every run; period_ns: this conversion's sample period (it
     * changes with the rate). frame and codes stay valid until the next call. 1, or 0 when the source is over
     * (and then for good). */
    int (*next)(struct eegd_source *, uint64_t index, int64_t time_ns, int64_t period_ns,
                struct eegd_inputs *inputs);
    void (*free)(struct eegd_source *);
};

/* First member of every implementation. */
struct eegd_source {
    const struct eegd_source_ops *ops;
    uint32_t flags; /* what these data are: EEGD_FLAG_SIMULATED or EEGD_FLAG_REPLAY */
};

/* Constructors return NULL when memory is short or an argument is out of range. */

/* The same known potentials for ever (limit 0) or for `limit` conversions. p_nv, n_nv: n_inputs, copied. */
struct eegd_source *eegd_source_constant(const int64_t *p_nv, const int64_t *n_nv, uint32_t n_inputs,
                                         int64_t srb1_nv, int64_t srb2_nv, int64_t bias_nv, uint64_t limit);
/* The codes of pattern.h, with the checksum on the last input. limit 0 = for ever. */
struct eegd_source *eegd_source_pattern(uint32_t n_inputs, uint64_t limit);
/* A sine on every input. on_n: one byte per input as above, copied, or NULL. limit 0 = for ever. */
struct eegd_source *eegd_source_sine(double hz, double amplitude_uv, uint32_t n_inputs, const uint8_t *on_n,
                                     uint64_t limit);
/* n frames of frame_bytes each, byte for byte, status words included. loop 1: begin again at the end. */
struct eegd_source *eegd_source_frames(const uint8_t *frames, uint64_t n, uint32_t frame_bytes, int loop);
/* n rows of n_inputs potentials in microvolts, electrode against reference, in double: a float is too coarse
 * for a 24-bit code on a large offset. wiring: one EEGD_WIRING_... (synth.h) per input, copied, or NULL for
 * P. uv is not copied. */
struct eegd_source *eegd_source_recording(const double *uv, uint64_t n, uint32_t n_inputs,
                                          const uint8_t *wiring, int loop);

/* Frees a source that was never given to a board; a board frees its own. */
void eegd_source_free(struct eegd_source *source);

#endif
