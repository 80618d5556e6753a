/* SPDX-License-Identifier: MIT */
/* The clock against edges whose true times are known: exact stamps, late ones, stragglers, gaps, steps. */
#include "check.h"
#include "clock.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define UPTIME_NS 8640000000000000LL /* 100 days */

/* Edges of a chip that runs `ppm` off, and what the fit made of them. */
struct chip {
    struct eegd_clock clock;
    double period_ns;
    uint64_t position; /* edges since the first */
    double shift_ns;   /* added to every true time from now on */
    double error_ns;   /* of the latest fitted time */
    double square_sum; /* of the errors since forget() */
    double worst_ns;
    uint64_t n_errors;
    int64_t last_base_ns;
    double last_offset_ns;
    int backwards;
    uint32_t dice;
};

static struct chip power_up(double rate_sps, double ppm)
{
    struct chip chip = {.dice = 20240229, .last_base_ns = INT64_MIN};

    chip.period_ns = 1e9 / rate_sps / (1 + ppm / 1e6);
    CHECK_EQ(eegd_clock_init(&chip.clock, 1e9 / rate_sps, 0), 0);
    return chip;
}

static void forget(struct chip *chip)
{
    chip->square_sum = chip->worst_ns = 0;
    chip->n_errors = 0;
}

static double rms_ns(const struct chip *chip)
{
    return sqrt(chip->square_sum / (double)chip->n_errors);
}

/* Uniform in (0, 1). */
static double roll(struct chip *chip)
{
    chip->dice = chip->dice * 1664525u + 1013904223u;
    return (chip->dice + 0.5) / 4294967296.0;
}

static double exponential(struct chip *chip, double mean)
{
    return -mean * log(roll(chip));
}

/* n periods later an edge falls and is stamped `late_ns` afterwards. */
static int edge(struct chip *chip, uint64_t n, double late_ns)
{
    const struct eegd_clock *clock = &chip->clock;
    double true_ns, fitted_ns;
    int result;

    chip->position += n;
    true_ns = (double)chip->position * chip->period_ns + chip->shift_ns;
    result = eegd_clock_update(&chip->clock, UPTIME_NS + (int64_t)floor(true_ns + late_ns), n);
    fitted_ns = (double)(clock->time_base_ns - UPTIME_NS) + clock->time_offset_ns;
    chip->error_ns = fitted_ns - true_ns;
    chip->square_sum += chip->error_ns * chip->error_ns;
    chip->worst_ns = fmax(chip->worst_ns, fabs(chip->error_ns));
    chip->n_errors++;
    if (clock->time_base_ns < chip->last_base_ns ||
        (clock->time_base_ns == chip->last_base_ns && clock->time_offset_ns <= chip->last_offset_ns))
        chip->backwards++;
    chip->last_base_ns = clock->time_base_ns;
    chip->last_offset_ns = clock->time_offset_ns;
    return result;
}

/* `seconds` of edges, each late by an exponential of this mean. */
static void run(struct chip *chip, double seconds, double late_mean_ns)
{
    for (int64_t left = (int64_t)(seconds * 1e9 / chip->period_ns); left > 0; left--)
        edge(chip, 1, late_mean_ns > 0 ? exponential(chip, late_mean_ns) : 0);
}

static const double rates[] = {250, 500, 1000, 2000, 4000, 8000, 16000};
#define N_RATES (sizeof(rates) / sizeof(rates[0]))

static void test_init_refuses_what_no_chip_or_loop_can_be(void)
{
    struct eegd_clock clock;

    CHECK_EQ(eegd_clock_init(&clock, 0, 0), -EINVAL);
    CHECK_EQ(eegd_clock_init(&clock, -4e6, 0), -EINVAL);
    CHECK_EQ(eegd_clock_init(&clock, NAN, 0), -EINVAL);
    CHECK_EQ(eegd_clock_init(&clock, 4e6, -1), -EINVAL);
    CHECK_EQ(eegd_clock_init(&clock, 4e6, NAN), -EINVAL);
    CHECK_EQ(eegd_clock_init(&clock, 4e6, 6), -EINVAL);
    CHECK_EQ(eegd_clock_init(&clock, 4e6, 0.1), 0);
    CHECK_EQ(eegd_clock_update(&clock, 1000, 0), EEGD_CLOCK_FOLLOWED); /* the first edge follows none */
    CHECK_EQ(eegd_clock_update(&clock, 4001000, 0), -EINVAL);
    CHECK_EQ(clock.n_stamps, 1);
    CHECK_EQ(eegd_clock_next(&clock), 4001000);
    CHECK_EQ(eegd_clock_after(&clock, 10), 40001000);
}

static void test_exact_stamps_of_a_chip_far_off_nominal_are_fitted_exactly(void)
{
    for (size_t i = 0; i < N_RATES; i++)
        for (double ppm = -25000; ppm <= 25000; ppm += 12500) {
            struct chip chip = power_up(rates[i], ppm);

            for (int n = 0; n < 64; n++)
                edge(&chip, 1, 0);
            CHECK(fabs(chip.error_ns) < 1000);
            run(&chip, 2, 0);
            CHECK(fabs(eegd_clock_ppm(&chip.clock) - ppm) < 1);
            CHECK(fabs(eegd_clock_rate_sps(&chip.clock) * chip.period_ns / 1e9 - 1) < 1e-6);
            CHECK_EQ(chip.clock.state, EEGD_CLOCK_LOCKED);
            forget(&chip);
            run(&chip, 2, 0);
            CHECK(chip.worst_ns < 10);
            CHECK_EQ(chip.clock.n_limited + chip.clock.n_relocks, 0);
            CHECK_EQ(chip.backwards, 0);
        }
}

static void test_late_stamps_are_fitted_on_their_lower_edge(void)
{
    for (size_t i = 0; i < N_RATES; i++) {
        struct chip chip = power_up(rates[i], -18000);

        run(&chip, 5, 7071); /* 10 µs rms */
        forget(&chip);
        run(&chip, 20, 7071);
        printf("     %5.0f SPS: rms %.0f ns, worst %.0f ns, off by %+.3f ppm\n", rates[i], rms_ns(&chip),
               chip.worst_ns, eegd_clock_ppm(&chip.clock) + 18000);
        CHECK(rms_ns(&chip) < 2000);
        CHECK(fabs(eegd_clock_ppm(&chip.clock) + 18000) < 2);
        CHECK(chip.clock.jitter_rms_ns > 5000 && chip.clock.jitter_rms_ns < 10000);
        CHECK(chip.clock.late_mean_ns > 4000 && chip.clock.late_mean_ns < 10000);
        CHECK(chip.clock.late_peak_ns > 30000);
        CHECK_EQ(chip.backwards, 0);
    }
}

static void test_a_straggler_is_limited_and_moves_next_to_nothing(void)
{
    struct chip chip = power_up(250, 300);
    double before;

    run(&chip, 5, 3000);
    before = chip.error_ns;
    CHECK_EQ(edge(&chip, 1, 2.5e6), EEGD_CLOCK_LIMITED);
    CHECK(fabs(chip.error_ns - before) < 100);
    CHECK(chip.clock.late_peak_ns > 2.4e6);
    CHECK_EQ(edge(&chip, 1, 3000), EEGD_CLOCK_FOLLOWED);
    CHECK(fabs(chip.error_ns - before) < 500);
}

static void test_a_late_burst_is_no_reason_to_start_over(void)
{
    struct chip chip = power_up(1000, 300);

    run(&chip, 5, 3000);
    forget(&chip);
    for (int i = 0; i < 300; i++)
        edge(&chip, 1, 300e3 * roll(&chip));
    run(&chip, 2, 3000);
    CHECK_EQ(chip.clock.n_relocks, 0);
    CHECK(chip.worst_ns < 10000);
}

static void test_a_gap_is_coasted_over(void)
{
    struct chip chip = power_up(250, -4000);

    run(&chip, 10, 3000);
    forget(&chip);
    for (uint64_t n = 2; n < 200; n++)
        edge(&chip, n, exponential(&chip, 3000));
    CHECK(chip.worst_ns < 5000);
    CHECK_EQ(chip.clock.n_relocks, 0);
    CHECK_EQ(chip.backwards, 0);
}

static void test_after_an_outage_in_which_the_rate_moved_the_next_stamp_starts_over(void)
{
    struct chip chip = power_up(1000, 0);

    run(&chip, 5, 3000);
    chip.shift_ns += 3e6; /* 100 ppm in 30 s */
    CHECK_EQ(edge(&chip, 30000, 0), EEGD_CLOCK_RELOCKED);
    CHECK_EQ(chip.clock.state, EEGD_CLOCK_ACQUIRING);
    CHECK(fabs(chip.error_ns) < 5000);
    run(&chip, 2, 3000);
    CHECK_EQ(chip.clock.state, EEGD_CLOCK_LOCKED);
    CHECK(fabs(chip.error_ns) < 2000);
    CHECK_EQ(chip.clock.n_relocks, 1);
}

static void test_edges_before_the_fitted_one_start_over_soon_and_time_still_goes_forward(void)
{
    struct chip chip = power_up(250, 0);
    int n = 0;

    run(&chip, 5, 3000);
    chip.shift_ns -= 3 * chip.period_ns; /* three edges were counted that never fell */
    while (edge(&chip, 1, exponential(&chip, 3000)) != EEGD_CLOCK_RELOCKED && n < 100)
        n++;
    CHECK(n < 10);
    run(&chip, 2, 3000);
    CHECK(fabs(chip.error_ns) < 2000);
    CHECK_EQ(chip.backwards, 0);
}

static void test_a_rate_that_steps_is_found_again(void)
{
    struct chip chip = power_up(500, 0);

    run(&chip, 5, 3000);
    chip.shift_ns -= 0.01 * chip.period_ns * (double)chip.position; /* the same phase at the new period */
    chip.period_ns *= 1.01;
    run(&chip, 4, 3000);
    CHECK(fabs(chip.error_ns) < 2000);
    CHECK(fabs(eegd_clock_ppm(&chip.clock) + 9900.99) < 3);
    CHECK_EQ(chip.backwards, 0);
}

static void test_what_is_late_on_every_edge_alike_cannot_be_seen(void)
{
    struct chip chip = power_up(1000, 40);

    for (int i = 0; i < 10000; i++)
        edge(&chip, 1, 25000);
    CHECK(fabs(chip.error_ns - 25000) < 10);
    CHECK(chip.clock.late_mean_ns < 10);
}

static void test_the_next_edge_is_foretold(void)
{
    struct chip chip = power_up(2000, 12000);
    double worst = 0;

    run(&chip, 5, 3000);
    for (int i = 0; i < 2000; i++) {
        int64_t due = eegd_clock_next(&chip.clock) - UPTIME_NS;
        double falls;

        edge(&chip, 1, exponential(&chip, 3000));
        falls = (double)chip.position * chip.period_ns;
        worst = fmax(worst, fabs((double)due - falls));
    }
    CHECK(worst < 2000);
}

/* A recording replayed on a Raspberry Pi has the times that it has on a PC: no product and sum are fused into
 * one rounding there (-ffp-contract=off). The numbers are those of x86-64, which by default cannot fuse. */
static void test_the_fit_has_the_same_bits_on_every_processor(void)
{
    struct eegd_clock clock;
    uint32_t dice = 1;
    int64_t edge_ns = UPTIME_NS;

    CHECK_EQ(eegd_clock_init(&clock, 1e9 / 300, 0), 0);
    for (int i = 0; i < 5000; i++) {
        dice = dice * 1664525u + 1013904223u;
        uint32_t n = 1 + (dice >> 24) % 7;
        edge_ns += 3333400LL * n;
        eegd_clock_update(&clock, edge_ns + (dice >> 18), n);
    }
    CHECK_EQ(clock.time_base_ns, 8640066004652578);
    CHECK(clock.time_offset_ns == 0x1.41ca5204p-1);
    CHECK(clock.period_ns == 0x1.96e8bede2b02ap+21);
    CHECK(clock.jitter_rms_ns == 0x1.2a0503ae2eba1p+12);
}

int main(void)
{
    RUN(test_init_refuses_what_no_chip_or_loop_can_be);
    RUN(test_exact_stamps_of_a_chip_far_off_nominal_are_fitted_exactly);
    RUN(test_late_stamps_are_fitted_on_their_lower_edge);
    RUN(test_a_straggler_is_limited_and_moves_next_to_nothing);
    RUN(test_a_late_burst_is_no_reason_to_start_over);
    RUN(test_a_gap_is_coasted_over);
    RUN(test_after_an_outage_in_which_the_rate_moved_the_next_stamp_starts_over);
    RUN(test_edges_before_the_fitted_one_start_over_soon_and_time_still_goes_forward);
    RUN(test_a_rate_that_steps_is_found_again);
    RUN(test_what_is_late_on_every_edge_alike_cannot_be_seen);
    RUN(test_the_next_edge_is_foretold);
    RUN(test_the_fit_has_the_same_bits_on_every_processor);
    return check_report();
}
