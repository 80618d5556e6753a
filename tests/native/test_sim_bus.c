/* SPDX-License-Identifier: MIT */
/* The emulated board: transfers, daisy chains and cascades. */
#include "sim_bench.h"

static void test_transfers_that_cannot_be_are_refused(void)
{
    uint8_t tx[1] = {0};

    fresh(1);
    open_board();
    CHECK_EQ(transfer(4, tx, tx, 1, FAST), -EINVAL);
    CHECK_EQ(transfer(0, NULL, tx, 1, FAST), -EINVAL);
    CHECK_EQ(transfer(0, tx, tx, 0, FAST), -EINVAL);
    CHECK_EQ(transfer(0, tx, tx, 1, 0), -EINVAL);
    CHECK_EQ(transfer(0, tx, tx, 4097, FAST), -EMSGSIZE);
    CHECK_EQ(eegd_board_set_line(board, 3, 1), -EINVAL);
    CHECK_EQ(eegd_board_set_line(board, EEGD_LINE_START, 2), -EINVAL);
    eegd_board_close(board);
    eegd_board_close(NULL);
}

static void test_reads_too_slow_for_the_rate_run_into_the_next_conversion(void)
{
    static const uint8_t zeros[27];
    uint8_t rx[27];

    fresh(1);
    start(0x90);
    CHECK_EQ(next_edge(), 1);
    CHECK_EQ(transfer(0, zeros, rx, 27, 4000000), 0); /* 5 + 54 us of 62.5: just in time */
    CHECK_EQ(violations(EEGD_VIOLATION_TORN), 0);
    CHECK_EQ(next_edge(), 1);
    CHECK_EQ(transfer(0, zeros, rx, 27, 2000000), 0);
    CHECK_EQ(violations(EEGD_VIOLATION_TORN), 1);
    CHECK_EQ(code_of(rx, 0, 0), wanted(1, 0));
    CHECK_EQ(code_of(rx, 0, 7), wanted(2, 7));
    CHECK(end_ns > edge.drdy_ns + 62500);
    CHECK_EQ(next_edge(), 1);
    CHECK_EQ(edge.seq, 3);
    eegd_board_close(board);
}

static void test_commands_without_a_pause_before_cs_are_not_executed(void)
{
    uint8_t sdatac = 0x11;
    struct eegd_transfer t = {.tx = &sdatac, .len = 1, .speed_hz = 2000000, .delay_us = 1};

    fresh(1);
    open_board();
    eegd_board_sleep(board, 50000);
    CHECK_EQ(eegd_board_transfer(board, &t, NULL), 0);
    CHECK_EQ(read_reg(0, ADS1299_REG_ID), 0);
    CHECK_EQ(violations(EEGD_VIOLATION_CS_EARLY), 1);
    t.delay_us = 2;
    CHECK_EQ(eegd_board_transfer(board, &t, NULL), 0);
    CHECK_EQ(read_reg(0, ADS1299_REG_ID), 0x3E);
    eegd_board_close(board);
}

static void test_register_bytes_at_8_mhz_are_too_fast(void)
{
    uint8_t tx[3] = {0x20, 0, 0}, rx[3];

    fresh(1);
    open_board();
    eegd_board_sleep(board, 50000);
    command(0, 0x11);
    CHECK_EQ(violations(EEGD_VIOLATION_KINDS), 0);
    CHECK_EQ(transfer(0, tx, rx, 3, 8000000), 0);
    CHECK_EQ(violations(EEGD_VIOLATION_DECODE), 2);
    eegd_board_close(board);
}

static void test_a_daisy_chain_reads_as_one_long_frame(void)
{
    uint8_t rx[108], slow[108], tx[108] = {0};
    uint32_t chip, i, k;

    for (k = 1; k <= 4; k++) {
        fresh(k);
        start(0x90);
        CHECK_EQ(next_edge(), 1);
        CHECK_EQ(next_edge(), 1);
        CHECK_EQ(read_frame(0, rx, 27 * k), 0);
        for (chip = 0; chip < k; chip++) {
            CHECK_EQ(rx[27 * chip], 0xC0);
            for (i = 0; i < 8; i++)
                CHECK_EQ(code_of(rx, chip, i), wanted(1, 8 * chip + i));
        }
        CHECK_EQ(violations(EEGD_VIOLATION_KINDS), 0);
        /* Byte by byte gives the same: an undefined opcode in the first byte keeps the fast way out for that
         * byte. */
        for (i = 0; i < 27 * k; i += 2)
            tx[i] = 0x01;
        CHECK_EQ(next_edge(), 1);
        CHECK_EQ(transfer(0, tx, slow, 27 * k, FAST), 0);
        for (chip = 0; chip < k; chip++)
            for (i = 0; i < 8; i++)
                CHECK_EQ(code_of(slow, chip, i), wanted(2, 8 * chip + i));
        eegd_board_close(board);
    }
}

static void test_variants_make_frames_of_their_own_length(void)
{
    uint8_t rx[64];

    fresh(3);
    config.n_channels[0] = 6;
    config.n_channels[1] = 4;
    config.n_channels[2] = 8;
    start(0x96);
    CHECK_EQ(next_edge(), 1);
    CHECK_EQ(read_frame(0, rx, 64), 0);
    CHECK_EQ(rx[0], 0xC0);
    CHECK_EQ(rx[21], 0xC0);
    CHECK_EQ(rx[36], 0xC0);
    CHECK_EQ(rx[63], 0); /* behind the last chip: its DAISY_IN is grounded */
    CHECK_EQ(rx[21 + 5] | rx[21 + 4] << 8, wanted(0, 6));
    CHECK_EQ(rx[36 + 26] | rx[36 + 25] << 8, wanted(0, 17));
    CHECK_EQ(eegd_board_sim_chip(board, 1)->id, 0x3C);
    eegd_board_close(board);
}

static void test_a_cascade_gives_each_chip_its_own_frame_of_the_same_conversion(void)
{
    uint8_t rx[27];
    uint64_t k;

    fresh(2);
    config.cs[1] = 1;
    config.start_wired = 0;
    open_board();
    configure(0, 0x96);
    configure(1, 0x96);
    command(1, 0x08); /* started one after the other: chip 1 is ahead by some microseconds */
    command(0, 0x08);
    for (k = 0; k < 50; k++) {
        CHECK_EQ(next_edge(), 1);
        CHECK_EQ(read_frame(0, rx, 27), 0);
        CHECK_EQ(code_of(rx, 0, 3), wanted(k, 3));
        CHECK_EQ(read_frame(1, rx, 27), 0);
        CHECK_EQ(code_of(rx, 0, 3), wanted(k, 11));
    }
    CHECK_EQ(violations(EEGD_VIOLATION_KINDS), 0);
    eegd_board_close(board);
}

static void test_registers_of_a_chain_follow_the_chosen_mode(void)
{
    uint8_t tx[30] = {0x20}, rx[30];

    fresh(2);
    open_board();
    eegd_board_sleep(board, 50000);
    command(0, 0x11);
    CHECK_EQ(transfer(0, tx, rx, 30, 2000000), 0);
    CHECK_EQ(rx[2], 0x3E);
    CHECK_EQ(rx[29], 0);
    eegd_board_close(board);
    fresh(2);
    config.daisy_registers = 1;
    config.n_channels[1] = 4;
    open_board();
    eegd_board_sleep(board, 50000);
    command(0, 0x11);
    CHECK_EQ(transfer(0, tx, rx, 30, 2000000), 0);
    CHECK_EQ(rx[2], 0x3E);
    CHECK_EQ(rx[29], 0x3C);
    eegd_board_close(board);
}

static void test_frames_given_verbatim_are_shared_out_to_the_chips(void)
{
    uint8_t rx[54];
    uint32_t i;

    fresh(2);
    counting.frame_bytes = 54;
    start(0x96);
    CHECK_EQ(next_edge(), 1);
    CHECK_EQ(next_edge(), 1);
    CHECK_EQ(read_frame(0, rx, 54), 0);
    for (i = 0; i < 54; i++)
        CHECK_EQ(rx[i], i + 1);
    eegd_board_close(board);
}

int main(void)
{
    RUN(test_transfers_that_cannot_be_are_refused);
    RUN(test_reads_too_slow_for_the_rate_run_into_the_next_conversion);
    RUN(test_commands_without_a_pause_before_cs_are_not_executed);
    RUN(test_register_bytes_at_8_mhz_are_too_fast);
    RUN(test_a_daisy_chain_reads_as_one_long_frame);
    RUN(test_variants_make_frames_of_their_own_length);
    RUN(test_a_cascade_gives_each_chip_its_own_frame_of_the_same_conversion);
    RUN(test_registers_of_a_chain_follow_the_chosen_mode);
    RUN(test_frames_given_verbatim_are_shared_out_to_the_chips);
    return check_report();
}
