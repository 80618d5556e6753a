/* SPDX-License-Identifier: MIT */
/*
 * Readout: what a capture thread does on SPI. START, in one command for each
 * chip select; a conversion, in one transfer for each; and whether that read
 * was in time.
 *
 * On the thread that owns the board: the capture thread; embedded in its state.
 * C only. Nothing allocates; a transfer blocks for as long as its bits take.
 */
#ifndef EEGD_READOUT_H
#define EEGD_READOUT_H
#include <stdint.h>
#include "capture.h"

struct eegd_clock;

struct eegd_readout {
    const struct eegd_capture_config *config;
    uint8_t zeros[EEGD_MAX_CONVERSION_BYTES]; /* the chip decodes DIN all the time */
};

/* -EINVAL: the transfers are not those of one conversion of config->map, or none. */
int eegd_readout_init(struct eegd_readout *readout, const struct eegd_capture_config *config);

/* The START command to each chip select of the configuration, or the line. 0 or -errno. */
int eegd_readout_start(const struct eegd_readout *readout);

/* Reads config->map.n_bytes. *end_ns: when the last bit was clocked. 0 or the -errno of the transfer that
 * failed; those after it are not tried. */
int eegd_readout_take(const struct eegd_readout *readout, uint8_t *bytes, int64_t *end_ns);

/* How late a read ended, in ns, when the edge that it followed came at time_ns; not positive when it was in
 * time. */
double eegd_readout_lateness_ns(const struct eegd_readout *readout, const struct eegd_clock *clock,
                                int64_t end_ns, double time_ns);

#endif
