/* SPDX-License-Identifier: MIT */
/* The emulated board: its clocks, virtual, patient and strict, and what happens in their time. */
#include "sim_bench.h"

static void test_first_edge_comes_tsettle_after_the_start_line(void)
{
    int64_t start_ns;

    fresh(1);
    open_board();
    configure(0, 0x96);
    eegd_board_set_line(board, EEGD_LINE_START, 1);
    start_ns = eegd_board_now(board);
    CHECK_EQ(next_edge(), 1);
    CHECK(llabs(edge.drdy_ns - start_ns - SETTLE_250_NS) <= 489);
    eegd_board_close(board);
}

static void test_no_start_no_edge_and_the_timeout_passes_in_virtual_time(void)
{
    int64_t before;

    fresh(1);
    open_board();
    before = eegd_board_now(board);
    CHECK_EQ(eegd_board_wait(board, 5000000000, &edge), 0);
    CHECK_EQ(eegd_board_now(board), before + 5000000000);
    eegd_board_sleep(board, 123456789);
    CHECK_EQ(eegd_board_now(board), before + 5123456789);
    eegd_board_close(board);
}

static void test_a_clock_that_is_off_shows_in_the_stamps(void)
{
    int64_t first_ns;
    int k;

    fresh(1);
    config.ppm[0] = 25000;
    start(0x96);
    CHECK_EQ(next_edge(), 1);
    first_ns = edge.drdy_ns;
    for (k = 0; k < 1000; k++)
        CHECK_EQ(next_edge(), 1);
    CHECK(llabs(edge.drdy_ns - first_ns - llround(1000 * PERIOD_250_NS / 1.025)) <= 2);
    eegd_board_close(board);
}

static void test_power_up_is_deaf_for_128_ms_when_asked_for(void)
{
    fresh(1);
    config.power_up = 1;
    open_board();
    eegd_board_sleep(board, 100000000);
    command(0, 0x11);
    CHECK_EQ(read_reg(0, ADS1299_REG_ID), 0);
    eegd_board_sleep(board, 30000000);
    command(0, 0x11);
    CHECK_EQ(read_reg(0, ADS1299_REG_ID), 0x3E);
    eegd_board_close(board);
}

static void test_own_clocks_drift_apart(void)
{
    fresh(2);
    config.cs[1] = 1;
    config.own_clocks = 1;
    config.ppm[1] = 10000;
    open_board();
    configure(0, 0x96);
    configure(1, 0x96);
    eegd_board_set_line(board, EEGD_LINE_START, 1);
    while (eegd_board_sim_conversions(board) < 1000)
        CHECK_EQ(next_edge(), 1);
    CHECK(llabs((long long)eegd_board_sim_chip(board, 1)->falls - 1010) <= 1);
    eegd_board_close(board);
}

static void open_real(int strict)
{
    config.virtual_clock = 0;
    config.strict = (uint32_t)strict;
    start(0x90);
}

static void pause_ms(long ms)
{
    struct timespec time = {0, ms * 1000000};

    nanosleep(&time, NULL);
}

static void test_a_patient_chip_waits_for_a_late_host(void)
{
    uint8_t rx[27];
    int64_t first_ns = 0;
    uint64_t k;

    fresh(1);
    open_real(0);
    for (k = 0; k < 500; k++) {
        if (k % 100 == 50)
            pause_ms(20);
        CHECK_EQ(next_edge(), 1);
        first_ns = k == 0 ? edge.drdy_ns : first_ns;
        CHECK_EQ(edge.seq, k + 1);
        CHECK_EQ(edge.drdy_ns, first_ns + (int64_t)k * 62500);
        CHECK(edge.drdy_ns <= eegd_board_now(board));
        if (k % 100 == 70)
            pause_ms(20);
        CHECK_EQ(read_frame(0, rx, 27), 0);
        CHECK_EQ(end_ns, edge.drdy_ns + 5000 + 27 * 400);
        CHECK_EQ(code_of(rx, 0, 5), wanted(k, 5));
    }
    CHECK_EQ(violations(EEGD_VIOLATION_KINDS), 0);
    eegd_board_close(board);
}

static void test_a_strict_chip_does_not_wait(void)
{
    uint64_t seq;

    fresh(1);
    open_real(1);
    CHECK_EQ(next_edge(), 1);
    seq = edge.seq;
    pause_ms(20);
    CHECK_EQ(next_edge(), 1);
    CHECK(edge.seq >= seq + 200);
    CHECK(edge.drdy_ns <= eegd_board_now(board));
    eegd_board_close(board);
}

static void *wake_soon(void *arg)
{
    pause_ms(5);
    eegd_board_wake(arg);
    return NULL;
}

static void test_wake_ends_a_wait_without_limit(void)
{
    int virtual_clock;

    for (virtual_clock = 0; virtual_clock < 2; virtual_clock++) {
        pthread_t thread;

        fresh(1);
        config.virtual_clock = (uint32_t)virtual_clock;
        open_board();
        CHECK_EQ(pthread_create(&thread, NULL, wake_soon, board), 0);
        CHECK_EQ(eegd_board_wait(board, -1, &edge), 0);
        pthread_join(thread, NULL);
        eegd_board_wake(board);
        CHECK_EQ(eegd_board_wait(board, -1, &edge), 0);
        eegd_board_close(board);
    }
}

static void test_registers_answer_while_a_patient_chip_is_held(void)
{
    fresh(1);
    open_real(0);
    pause_ms(5);
    command(0, 0x11);
    CHECK_EQ(read_reg(0, ADS1299_REG_ID), 0x3E);
    eegd_board_set_line(board, EEGD_LINE_START, 0);
    eegd_board_sleep(board, 1000000);
    CHECK_EQ(eegd_board_sim_chip(board, 0)->converting, 0);
    eegd_board_set_line(board, EEGD_LINE_RESET, 0);
    eegd_board_sleep(board, 10000);
    eegd_board_set_line(board, EEGD_LINE_RESET, 1);
    eegd_board_sleep(board, 10000);
    command(0, 0x11);
    CHECK_EQ(read_reg(0, ADS1299_REG_CONFIG1), 0x96);
    CHECK_EQ(violations(EEGD_VIOLATION_BUSY), 0);
    eegd_board_close(board);
}

int main(void)
{
    RUN(test_first_edge_comes_tsettle_after_the_start_line);
    RUN(test_no_start_no_edge_and_the_timeout_passes_in_virtual_time);
    RUN(test_a_clock_that_is_off_shows_in_the_stamps);
    RUN(test_power_up_is_deaf_for_128_ms_when_asked_for);
    RUN(test_own_clocks_drift_apart);
    RUN(test_a_patient_chip_waits_for_a_late_host);
    RUN(test_a_strict_chip_does_not_wait);
    RUN(test_wake_ends_a_wait_without_limit);
    RUN(test_registers_answer_while_a_patient_chip_is_held);
    return check_report();
}
