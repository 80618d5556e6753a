/* SPDX-License-Identifier: MIT */
/* The emulated board: opening, lines, edges, conversions from the source, tools. */
#include "sim_bench.h"

static void test_boards_that_cannot_be_are_refused(void)
{
    int error = 0;

    fresh(5);
    CHECK(!eegd_board_sim_open(&config, &counting.source, &error));
    CHECK_EQ(error, -EINVAL);
    fresh(1);
    config.n_channels[0] = 5;
    CHECK(!eegd_board_sim_open(&config, &counting.source, &error));
    CHECK_EQ(error, -EINVAL);
    fresh(1);
    config.fclk_hz = NAN;
    CHECK(!eegd_board_sim_open(&config, &counting.source, &error));
    fresh(1);
    CHECK(!eegd_board_sim_open(&config, NULL, &error));
}

static void test_lines_that_are_not_wired_say_so(void)
{
    fresh(1);
    config.start_wired = config.reset_wired = config.pwdn_wired = 0;
    open_board();
    CHECK_EQ(eegd_board_set_line(board, EEGD_LINE_START, 1), -ENOTSUP);
    CHECK_EQ(eegd_board_set_line(board, EEGD_LINE_RESET, 0), -ENOTSUP);
    CHECK_EQ(eegd_board_set_line(board, EEGD_LINE_PWDN, 0), -ENOTSUP);
    eegd_board_close(board);
}

static void test_every_conversion_arrives_with_its_stamp_and_its_codes(void)
{
    uint8_t rx[27];
    int64_t first_ns = 0;
    uint64_t k;
    uint32_t i;

    fresh(1);
    start(0x96);
    for (k = 0; k < 300; k++) {
        CHECK_EQ(next_edge(), 1);
        CHECK_EQ(edge.seq, k + 1);
        if (k == 0)
            first_ns = edge.drdy_ns;
        CHECK_EQ(edge.drdy_ns, first_ns + (int64_t)k * PERIOD_250_NS);
        CHECK_EQ(read_frame(0, rx, 27), 0);
        CHECK_EQ(end_ns, edge.drdy_ns + 5000 + 27 * 400);
        CHECK_EQ(rx[0], 0xC0);
        for (i = 0; i < 8; i++)
            CHECK_EQ(code_of(rx, 0, i), wanted(k, i));
    }
    CHECK_EQ(eegd_board_sim_violation_count(board, EEGD_VIOLATION_KINDS), 0);
    CHECK_EQ(eegd_board_sim_conversions(board), 300);
    CHECK_EQ(eegd_board_sim_samples(board), 300);
    CHECK_EQ(counting.time_ns, 299LL * PERIOD_250_NS);
    CHECK_EQ(counting.period_ns, PERIOD_250_NS);
    eegd_board_close(board);
}

static void test_a_source_that_is_over_ends_with_enodata_after_its_last_conversion(void)
{
    uint8_t rx[27];
    int k;

    fresh(1);
    counting.limit = 5;
    start(0x90);
    for (k = 0; k < 5; k++) {
        CHECK_EQ(next_edge(), 1);
        CHECK_EQ(read_frame(0, rx, 27), 0);
        CHECK_EQ(code_of(rx, 0, 0), wanted((uint64_t)k, 0));
    }
    CHECK_EQ(next_edge(), -ENODATA);
    CHECK_EQ(next_edge(), -ENODATA);
    eegd_board_close(board);
}

static void test_lead_in_conversions_do_not_use_up_the_source(void)
{
    uint8_t rx[27];
    int k;

    fresh(1);
    config.lead_in = 2;
    counting.limit = 3;
    start(0x96);
    for (k = 0; k < 5; k++) {
        CHECK_EQ(next_edge(), 1);
        read_frame(0, rx, 27);
        CHECK_EQ(code_of(rx, 0, 0), wanted(k < 2 ? 0 : (uint64_t)k - 2, 0));
    }
    CHECK_EQ(next_edge(), -ENODATA);
    eegd_board_close(board);
}

static void test_edges_forgotten_by_drain_are_counted_on(void)
{
    fresh(1);
    start(0x96);
    CHECK_EQ(next_edge(), 1);
    eegd_board_sleep(board, 10 * PERIOD_250_NS);
    uint64_t seq;
    CHECK_EQ(eegd_board_drain(board, &seq), 0);
    CHECK_EQ(seq, 11);
    CHECK_EQ(next_edge(), 1);
    CHECK_EQ(edge.seq, 12);
    eegd_board_close(board);
}

static void test_several_pending_edges_give_the_newest_and_a_jump(void)
{
    fresh(1);
    start(0x96);
    CHECK_EQ(next_edge(), 1);
    eegd_board_sleep(board, 3 * PERIOD_250_NS);
    CHECK_EQ(next_edge(), 1);
    CHECK_EQ(edge.seq, 4);
    eegd_board_close(board);
}

static void test_tools_look_into_the_board(void)
{
    struct eegd_violation log[4];
    uint8_t registers[24];

    fresh(2);
    config.n_channels[1] = 4;
    open_board();
    eegd_board_sleep(board, 50000);
    command(0, 0x11);
    command(0, 0x13);
    command(0, 0x14);
    CHECK_EQ(eegd_board_sim_violations(board, 1, log, 4), 2);
    CHECK_EQ(log[0].detail, 0x13);
    CHECK_EQ(log[1].detail, 0x14);
    CHECK_EQ(eegd_board_sim_violations(board, 1, log, 1), 1);
    CHECK_EQ(log[0].detail, 0x14);
    CHECK_EQ(eegd_board_sim_violations(board, 2, log, 4), -EINVAL);
    CHECK_EQ(violations(EEGD_VIOLATION_OPCODE), 4);
    CHECK_EQ(eegd_board_sim_registers(board, 1, registers), 0);
    CHECK_EQ(registers[0], 0x3C);
    CHECK_EQ(registers[9], 0x00);
    CHECK_EQ(eegd_board_sim_registers(board, 2, registers), -EINVAL);
    CHECK_EQ(eegd_board_sim_impedance(board, 11, EEGD_SIDE_N, 4700), 0);
    CHECK_EQ(eegd_board_sim_chip(board, 1)->n_ohm[3], 4700);
    CHECK_EQ(eegd_board_sim_impedance(board, 12, EEGD_SIDE_N, 4700), -EINVAL);
    CHECK_EQ(eegd_board_sim_impedance(board, 0, 5, 4700), -EINVAL);
    CHECK_EQ(eegd_board_sim_gpio(board, 0, 0x05), 0);
    CHECK_EQ(read_reg(0, ADS1299_REG_GPIO), 0x5F);
    CHECK(!eegd_board_sim_chip(board, 2));
    eegd_board_close(board);
}

static void test_random_use_never_breaks_the_board(void)
{
    unsigned seed = 99;
    int round, i;

    for (round = 0; round < 40; round++) {
        uint8_t tx[200], rx[200];

        fresh(1 + (uint32_t)rand_r(&seed) % 4);
        for (i = 0; i < 4; i++) {
            config.cs[i] = (uint32_t)rand_r(&seed) % 4;
            config.n_channels[i] = 4 + 2 * ((uint32_t)rand_r(&seed) % 3);
            config.ppm[i] = rand_r(&seed) % 40000 - 20000;
        }
        config.own_clocks = (uint32_t)rand_r(&seed) & 1;
        config.daisy_registers = (uint32_t)rand_r(&seed) & 1;
        open_board();
        for (i = 0; i < 300; i++) {
            struct eegd_fault fault = {.kind = (uint32_t)rand_r(&seed) % EEGD_FAULT_KINDS,
                                       .chip = EEGD_FAULT_ALL_CHIPS,
                                       .channel = (uint32_t)rand_r(&seed) % 8,
                                       .at =
                                           rand_r(&seed) & 1 ? EEGD_FAULT_NOW : (uint64_t)rand_r(&seed) % 50,
                                       .count = (uint64_t)rand_r(&seed) % 5,
                                       .period = (uint64_t)rand_r(&seed) % 7,
                                       .value = rand_r(&seed) % 2000};
            uint32_t len = 1 + (uint32_t)rand_r(&seed) % 200, j;

            for (j = 0; j < len; j++)
                tx[j] = (uint8_t)(rand_r(&seed) % 3 ? 0 : rand_r(&seed) & 0x7F);
            switch (rand_r(&seed) % 6) {
            case 0:
                eegd_board_wait(board, rand_r(&seed) % 20000000, &edge);
                break;
            case 1:
                eegd_board_set_line(board, rand_r(&seed) % 3, rand_r(&seed) & 1);
                break;
            case 2:
                if (rand_r(&seed) % 10 == 0)
                    eegd_board_sim_fault(board, &fault);
                break;
            case 3:
                eegd_board_sleep(board, rand_r(&seed) % 3000000);
                break;
            default:
                transfer((uint32_t)rand_r(&seed) % 4, tx, rand_r(&seed) & 1 ? rx : NULL, len,
                         100000 + (uint32_t)rand_r(&seed) % 20000000);
            }
        }
        eegd_board_close(board);
    }
    CHECK(1);
}

int main(void)
{
    RUN(test_boards_that_cannot_be_are_refused);
    RUN(test_lines_that_are_not_wired_say_so);
    RUN(test_every_conversion_arrives_with_its_stamp_and_its_codes);
    RUN(test_a_source_that_is_over_ends_with_enodata_after_its_last_conversion);
    RUN(test_lead_in_conversions_do_not_use_up_the_source);
    RUN(test_edges_forgotten_by_drain_are_counted_on);
    RUN(test_several_pending_edges_give_the_newest_and_a_jump);
    RUN(test_tools_look_into_the_board);
    RUN(test_random_use_never_breaks_the_board);
    return check_report();
}
