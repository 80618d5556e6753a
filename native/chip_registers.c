/* SPDX-License-Identifier: MIT */
/*
 * Emulated ADS1299, the registers: reset values, what a write changes, what a
 * read gives (SBAS499C table 11). Runs on the thread of its caller. See chip.h.
 */
#include "chip_private.h"
#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <string.h>
#endif

/* Reset values and the bits that must keep them, SBAS499C table 11. */
static const uint8_t reset_values[ADS1299_REGISTERS] = {
    0x3E, 0x96, 0xC0, 0x60, 0x00, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61,
    0x61, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0F, 0x00, 0x00, 0x00,
};
static const uint8_t reserved_masks[ADS1299_REGISTERS] = {
    [ADS1299_REG_CONFIG1] = 0x98, [ADS1299_REG_CONFIG2] = 0xE8, [ADS1299_REG_CONFIG3] = 0x60,
    [ADS1299_REG_LOFF] = 0x10,    [ADS1299_REG_MISC1] = 0xDF,   [ADS1299_REG_MISC2] = 0xFF,
    [ADS1299_REG_CONFIG4] = 0xF5,
};
static const uint8_t reserved_values[ADS1299_REGISTERS] = {
    [ADS1299_REG_CONFIG1] = 0x90,
    [ADS1299_REG_CONFIG2] = 0xC0,
    [ADS1299_REG_CONFIG3] = 0x60,
};

void eegd_chip_reset_registers(struct eegd_chip *chip)
{
    uint32_t channel;

    memcpy(chip->reg, reset_values, sizeof(chip->reg));
    chip->reg[ADS1299_REG_ID] = chip->id;
    for (channel = chip->config.n_channels; channel < 8; channel++)
        chip->reg[ADS1299_REG_CH1SET + channel] = 0;
}

uint8_t eegd_chip_register(const struct eegd_chip *chip, uint32_t address)
{
    if (address >= ADS1299_REGISTERS)
        return 0; /* choice: nothing there */
    if (address == ADS1299_REG_ID)
        return chip->id;
    if (address == ADS1299_REG_GPIO)
        return (uint8_t)(eegd_chip_gpio_levels(chip) << 4 | (chip->reg[address] & 0x0F));
    if (address == ADS1299_REG_CONFIG3) {
        int sensing = (chip->reg[address] & 0x06) == 0x02; /* BIAS_LOFF_SENS without the amplifier */

        return (uint8_t)((chip->reg[address] & 0xFE) | (sensing && chip->bias_ohm < 0));
    }
    return chip->reg[address];
}

static int must_not_be_used(uint32_t address, uint8_t value)
{
    if (address == ADS1299_REG_CONFIG1)
        return (value & 7) == 7;
    if (address == ADS1299_REG_CONFIG2)
        return (value & 3) == 2;
    if (address >= ADS1299_REG_CH1SET && address < ADS1299_REG_CH1SET + 8)
        return (value >> 4 & 7) == 7;
    return 0;
}

/* The bits of a register that this variant has. */
static uint8_t existing_bits(const struct eegd_chip *chip, uint32_t address)
{
    if (address >= ADS1299_REG_CH1SET && address < ADS1299_REG_CH1SET + 8)
        return address - ADS1299_REG_CH1SET < chip->config.n_channels ? 0xFF : 0;
    if (address >= ADS1299_REG_BIAS_SENSP && address <= ADS1299_REG_LOFF_FLIP)
        return (uint8_t)((1u << chip->config.n_channels) - 1);
    return 0xFF;
}

static int read_only(uint32_t address)
{
    return address == ADS1299_REG_ID || address == ADS1299_REG_LOFF_STATP ||
           address == ADS1299_REG_LOFF_STATN;
}

/* Written down, then stored all the same: the datasheet marks reserved bits read/write. */
static void judge_write(struct eegd_chip *chip, uint32_t address, uint8_t value)
{
    uint32_t detail = address << 8 | value;

    if (value & ~existing_bits(chip, address))
        eegd_chip_violate(chip, chip->byte_at, EEGD_VIOLATION_NO_CHANNEL, detail);
    else if ((value & reserved_masks[address]) != reserved_values[address])
        eegd_chip_violate(chip, chip->byte_at, EEGD_VIOLATION_RESERVED, detail);
    else if (must_not_be_used(address, value))
        eegd_chip_violate(chip, chip->byte_at, EEGD_VIOLATION_DO_NOT_USE, detail);
}

void eegd_chip_write_register(struct eegd_chip *chip, uint32_t address, uint8_t value)
{
    uint8_t before;

    if (chip->lose_writes > 0) {
        chip->lose_writes--;
        return;
    }
    if (address >= ADS1299_REGISTERS) {
        eegd_chip_violate(chip, chip->byte_at, EEGD_VIOLATION_ADDRESS, address);
        return;
    }
    if (read_only(address)) {
        if (value || address == ADS1299_REG_ID)
            eegd_chip_violate(chip, chip->byte_at, EEGD_VIOLATION_READ_ONLY, address << 8 | value);
        return;
    }
    judge_write(chip, address, value);
    value &= existing_bits(chip, address);
    if (address == ADS1299_REG_CONFIG3)
        value &= 0xFE; /* BIAS_STAT is the chip's */
    before = chip->reg[address];
    chip->reg[address] = value;
    if (address == ADS1299_REG_CONFIG1 && value != before && chip->converting) {
        uint8_t stopping = chip->stop_pending;

        eegd_chip_begin_run(chip, chip->byte_at);
        chip->stop_pending = stopping;
    }
}
