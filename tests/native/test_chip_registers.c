/* SPDX-License-Identifier: MIT */
/* The emulated ADS1299: reset values, reads and writes of its registers. */
#include "chip_bench.h"

static void test_registers_after_reset_are_the_datasheets(void)
{
    static const uint8_t wanted[24] = {0x3E, 0x96, 0xC0, 0x60, 0x00, 0x61, 0x61, 0x61,
                                       0x61, 0x61, 0x61, 0x61, 0x61, 0x00, 0x00, 0x00,
                                       0x00, 0x00, 0x00, 0x00, 0x0F, 0x00, 0x00, 0x00};
    static const uint32_t channels[3] = {8, 6, 4};
    static const uint8_t ids[3] = {0x3E, 0x3D, 0x3C};
    uint8_t registers[24];
    uint32_t v, i;

    for (v = 0; v < 3; v++) {
        power(channels[v]);
        command(0x11);
        read_all(registers);
        CHECK_EQ(registers[0], ids[v]);
        for (i = 1; i < 24; i++)
            CHECK_EQ(registers[i], i >= 5 + channels[v] && i <= 12 ? 0 : wanted[i]);
    }
}

static void test_registers_cannot_be_reached_in_rdatac(void)
{
    power(8);
    CHECK_EQ(read_reg(ADS1299_REG_ID), 0);
    write_reg(ADS1299_REG_LOFF, 0x02);
    CHECK_EQ(count(EEGD_VIOLATION_RDATAC), 2);
    command(0x11);
    CHECK_EQ(read_reg(ADS1299_REG_ID), 0x3E);
    CHECK_EQ(read_reg(ADS1299_REG_LOFF), 0);
}

static void test_multi_byte_writes_and_reads_count_upward(void)
{
    uint8_t tx[10] = {0x45, 0x07, 1, 2, 3, 4, 5, 6, 0x08, 0x60}, rx[10], registers[24];

    power(8);
    command(0x11);
    transfer(tx, rx, 10);
    read_all(registers);
    CHECK(memcmp(registers + 5, tx + 2, 8) == 0);
    CHECK_EQ(bench.chip.violations, 0);
}

static void test_read_only_missing_and_reserved_bits_keep_their_rules(void)
{
    power(4);
    command(0x11);
    write_reg(ADS1299_REG_ID, 0xFF);
    write_reg(ADS1299_REG_LOFF_STATP, 0xFF);
    CHECK_EQ(count(EEGD_VIOLATION_READ_ONLY), 2);
    CHECK_EQ(read_reg(ADS1299_REG_ID), 0x3C);
    CHECK_EQ(read_reg(ADS1299_REG_LOFF_STATP), 0);
    write_reg(ADS1299_REG_CH1SET + 4, 0x60);
    CHECK_EQ(read_reg(ADS1299_REG_CH1SET + 4), 0);
    write_reg(ADS1299_REG_BIAS_SENSP, 0xFF);
    CHECK_EQ(read_reg(ADS1299_REG_BIAS_SENSP), 0x0F);
    CHECK_EQ(count(EEGD_VIOLATION_NO_CHANNEL), 2);
    write_reg(ADS1299_REG_LOFF, 0x13);
    CHECK_EQ(read_reg(ADS1299_REG_LOFF), 0x13);
    CHECK_EQ(count(EEGD_VIOLATION_RESERVED), 1);
    write_reg(ADS1299_REG_CONFIG3, 0xFF);
    CHECK_EQ(read_reg(ADS1299_REG_CONFIG3), 0xFE);
    write_reg(ADS1299_REG_CH1SET, 0x70);
    write_reg(ADS1299_REG_CONFIG1, 0x97);
    write_reg(ADS1299_REG_CONFIG2, 0xD2);
    CHECK_EQ(count(EEGD_VIOLATION_DO_NOT_USE), 3);
}

static void test_addresses_beyond_17h_read_as_zero(void)
{
    uint8_t tx[4] = {0x37, 0x01, 0, 0}, rx[4];

    power(8);
    command(0x11);
    transfer(tx, rx, 4);
    CHECK_EQ(rx[3], 0);
    CHECK_EQ(count(EEGD_VIOLATION_ADDRESS), 1);
    write_reg(0x1F, 0xAA);
    CHECK_EQ(count(EEGD_VIOLATION_ADDRESS), 2);
}

static void test_gpio_reads_pin_levels(void)
{
    power(8);
    bench.chip.gpio_in = 0x0A;
    command(0x11);
    CHECK_EQ(read_reg(ADS1299_REG_GPIO), 0xAF);
    write_reg(ADS1299_REG_GPIO, 0x5C); /* GPIO1, 2 outputs: levels 1, 0 */
    CHECK_EQ(read_reg(ADS1299_REG_GPIO), 0x9C);
}

int main(void)
{
    RUN(test_registers_after_reset_are_the_datasheets);
    RUN(test_registers_cannot_be_reached_in_rdatac);
    RUN(test_multi_byte_writes_and_reads_count_upward);
    RUN(test_read_only_missing_and_reserved_bits_keep_their_rules);
    RUN(test_addresses_beyond_17h_read_as_zero);
    RUN(test_gpio_reads_pin_levels);
    return check_report();
}
