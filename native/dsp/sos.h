/* SPDX-License-Identifier: MIT */
/*
 * Second-order sections: a recursive filter, written as a cascade of sections
 * of two poles and two zeros, over all channels of a block in one call.
 *
 * Samples are float32, arithmetic and state are float64. Each section is the
 * transposed direct form II, in this order of operations:
 *
 *   y = b0 x + s0      s0 = b1 x - a1 y + s1      s1 = b2 x - a2 y
 *
 * which is the order of scipy.signal.sosfilt, and nothing is fused: so both give
 * the same bits where scipy was built alike. The state goes on from block to
 * block; how a signal is cut into blocks changes nothing.
 *
 * A sample that is NaN or infinite is missing: NaN comes out in its place, and
 * the channel begins anew with the next finite one, in the state of a constant
 * input of that value. Other channels do not notice.
 *
 * The caller owns the struct; one thread at a time uses it. Only create and
 * destroy allocate or free; nothing blocks.
 *
 * Python reads this text through cffi: plain declarations only.
 */
#ifndef EEGD_SOS_H
#define EEGD_SOS_H
#include <stddef.h>
#include <stdint.h>

#define EEGD_SOS_MAX_SECTIONS 64
#define EEGD_SOS_MAX_CHANNELS 4096

struct eegd_sos;

/* A cascade at rest, as if its input had always been 0. coefficients: b0 b1 b2 a0 a1 a2 of each section in
 * turn; they are divided by a0. 0; -EINVAL for a count out of range, or a coefficient that is not finite, or
 * is not once it is divided; -ENOMEM. */
int eegd_sos_create(struct eegd_sos **sos, const double *coefficients, uint32_t n_sections,
                    uint32_t n_channels);
void eegd_sos_destroy(struct eegd_sos *sos); /* NULL is all right */

/* The state in which the cascade would be if each channel's input had always been its value of `first`; where
 * that is not finite, the first finite sample that comes. A cascade that has no such state, with a pole at 1,
 * is put to rest from that section on. */
void eegd_sos_settle(struct eegd_sos *sos, const double *first);

/* Filters n_samples of every channel. Channel c is at in + c * in_stride, its samples one after another;
 * strides count floats. out may be in with the same stride, else the two must not overlap. */
void eegd_sos_run(struct eegd_sos *sos, const float *in, ptrdiff_t in_stride, float *out,
                  ptrdiff_t out_stride, size_t n_samples);

/* The state: s0 and s1 of each section of a channel, NaN while it waits for a finite sample. For tests and
 * for looking at. */
void eegd_sos_state(const struct eegd_sos *sos, uint32_t channel, double *state);

#endif
