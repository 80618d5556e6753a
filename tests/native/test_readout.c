/* SPDX-License-Identifier: MIT */
/* What goes over SPI, to whom, in which order; which read was in time. */
#include "readout.h"
#include <errno.h>
#include <math.h>
#include <string.h>
#include "board.h"
#include "check.h"
#include "clock.h"

#define N_CHIPS 3
#define CHIP_BYTES 27
#define TCLK_NS 500.0
#define LATENCY_NS 7000

/* A board that remembers what it was asked for. */
static struct wire {
    struct eegd_board board; /* first */
    struct eegd_transfer asked[8];
    uint8_t sent[8];
    int n_asked, failing, line, level;
} wire;

static struct eegd_capture_config config;
static struct eegd_readout readout;

static int wire_transfer(struct eegd_board *board, const struct eegd_transfer *transfer, int64_t *end_ns)
{
    (void)board;
    int n = wire.n_asked++;
    wire.asked[n] = *transfer;
    wire.sent[n] = 0;
    for (uint32_t i = 0; i < transfer->len; i++)
        wire.sent[n] |= transfer->tx[i];
    if (n == wire.failing)
        return -ETIMEDOUT;
    if (transfer->rx)
        memset(transfer->rx, (int)transfer->cs + 1, transfer->len);
    if (end_ns)
        *end_ns = 1000 * (n + 1);
    return 0;
}

static int wire_set_line(struct eegd_board *board, int line, int level)
{
    (void)board;
    wire.line = line;
    wire.level = level;
    return 0;
}

static const struct eegd_board_ops wire_ops = {
    .name = "wire", .transfer = wire_transfer, .set_line = wire_set_line};

static void prepare(void)
{
    wire = (struct wire){.board = {.ops = &wire_ops}, .failing = -1, .line = -1};
    config = (struct eegd_capture_config){.board = &wire.board,
                                          .map = {.n_chips = N_CHIPS, .n_bytes = N_CHIPS * CHIP_BYTES},
                                          .n_transfers = N_CHIPS,
                                          .transfer_bytes = {CHIP_BYTES, CHIP_BYTES, CHIP_BYTES},
                                          .transfer_cs = {2, 0, 1},
                                          .sclk_hz = 8000000,
                                          .register_sclk_hz = 2000000,
                                          .start_command = 0x08,
                                          .n_start_cs = 2,
                                          .start_cs = {1, 3},
                                          .period_ns = 1e6,
                                          .edge_latency_ns = LATENCY_NS,
                                          .tclk_ns = TCLK_NS};
    CHECK_EQ(eegd_readout_init(&readout, &config), 0);
}

static void test_start_goes_to_each_chip_select_at_the_clock_of_registers(void)
{
    prepare();
    CHECK_EQ(eegd_readout_start(&readout), 0);
    CHECK_EQ(wire.n_asked, 2);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(wire.asked[i].cs, config.start_cs[i]);
        CHECK_EQ(wire.asked[i].len, 1);
        CHECK_EQ(wire.asked[i].speed_hz, 2000000);
        CHECK(wire.asked[i].delay_us * 1000 >= 4 * TCLK_NS);
        CHECK_EQ(wire.sent[i], 0x08);
    }
    CHECK_EQ(wire.line, -1);
    wire.failing = wire.n_asked;
    CHECK_EQ(eegd_readout_start(&readout), -ETIMEDOUT);
    CHECK_EQ(wire.n_asked, 3); /* the second chip is not told */
}

static void test_start_is_a_line_where_there_is_no_command(void)
{
    prepare();
    config.start_command = 0;
    CHECK_EQ(eegd_readout_start(&readout), 0);
    CHECK_EQ(wire.n_asked, 0);
    CHECK_EQ(wire.line, EEGD_LINE_START);
    CHECK_EQ(wire.level, 1);
}

static void test_a_conversion_is_read_chip_after_chip_with_zeros_on_din(void)
{
    uint8_t bytes[EEGD_MAX_CONVERSION_BYTES];
    int64_t end_ns = 0;
    prepare();
    memset(bytes, 0xEE, sizeof(bytes));
    CHECK_EQ(eegd_readout_take(&readout, bytes, &end_ns), 0);
    CHECK_EQ(end_ns, 3000); /* of the last transfer */
    CHECK_EQ(wire.n_asked, N_CHIPS);
    for (int i = 0; i < N_CHIPS; i++) {
        CHECK_EQ(wire.asked[i].cs, config.transfer_cs[i]);
        CHECK_EQ(wire.asked[i].speed_hz, 8000000);
        CHECK_EQ(wire.sent[i], 0);
        CHECK_EQ(bytes[i * CHIP_BYTES], config.transfer_cs[i] + 1);
        CHECK_EQ(bytes[i * CHIP_BYTES + CHIP_BYTES - 1], config.transfer_cs[i] + 1);
    }
    CHECK_EQ(bytes[N_CHIPS * CHIP_BYTES], 0xEE);
}

static void test_a_transfer_that_fails_ends_the_read(void)
{
    uint8_t bytes[EEGD_MAX_CONVERSION_BYTES];
    int64_t end_ns = 0;
    prepare();
    wire.failing = 1;
    CHECK_EQ(eegd_readout_take(&readout, bytes, &end_ns), -ETIMEDOUT);
    CHECK_EQ(wire.n_asked, 2);
}

/* How much the limit lies behind the edge, by where the sign of the lateness changes. */
static double limit_ns(uint32_t state, double period_ns)
{
    struct eegd_clock clock = {.state = state, .period_ns = period_ns};
    return -eegd_readout_lateness_ns(&readout, &clock, 5000000, 5000000 + LATENCY_NS);
}

static void test_a_read_is_late_from_four_tclk_before_the_next_edge_on(void)
{
    prepare();
    CHECK(fabs(limit_ns(EEGD_CLOCK_LOCKED, 990000) - (990000 - 4 * TCLK_NS)) < 0.001);
    /* no fit yet: as fast as the datasheet allows */
    CHECK(fabs(limit_ns(EEGD_CLOCK_ACQUIRING, 990000) - (975000 - 4 * TCLK_NS)) < 0.001);
}

static void test_transfers_that_are_no_conversion_are_refused(void)
{
    prepare();
    config.n_transfers = 0;
    CHECK_EQ(eegd_readout_init(&readout, &config), -EINVAL);
    config.n_transfers = 2;
    CHECK_EQ(eegd_readout_init(&readout, &config), -EINVAL);
    config.n_transfers = 5;
    CHECK_EQ(eegd_readout_init(&readout, &config), -EINVAL);
    prepare();
    config.n_start_cs = 5;
    CHECK_EQ(eegd_readout_init(&readout, &config), -EINVAL);
    prepare();
    config.transfer_bytes[0] += EEGD_MAX_CONVERSION_BYTES;
    config.map.n_bytes += EEGD_MAX_CONVERSION_BYTES;
    CHECK_EQ(eegd_readout_init(&readout, &config), -EINVAL);
}

int main(void)
{
    RUN(test_start_goes_to_each_chip_select_at_the_clock_of_registers);
    RUN(test_start_is_a_line_where_there_is_no_command);
    RUN(test_a_conversion_is_read_chip_after_chip_with_zeros_on_din);
    RUN(test_a_transfer_that_fails_ends_the_read);
    RUN(test_a_read_is_late_from_four_tclk_before_the_next_edge_on);
    RUN(test_transfers_that_are_no_conversion_are_refused);
    return check_report();
}
