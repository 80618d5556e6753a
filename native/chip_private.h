/* SPDX-License-Identifier: MIT */
/* What the files of the emulated chip share: chip.c (power, time, DRDY, pins), chip_port.c (serial port),
 * chip_registers.c and chip_input.c (analogue side, frames). Nobody else's. */
#ifndef EEGD_CHIP_PRIVATE_H
#define EEGD_CHIP_PRIVATE_H
#include "chip.h"

#define SETTLE_EXTRA 9 /* ticks by which tSETTLE exceeds 4 sample periods, SBAS499C table 7 */
#define DECODE_TICKS 4 /* tSDECODE and tSCCS, SBAS499C 7.6 */
#define UPDATE_TICKS 4 /* DRDY rises so long before it falls; as long around the fall no read may be */

enum parser_state { IDLE, READ_COUNT, READ, WRITE_COUNT, WRITE };
enum pending_action { NOTHING, COMMAND, REGISTER };

void eegd_chip_violate(struct eegd_chip *chip, uint64_t tick, uint32_t kind, uint32_t detail);

/* A run of conversions begins at t0; a run ends, without a last DRDY. */
void eegd_chip_begin_run(struct eegd_chip *chip, uint64_t t0);
void eegd_chip_halt(struct eegd_chip *chip);
/* 1 within 4 tCLK before or after a DRDY fall. */
int eegd_chip_in_keep_out(const struct eegd_chip *chip, uint64_t tick);
/* 1 while reset, power-up or power-down keep the serial port shut. */
int eegd_chip_deaf(const struct eegd_chip *chip, uint64_t tick);
/* Carries out the action that waited for 4 tCLK of quiet, as of its last clock. */
void eegd_chip_execute(struct eegd_chip *chip);

void eegd_chip_reset_registers(struct eegd_chip *chip);
/* As of chip->byte_at. */
void eegd_chip_write_register(struct eegd_chip *chip, uint32_t address, uint8_t value);

/* Builds the frame of the conversion that becomes ready at `tick` in chip->latest. 0: there is no conversion.
 */
int eegd_chip_build_frame(struct eegd_chip *chip, uint64_t tick);
/* GPIO pin levels, bit 0 = GPIO1: the D bit of an output, the level outside of an input. */
uint8_t eegd_chip_gpio_levels(const struct eegd_chip *chip);
/* 1 while the internal reference or one from outside is on. */
int eegd_chip_reference_on(const struct eegd_chip *chip);

#endif
