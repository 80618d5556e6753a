/* SPDX-License-Identifier: MIT */
/* START and conversions over SPI. On the capture thread. See readout.h. */
#include "readout.h"
#include <errno.h>
#include <stddef.h>
#include "board.h"
#include "clock.h"

#define KEEP_OUT_TCLK 4.0    /* a read must end this long before the next edge (SBAS499C 9.5.1) */
#define FASTEST_PERIOD 0.975 /* of nominal: the chip's oscillator is within 2.5 % (SBAS499C 7.5) */
#define MAX_TRANSFERS 4
#define AFTER_START_US 3 /* 4 tCLK and more, before CS rises (see board.h) */

int eegd_readout_init(struct eegd_readout *readout, const struct eegd_capture_config *config)
{
    uint32_t n_bytes = 0;
    for (uint32_t i = 0; i < config->n_transfers && i < MAX_TRANSFERS; i++)
        n_bytes += config->transfer_bytes[i];
    *readout = (struct eegd_readout){.config = config};
    return config->n_transfers >= 1 && config->n_transfers <= MAX_TRANSFERS &&
                   n_bytes == config->map.n_bytes && n_bytes <= EEGD_MAX_CONVERSION_BYTES &&
                   config->n_start_cs <= MAX_TRANSFERS
               ? 0
               : -EINVAL;
}

int eegd_readout_start(const struct eegd_readout *readout)
{
    const struct eegd_capture_config *config = readout->config;
    if (!config->start_command)
        return eegd_board_set_line(config->board, EEGD_LINE_START, 1);
    for (uint32_t i = 0; i < config->n_start_cs; i++) {
        struct eegd_transfer transfer = {.tx = &config->start_command,
                                         .len = 1,
                                         .speed_hz = config->register_sclk_hz,
                                         .cs = config->start_cs[i],
                                         .delay_us = AFTER_START_US};
        int error = eegd_board_transfer(config->board, &transfer, NULL);
        if (error < 0)
            return error;
    }
    return 0;
}

int eegd_readout_take(const struct eegd_readout *readout, uint8_t *bytes, int64_t *end_ns)
{
    const struct eegd_capture_config *config = readout->config;
    uint32_t offset = 0;
    for (uint32_t i = 0; i < config->n_transfers; i++) {
        struct eegd_transfer transfer = {.tx = readout->zeros,
                                         .rx = bytes + offset,
                                         .len = config->transfer_bytes[i],
                                         .speed_hz = config->sclk_hz,
                                         .cs = config->transfer_cs[i]};
        int error = eegd_board_transfer(config->board, &transfer, end_ns);
        if (error < 0)
            return error;
        offset += transfer.len;
    }
    return 0;
}

/* Decided from the fit, not from the next event; until the fit has locked, the chip may be as fast as the
 * datasheet allows. */
double eegd_readout_lateness_ns(const struct eegd_readout *readout, const struct eegd_clock *clock,
                                int64_t end_ns, double time_ns)
{
    const struct eegd_capture_config *config = readout->config;
    double period_ns =
        clock->state == EEGD_CLOCK_LOCKED ? clock->period_ns : config->period_ns * FASTEST_PERIOD;
    double next_ns = time_ns - (double)config->edge_latency_ns + period_ns;
    return (double)end_ns - (next_ns - KEEP_OUT_TCLK * config->tclk_ns);
}
