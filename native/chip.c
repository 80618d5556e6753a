/* SPDX-License-Identifier: MIT */
/*
 * Emulated ADS1299: power, reset, time, DRDY and the pins that are not the
 * serial port. Runs on the thread of its caller. See chip.h.
 */
#include "chip_private.h"
#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/string.h>
#else
#include <errno.h>
#include <string.h>
#endif

#define PULSE_TICKS 2  /* START high, RESET low */
#define RESET_TICKS 18 /* SBAS499C 9.4.2 */
#define POR_TICKS (1u << 18)

static const char *const violation_names[EEGD_VIOLATION_KINDS] = {
    [EEGD_VIOLATION_CS_EARLY] = "CS rose less than 4 tCLK after the last clock, command not executed",
    [EEGD_VIOLATION_CS_SHORT] = "CS high for less than 2 tCLK",
    [EEGD_VIOLATION_DECODE] = "command bytes less than 4 tCLK apart",
    [EEGD_VIOLATION_BUSY] = "byte while the chip resets or powers up, ignored",
    [EEGD_VIOLATION_STANDBY] = "byte other than WAKEUP in standby, ignored",
    [EEGD_VIOLATION_OPCODE] = "undefined opcode, ignored",
    [EEGD_VIOLATION_RDATAC] = "RREG, WREG or RDATA in RDATAC mode, ignored",
    [EEGD_VIOLATION_DIN] = "DIN not zero while data were clocked out",
    [EEGD_VIOLATION_RESERVED] = "reserved register bits written wrong",
    [EEGD_VIOLATION_READ_ONLY] = "read-only register written, ignored",
    [EEGD_VIOLATION_NO_CHANNEL] = "register bits of a channel that this variant lacks, forced to 0",
    [EEGD_VIOLATION_ADDRESS] = "register address beyond 17h",
    [EEGD_VIOLATION_KEEP_OUT] = "clocked within 4 tCLK of a DRDY fall",
    [EEGD_VIOLATION_TORN] = "DRDY fell within a read",
    [EEGD_VIOLATION_NO_DATA] = "RDATA without a new conversion",
    [EEGD_VIOLATION_REFERENCE] = "conversions without a reference",
    [EEGD_VIOLATION_PULSE] = "START or RESET pulse shorter than 2 tCLK",
    [EEGD_VIOLATION_START_BOTH] = "START or STOP command while the START pin is high, ignored",
    [EEGD_VIOLATION_DO_NOT_USE] = "register field set to a value that must not be used",
};

const char *eegd_violation_name(uint32_t kind)
{
    return kind < EEGD_VIOLATION_KINDS ? violation_names[kind] : "unknown";
}

void eegd_chip_violate(struct eegd_chip *chip, uint64_t tick, uint32_t kind, uint32_t detail)
{
    struct eegd_violation *entry = &chip->violation_ring[chip->violations % EEGD_VIOLATIONS_KEPT];

    entry->tick = tick;
    entry->kind = kind;
    entry->detail = detail;
    chip->violations++;
    chip->violation_counts[kind]++;
}

/* ---- conversions and DRDY ---- */

uint64_t eegd_chip_period(const struct eegd_chip *chip)
{
    uint32_t dr = chip->reg[ADS1299_REG_CONFIG1] & 7;

    return 128u << (dr < 6 ? dr : 6); /* choice: the forbidden 111 runs as 110 */
}

/* A run of conversions begins at t0: SBAS499C table 7 in one formula. */
void eegd_chip_begin_run(struct eegd_chip *chip, uint64_t t0)
{
    chip->converting = 1;
    chip->stop_pending = 0;
    chip->drdy = 1;
    chip->started_at = t0;
    chip->next_fall = t0 + 4 * eegd_chip_period(chip) + SETTLE_EXTRA;
    chip->starts++;
    chip->run_falls = 0;
    if (!eegd_chip_reference_on(chip))
        eegd_chip_violate(chip, t0, EEGD_VIOLATION_REFERENCE, 0);
}

void eegd_chip_halt(struct eegd_chip *chip)
{
    chip->converting = 0;
    chip->stop_pending = 0;
    chip->next_fall = EEGD_TICK_NEVER;
}

static void load_output(struct eegd_chip *chip)
{
    uint32_t chain = chip->config.chain_bytes ? chip->config.chain_bytes : chip->frame_bytes;

    if (chip->cs_low && chip->position > 0 && chip->position < chain)
        eegd_chip_violate(chip, chip->next_fall, EEGD_VIOLATION_TORN, chip->position);
    else
        chip->position = 0;
    memcpy(chip->out, chip->latest, sizeof(chip->out));
}

static void fall(struct eegd_chip *chip)
{
    if (!eegd_chip_build_frame(chip, chip->next_fall)) {
        chip->drdy = 1;
        chip->commanded = 0;
        eegd_chip_halt(chip);
        return;
    }
    if (chip->rdatac)
        load_output(chip);
    chip->new_data = 1;
    chip->drdy = 0;
    chip->last_fall = chip->next_fall;
    chip->falls++;
    chip->run_falls++;
    if (chip->reg[ADS1299_REG_CONFIG4] & 0x08) { /* SINGLE_SHOT */
        chip->commanded = 0;
        eegd_chip_halt(chip);
    } else if (chip->stop_pending) {
        eegd_chip_halt(chip);
    } else {
        chip->next_fall += eegd_chip_period(chip);
    }
}

/* ---- reset and power ---- */

void eegd_chip_reset(struct eegd_chip *chip, uint64_t tick)
{
    eegd_chip_reset_registers(chip);
    chip->rdatac = 1;
    chip->standby = 0;
    chip->commanded = 0;
    chip->new_data = 0;
    chip->reading = 0;
    chip->parser = IDLE;
    chip->pending = NOTHING;
    chip->drdy = 1;
    memset(chip->latest, 0, sizeof(chip->latest)); /* choice: nothing to send until the first conversion */
    memset(chip->out, 0, sizeof(chip->out));
    eegd_chip_halt(chip);
    if (tick + RESET_TICKS > chip->busy_until)
        chip->busy_until = tick + RESET_TICKS;
    if (chip->start_pin && chip->reset_pin && chip->pwdn_pin)
        eegd_chip_begin_run(chip, chip->busy_until);
}

static void power_up(struct eegd_chip *chip, uint64_t tick)
{
    if (chip->config.power_up && chip->pwdn_pin)
        chip->busy_until = tick + POR_TICKS;
    eegd_chip_reset(chip, tick);
}

void eegd_chip_brown_out(struct eegd_chip *chip, uint64_t tick)
{
    eegd_chip_advance(chip, tick);
    eegd_chip_reset(chip, tick);
}

void eegd_chip_stall(struct eegd_chip *chip, uint64_t tick)
{
    eegd_chip_advance(chip, tick);
    chip->commanded = 0;
    chip->drdy = 1;
    eegd_chip_halt(chip);
}

void eegd_chip_defaults(struct eegd_chip_config *config)
{
    memset(config, 0, sizeof(*config));
    config->n_channels = 8;
    config->revision = 1;
    config->noise = EEGD_NOISE_SHORTED;
    config->seed = 1;
    config->avdd_mv = 5000;
    config->dvdd_mv = 3300;
    config->temperature_mc = 25000;
}

int eegd_chip_init(struct eegd_chip *chip, const struct eegd_chip_config *config, eegd_chip_convert convert,
                   void *context, uint64_t tick)
{
    if (config->n_channels != 4 && config->n_channels != 6 && config->n_channels != 8)
        return -EINVAL;
    memset(chip, 0, sizeof(*chip));
    chip->config = *config;
    chip->convert = convert;
    chip->context = context;
    chip->id = (uint8_t)((config->revision << 5) | 0x1C | (config->n_channels - 4) / 2);
    chip->frame_bytes = 3 + 3 * config->n_channels;
    chip->random = config->seed;
    chip->reset_pin = 1;
    chip->pwdn_pin = 1;
    chip->now = tick;
    chip->cs_rose_at = EEGD_TICK_NEVER; /* never yet */
    power_up(chip, tick);
    return 0;
}

/* ---- time ---- */

uint64_t eegd_chip_next_event(const struct eegd_chip *chip)
{
    uint64_t next = EEGD_TICK_NEVER;

    if (chip->converting)
        next = chip->drdy ? chip->next_fall : chip->next_fall - UPDATE_TICKS;
    if (chip->pending != NOTHING && chip->byte_at + DECODE_TICKS <= next)
        next = chip->byte_at + DECODE_TICKS;
    return next;
}

void eegd_chip_advance(struct eegd_chip *chip, uint64_t tick)
{
    uint64_t next;

    while ((next = eegd_chip_next_event(chip)) <= tick && next != EEGD_TICK_NEVER) {
        if (chip->pending && next == chip->byte_at + DECODE_TICKS)
            eegd_chip_execute(chip);
        else if (!chip->drdy)
            chip->drdy = 1;
        else
            fall(chip);
    }
    if (tick > chip->now)
        chip->now = tick;
}

/* 1 within 4 tCLK before or after a DRDY fall. */
int eegd_chip_in_keep_out(const struct eegd_chip *chip, uint64_t tick)
{
    if (chip->converting && chip->next_fall - tick < UPDATE_TICKS)
        return 1;
    return chip->falls > 0 && tick - chip->last_fall < UPDATE_TICKS;
}

int eegd_chip_deaf(const struct eegd_chip *chip, uint64_t tick)
{
    return !chip->pwdn_pin || !chip->reset_pin || tick < chip->busy_until;
}

/* ---- pins ---- */

void eegd_chip_start_pin(struct eegd_chip *chip, uint64_t tick, int level)
{
    eegd_chip_advance(chip, tick);
    if (chip->start_pin == !!level)
        return;
    chip->start_pin = !!level;
    if (!level) {
        if (tick - chip->start_rose_at < PULSE_TICKS)
            eegd_chip_violate(chip, tick, EEGD_VIOLATION_PULSE, (uint32_t)(tick - chip->start_rose_at));
        if (!chip->commanded)
            chip->stop_pending = chip->converting;
        return;
    }
    chip->start_rose_at = tick;
    if (chip->standby || !chip->reset_pin || !chip->pwdn_pin)
        return;
    if (!chip->converting || chip->stop_pending)
        eegd_chip_begin_run(chip, tick > chip->busy_until ? tick : chip->busy_until);
}

void eegd_chip_reset_pin(struct eegd_chip *chip, uint64_t tick, int level)
{
    eegd_chip_advance(chip, tick);
    if (chip->reset_pin == !!level)
        return;
    chip->reset_pin = !!level;
    if (!level) {
        chip->reset_fell_at = tick;
        eegd_chip_reset(chip, tick);
        return;
    }
    if (tick - chip->reset_fell_at < PULSE_TICKS) /* choice: a short pulse resets all the same */
        eegd_chip_violate(chip, tick, EEGD_VIOLATION_PULSE, (uint32_t)(tick - chip->reset_fell_at));
    eegd_chip_reset(chip, tick);
}

void eegd_chip_pwdn_pin(struct eegd_chip *chip, uint64_t tick, int level)
{
    eegd_chip_advance(chip, tick);
    if (chip->pwdn_pin == !!level)
        return;
    chip->pwdn_pin = !!level;
    power_up(chip, tick); /* choice: registers do not survive power-down */
}
