/* SPDX-License-Identifier: MIT */
/* What the files of the emulated board share: board_sim.c (life, DRDY, pins), sim_time.c, sim_bus.c (SPI),
 * sim_faults.c, sim_tools.c. Nobody else's. */
#ifndef EEGD_SIM_H
#define EEGD_SIM_H
#include <stdatomic.h>
#include "board_sim.h"
#include "monotonic.h"

#define SIM_NEVER INT64_MAX
#define SIM_HISTORY 256 /* bytes of a transfer that RREG can find again behind a frame */

/* Where a chip's ticks lie in time. */
struct sim_clock {
    int64_t base_ns;
    uint64_t base_tick;
    uint64_t millihertz;
};

struct sim_board;

struct sim_slot {
    struct sim_board *sim;
    struct eegd_chip chip;
    struct sim_clock clock;
    uint32_t first_input; /* in struct eegd_inputs */
    uint32_t first_byte;  /* in a whole conversion */
    uint32_t dead;
    uint8_t gpio_in;              /* what the chip's pins see while no fault says otherwise */
    uint8_t history[SIM_HISTORY]; /* DOUT in this CS period, kept while registers are read through a chain */
};

struct sim_chain {
    uint32_t n;
    struct sim_slot *slots[4];
};

struct sim_board {
    struct eegd_board board; /* first */
    struct eegd_sim_config config;
    struct eegd_source *source;
    struct sim_slot slots[4];
    struct sim_chain chains[4]; /* by chip select */

    int64_t now_ns;     /* emulated time reached by all chips */
    int64_t cs_rose_ns; /* end of the last transfer */
    int64_t not_before; /* a delayed edge: no transfer before this */

    struct eegd_inputs inputs; /* of the newest conversion, or of the next one if `fetched` */
    int fetched, over;
    uint64_t samples;
    int64_t source_ns;
    uint64_t starts_seen;
    uint32_t lead_in_left;

    uint64_t reported; /* falls that the host was told about or will never hear of */
    uint64_t seq;
    struct eegd_edge ghost; /* the second edge of a doubled one */
    int has_ghost;
    int64_t stamp_late; /* for the next edge, after a merged one */

    atomic_uint woken;

    /* Perhaps another thread's: faults[i] is written before n_faults (release, pairs with the acquire in
     * sim_faults_resolve). */
    atomic_uint n_faults;
    struct eegd_fault faults[EEGD_MAX_FAULTS];
    uint64_t fault_at[EEGD_MAX_FAULTS]; /* owner's: the beginning, with NOW resolved */
    uint32_t resolved;                  /* owner's: faults whose beginning is known */
    int had_faults;
    uint32_t reset_pending; /* chips that reset within the next read, as bits */
};

/* sim_time.c */
uint64_t sim_tick(const struct sim_clock *clock, int64_t ns);
int64_t sim_ns(const struct sim_clock *clock, uint64_t tick);
/* Blocks until a moment of real time. */
void sim_block_until(int64_t ns);
/* The same, or until a wake. */
void sim_sleep_until(struct sim_board *sim, int64_t ns);
/* Lets all chips run up to ns, chip 0's falls first and one by one. */
void sim_advance(struct sim_board *sim, int64_t ns);
/* Brings the emulated time up to the real one, as far as the kind of clock wants it. */
void sim_catch_up(struct sim_board *sim);
/* When chip 0's DRDY falls next; SIM_NEVER. */
int64_t sim_next_fall(const struct sim_board *sim);
/* 1 while a patient chip waits for its host: a conversion is under way and nobody may miss it. */
int sim_held(const struct sim_board *sim);
/* The chips' eegd_chip_convert; the context is their struct sim_slot. */
int sim_convert(void *context, uint64_t tick, struct eegd_chip_inputs *inputs);

/* sim_bus.c: the board's transfer. */
int sim_transfer(struct eegd_board *board, const struct eegd_transfer *transfer, int64_t *end_ns);

/* sim_faults.c */
/* The fault of this kind that holds for a fall, or NULL. */
const struct eegd_fault *sim_fault_active(struct sim_board *sim, uint32_t kind, uint64_t fall);
/* The fall that the host is busy with. */
uint64_t sim_present_fall(const struct sim_board *sim);
/* Before the frame of a fall is built: chips and channels that are dead or railed for it. */
void sim_faults_hold(struct sim_board *sim, uint64_t fall);
/* After a fall: lets those faults happen that begin with it. */
void sim_faults_at(struct sim_board *sim, uint64_t fall);
/* Takes note of faults set since the last call. */
void sim_faults_resolve(struct sim_board *sim);
/* Spoils what a transfer read. frame: it was a conversion. */
void sim_faults_spoil(struct sim_board *sim, uint8_t *rx, uint32_t len, int frame);

#endif
