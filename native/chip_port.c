/* SPDX-License-Identifier: MIT */
/*
 * Emulated ADS1299, the serial port: CS, bytes in and out, opcodes. Runs on the
 * thread of its caller. See chip.h.
 */
#include "chip_private.h"
#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <string.h>
#endif

#define CS_HIGH_TICKS 2 /* tCSH */
#define WAKEUP_TICKS 64 /* 31.25 us from WAKEUP to a running modulator */

#define OP_WAKEUP 0x02
#define OP_STANDBY 0x04
#define OP_RESET 0x06
#define OP_START 0x08
#define OP_STOP 0x0A
#define OP_RDATAC 0x10
#define OP_SDATAC 0x11
#define OP_RDATA 0x12

/* ---- commands ---- */

static void command_start(struct eegd_chip *chip)
{
    if (chip->start_pin) {
        eegd_chip_violate(chip, chip->byte_at, EEGD_VIOLATION_START_BOTH, OP_START);
        return;
    }
    chip->commanded = 1;
    if (!chip->converting || chip->stop_pending)
        eegd_chip_begin_run(chip, chip->byte_at);
}

static void command_stop(struct eegd_chip *chip)
{
    if (chip->start_pin) { /* choice: the pin wins */
        eegd_chip_violate(chip, chip->byte_at, EEGD_VIOLATION_START_BOTH, OP_STOP);
        return;
    }
    chip->commanded = 0;
    chip->stop_pending = chip->converting;
}

static void command_standby(struct eegd_chip *chip)
{
    chip->standby = 1;
    chip->reading = 0;
    chip->drdy = 1;
    eegd_chip_halt(chip);
}

static void command_wakeup(struct eegd_chip *chip)
{
    if (!chip->standby)
        return;
    chip->standby = 0;
    if (chip->start_pin || chip->commanded)
        eegd_chip_begin_run(chip, chip->byte_at + WAKEUP_TICKS);
}

static void command_rdatac(struct eegd_chip *chip)
{
    if (eegd_chip_in_keep_out(chip, chip->byte_at))
        eegd_chip_violate(chip, chip->byte_at, EEGD_VIOLATION_KEEP_OUT, 0);
    chip->rdatac = 1;
    chip->reading = 0;
    chip->position = 0;
    memcpy(chip->out, chip->latest, sizeof(chip->out)); /* choice: the newest conversion at once */
}

static void command_rdata(struct eegd_chip *chip)
{
    if (!chip->new_data)
        eegd_chip_violate(chip, chip->byte_at, EEGD_VIOLATION_NO_DATA, 0);
    chip->reading = 1;
    chip->new_data = 0;
    chip->position = 0;
    memcpy(chip->out, chip->latest, sizeof(chip->out));
}

void eegd_chip_execute(struct eegd_chip *chip)
{
    uint8_t action = chip->pending;

    chip->pending = NOTHING;
    if (action == REGISTER) {
        eegd_chip_write_register(chip, chip->pending_address, chip->pending_byte);
        return;
    }
    switch (chip->pending_byte) {
    case OP_WAKEUP:
        command_wakeup(chip);
        break;
    case OP_STANDBY:
        command_standby(chip);
        break;
    case OP_RESET:
        eegd_chip_reset(chip, chip->byte_at);
        break;
    case OP_START:
        command_start(chip);
        break;
    case OP_STOP:
        command_stop(chip);
        break;
    case OP_RDATAC:
        command_rdatac(chip);
        break;
    case OP_SDATAC:
        chip->rdatac = 0;
        chip->reading = 0;
        break;
    case OP_RDATA:
        command_rdata(chip);
        break;
    }
}

/* ---- bytes ---- */

int eegd_chip_sending(const struct eegd_chip *chip)
{
    return (chip->rdatac || chip->reading) && !chip->standby && !eegd_chip_deaf(chip, chip->now);
}

static void clock_edge(struct eegd_chip *chip)
{
    if (chip->converting || !(chip->reg[ADS1299_REG_CONFIG4] & 0x08)) /* single shot: DRDY stays low */
        chip->drdy = 1;
}

void eegd_chip_sclk(struct eegd_chip *chip, uint64_t tick)
{
    eegd_chip_advance(chip, tick);
    clock_edge(chip);
}

void eegd_chip_cs(struct eegd_chip *chip, uint64_t tick, int level)
{
    eegd_chip_advance(chip, tick);
    if (chip->cs_low == !level)
        return;
    chip->cs_low = !level;
    if (chip->cs_low) {
        if (chip->cs_rose_at != EEGD_TICK_NEVER && tick - chip->cs_rose_at < CS_HIGH_TICKS)
            eegd_chip_violate(chip, tick, EEGD_VIOLATION_CS_SHORT, (uint32_t)(tick - chip->cs_rose_at));
    } else {
        chip->cs_rose_at = tick;
        if (chip->pending != NOTHING)
            eegd_chip_violate(chip, tick, EEGD_VIOLATION_CS_EARLY, chip->pending_byte);
    }
    chip->pending = NOTHING;
    chip->parser = IDLE;
    chip->reading = 0;
    chip->position = 0;
}

static void pend(struct eegd_chip *chip, uint8_t action, uint8_t byte)
{
    chip->pending = action;
    chip->pending_byte = byte;
}

static void parse_opcode(struct eegd_chip *chip, uint64_t tick, uint8_t byte)
{
    int access = (byte & 0xE0) == 0x20 || (byte & 0xE0) == 0x40;

    if (chip->rdatac && (access || byte == OP_RDATA)) {
        eegd_chip_violate(chip, tick, EEGD_VIOLATION_RDATAC, byte);
        return;
    }
    if (access) {
        chip->parser = (byte & 0xE0) == 0x20 ? READ_COUNT : WRITE_COUNT;
        chip->address = byte & 0x1F;
        chip->reading = 0;
        return;
    }
    switch (byte) {
    case 0:
        break;
    case OP_WAKEUP:
    case OP_STANDBY:
    case OP_RESET:
    case OP_START:
    case OP_STOP:
    case OP_RDATAC:
    case OP_SDATAC:
    case OP_RDATA:
        pend(chip, COMMAND, byte);
        break;
    default:
        eegd_chip_violate(chip, tick, EEGD_VIOLATION_OPCODE, byte);
    }
}

static void parse(struct eegd_chip *chip, uint64_t tick, uint8_t byte)
{
    switch (chip->parser) {
    case READ_COUNT:
    case WRITE_COUNT:
        chip->left = (uint8_t)((byte & 0x1F) + 1);
        chip->parser++;
        break;
    case READ:
        if (byte) /* choice: not decoded while registers are shifted out */
            eegd_chip_violate(chip, tick, EEGD_VIOLATION_DIN, byte);
        break;
    case WRITE:
        pend(chip, REGISTER, byte);
        chip->pending_address = chip->address++;
        if (--chip->left == 0)
            chip->parser = IDLE;
        break;
    default:
        parse_opcode(chip, tick, byte);
    }
}

static uint8_t shift_out(struct eegd_chip *chip, uint64_t tick, uint8_t daisy_in)
{
    uint8_t byte;

    if (chip->parser == READ) {
        if (chip->address >= ADS1299_REGISTERS)
            eegd_chip_violate(chip, tick, EEGD_VIOLATION_ADDRESS, chip->address);
        byte = eegd_chip_register(chip, chip->address++);
        return byte;
    }
    if (!eegd_chip_sending(chip)) /* choice: 0 where the datasheet is silent */
        return chip->position >= chip->frame_bytes ? daisy_in : 0;
    if (chip->rdatac && eegd_chip_in_keep_out(chip, tick))
        eegd_chip_violate(chip, tick, EEGD_VIOLATION_KEEP_OUT, chip->position);
    if (chip->position < chip->frame_bytes)
        return chip->out[chip->position];
    if (chip->reg[ADS1299_REG_CONFIG1] & 0x40) /* multiple readback */
        return chip->out[chip->position % chip->frame_bytes];
    return daisy_in;
}

/* 1 when this byte comes less than tSDECODE after the one that it belongs to or follows. RDATA needs no
 * pause. */
static int too_fast(const struct eegd_chip *chip, uint64_t tick)
{
    int follows = chip->parser != IDLE || chip->pending == REGISTER ||
                  (chip->pending == COMMAND && chip->pending_byte != OP_RDATA);

    return follows && tick - chip->byte_at < DECODE_TICKS;
}

static uint8_t hear(struct eegd_chip *chip, uint64_t tick, uint8_t din, uint8_t daisy_in)
{
    int dropped = 0, was_reading;
    uint8_t dout;

    if (too_fast(chip, tick)) {
        eegd_chip_violate(chip, tick, EEGD_VIOLATION_DECODE, din);
        dropped = chip->config.drop_fast != 0;
    }
    if (chip->pending != NOTHING)
        eegd_chip_execute(chip);
    if (eegd_chip_deaf(chip, tick)) { /* by the RESET just executed */
        chip->byte_at = tick;
        return 0;
    }
    was_reading = chip->parser == READ;
    dout = shift_out(chip, tick, daisy_in);
    chip->byte_at = tick;
    if (din && eegd_chip_sending(chip) && chip->position > 0 && chip->parser == IDLE)
        eegd_chip_violate(chip, tick, EEGD_VIOLATION_DIN, din);
    chip->position++;
    if (dropped)
        chip->parser = IDLE;
    else if (chip->standby && din != OP_WAKEUP && din)
        eegd_chip_violate(chip, tick, EEGD_VIOLATION_STANDBY, din);
    else
        parse(chip, tick, din);
    if (was_reading && chip->parser == READ && --chip->left == 0)
        chip->parser = IDLE;
    return dout;
}

uint8_t eegd_chip_exchange(struct eegd_chip *chip, uint64_t tick, uint8_t din, uint8_t daisy_in)
{
    eegd_chip_advance(chip, tick);
    clock_edge(chip);
    if (!chip->cs_low)
        return 0;
    if (eegd_chip_deaf(chip, tick)) {
        if (din)
            eegd_chip_violate(chip, tick, EEGD_VIOLATION_BUSY, din);
        chip->byte_at = tick;
        return 0;
    }
    return hear(chip, tick, din, daisy_in);
}

int eegd_chip_can_skip(const struct eegd_chip *chip, uint64_t first, uint64_t last)
{
    if (!chip->cs_low || chip->parser != IDLE || chip->pending != NOTHING || !eegd_chip_sending(chip))
        return 0;
    return !eegd_chip_in_keep_out(chip, first) &&
           (!chip->converting || last + UPDATE_TICKS <= chip->next_fall);
}

void eegd_chip_skip(struct eegd_chip *chip, uint64_t last, uint32_t n)
{
    eegd_chip_advance(chip, last);
    clock_edge(chip);
    chip->byte_at = last;
    chip->position += n;
}
