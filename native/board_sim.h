/* SPDX-License-Identifier: MIT */
/*
 * The emulated board: one to four emulated ADS1299 (chip.h) behind the board
 * table, with a source of signals at their electrodes and faults on demand.
 *
 * Its clock is one of three.
 *
 * Patient (default): real time, but a conversion waits until the host reads it
 * and keeps its true stamp. A host that was stopped reads on where it was, and
 * its lateness never shows as a late read.
 *
 * Strict: real time as on the chip; who reads late loses conversions or tears
 * them.
 *
 * Virtual: the chip's time passes only in wait, sleep, set_line and transfer,
 * as fast as these are called.
 *
 * Wire time is real in all of them: reads that are too slow for the rate run
 * into the next conversion. Patient and virtual transfers begin latency_ns
 * after the DRDY fall; patient ones take no time of the host's.
 *
 * Threads: as board.h says. eegd_board_sim_fault may be called from one other thread at a time; everything
 * else only by the board's owner. No call locks or allocates but open and close.
 */
#ifndef EEGD_BOARD_SIM_H
#define EEGD_BOARD_SIM_H
#include <stdint.h>
#include "board.h"
#include "chip.h"
#include "source.h"

struct eegd_sim_config {
    uint32_t n_chips;       /* 1 ... 4, nearest the host first */
    uint32_t n_channels[4]; /* 4, 6 or 8: ADS1299-4, -6, ADS1299 */
    uint32_t cs[4];         /* chip select of each chip, 0 ... 3; chips with the same one are a daisy chain */
    double fclk_hz;         /* nominal chip clock */
    double ppm[4];          /* deviation of each chip's clock; chip 0's holds for all unless own_clocks */
    uint32_t own_clocks;    /* 1: every chip runs on its own oscillator; DRDY is chip 0's */
    uint32_t virtual_clock; /* 1: virtual */
    uint32_t strict;        /* 1: strict, 0: patient; of no meaning on the virtual clock */
    uint32_t lead_in; /* conversions after each start that do not use up the source: they see its next one */
    uint32_t latency_ns;  /* patient, virtual: DRDY fall to first SCLK, and between two transfers */
    uint32_t start_wired; /* 1: set_line can move the pin of all chips; 0: -ENOTSUP */
    uint32_t reset_wired;
    uint32_t pwdn_wired;
    uint32_t power_up;  /* 1: chips are deaf for 2^18 tCLK after open and after PWDN */
    uint32_t noise;     /* EEGD_NOISE_... */
    uint32_t settle;    /* 1: internal square waves pass the sinc3 filter */
    uint32_t drop_fast; /* 1: command bytes less than 4 tCLK apart are dropped, 0: only written down */
    uint32_t
        daisy_registers; /* RREG in a daisy chain; 1: the next chip's bytes follow a frame later, 0: zeros */
    uint32_t external_reference;
    uint64_t seed; /* of the chips' noise */
    int64_t offset_nv;
    int32_t temperature_mc;
};

/* Faults. What each does with `value` stands beside it; `chip` and `channel` count from 0. */
#define EEGD_FAULT_DRDY_MISSED 0    /* edges never reach the host: no gap in seq, twice the interval */
#define EEGD_FAULT_DRDY_DELAYED 1   /* edges come value ns late, stamp and all */
#define EEGD_FAULT_DRDY_DOUBLED 2   /* one more edge value ns after the true one */
#define EEGD_FAULT_DRDY_STOPPED 3   /* the chips lose their START: no edge until they are started again */
#define EEGD_FAULT_EVENTS_LOST 4    /* event queue overflow: edges are gone, seq jumps */
#define EEGD_FAULT_EDGES_MERGED 5   /* the next edge swallows it, its stamp value ns late; no gap in seq */
#define EEGD_FAULT_HANG_UP 6        /* wait returns -ENODEV */
#define EEGD_FAULT_FRAME_00 7       /* conversions read as all 00 */
#define EEGD_FAULT_FRAME_FF 8       /* conversions read as all FF */
#define EEGD_FAULT_BIT_SLIP 9       /* conversions arrive one bit early */
#define EEGD_FAULT_BYTE_SLIP 10     /* conversions arrive value bytes early (at least 1) */
#define EEGD_FAULT_MISO_STUCK 11    /* everything reads as the level value */
#define EEGD_FAULT_SPI_MODE 12      /* mode 0 instead of 1: everything arrives one bit late */
#define EEGD_FAULT_TORN 13          /* the read begins so late that the next DRDY falls in its middle */
#define EEGD_FAULT_IOCTL 14         /* transfer returns -value (ETIMEDOUT, ESHUTDOWN …), nothing is clocked */
#define EEGD_FAULT_SLOW_IOCTL 15    /* transfers begin value ns later */
#define EEGD_FAULT_RAILED 16        /* channel at 7FFFFFh, at 800000h if value < 0 */
#define EEGD_FAULT_ELECTRODE_OFF 17 /* channel's electrodes touch nothing; lead-off currents show it */
#define EEGD_FAULT_DEAD 18      /* chip neither hears nor speaks, and nothing behind it in a chain is heard */
#define EEGD_FAULT_BROWN_OUT 19 /* chip back at its reset values */
#define EEGD_FAULT_RESET_MID_FRAME 20 /* chip resets in the middle of the next read */
#define EEGD_FAULT_WRITES_LOST 21     /* the next value register writes of the chip are lost */
#define EEGD_FAULT_ID 22              /* the chip's ID register reads as value */
#define EEGD_FAULT_CLOCK 23           /* the chip's clock is value ppm off nominal from here on */
#define EEGD_FAULT_GPIO 24            /* no fault: the levels outside of the chip's GPIO pins are value */
#define EEGD_FAULT_KINDS 25
#define EEGD_FAULT_NOW 0xFFFFFFFFFFFFFFFF
#define EEGD_FAULT_ALL_CHIPS 0xFFFFFFFF
#define EEGD_MAX_FAULTS 32

/* DRDY falls of chip 0 are counted from 0 when the board opens. A fault holds for the falls at ... at + count
 * - 1, and again every `period` falls; until the first fall, fall 0 is taken as the present one. DRDY_STOPPED
 * and BROWN_OUT ... CLOCK happen once, right after the first fall of each such time, and NOW at
 * once. */
struct eegd_fault {
    uint32_t kind;    /* EEGD_FAULT_... */
    uint32_t chip;    /* RAILED ... GPIO: which, or EEGD_FAULT_ALL_CHIPS */
    uint32_t channel; /* RAILED, ELECTRODE_OFF: which */
    uint64_t at;      /* first fall, or EEGD_FAULT_NOW */
    uint64_t count;   /* falls, 0 = from then on */
    uint64_t period;  /* falls from one beginning to the next, 0 = once */
    int64_t value;
};

/* One ADS1299, patient, 2.048 MHz, no lines wired but START, 5 us of latency, noise on shorted inputs and the
 * test signal. */
void eegd_sim_defaults(struct eegd_sim_config *config);

/* Powers the board up. The board owns the source from here on (also when this fails) and frees it in close.
 * NULL and *error = -EINVAL or -ENOMEM when it cannot. */
struct eegd_board *eegd_board_sim_open(const struct eegd_sim_config *config, struct eegd_source *source,
                                       int *error);

/* 0; -EINVAL unknown kind, chip or channel, value out of range; -ENOSPC with EEGD_MAX_FAULTS set. Takes
 * effect from the next call on. */
int eegd_board_sim_fault(struct eegd_board *board, const struct eegd_fault *fault);
/* Takes all faults back. What they did to registers, clocks and START stays done. */
void eegd_board_sim_clear_faults(struct eegd_board *board);

/* An emulated chip with everything in it, for tests and tools; NULL beyond the last one. */
struct eegd_chip *eegd_board_sim_chip(struct eegd_board *board, uint32_t chip);
/* Copies the 24 registers as RREG would give them. 0 or -EINVAL. */
int eegd_board_sim_registers(struct eegd_board *board, uint32_t chip, uint8_t *registers);
/* Copies the newest violations of a chip, oldest first, at most n. Count copied. */
int eegd_board_sim_violations(struct eegd_board *board, uint32_t chip, struct eegd_violation *out,
                              uint32_t n);
/* How often a kind of violation happened, all chips together; kind EEGD_VIOLATION_KINDS: all kinds. */
uint64_t eegd_board_sim_violation_count(struct eegd_board *board, uint32_t kind);
/* DRDY falls of chip 0 so far. */
uint64_t eegd_board_sim_conversions(struct eegd_board *board);
/* Conversions taken from the source so far. */
uint64_t eegd_board_sim_samples(struct eegd_board *board);

#define EEGD_SIDE_P 0
#define EEGD_SIDE_N 1
#define EEGD_SIDE_SRB1 2
#define EEGD_SIDE_SRB2 3
#define EEGD_SIDE_BIAS 4
/* Impedance of an electrode in ohms, < 0 = open. input counts through the chips from 0; for SRB1, SRB2 and
 * BIAS any input of the chip. 0 or -EINVAL. */
int eegd_board_sim_impedance(struct eegd_board *board, uint32_t input, int side, int64_t ohm);
/* Levels outside of a chip's GPIO pins, bit 0 = GPIO1. 0 or -EINVAL. */
int eegd_board_sim_gpio(struct eegd_board *board, uint32_t chip, uint32_t levels);

#endif
