/* SPDX-License-Identifier: MIT */
/*
 * The emulated board's time and what happens in it: chip clocks against
 * CLOCK_MONOTONIC or the virtual clock, and the conversions that the source
 * feeds. Runs on the thread that owns the board.
 */
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"

#define NS 1000000000LL

/* ---- time ---- */

uint64_t sim_tick(const struct sim_clock *clock, int64_t ns)
{
    unsigned __int128 product = (unsigned __int128)(uint64_t)(ns - clock->base_ns) * clock->millihertz;

    return clock->base_tick + (uint64_t)(product / 1000000000000u);
}

/* Rounded up, so that the tick has been reached at the ns it is said to come at. */
int64_t sim_ns(const struct sim_clock *clock, uint64_t tick)
{
    __int128 product = (__int128)(int64_t)(tick - clock->base_tick) * 1000000000000;

    return clock->base_ns +
           (int64_t)((product + (__int128)clock->millihertz - 1) / (__int128)clock->millihertz);
}

/* The kernel may else be 50 us late with every timer of an ordinary thread. */
static void sharpen_timers(void)
{
    static _Thread_local int done;

    if (!done)
        prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    done = 1;
}

void sim_sleep_until(struct sim_board *sim, int64_t ns)
{
    struct timespec until = {ns / NS, ns % NS};

    sharpen_timers();
    /* Returns at once when `woken` is no longer 0. */
    syscall(SYS_futex, &sim->woken, FUTEX_WAIT_BITSET_PRIVATE, 0, ns == SIM_NEVER ? NULL : &until, NULL,
            FUTEX_BITSET_MATCH_ANY);
}

void sim_block_until(int64_t until_ns)
{
    struct timespec until = {until_ns / NS, until_ns % NS};

    sharpen_timers();
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

int64_t sim_next_fall(const struct sim_board *sim)
{
    const struct sim_slot *slot = &sim->slots[0];

    if (!slot->chip.converting)
        return SIM_NEVER;
    return sim_ns(&slot->clock, slot->chip.next_fall);
}

static void advance_others(struct sim_board *sim, uint32_t first, int64_t ns)
{
    uint32_t i;

    for (i = first; i < sim->config.n_chips; i++)
        eegd_chip_advance(&sim->slots[i].chip, sim_tick(&sim->slots[i].clock, ns));
}

void sim_advance(struct sim_board *sim, int64_t ns)
{
    struct eegd_chip *chip = &sim->slots[0].chip;
    int64_t fall_ns;

    if (ns < sim->now_ns)
        return;
    while ((fall_ns = sim_next_fall(sim)) <= ns && fall_ns != SIM_NEVER) {
        uint64_t before = chip->falls;

        eegd_chip_advance(chip, chip->next_fall);
        advance_others(sim, 1, fall_ns);
        sim->now_ns = fall_ns > sim->now_ns ? fall_ns : sim->now_ns;
        if (sim->resolved > 0 && chip->falls > before)
            sim_faults_at(sim, chip->falls - 1);
    }
    advance_others(sim, 0, ns);
    sim->now_ns = ns;
}

int sim_held(const struct sim_board *sim)
{
    const struct eegd_chip *chip = &sim->slots[0].chip;

    return !sim->config.virtual_clock && !sim->config.strict && chip->converting && !chip->stop_pending;
}

void sim_catch_up(struct sim_board *sim)
{
    sim_faults_resolve(sim);
    if (!sim->config.virtual_clock && !sim_held(sim))
        sim_advance(sim, eegd_monotonic_ns());
}

/* ---- conversions ---- */

static int fetch(struct sim_board *sim)
{
    int64_t period_ns;

    if (sim->fetched || sim->over)
        return !sim->over;
    period_ns = (int64_t)((double)eegd_chip_period(&sim->slots[0].chip) * 1e9 / sim->config.fclk_hz + 0.5);
    memset(&sim->inputs, 0, sizeof(sim->inputs));
    if (!sim->source->ops->next(sim->source, sim->samples, sim->source_ns, period_ns, &sim->inputs)) {
        sim->over = 1;
        return 0;
    }
    sim->source_ns += period_ns;
    sim->fetched = 1;
    return 1;
}

static void fill_in(const struct sim_board *sim, const struct sim_slot *slot, struct eegd_chip_inputs *inputs)
{
    const struct eegd_inputs *all = &sim->inputs;

    inputs->p_nv = all->p_nv + slot->first_input;
    inputs->n_nv = all->n_nv + slot->first_input;
    inputs->srb1_nv = all->srb1_nv;
    inputs->srb2_nv = all->srb2_nv;
    inputs->bias_nv = all->bias_nv;
    inputs->codes = all->codes ? all->codes + slot->first_input : NULL;
    inputs->frame = all->frame ? all->frame + slot->first_byte : NULL;
    inputs->frame_bytes =
        all->frame && all->frame_bytes > slot->first_byte ? all->frame_bytes - slot->first_byte : 0;
    if (inputs->frame_bytes == 0 && all->frame)
        inputs->frame = all->frame; /* nothing left for this chip: all zeros */
}

/* Chip 0 sets the pace: each of its conversions takes the source's next one. */
static int convert_first(struct sim_board *sim)
{
    struct eegd_chip *chip = &sim->slots[0].chip;

    if (chip->starts != sim->starts_seen) {
        sim->starts_seen = chip->starts;
        sim->lead_in_left = sim->config.lead_in;
    }
    if (!fetch(sim))
        return 0;
    sim_faults_hold(sim, chip->falls);
    if (sim->lead_in_left > 0) {
        sim->lead_in_left--;
    } else {
        sim->fetched = 0;
        sim->samples++;
    }
    return 1;
}

/* The n-th conversion of another chip's run is the n-th of chip 0's, which may be still to come: in a cascade
 * each chip is started by a command of its own. */
static int convert_other(struct sim_board *sim, const struct eegd_chip *chip)
{
    const struct eegd_chip *first = &sim->slots[0].chip;
    int same_run = first->converting || chip->started_at < first->last_fall;
    uint64_t done = same_run ? first->run_falls : 0;

    if (chip->run_falls >= done || sim->samples == 0)
        return fetch(sim);
    return !sim->over;
}

int sim_convert(void *context, uint64_t tick, struct eegd_chip_inputs *inputs)
{
    struct sim_slot *slot = context;
    struct sim_board *sim = slot->sim;

    (void)tick;
    if (!(slot == &sim->slots[0] ? convert_first(sim) : convert_other(sim, &slot->chip)))
        return 0;
    fill_in(sim, slot, inputs);
    return 1;
}
