/* SPDX-License-Identifier: MIT */
/*
 * The emulated board: opening and closing, the DRDY line, the pins. Runs on the thread that owns the board;
 * sim_wake on any.
 */
#include "board_sim.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sim.h"

#define VIRTUAL_START_NS 1000000000    /* so that no moment of the virtual clock is 0 */
#define PIN_NS 1000                    /* what one line access costs; 2 tCLK and a bit */
#define LONGEST_NS 1000000000000000000 /* 31 years: beyond that a wait is without limit */
#define HOLD_TICKS 5                   /* a held chip stops before DRDY rises for the fall to come */

static struct sim_board *sim_of(struct eegd_board *board)
{
    return (struct sim_board *)board;
}

/* ---- the DRDY line ---- */

/* 1: the fall is the host's to see; 0: a fault swallows it. */
static int fall_is_seen(struct sim_board *sim, uint64_t fall, uint64_t n)
{
    const struct eegd_fault *merged;

    if (sim->slots[0].dead || sim_fault_active(sim, EEGD_FAULT_DRDY_MISSED, fall))
        return 0;
    if (sim_fault_active(sim, EEGD_FAULT_EVENTS_LOST, fall)) {
        sim->seq += n;
        return 0;
    }
    merged = sim_fault_active(sim, EEGD_FAULT_EDGES_MERGED, fall);
    if (merged)
        sim->stamp_late = merged->value;
    return !merged;
}

static int take_fall(struct sim_board *sim, struct eegd_edge *edge)
{
    const struct sim_slot *slot = &sim->slots[0];
    const struct eegd_fault *fault;
    uint64_t fall = slot->chip.falls - 1, n = slot->chip.falls - sim->reported;

    sim->reported = slot->chip.falls;
    if (!fall_is_seen(sim, fall, n))
        return 0;
    sim->seq += n;
    edge->seq = sim->seq;
    edge->drdy_ns = sim_ns(&slot->clock, slot->chip.last_fall) + sim->stamp_late;
    sim->stamp_late = 0;
    fault = sim_fault_active(sim, EEGD_FAULT_DRDY_DELAYED, fall);
    if (fault) {
        edge->drdy_ns += fault->value;
        sim->not_before = edge->drdy_ns;
        if (sim->config.virtual_clock)
            sim_advance(sim, edge->drdy_ns);
        else
            sim_block_until(edge->drdy_ns);
    }
    fault = sim_fault_active(sim, EEGD_FAULT_DRDY_DOUBLED, fall);
    if (fault) {
        sim->ghost.drdy_ns = edge->drdy_ns + fault->value;
        sim->ghost.seq = ++sim->seq;
        sim->has_ghost = 1;
    }
    return 1;
}

static int take_edge(struct sim_board *sim, struct eegd_edge *edge)
{
    if (sim->has_ghost) {
        *edge = sim->ghost;
        sim->has_ghost = 0;
        return 1;
    }
    return sim->slots[0].chip.falls > sim->reported && take_fall(sim, edge);
}

/* Towards the next fall or the deadline, whichever comes first. 0 when it was the deadline. */
static int let_time_pass(struct sim_board *sim, int64_t deadline_ns)
{
    int64_t fall_ns = sim_next_fall(sim), target_ns = fall_ns < deadline_ns ? fall_ns : deadline_ns;

    if (sim->config.virtual_clock && target_ns != SIM_NEVER) {
        sim_advance(sim, target_ns);
        return target_ns == fall_ns;
    }
    if (sim->config.virtual_clock || eegd_monotonic_ns() < target_ns) {
        sim_sleep_until(sim, target_ns);
        return 1;
    }
    if (target_ns == fall_ns)
        sim_advance(sim, fall_ns);
    return target_ns == fall_ns;
}

/* A patient chip is ahead of the host's clock where a read ran into the next conversion: its edge has yet to
 * come. */
static int is_ahead(const struct sim_board *sim)
{
    const struct sim_slot *slot = &sim->slots[0];

    return !sim->config.virtual_clock && slot->chip.falls > sim->reported &&
           sim_ns(&slot->clock, slot->chip.last_fall) > eegd_monotonic_ns();
}

static int sim_wait(struct eegd_board *board, int64_t timeout_ns, struct eegd_edge *edge)
{
    struct sim_board *sim = sim_of(board);
    int64_t start_ns = sim->config.virtual_clock ? sim->now_ns : eegd_monotonic_ns();
    int64_t deadline_ns = timeout_ns < 0 || timeout_ns > LONGEST_NS ? SIM_NEVER : start_ns + timeout_ns;
    int in_time = 1;

    for (;;) {
        if (atomic_load_explicit(&sim->woken, memory_order_relaxed) && atomic_exchange(&sim->woken, 0))
            return 0;
        sim_catch_up(sim);
        if (sim_fault_active(sim, EEGD_FAULT_HANG_UP, sim_present_fall(sim)))
            return -ENODEV;
        if (is_ahead(sim)) {
            sim_sleep_until(sim, sim_ns(&sim->slots[0].clock, sim->slots[0].chip.last_fall));
            continue;
        }
        if (take_edge(sim, edge))
            return 1;
        if (sim->over)
            return -ENODATA;
        if (!in_time)
            return 0;
        in_time = let_time_pass(sim, deadline_ns);
    }
}

static void sim_wake(struct eegd_board *board)
{
    struct sim_board *sim = sim_of(board);

    atomic_store(&sim->woken, 1);
    syscall(SYS_futex, &sim->woken, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static int sim_drain(struct eegd_board *board, uint64_t *seq)
{
    struct sim_board *sim = sim_of(board);

    sim_catch_up(sim);
    sim->seq += sim->slots[0].chip.falls - sim->reported;
    sim->reported = sim->slots[0].chip.falls;
    sim->has_ghost = 0;
    *seq = sim->seq;
    return 0;
}

/* ---- pins, clock ---- */

static int sim_set_line(struct eegd_board *board, int line, int level)
{
    struct sim_board *sim = sim_of(board);
    const uint32_t wired[3] = {sim->config.start_wired, sim->config.reset_wired, sim->config.pwdn_wired};
    static void (*const move[3])(struct eegd_chip *, uint64_t, int) = {
        [EEGD_LINE_START] = eegd_chip_start_pin,
        [EEGD_LINE_RESET] = eegd_chip_reset_pin,
        [EEGD_LINE_PWDN] = eegd_chip_pwdn_pin,
    };
    uint32_t i;

    if (!wired[line])
        return -ENOTSUP;
    sim_catch_up(sim);
    sim_advance(sim, sim->now_ns + PIN_NS);
    for (i = 0; i < sim->config.n_chips; i++)
        move[line](&sim->slots[i].chip, sim_tick(&sim->slots[i].clock, sim->now_ns), level);
    return 0;
}

static int64_t sim_now(struct eegd_board *board)
{
    return board->virtual_clock ? sim_of(board)->now_ns : eegd_monotonic_ns();
}

static int sim_sleep(struct eegd_board *board, int64_t ns)
{
    struct sim_board *sim = sim_of(board);
    const struct sim_slot *slot = &sim->slots[0];
    int64_t target_ns;

    if (ns > LONGEST_NS)
        return -EINVAL;
    target_ns = sim->now_ns + ns;
    if (!board->virtual_clock)
        sim_block_until(eegd_monotonic_ns() + ns);
    if (sim_held(sim)) {
        int64_t stop_ns = sim_ns(&slot->clock, slot->chip.next_fall - HOLD_TICKS);

        target_ns = target_ns < stop_ns ? target_ns : stop_ns;
    }
    sim_advance(sim, target_ns);
    sim_catch_up(sim);
    return 0;
}

/* ---- life ---- */

static void sim_close(struct eegd_board *board)
{
    struct sim_board *sim = sim_of(board);

    sim->source->ops->free(sim->source);
    free(sim);
}

static const struct eegd_board_ops sim_ops = {
    .name = "sim",
    .wait = sim_wait,
    .transfer = sim_transfer,
    .set_line = sim_set_line,
    .now = sim_now,
    .sleep = sim_sleep,
    .drain = sim_drain,
    .wake = sim_wake,
    .close = sim_close,
};

void eegd_sim_defaults(struct eegd_sim_config *config)
{
    uint32_t i;

    memset(config, 0, sizeof(*config));
    config->n_chips = 1;
    for (i = 0; i < 4; i++)
        config->n_channels[i] = 8;
    config->fclk_hz = 2048000.0;
    config->latency_ns = 5000;
    config->start_wired = 1;
    config->noise = EEGD_NOISE_SHORTED;
    config->seed = 1;
    config->temperature_mc = 25000;
}

static int init_slot(struct sim_board *sim, uint32_t i, uint32_t first_input)
{
    const struct eegd_sim_config *config = &sim->config;
    struct sim_slot *slot = &sim->slots[i];
    struct eegd_chip_config chip;

    eegd_chip_defaults(&chip);
    chip.n_channels = config->n_channels[i];
    chip.noise = config->noise;
    chip.settle = config->settle;
    chip.power_up = config->power_up;
    chip.drop_fast = config->drop_fast;
    chip.external_reference = config->external_reference;
    chip.seed = config->seed * 0x9E3779B97F4A7C15u + i;
    chip.offset_nv = config->offset_nv;
    chip.temperature_mc = config->temperature_mc;
    slot->sim = sim;
    slot->first_input = first_input;
    slot->first_byte = 3 * i + 3 * first_input;
    slot->clock.base_ns = sim->now_ns;
    slot->clock.millihertz =
        (uint64_t)llround(config->fclk_hz * 1000 * (1 + config->ppm[config->own_clocks ? i : 0] * 1e-6));
    return eegd_chip_init(&slot->chip, &chip, sim_convert, slot, 0);
}

static int config_is_bad(const struct eegd_sim_config *config)
{
    uint32_t i;

    if (config->n_chips < 1 || config->n_chips > 4 || !(config->fclk_hz >= 1e5 && config->fclk_hz <= 1e7))
        return 1;
    for (i = 0; i < config->n_chips; i++)
        if (config->cs[i] > 3 || !(fabs(config->ppm[i]) <= 1e5))
            return 1;
    return 0;
}

static void chain_up(struct sim_board *sim)
{
    uint32_t i, j, bytes;

    for (i = 0; i < sim->config.n_chips; i++) {
        struct sim_chain *chain = &sim->chains[sim->config.cs[i]];

        chain->slots[chain->n++] = &sim->slots[i];
    }
    for (i = 0; i < 4; i++) {
        for (j = 0, bytes = 0; j < sim->chains[i].n; j++)
            bytes += sim->chains[i].slots[j]->chip.frame_bytes;
        for (j = 0; j < sim->chains[i].n; j++)
            sim->chains[i].slots[j]->chip.config.chain_bytes = bytes;
    }
}

static int init(struct sim_board *sim, const struct eegd_sim_config *config, struct eegd_source *source)
{
    uint32_t i, inputs = 0;

    sim->board.ops = &sim_ops;
    sim->board.virtual_clock = config->virtual_clock != 0;
    sim->config = *config;
    sim->config.strict = config->strict && !config->virtual_clock;
    sim->source = source;
    sim->now_ns = config->virtual_clock ? VIRTUAL_START_NS : eegd_monotonic_ns();
    sim->cs_rose_ns = sim->now_ns;
    for (i = 0; i < config->n_chips; i++) {
        int error = init_slot(sim, i, inputs);

        if (error)
            return error;
        inputs += config->n_channels[i];
    }
    chain_up(sim);
    return 0;
}

struct eegd_board *eegd_board_sim_open(const struct eegd_sim_config *config, struct eegd_source *source,
                                       int *error)
{
    struct sim_board *sim;

    if (!source) {
        *error = -EINVAL;
        return NULL;
    }
    sim = config_is_bad(config) ? NULL : calloc(1, sizeof(*sim));
    *error = config_is_bad(config) ? -EINVAL : !sim ? -ENOMEM : init(sim, config, source);
    if (*error) {
        free(sim);
        source->ops->free(source);
        return NULL;
    }
    return &sim->board;
}
