/* SPDX-License-Identifier: MIT */
/* The emulated ADS1299, serial port: reading, opcodes, the timing rules of bytes and chip select. */
#include "chip_bench.h"

static void test_a_read_across_drdy_is_torn_at_the_bit_position(void)
{
    int32_t codes[8] = {0x111111, 0x111111, 0x111111, 0x111111, 0x111111, 0x111111, 0x111111, 0x111111};
    uint8_t rx[27];
    int i;

    power(8);
    bench.codes = codes;
    run(0x96, 0x60);
    next_fall();
    bench.now = bench.chip.next_fall - 10 * BYTE - 2;
    for (i = 0; i < 8; i++)
        codes[i] = 0x222222;
    cs(0);
    for (i = 0; i < 27; i++)
        rx[i] = byte(0);
    CHECK_EQ(rx[9], 0x11);
    CHECK_EQ(rx[10], 0x22);
    CHECK_EQ(rx[26], 0x22);
    CHECK_EQ(count(EEGD_VIOLATION_TORN), 1);
    CHECK(count(EEGD_VIOLATION_KEEP_OUT) >= 1);
}

static void test_rdata_is_not_torn_by_a_new_conversion(void)
{
    int32_t codes[8] = {0x111111, 0x111111, 0x111111, 0x111111, 0x111111, 0x111111, 0x111111, 0x111111};
    uint8_t rx[28];
    int i;

    power(8);
    bench.codes = codes;
    run(0x96, 0x60);
    command(0x11);
    next_fall();
    bench.now = bench.chip.next_fall - 10 * BYTE - 4;
    for (i = 0; i < 8; i++)
        codes[i] = 0x222222;
    cs(0);
    byte(0x12);
    for (i = 0; i < 27; i++)
        rx[i] = byte(0);
    CHECK_EQ(rx[0], 0xC0);
    for (i = 3; i < 27; i++)
        CHECK_EQ(rx[i], 0x11);
    CHECK_EQ(count(EEGD_VIOLATION_TORN), 0);
}

static void test_rdata_without_a_new_conversion_is_written_down(void)
{
    power(8);
    run(0x96, 0x60);
    command(0x11);
    next_fall();
    command(0x12);
    CHECK_EQ(count(EEGD_VIOLATION_NO_DATA), 0);
    command(0x12);
    CHECK_EQ(count(EEGD_VIOLATION_NO_DATA), 1);
}

static void test_extra_clocks_repeat_the_frame_only_in_readback_mode(void)
{
    uint8_t rx[54];
    static const uint8_t zeros[54];

    power(8);
    bench.p[0] = 100000;
    run(0x96, 0x60);
    next_fall();
    transfer(zeros, rx, 54);
    CHECK_EQ(rx[27], 0);
    power(8);
    bench.p[0] = 100000;
    run(0xD6, 0x60);
    next_fall();
    transfer(zeros, rx, 54);
    CHECK(memcmp(rx, rx + 27, 27) == 0);
    CHECK_EQ(rx[27], 0xC0);
}

static void test_daisy_in_follows_the_frame(void)
{
    uint8_t i, out = 0;

    power(4);
    run(0x96, 0x60);
    next_fall();
    cs(0);
    for (i = 0; i < 20; i++) {
        bench.now += BYTE;
        out = eegd_chip_exchange(&bench.chip, bench.now, 0, i);
        CHECK_EQ(out, i < 15 ? bench.chip.out[i] : i);
    }
}

static void test_chip_select_sends_the_read_back_to_the_start(void)
{
    uint8_t rx[27];
    static const uint8_t zeros[27];

    power(8);
    run(0x96, 0x60);
    next_fall();
    transfer(zeros, rx, 5);
    transfer(zeros, rx, 27);
    CHECK_EQ(rx[0], 0xC0);
}

static void test_skipping_zeros_equals_clocking_them(void)
{
    uint8_t rx[27];

    power(8);
    bench.p[3] = -123456;
    run(0x96, 0x60);
    next_fall();
    cs(0);
    CHECK(eegd_chip_can_skip(&bench.chip, bench.now + 8, bench.now + 27 * 8));
    CHECK(!eegd_chip_can_skip(&bench.chip, bench.now + 8, bench.chip.next_fall));
    memcpy(rx, bench.chip.out, 27);
    bench.now += 27 * 8;
    eegd_chip_skip(&bench.chip, bench.now, 27);
    CHECK_EQ(bench.chip.drdy, 1);
    CHECK_EQ(bench.chip.position, 27);
    CHECK_EQ(code_of(rx, 3), eegd_chip_code(-123456, 24));
    command(0x11);
    cs(0);
    CHECK(!eegd_chip_can_skip(&bench.chip, bench.now + 8, bench.now + 16));
}

static void test_reset_command_restores_defaults_and_rdatac(void)
{
    power(8);
    command(0x11);
    write_reg(ADS1299_REG_CH1SET, 0x00);
    command(0x06);
    CHECK_EQ(bench.chip.rdatac, 1);
    CHECK_EQ(bench.chip.reg[ADS1299_REG_CH1SET], 0x61);
    CHECK_EQ(bench.chip.busy_until, bench.now - 4 + 18);
}

static void test_standby_hears_only_wakeup(void)
{
    power(8);
    run(0x96, 0x60);
    next_fall();
    command(0x04);
    CHECK_EQ(bench.chip.converting, 0);
    command(0x11);
    CHECK_EQ(bench.chip.rdatac, 1);
    CHECK_EQ(count(EEGD_VIOLATION_STANDBY), 1);
    command(0x02);
    CHECK_EQ(bench.chip.standby, 0);
    CHECK_EQ(bench.chip.converting, 1);
    command(0x11);
    CHECK_EQ(bench.chip.rdatac, 0);
}

static void test_unknown_opcodes_do_nothing_but_are_written_down(void)
{
    power(8);
    command(0x11);
    command(0x55);
    CHECK_EQ(count(EEGD_VIOLATION_OPCODE), 0); /* 55h is WREG 15h without data */
    command(0x13);
    command(0xFF);
    command(0x60);
    CHECK_EQ(count(EEGD_VIOLATION_OPCODE), 3);
}

static void test_din_other_than_zero_during_a_read_acts_and_is_written_down(void)
{
    uint8_t tx[27] = {0}, rx[27];

    power(8);
    run(0x96, 0x60);
    next_fall();
    tx[10] = 0x0A;
    transfer(tx, rx, 27);
    CHECK_EQ(count(EEGD_VIOLATION_DIN), 1);
    CHECK_EQ(bench.chip.stop_pending, 1);
}

static void test_cs_within_4_ticks_of_a_command_drops_it(void)
{
    power(8);
    cs(0);
    byte(0x11);
    bench.now += 3;
    cs(1);
    CHECK_EQ(count(EEGD_VIOLATION_CS_EARLY), 1);
    CHECK_EQ(bench.chip.rdatac, 1);
    bench.now += 10;
    cs(0);
    byte(0x11);
    bench.now += 4;
    cs(1);
    CHECK_EQ(bench.chip.rdatac, 0);
    CHECK_EQ(count(EEGD_VIOLATION_CS_EARLY), 1);
}

static void test_cs_right_after_a_read_is_no_violation(void)
{
    int i;

    power(8);
    run(0x96, 0x60);
    next_fall();
    cs(0);
    for (i = 0; i < 27; i++)
        byte(0);
    cs(1);
    CHECK_EQ(bench.chip.violations, 0);
}

static void test_cs_high_for_one_tick_is_written_down(void)
{
    power(8);
    command(0x00);
    bench.now += 1;
    cs(0);
    CHECK_EQ(count(EEGD_VIOLATION_CS_SHORT), 1);
}

static void test_command_bytes_closer_than_4_ticks_are_written_down_or_dropped(void)
{
    struct eegd_chip_config config;

    eegd_chip_defaults(&config);
    for (config.drop_fast = 0; config.drop_fast < 2; config.drop_fast++) {
        power_with(&config);
        command(0x11);
        bench.now += 10;
        cs(0);
        eegd_chip_exchange(&bench.chip, bench.now + 8, 0x44, 0);
        eegd_chip_exchange(&bench.chip, bench.now + 11, 0x00, 0);
        eegd_chip_exchange(&bench.chip, bench.now + 19, 0x02, 0);
        bench.now += 30;
        cs(1);
        CHECK_EQ(count(EEGD_VIOLATION_DECODE), 1);
        CHECK_EQ(bench.chip.reg[ADS1299_REG_LOFF], config.drop_fast ? 0x00 : 0x02);
    }
}

static void test_violations_remember_when_and_what(void)
{
    uint32_t i;

    power(8);
    command(0x11);
    command(0x13);
    CHECK_EQ(bench.chip.violation_ring[0].kind, EEGD_VIOLATION_OPCODE);
    CHECK_EQ(bench.chip.violation_ring[0].detail, 0x13);
    CHECK_EQ(bench.chip.violation_ring[0].tick, bench.now - 4);
    for (i = 0; i < 100; i++)
        command(0x13);
    CHECK_EQ(bench.chip.violations, 101);
    for (i = 0; i < EEGD_VIOLATION_KINDS; i++)
        CHECK(strlen(eegd_violation_name(i)) > 10);
    CHECK(strcmp(eegd_violation_name(99), "unknown") == 0);
}

static void test_random_bytes_never_break_the_rules(void)
{
    unsigned seed = 12345;
    int i, wrong = 0;

    power(4);
    for (i = 0; i < 300000; i++) {
        int what = rand_r(&seed) % 16;

        bench.now += (uint64_t)(rand_r(&seed) % 40);
        if (what == 0)
            cs(rand_r(&seed) & 1);
        else if (what == 1)
            eegd_chip_start_pin(&bench.chip, bench.now, rand_r(&seed) & 1);
        else if (what == 2 && rand_r(&seed) % 50 == 0)
            eegd_chip_reset_pin(&bench.chip, bench.now, rand_r(&seed) & 1);
        else
            eegd_chip_exchange(&bench.chip, bench.now, (uint8_t)(rand_r(&seed) & (what & 1 ? 0x5F : 0xFF)),
                               0);
        wrong += eegd_chip_register(&bench.chip, 0) != 0x3C || bench.chip.reg[9] || bench.chip.reg[13] & 0xF0;
    }
    CHECK_EQ(wrong, 0);
    CHECK(bench.chip.falls > 0);
}

int main(void)
{
    RUN(test_a_read_across_drdy_is_torn_at_the_bit_position);
    RUN(test_rdata_is_not_torn_by_a_new_conversion);
    RUN(test_rdata_without_a_new_conversion_is_written_down);
    RUN(test_extra_clocks_repeat_the_frame_only_in_readback_mode);
    RUN(test_daisy_in_follows_the_frame);
    RUN(test_chip_select_sends_the_read_back_to_the_start);
    RUN(test_skipping_zeros_equals_clocking_them);
    RUN(test_reset_command_restores_defaults_and_rdatac);
    RUN(test_standby_hears_only_wakeup);
    RUN(test_unknown_opcodes_do_nothing_but_are_written_down);
    RUN(test_din_other_than_zero_during_a_read_acts_and_is_written_down);
    RUN(test_cs_within_4_ticks_of_a_command_drops_it);
    RUN(test_cs_right_after_a_read_is_no_violation);
    RUN(test_cs_high_for_one_tick_is_written_down);
    RUN(test_command_bytes_closer_than_4_ticks_are_written_down_or_dropped);
    RUN(test_violations_remember_when_and_what);
    RUN(test_random_bytes_never_break_the_rules);
    return check_report();
}
