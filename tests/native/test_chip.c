/* SPDX-License-Identifier: MIT */
/* The emulated ADS1299: power, reset, START, conversions and DRDY. */
#include "chip_bench.h"

static void test_first_drdy_and_period_follow_the_rate(void)
{
    static const uint64_t settle[7] = {521, 1033, 2057, 4105, 8201, 16393, 32777};
    uint8_t dr;

    for (dr = 0; dr < 7; dr++) {
        uint64_t t0;

        power(8);
        command(0x11);
        write_reg(ADS1299_REG_CONFIG1, (uint8_t)(0x90 | dr));
        command(0x08);
        t0 = bench.now - 4; /* the command's last clock */
        next_fall();
        CHECK_EQ(bench.chip.last_fall - t0, settle[dr]);
        next_fall();
        CHECK_EQ(bench.chip.last_fall - t0, settle[dr] + (128u << dr));
    }
}

static void test_drdy_rises_4_ticks_before_it_falls(void)
{
    power(8);
    run(0x96, 0x60);
    next_fall();
    CHECK_EQ(bench.chip.drdy, 0);
    eegd_chip_advance(&bench.chip, bench.chip.next_fall - 5);
    CHECK_EQ(bench.chip.drdy, 0);
    eegd_chip_advance(&bench.chip, bench.chip.next_fall - 4);
    CHECK_EQ(bench.chip.drdy, 1);
    eegd_chip_advance(&bench.chip, bench.chip.next_fall);
    CHECK_EQ(bench.chip.drdy, 0);
}

static void test_any_clock_raises_drdy_even_another_chips(void)
{
    power(8);
    run(0x96, 0x60);
    next_fall();
    eegd_chip_sclk(&bench.chip, bench.now + 1);
    CHECK_EQ(bench.chip.drdy, 1);
    next_fall();
    CHECK_EQ(bench.chip.drdy, 0);
    cs(0);
    byte(0);
    CHECK_EQ(bench.chip.drdy, 1);
}

static void test_nothing_converts_without_start(void)
{
    power(8);
    command(0x11);
    eegd_chip_advance(&bench.chip, 10000000);
    CHECK_EQ(bench.chip.falls, 0);
    CHECK_EQ(bench.chip.drdy, 1);
}

static void test_start_pin_converts_and_low_stops_after_one_more(void)
{
    power(8);
    eegd_chip_start_pin(&bench.chip, 1000, 1);
    CHECK_EQ(bench.chip.next_fall, 1000 + SETTLE_250);
    next_fall();
    eegd_chip_start_pin(&bench.chip, bench.now + 100, 0);
    eegd_chip_advance(&bench.chip, bench.now + 10 * PERIOD_250);
    CHECK_EQ(bench.chip.falls, 2);
    CHECK_EQ(bench.chip.converting, 0);
}

static void test_start_command_while_converting_has_no_effect(void)
{
    uint64_t next;

    power(8);
    run(0x96, 0x60);
    next_fall();
    next = bench.chip.next_fall;
    command(0x08);
    CHECK_EQ(bench.chip.next_fall, next);
    command(0x0A);
    command(0x08);
    CHECK_EQ(bench.chip.next_fall, bench.now - 4 + SETTLE_250);
}

static void test_stop_command_lets_one_more_drdy_come(void)
{
    power(8);
    run(0x96, 0x60);
    next_fall();
    command(0x0A);
    eegd_chip_advance(&bench.chip, bench.now + 10 * PERIOD_250);
    CHECK_EQ(bench.chip.falls, 2);
}

static void test_commands_beside_a_high_start_pin_are_ignored_and_written_down(void)
{
    power(8);
    eegd_chip_start_pin(&bench.chip, bench.now, 1);
    command(0x0A);
    command(0x08);
    CHECK_EQ(count(EEGD_VIOLATION_START_BOTH), 2);
    CHECK_EQ(bench.chip.converting, 1);
    CHECK_EQ(bench.chip.stop_pending, 0);
}

static void test_single_shot_gives_one_conversion_per_start_and_keeps_drdy_low(void)
{
    uint8_t frame[27];

    power(8);
    command(0x11);
    write_reg(ADS1299_REG_CONFIG4, 0x08);
    run(0x96, 0x60);
    next_fall();
    read_frame(frame);
    eegd_chip_advance(&bench.chip, bench.now += 5 * PERIOD_250);
    CHECK_EQ(bench.chip.falls, 1);
    CHECK_EQ(bench.chip.drdy, 0);
    command(0x08);
    CHECK_EQ(bench.chip.drdy, 1);
    next_fall();
    CHECK_EQ(bench.chip.falls, 2);
}

static void test_a_new_config1_restarts_the_filter(void)
{
    power(8);
    run(0x96, 0x60);
    next_fall();
    command(0x11);
    write_reg(ADS1299_REG_CONFIG1, 0x96);
    CHECK(bench.chip.next_fall < bench.now + PERIOD_250);
    write_reg(ADS1299_REG_CONFIG1, 0x95);
    CHECK_EQ(bench.chip.next_fall, bench.now - 4 + 16393);
}

static void test_a_source_that_is_over_halts_the_chip(void)
{
    power(8);
    bench.limit = 3;
    run(0x96, 0x60);
    eegd_chip_advance(&bench.chip, 100 * PERIOD_250);
    CHECK_EQ(bench.chip.falls, 3);
    CHECK_EQ(bench.chip.converting, 0);
}

static void test_bytes_within_18_ticks_of_a_reset_are_lost(void)
{
    power(8);
    command(0x11);
    command(0x06);
    command(0x11);
    CHECK_EQ(count(EEGD_VIOLATION_BUSY), 1);
    CHECK_EQ(bench.chip.rdatac, 1);
    bench.now += 18;
    command(0x11);
    CHECK_EQ(bench.chip.rdatac, 0);
}

static void test_reset_with_start_high_converts_at_250_sps_at_once(void)
{
    power(8);
    eegd_chip_start_pin(&bench.chip, bench.now, 1);
    bench.now += 100;
    command(0x11);
    write_reg(ADS1299_REG_CONFIG1, 0x90);
    command(0x06);
    CHECK_EQ(bench.chip.next_fall, bench.chip.busy_until + SETTLE_250);
}

static void test_reset_without_start_pin_ends_a_commanded_run(void)
{
    power(8);
    run(0x96, 0x60);
    eegd_chip_brown_out(&bench.chip, bench.now);
    CHECK_EQ(bench.chip.converting, 0);
    CHECK_EQ(eegd_chip_next_event(&bench.chip), EEGD_TICK_NEVER);
}

static void test_reset_pin_resets_and_holds_the_port_shut(void)
{
    power(8);
    command(0x11);
    eegd_chip_reset_pin(&bench.chip, bench.now, 0);
    bench.now += 50;
    command(0x11);
    CHECK_EQ(bench.chip.rdatac, 1);
    eegd_chip_reset_pin(&bench.chip, bench.now, 1);
    CHECK_EQ(count(EEGD_VIOLATION_PULSE), 0);
    bench.now += 20;
    command(0x11);
    CHECK_EQ(bench.chip.rdatac, 0);
    eegd_chip_reset_pin(&bench.chip, bench.now, 0);
    eegd_chip_reset_pin(&bench.chip, bench.now + 1, 1);
    CHECK_EQ(count(EEGD_VIOLATION_PULSE), 1);
}

static void test_power_up_takes_2_to_the_18_ticks_when_asked_for(void)
{
    struct eegd_chip_config config;

    eegd_chip_defaults(&config);
    config.power_up = 1;
    power_with(&config);
    command(0x11);
    CHECK_EQ(bench.chip.rdatac, 1);
    eegd_chip_reset_pin(&bench.chip, 1000, 0);
    eegd_chip_reset_pin(&bench.chip, 1100, 1);
    CHECK_EQ(bench.chip.busy_until, 1u << 18);
    bench.now = 1u << 18;
    command(0x11);
    CHECK_EQ(bench.chip.rdatac, 0);
    eegd_chip_pwdn_pin(&bench.chip, bench.now, 0);
    eegd_chip_pwdn_pin(&bench.chip, bench.now + 10, 1);
    CHECK_EQ(bench.chip.rdatac, 1);
    CHECK_EQ(bench.chip.busy_until, bench.now + 10 + (1u << 18));
}

int main(void)
{
    RUN(test_first_drdy_and_period_follow_the_rate);
    RUN(test_drdy_rises_4_ticks_before_it_falls);
    RUN(test_any_clock_raises_drdy_even_another_chips);
    RUN(test_nothing_converts_without_start);
    RUN(test_start_pin_converts_and_low_stops_after_one_more);
    RUN(test_start_command_while_converting_has_no_effect);
    RUN(test_stop_command_lets_one_more_drdy_come);
    RUN(test_commands_beside_a_high_start_pin_are_ignored_and_written_down);
    RUN(test_single_shot_gives_one_conversion_per_start_and_keeps_drdy_low);
    RUN(test_a_new_config1_restarts_the_filter);
    RUN(test_a_source_that_is_over_halts_the_chip);
    RUN(test_bytes_within_18_ticks_of_a_reset_are_lost);
    RUN(test_reset_with_start_high_converts_at_250_sps_at_once);
    RUN(test_reset_without_start_pin_ends_a_commanded_run);
    RUN(test_reset_pin_resets_and_holds_the_port_shut);
    RUN(test_power_up_takes_2_to_the_18_ticks_when_asked_for);
    return check_report();
}
