/* SPDX-License-Identifier: MIT */
/*
 * Emulator: emulated ADS1299 chips (chip.h) as a piece of hardware that Linux
 * drives: an SPI controller below spidev and a GPIO chip below gpiolib, on one
 * clock. What the files of this module share; nobody else's.
 *
 * Threads: everything in struct emulator is guarded by `lock`, a raw spinlock
 * taken with interrupts off, but what is written before the hardware is
 * registered. Edges and the end of a transfer are told in hard interrupt
 * context, by the one timer, with the lock released.
 */
#ifndef EEGD_EMULATOR_H
#define EEGD_EMULATOR_H
#include <linux/gpio/driver.h>
#include <linux/hrtimer.h>
#include <linux/spi/spi.h>
#include <linux/spinlock.h>
#include "chip.h"

#define EMULATOR_CHIPS 4
#define EMULATOR_LINES 54 /* as many as the Raspberry Pi 5's header controller has */
#define EMULATOR_NAMED 28 /* GPIO0 ... GPIO27 */
#define EMULATOR_FAULTS 16
#define EMULATOR_INPUTS 64 /* changes of input lines in one list */
#define EMULATOR_LATE 8    /* edges that are held back */
#define EMULATOR_NEVER U64_MAX

enum fault_kind {
    FAULT_MISSED,   /* edges are never told */
    FAULT_DELAYED,  /* edges are told value ns late */
    FAULT_DOUBLED,  /* edges are told again value ns later */
    FAULT_MERGED,   /* edges are told together with the next one, in one interrupt */
    FAULT_ZEROS,    /* conversions read as 00 */
    FAULT_ONES,     /* conversions read as FF */
    FAULT_BIT_SLIP, /* conversions arrive one bit early */
    FAULT_BYTE_SLIP,
    FAULT_STUCK,     /* everything reads as the byte value */
    FAULT_MODE,      /* everything arrives one bit late, as in SPI mode 0 */
    FAULT_IOCTL,     /* transfers fail with errno value */
    FAULT_SLOW,      /* transfers begin value ns late */
    FAULT_DEAD,      /* chip neither hears nor speaks */
    FAULT_UNPLUGGED, /* no edges, MISO high, nothing is heard; at the end the chips have lost their power */
    FAULT_STOPPED,   /* once: chips cease to convert */
    FAULT_BROWN_OUT, /* once: chips are at their reset values */
    FAULT_ID,        /* once: the ID register reads value */
    FAULT_KINDS,
};

/* Holds for the falls of chip 0's DRDY at ... at + count - 1, and again every period; count 0: for ever. */
struct fault {
    enum fault_kind kind;
    u32 chip; /* U32_MAX: all */
    u64 at, count, period;
    s64 value;
};

struct emulator;

struct slot {
    struct emulator *emulator;
    struct eegd_chip chip;
    u64 millihertz; /* of its clock */
    u64 samples, run_first,
        starts_seen; /* of its source of conversions; chip 0's is all chips' unless own_clocks */
    u32 cs;
    int drdy_line;    /* < 0: none */
    u64 told;         /* falls that were looked at for an edge */
    bool read;        /* the newest conversion was clocked out */
    int32_t codes[8]; /* of the conversion being built */
};

/* The transfer under way. */
struct wire {
    bool busy;
    u32 cs, len, done, hz;
    u64 start_ns;
    const u8 *tx; /* NULL: zeros */
    u8 *rx;       /* may be NULL */
    bool rdata;   /* it begins with that command */
};

/* An input line that equipment switches. */
struct input_change {
    u64 ns; /* after its list was given */
    u8 line, level;
};

struct emulator_counters {
    u64 edges, reads, overruns, transfers, bytes, timer_calls, timer_ns;
    u64 too_fast; /* transfers above max_sclk_hz */
    u64 injected[FAULT_KINDS];
};

struct emulator {
    raw_spinlock_t lock;
    struct hrtimer timer;
    struct slot slots[EMULATOR_CHIPS];
    u32 n_chips;
    bool daisy;
    bool own_clocks;
    u64 base_ns;

    struct spi_controller *controller;
    struct wire wire;
    u32 max_sclk_hz; /* above it MISO is sampled before it has changed: one bit late; 0: no such limit */

    struct gpio_chip gpio;
    unsigned int irq_type[EMULATOR_LINES];
    DECLARE_BITMAP(unmasked, EMULATOR_LINES);
    DECLARE_BITMAP(outputs, EMULATOR_LINES);
    DECLARE_BITMAP(levels, EMULATOR_LINES);
    int start_line, reset_line, pwdn_line;
    int loop_out, loop_in;                       /* an output with a wire to an input; < 0: none */
    u32 loop_ns;                                 /* from its fall to the interrupt */
    struct hrtimer loop_timer;                   /* the interrupt */
    struct input_change inputs[EMULATOR_INPUTS]; /* under way from next_input on, which the timer moves */
    u32 n_inputs, next_input;
    u64 inputs_ns; /* when the list was given */
    struct hrtimer input_timer;
    u64 late_ns[EMULATOR_LATE]; /* held-back edges of chip 0; EMULATOR_NEVER: free */
    u32 merged;                 /* edges that wait for the next one */

    /* Conversions. Those from frames_first on are in `frames`, a ring, as far as `written`. */
    u8 *frames;
    u32 frame_bytes, capacity;
    u64 written, frames_first;
    u32 lead_in;

    struct fault faults[EMULATOR_FAULTS];
    u32 n_faults;
    u64 faults_seen; /* falls that were looked at for faults */
    bool unplugged;

    struct emulator_counters counters;
};

/* clock.c */
u64 emulator_tick(const struct slot *slot, u64 ns);
u64 emulator_ns(const struct slot *slot, u64 tick);
/* Brings wire and chips up to the present; returns its ns. */
u64 emulator_catch_up(struct emulator *emulator);
/* Sets the timer to what comes next. After whatever may change that. */
void emulator_arm(struct emulator *emulator);
void emulator_clock_init(struct emulator *emulator);

/* wire.c */
int emulator_wire_init(struct emulator *emulator, struct device *parent);
/* Clocks the bytes that are due by ns. */
void emulator_wire_run(struct emulator *emulator, u64 ns);
/* When the transfer under way ends; EMULATOR_NEVER. */
u64 emulator_wire_end(const struct emulator *emulator);

/* lines.c */
int emulator_lines_init(struct emulator *emulator, struct device *parent, const char *label);
/* Once no line is requested any more. */
void emulator_lines_exit(struct emulator *emulator);
/* Hard interrupt context, lock released. edge: IRQ_TYPE_EDGE_…; emulator_tell_edge: a fall. */
void emulator_tell(struct emulator *emulator, int line, unsigned int edge);
void emulator_tell_edge(struct emulator *emulator, int line);

/* inputs.c */
void emulator_inputs_init(struct emulator *emulator);
void emulator_inputs_exit(struct emulator *emulator);
/* Lines that change later on. 0, -EINVAL, or -EBUSY while there are others. */
int emulator_inputs_set(struct emulator *emulator, const char *text);

/* conversions.c */
int emulator_conversions_init(struct emulator *emulator);
void emulator_conversions_exit(struct emulator *emulator);
/* The chips' eegd_chip_convert; the context is their slot. */
int emulator_convert(void *context, uint64_t tick, struct eegd_chip_inputs *inputs);

/* faults.c */
/* "KIND [at=N] [count=N] [period=N] [value=N] [chip=N]", at counted from the next fall; or "clear". */
int emulator_fault_add(struct emulator *emulator, const char *text);
/* The fault of this kind that holds for fall, or NULL. */
const struct fault *emulator_fault(const struct emulator *emulator, enum fault_kind kind, u64 fall);
/* The fall that the host is busy with. */
u64 emulator_present_fall(const struct emulator *emulator);
/* Lets those faults happen that begin or end with falls since the last call. */
void emulator_faults_run(struct emulator *emulator, u64 ns);
bool emulator_is_dead(const struct emulator *emulator, const struct slot *slot);
/* Spoils what a transfer read. frame: it was a conversion. */
void emulator_spoil(struct emulator *emulator, u8 *rx, u32 len, bool frame);
const char *emulator_fault_name(enum fault_kind kind);

#endif
