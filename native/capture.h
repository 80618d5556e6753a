/* SPDX-License-Identifier: MIT */
/*
 * Capture: the thread that turns DRDY edges into published frames. It waits
 * for an edge, reads the conversion of every chip, checks it, decodes it into
 * the slab being filled, and publishes the slab when it is full or when a loss
 * or a new fit of the clock ends it early, so that samples within a frame are
 * always evenly spaced.
 *
 * The thread owns the board from start to join, and (where there is no sender)
 * the sending side of the outlet. It allocates nothing, takes no lock, prints
 * nothing and runs no Python.
 *
 * Four ways to lose a sample, four counters; each moves the sample index:
 *
 * - missed: an edge that nobody can read any more, by line sequence or by time;
 * - bad: a conversion that cannot be true (status or marker of any chip, all 00
 *   or FF, cut off, frozen), or an SPI error;
 * - late: the read ended after the next edge was due, less 4 tCLK;
 * - overrun: no slab was free.
 */
#ifndef EEGD_CAPTURE_H
#define EEGD_CAPTURE_H
#include <stdint.h>
#include "ads1299.h"

struct eegd_board;
struct eegd_outlet;
struct eegd_counter;
struct eegd_events;
struct eegd_detect;
struct eegd_capture;

#define EEGD_COUNT_CONVERSIONS 0 /* edges acted on, discarded ones included */
#define EEGD_COUNT_SAMPLES 1     /* samples put into frames */
#define EEGD_COUNT_MISSED 2
#define EEGD_COUNT_BAD 3
#define EEGD_COUNT_LATE 4
#define EEGD_COUNT_OVERRUN 5
#define EEGD_COUNT_BAD_STATUS 6 /* of the bad ones, by cause */
#define EEGD_COUNT_ALL_00 7
#define EEGD_COUNT_ALL_FF 8
#define EEGD_COUNT_FROZEN 9
#define EEGD_COUNT_SPI_ERRORS 10
#define EEGD_COUNT_DISCARDED 11 /* right after the start, as configured; not losses */
#define EEGD_COUNT_STALLS 12
#define EEGD_COUNT_EXTRA_EDGES 13 /* edges too close to the last one to be a conversion's; not losses */
#define EEGD_COUNT_MARKER                                                                                    \
    14                    /* bad: a chip does not drive its GPIO pins as set, so it has lost its registers */
#define EEGD_COUNT_CUT 15 /* bad: a chip fell silent in the midst of the read */
#define EEGD_N_COUNTS 16

/* Why the thread ended. */
#define EEGD_CAPTURE_RUNNING 0
#define EEGD_CAPTURE_STOPPED 1     /* it was asked to */
#define EEGD_CAPTURE_OVER 2        /* the replay has ended */
#define EEGD_CAPTURE_STALLED 3     /* no edge for stall_ns */
#define EEGD_CAPTURE_BAD 4         /* max_bad_run bad conversions in a row */
#define EEGD_CAPTURE_BOARD_ERROR 5 /* the line or the bus is gone; error says why */
#define EEGD_CAPTURE_RESTARTED 6   /* a silence as of a chip that restarted by itself */
#define EEGD_CAPTURE_WRONG_RATE 7  /* the edges come at another rate than was set */

/* What a channel can be in, besides well; see channel_state.h. */
#define EEGD_STATE_RAILED 0
#define EEGD_STATE_NEAR_RAIL 1
#define EEGD_STATE_FLAT 2
#define EEGD_STATE_LEAD_OFF 3
#define EEGD_N_STATES 4

struct eegd_capture_config {
    struct eegd_board *board;
    struct eegd_outlet *outlet;
    struct eegd_events *events;        /* NULL: none */
    struct eegd_counter *counters[16]; /* EEGD_COUNT_…; NULL entries are not counted */
    struct eegd_conversion_map map;
    uint32_t n_transfers; /* chip select periods per conversion */
    uint32_t transfer_bytes[4];
    uint32_t transfer_cs[4];
    uint32_t sclk_hz;
    uint32_t register_sclk_hz;
    uint8_t start_command; /* sent to each start_cs last of all (START, 08h); 0: the START line rises */
    uint32_t n_start_cs;
    uint32_t start_cs[4];
    uint32_t frame_samples;     /* 1 … the outlet's slab_samples */
    double period_ns;           /* nominal */
    double tclk_ns;             /* one period of the chip's clock */
    int64_t edge_latency_ns;    /* how late the stamps are known to be; subtracted from fitted times */
    int64_t stall_ns;           /* no edge for so long ends the thread */
    uint32_t discard;           /* conversions dropped after the start */
    uint32_t frozen_run;        /* equal conversions in a row that count as frozen at the latest; 0: never */
    int frozen_learns;          /* fewer do where the channels have noise of their own; see verdict.h */
    uint32_t max_bad_run;       /* bad conversions in a row that end the thread; 0: never */
    uint32_t flags;             /* EEGD_FLAG_… for each frame */
    uint32_t lead_off_chip[32]; /* per channel: which chip's status word */
    uint32_t lead_off_mask[32]; /*   and which of its 24 bits mean electrode off; 0: none */
    uint32_t hold_samples;      /* a channel's state is told after it lasted so long */
    uint32_t flat_run;          /* equal codes in a row that make a channel flat; 0: never */
    uint32_t states_before[4];  /* EEGD_STATE_…: channels that were told to be in it, before this start */
    struct eegd_detect *detect; /* NULL: no detectors */
    int use_sender;             /* publish from a thread of its own; not on a virtual clock */
    int priority;               /* SCHED_FIFO, 0: none; the sender runs one below */
    int cpu;                    /* -1: any */
};

struct eegd_capture_stats {
    int state; /* EEGD_CAPTURE_… */
    int error; /* -errno that ended it, or 0 */
    int tid;
    int sender_tid;        /* 0: none */
    int priority_error;    /* -errno: real-time priority was refused; 0: granted or not asked for */
    uint64_t sample_index; /* of the next sample */
    int64_t first_drdy_ns; /* of the first edge after the discarded ones; 0: none yet */
    int64_t last_drdy_ns;
    int64_t fit_ns;   /* fitted time of the latest edge, that of sample_index - 1; latency not subtracted */
    double period_ns; /* fitted */
    int of_one_edge;  /* sample_index, fit_ns and period_ns are */
    double rate_sps;  /* effective */
    double ppm;       /* deviation from nominal */
    double jitter_rms_ns; /* of the stamps about the fit */
    double late_peak_ns;  /* largest lateness of a stamp */
    double found_ns;      /* RESTARTED: the silence, WRONG_RATE: the period */
    uint32_t states[4];   /* EEGD_STATE_…: the channels that are in it */
};

/* Starts the thread(s). NULL and *error. The config is copied. */
struct eegd_capture *eegd_capture_start(const struct eegd_capture_config *config, int *error);
/* Asks the thread to end after the conversion under way. Any thread. */
void eegd_capture_stop(struct eegd_capture *capture);
/* Waits for the end of the thread(s): the last, short frame is published. Control thread, once. */
void eegd_capture_join(struct eegd_capture *capture);
/* From the next sample on this table of detectors works in place of the one before, and goes on where that
 * was (eegd_detect_follow). The thread may use the one before until the new one has begun. Control thread;
 * NULL: none, only if there was none before. */
void eegd_capture_detect(struct eegd_capture *capture, struct eegd_detect *table);
void eegd_capture_free(struct eegd_capture *capture);
void eegd_capture_stats(const struct eegd_capture *capture, struct eegd_capture_stats *stats);

#endif
