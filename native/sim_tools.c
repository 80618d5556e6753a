/* SPDX-License-Identifier: MIT */
/*
 * Looking into the emulated board and touching its electrodes, for tests and
 * tools. Runs on the thread that owns the board.
 */
#include <errno.h>
#include <stddef.h>

#include "sim.h"

struct eegd_chip *eegd_board_sim_chip(struct eegd_board *board, uint32_t chip)
{
    struct sim_board *sim = (struct sim_board *)board;

    return chip < sim->config.n_chips ? &sim->slots[chip].chip : NULL;
}

int eegd_board_sim_registers(struct eegd_board *board, uint32_t chip, uint8_t *registers)
{
    const struct eegd_chip *which = eegd_board_sim_chip(board, chip);
    uint32_t address;

    if (!which)
        return -EINVAL;
    for (address = 0; address < ADS1299_REGISTERS; address++)
        registers[address] = eegd_chip_register(which, address);
    return 0;
}

int eegd_board_sim_violations(struct eegd_board *board, uint32_t chip, struct eegd_violation *out, uint32_t n)
{
    const struct eegd_chip *which = eegd_board_sim_chip(board, chip);
    uint64_t kept, i;

    if (!which)
        return -EINVAL;
    kept = which->violations < EEGD_VIOLATIONS_KEPT ? which->violations : EEGD_VIOLATIONS_KEPT;
    if (n > kept)
        n = (uint32_t)kept;
    for (i = 0; i < n; i++)
        out[i] = which->violation_ring[(which->violations - n + i) % EEGD_VIOLATIONS_KEPT];
    return (int)n;
}

uint64_t eegd_board_sim_violation_count(struct eegd_board *board, uint32_t kind)
{
    const struct sim_board *sim = (const struct sim_board *)board;
    uint64_t count = 0;
    uint32_t i;

    if (kind > EEGD_VIOLATION_KINDS)
        return 0;
    for (i = 0; i < sim->config.n_chips; i++) {
        const struct eegd_chip *chip = &sim->slots[i].chip;

        count += kind == EEGD_VIOLATION_KINDS ? chip->violations : chip->violation_counts[kind];
    }
    return count;
}

uint64_t eegd_board_sim_conversions(struct eegd_board *board)
{
    return ((const struct sim_board *)board)->slots[0].chip.falls;
}

uint64_t eegd_board_sim_samples(struct eegd_board *board)
{
    return ((const struct sim_board *)board)->samples;
}

int eegd_board_sim_impedance(struct eegd_board *board, uint32_t input, int side, int64_t ohm)
{
    struct sim_board *sim = (struct sim_board *)board;
    uint32_t i = 0;
    struct eegd_chip *chip;

    while (i < sim->config.n_chips && input >= sim->slots[i].first_input + sim->config.n_channels[i])
        i++;
    if (i == sim->config.n_chips)
        return -EINVAL;
    chip = &sim->slots[i].chip;
    input -= sim->slots[i].first_input;
    switch (side) {
    case EEGD_SIDE_P:
        chip->p_ohm[input] = ohm;
        return 0;
    case EEGD_SIDE_N:
        chip->n_ohm[input] = ohm;
        return 0;
    case EEGD_SIDE_SRB1:
        chip->srb1_ohm = ohm;
        return 0;
    case EEGD_SIDE_SRB2:
        chip->srb2_ohm = ohm;
        return 0;
    case EEGD_SIDE_BIAS:
        chip->bias_ohm = ohm;
        return 0;
    default:
        return -EINVAL;
    }
}

int eegd_board_sim_gpio(struct eegd_board *board, uint32_t chip, uint32_t levels)
{
    struct eegd_chip *which = eegd_board_sim_chip(board, chip);

    if (!which)
        return -EINVAL;
    which->gpio_in = levels & 0x0F;
    ((struct sim_board *)board)->slots[chip].gpio_in = which->gpio_in;
    return 0;
}
