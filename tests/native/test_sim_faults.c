/* SPDX-License-Identifier: MIT */
/* The emulated board: faults on demand, and what the host sees of them. */
#include "sim_bench.h"

static void test_missed_and_merged_edges_leave_no_gap_in_seq(void)
{
    int64_t before;

    fresh(1);
    start(0x96);
    set_fault(EEGD_FAULT_DRDY_MISSED, 2, 1, 0);
    set_fault(EEGD_FAULT_EDGES_MERGED, 5, 1, 700);
    next_edge();
    next_edge();
    before = edge.drdy_ns;
    CHECK_EQ(next_edge(), 1);
    CHECK_EQ(edge.seq, 3);
    CHECK_EQ(edge.drdy_ns, before + 2 * PERIOD_250_NS);
    next_edge();
    before = edge.drdy_ns;
    CHECK_EQ(next_edge(), 1);
    CHECK_EQ(edge.seq, 5);
    CHECK_EQ(edge.drdy_ns, before + 2 * PERIOD_250_NS + 700);
    eegd_board_close(board);
}

static void test_lost_events_leave_a_gap_in_seq(void)
{
    fresh(1);
    start(0x96);
    set_fault(EEGD_FAULT_EVENTS_LOST, 1, 3, 0);
    next_edge();
    CHECK_EQ(next_edge(), 1);
    CHECK_EQ(edge.seq, 5);
    CHECK_EQ(eegd_board_sim_conversions(board), 5);
    eegd_board_close(board);
}

static void test_delayed_and_doubled_edges(void)
{
    int64_t before;
    uint8_t rx[27];

    fresh(1);
    start(0x96);
    set_fault(EEGD_FAULT_DRDY_DELAYED, 1, 1, 300000);
    set_fault(EEGD_FAULT_DRDY_DOUBLED, 2, 1, 2000);
    next_edge();
    before = edge.drdy_ns;
    CHECK_EQ(next_edge(), 1);
    CHECK_EQ(edge.drdy_ns, before + PERIOD_250_NS + 300000);
    read_frame(0, rx, 27);
    CHECK(end_ns >= edge.drdy_ns);
    CHECK_EQ(next_edge(), 1);
    CHECK_EQ(edge.seq, 3);
    CHECK_EQ(next_edge(), 1);
    CHECK_EQ(edge.seq, 4);
    CHECK_EQ(edge.drdy_ns, before + 2 * PERIOD_250_NS + 2000);
    CHECK_EQ(next_edge(), 1);
    CHECK_EQ(edge.seq, 5);
    eegd_board_close(board);
}

static void test_a_stopped_drdy_comes_back_with_start(void)
{
    fresh(1);
    start(0x96);
    set_fault(EEGD_FAULT_DRDY_STOPPED, 2, 1, 0);
    next_edge();
    next_edge();
    CHECK_EQ(next_edge(), 1);
    CHECK_EQ(eegd_board_wait(board, 1000000000, &edge), 0);
    eegd_board_set_line(board, EEGD_LINE_START, 0);
    eegd_board_set_line(board, EEGD_LINE_START, 1);
    CHECK_EQ(next_edge(), 1);
    CHECK_EQ(edge.seq, 4);
    eegd_board_close(board);
}

static void test_a_line_that_hangs_up_says_enodev(void)
{
    fresh(1);
    start(0x96);
    CHECK_EQ(next_edge(), 1);
    set_fault(EEGD_FAULT_HANG_UP, EEGD_FAULT_NOW, 0, 0);
    CHECK_EQ(next_edge(), -ENODEV);
    eegd_board_sim_clear_faults(board);
    CHECK_EQ(next_edge(), 1);
    eegd_board_close(board);
}

static void test_gpio_pins_can_be_driven_for_some_conversions(void)
{
    static const uint8_t wanted[5] = {0x01, 0x0A, 0x0A, 0x01, 0x01};
    uint8_t rx[27];

    fresh(1);
    start(0x96);
    CHECK_EQ(eegd_board_sim_gpio(board, 0, 0x1), 0);
    set_fault(EEGD_FAULT_GPIO, 1, 2, 0xA);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(next_edge(), 1);
        read_frame(0, rx, 27);
        CHECK_EQ(rx[2], wanted[i]);
    }
    eegd_board_close(board);
}

static void test_spoiled_bytes(void)
{
    static const uint32_t kinds[6] = {EEGD_FAULT_FRAME_00,  EEGD_FAULT_FRAME_FF,   EEGD_FAULT_BIT_SLIP,
                                      EEGD_FAULT_BYTE_SLIP, EEGD_FAULT_MISO_STUCK, EEGD_FAULT_SPI_MODE};
    uint8_t rx[27], clean[27];
    uint32_t i, f;

    for (f = 0; f < 6; f++) {
        fresh(1);
        start(0x96);
        set_fault(kinds[f], 1, 1, 1);
        next_edge();
        read_frame(0, rx, 27);
        CHECK_EQ(rx[0], 0xC0);
        CHECK_EQ(code_of(rx, 0, 1), wanted(0, 1));
        next_edge();
        memcpy(clean, eegd_board_sim_chip(board, 0)->out, 27);
        read_frame(0, rx, 27);
        for (i = 0; i < 26; i++) {
            uint8_t expected[6] = {0,
                                   0xFF,
                                   (uint8_t)(clean[i] << 1 | clean[i + 1] >> 7),
                                   clean[i + 1],
                                   0xFF,
                                   (uint8_t)(clean[i] >> 1 | (i ? clean[i - 1] << 7 : 0))};

            CHECK_EQ(rx[i], expected[f]);
        }
        next_edge();
        read_frame(0, rx, 27);
        CHECK_EQ(rx[0], 0xC0);
        eegd_board_close(board);
    }
}

static void test_mode_0_shows_in_the_registers(void)
{
    fresh(1);
    open_board();
    eegd_board_sleep(board, 50000);
    command(0, 0x11);
    set_fault(EEGD_FAULT_SPI_MODE, EEGD_FAULT_NOW, 0, 0);
    CHECK_EQ(read_reg(0, ADS1299_REG_CONFIG1), 0x4B);
    CHECK_EQ(read_reg(0, ADS1299_REG_ID), 0x1F);
    CHECK_EQ(read_reg(0, ADS1299_REG_CONFIG2), 0x60);
    eegd_board_close(board);
}

static void test_frame_faults_spare_register_access(void)
{
    fresh(1);
    open_board();
    eegd_board_sleep(board, 50000);
    command(0, 0x11);
    set_fault(EEGD_FAULT_FRAME_00, EEGD_FAULT_NOW, 0, 0);
    CHECK_EQ(read_reg(0, ADS1299_REG_ID), 0x3E);
    eegd_board_close(board);
}

static void test_a_torn_read_mixes_two_conversions(void)
{
    uint8_t rx[27];

    fresh(1);
    start(0x96);
    set_fault(EEGD_FAULT_TORN, 1, 1, 0);
    next_edge();
    read_frame(0, rx, 27);
    next_edge();
    read_frame(0, rx, 27);
    CHECK_EQ(code_of(rx, 0, 0), wanted(1, 0));
    CHECK_EQ(code_of(rx, 0, 7), wanted(2, 7));
    CHECK(end_ns > edge.drdy_ns + PERIOD_250_NS);
    CHECK_EQ(violations(EEGD_VIOLATION_TORN), 1);
    eegd_board_close(board);
}

static void test_ioctl_errors_and_slow_ioctls(void)
{
    uint8_t rx[27];

    fresh(1);
    start(0x96);
    set_fault(EEGD_FAULT_IOCTL, 1, 1, ETIMEDOUT);
    set_fault(EEGD_FAULT_SLOW_IOCTL, 2, 1, 1000000);
    next_edge();
    CHECK_EQ(read_frame(0, rx, 27), 0);
    next_edge();
    CHECK_EQ(read_frame(0, rx, 27), -ETIMEDOUT);
    next_edge();
    CHECK_EQ(read_frame(0, rx, 27), 0);
    CHECK_EQ(end_ns, edge.drdy_ns + 1005000 + 27 * 400);
    eegd_board_close(board);
}

static void test_railed_channels_and_dead_chips(void)
{
    struct eegd_fault fault = {
        .kind = EEGD_FAULT_RAILED, .chip = 1, .channel = 2, .at = 1, .count = 1, .value = -1};
    uint8_t rx[81];

    fresh(3);
    start(0x96);
    CHECK_EQ(eegd_board_sim_fault(board, &fault), 0);
    fault.kind = EEGD_FAULT_DEAD;
    fault.at = 2;
    fault.value = 0;
    CHECK_EQ(eegd_board_sim_fault(board, &fault), 0);
    next_edge();
    read_frame(0, rx, 81);
    CHECK_EQ(code_of(rx, 1, 2), wanted(0, 10));
    next_edge();
    read_frame(0, rx, 81);
    CHECK_EQ(code_of(rx, 1, 2), -8388608);
    CHECK_EQ(code_of(rx, 1, 3), wanted(1, 11));
    next_edge();
    read_frame(0, rx, 81);
    CHECK_EQ(rx[0], 0xC0);
    CHECK_EQ(code_of(rx, 0, 7), wanted(2, 7));
    CHECK_EQ(rx[27], 0);
    CHECK_EQ(rx[54], 0);
    next_edge();
    read_frame(0, rx, 81);
    CHECK_EQ(code_of(rx, 2, 7), wanted(3, 23));
    eegd_board_close(board);
}

static void test_a_brown_out_puts_the_chip_back_to_250_sps(void)
{
    int64_t before;

    fresh(1);
    start(0x95);
    set_fault(EEGD_FAULT_BROWN_OUT, 1, 1, 0);
    next_edge();
    CHECK_EQ(next_edge(), 1);
    CHECK_EQ(next_edge(), 1);
    before = edge.drdy_ns;
    CHECK_EQ(next_edge(), 1);
    CHECK_EQ(edge.drdy_ns - before, PERIOD_250_NS);
    command(0, 0x11);
    CHECK_EQ(read_reg(0, ADS1299_REG_CH1SET), 0x61);
    eegd_board_close(board);
}

static void test_a_reset_within_a_read_leaves_zeros(void)
{
    uint8_t rx[27];

    fresh(1);
    start(0x96);
    set_fault(EEGD_FAULT_RESET_MID_FRAME, 1, 1, 0);
    next_edge();
    next_edge();
    read_frame(0, rx, 27);
    CHECK_EQ(rx[0], 0xC0);
    CHECK_EQ(code_of(rx, 0, 0), wanted(1, 0));
    CHECK_EQ(code_of(rx, 0, 7), 0);
    CHECK_EQ(eegd_board_sim_chip(board, 0)->reg[ADS1299_REG_CONFIG1], 0x96);
    CHECK_EQ(eegd_board_sim_chip(board, 0)->reg[ADS1299_REG_CH1SET], 0x61);
    eegd_board_close(board);
}

static void test_lost_writes_a_wrong_id_and_another_clock(void)
{
    int64_t before;

    fresh(1);
    start(0x96);
    command(0, 0x11);
    set_fault(EEGD_FAULT_WRITES_LOST, EEGD_FAULT_NOW, 1, 1);
    write_reg(0, ADS1299_REG_LOFF, 0x02);
    CHECK_EQ(read_reg(0, ADS1299_REG_LOFF), 0x00);
    write_reg(0, ADS1299_REG_LOFF, 0x02);
    CHECK_EQ(read_reg(0, ADS1299_REG_LOFF), 0x02);
    set_fault(EEGD_FAULT_ID, EEGD_FAULT_NOW, 1, 0xFF);
    CHECK_EQ(read_reg(0, ADS1299_REG_ID), 0xFF);
    next_edge();
    set_fault(EEGD_FAULT_CLOCK, EEGD_FAULT_NOW, 1, -25000);
    next_edge();
    before = edge.drdy_ns;
    next_edge();
    CHECK(llabs(edge.drdy_ns - before - llround(PERIOD_250_NS / 0.975)) <= 1);
    eegd_board_close(board);
}

static void test_faults_repeat_by_their_period_and_are_refused_when_wrong(void)
{
    struct eegd_fault fault = {.kind = EEGD_FAULT_FRAME_FF, .at = 2, .count = 1, .period = 3};
    uint8_t rx[27];
    int k;

    fresh(1);
    start(0x96);
    CHECK_EQ(eegd_board_sim_fault(board, &fault), 0);
    for (k = 0; k < 12; k++) {
        next_edge();
        read_frame(0, rx, 27);
        CHECK_EQ(rx[0], k >= 2 && (k - 2) % 3 == 0 ? 0xFF : 0xC0);
    }
    fault.kind = EEGD_FAULT_KINDS;
    CHECK_EQ(eegd_board_sim_fault(board, &fault), -EINVAL);
    fault.kind = EEGD_FAULT_DEAD;
    fault.chip = 1;
    CHECK_EQ(eegd_board_sim_fault(board, &fault), -EINVAL);
    fault.kind = EEGD_FAULT_FRAME_00;
    fault.value = -1;
    CHECK_EQ(eegd_board_sim_fault(board, &fault), -EINVAL);
    fault.value = 0;
    for (k = 1; k < EEGD_MAX_FAULTS; k++)
        CHECK_EQ(eegd_board_sim_fault(board, &fault), 0);
    CHECK_EQ(eegd_board_sim_fault(board, &fault), -ENOSPC);
    eegd_board_close(board);
}

int main(void)
{
    RUN(test_missed_and_merged_edges_leave_no_gap_in_seq);
    RUN(test_lost_events_leave_a_gap_in_seq);
    RUN(test_delayed_and_doubled_edges);
    RUN(test_a_stopped_drdy_comes_back_with_start);
    RUN(test_a_line_that_hangs_up_says_enodev);
    RUN(test_gpio_pins_can_be_driven_for_some_conversions);
    RUN(test_spoiled_bytes);
    RUN(test_mode_0_shows_in_the_registers);
    RUN(test_frame_faults_spare_register_access);
    RUN(test_a_torn_read_mixes_two_conversions);
    RUN(test_ioctl_errors_and_slow_ioctls);
    RUN(test_railed_channels_and_dead_chips);
    RUN(test_a_brown_out_puts_the_chip_back_to_250_sps);
    RUN(test_a_reset_within_a_read_leaves_zeros);
    RUN(test_lost_writes_a_wrong_id_and_another_clock);
    RUN(test_faults_repeat_by_their_period_and_are_refused_when_wrong);
    return check_report();
}
