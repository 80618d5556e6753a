// SPDX-License-Identifier: MIT
/*
 * Faults of the emulated hardware: which hold for a DRDY fall, what they do to
 * the chips and to the bytes of a transfer. Edges are spoilt in clock.c.
 */
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/string.h>
#include "emulator.h"

static const char *const names[FAULT_KINDS] = {
    [FAULT_MISSED] = "missed",
    [FAULT_DELAYED] = "delayed",
    [FAULT_DOUBLED] = "doubled",
    [FAULT_MERGED] = "merged",
    [FAULT_ZEROS] = "zeros",
    [FAULT_ONES] = "ones",
    [FAULT_BIT_SLIP] = "bit_slip",
    [FAULT_BYTE_SLIP] = "byte_slip",
    [FAULT_STUCK] = "stuck",
    [FAULT_MODE] = "mode",
    [FAULT_IOCTL] = "ioctl",
    [FAULT_SLOW] = "slow",
    [FAULT_DEAD] = "dead",
    [FAULT_UNPLUGGED] = "unplugged",
    [FAULT_STOPPED] = "stopped",
    [FAULT_BROWN_OUT] = "brown_out",
    [FAULT_ID] = "id",
};

const char *emulator_fault_name(enum fault_kind kind)
{
    return names[kind];
}

u64 emulator_present_fall(const struct emulator *emulator)
{
    u64 falls = emulator->slots[0].chip.falls;

    return falls > 0 ? falls - 1 : 0;
}

/* Falls since the fault last began; U64_MAX before its first time. */
static u64 age(const struct fault *fault, u64 fall)
{
    u64 age, rest;

    if (fall < fault->at)
        return U64_MAX;
    age = fall - fault->at;
    if (fault->period == 0)
        return age;
    div64_u64_rem(age, fault->period, &rest);
    return rest;
}

static bool holds(const struct fault *fault, u64 fall)
{
    u64 falls = age(fault, fall);

    return falls != U64_MAX && (fault->count == 0 || falls < fault->count);
}

const struct fault *emulator_fault(const struct emulator *emulator, enum fault_kind kind, u64 fall)
{
    u32 i;

    for (i = 0; i < emulator->n_faults; i++)
        if (emulator->faults[i].kind == kind && holds(&emulator->faults[i], fall))
            return &emulator->faults[i];
    return NULL;
}

bool emulator_is_dead(const struct emulator *emulator, const struct slot *slot)
{
    const struct fault *fault = emulator_fault(emulator, FAULT_DEAD, emulator_present_fall(emulator));

    if (emulator->unplugged)
        return true;
    return fault && (fault->chip == U32_MAX || fault->chip == slot - emulator->slots);
}

/* ---- what happens once ---- */

static void happen(struct emulator *emulator, const struct fault *fault, u64 ns)
{
    u32 i;

    for (i = 0; i < emulator->n_chips; i++) {
        struct eegd_chip *chip = &emulator->slots[i].chip;
        u64 tick = emulator_tick(&emulator->slots[i], ns);

        if (fault->chip != U32_MAX && fault->chip != i)
            continue;
        if (fault->kind == FAULT_STOPPED)
            eegd_chip_stall(chip, tick);
        else if (fault->kind == FAULT_BROWN_OUT)
            eegd_chip_brown_out(chip, tick);
        else if (fault->kind == FAULT_ID)
            chip->id = (u8)fault->value;
    }
    emulator->counters.injected[fault->kind]++;
}

static bool happens_once(enum fault_kind kind)
{
    return kind >= FAULT_STOPPED;
}

static void set_unplugged(struct emulator *emulator, bool unplugged, u64 ns)
{
    u32 i;

    if (emulator->unplugged == unplugged)
        return;
    emulator->unplugged = unplugged;
    if (unplugged)
        emulator->counters.injected[FAULT_UNPLUGGED]++;
    else
        for (i = 0; i < emulator->n_chips; i++)
            eegd_chip_brown_out(&emulator->slots[i].chip, emulator_tick(&emulator->slots[i], ns));
}

void emulator_faults_run(struct emulator *emulator, u64 ns)
{
    u64 fall;
    u32 i;

    while (emulator->faults_seen < emulator->slots[0].chip.falls) {
        fall = emulator->faults_seen++;
        if (emulator->n_faults == 0)
            continue;
        set_unplugged(emulator, emulator_fault(emulator, FAULT_UNPLUGGED, fall), ns);
        if (emulator_fault(emulator, FAULT_DEAD, fall))
            emulator->counters.injected[FAULT_DEAD]++;
        for (i = 0; i < emulator->n_faults; i++)
            if (happens_once(emulator->faults[i].kind) && age(&emulator->faults[i], fall) == 0)
                happen(emulator, &emulator->faults[i], ns);
    }
}

/* ---- bytes ---- */

static void shift_early(u8 *rx, u32 len)
{
    u32 i;

    for (i = 0; i < len; i++)
        rx[i] = (u8)(rx[i] << 1 | (i + 1 < len ? rx[i + 1] >> 7 : 0));
}

static void shift_late(u8 *rx, u32 len)
{
    u32 i;

    for (i = len; i-- > 0;)
        rx[i] = (u8)(rx[i] >> 1 | (i > 0 ? rx[i - 1] << 7 : 0));
}

static const struct fault *spoils(struct emulator *emulator, enum fault_kind kind)
{
    const struct fault *fault = emulator_fault(emulator, kind, emulator_present_fall(emulator));

    if (fault)
        emulator->counters.injected[kind]++;
    return fault;
}

void emulator_spoil(struct emulator *emulator, u8 *rx, u32 len, bool frame)
{
    const struct fault *fault;
    u32 bytes;

    if (emulator->max_sclk_hz && emulator->wire.hz > emulator->max_sclk_hz) {
        emulator->counters.too_fast++;
        shift_late(rx, len);
    }
    if (emulator->unplugged)
        memset(rx, 0xFF, len);
    if (emulator->n_faults == 0)
        return;
    if (frame && spoils(emulator, FAULT_ZEROS))
        memset(rx, 0, len);
    if (frame && spoils(emulator, FAULT_ONES))
        memset(rx, 0xFF, len);
    if (frame && spoils(emulator, FAULT_BIT_SLIP))
        shift_early(rx, len);
    fault = frame ? spoils(emulator, FAULT_BYTE_SLIP) : NULL;
    if (fault) {
        bytes = clamp_t(s64, fault->value, 1, len);
        memmove(rx, rx + bytes, len - bytes);
        memset(rx + len - bytes, 0, bytes);
    }
    if (spoils(emulator, FAULT_MODE))
        shift_late(rx, len);
    fault = spoils(emulator, FAULT_STUCK);
    if (fault)
        memset(rx, (u8)fault->value, len);
}

/* ---- text ---- */

static int parse_field(struct fault *fault, char *field)
{
    const char *name = strsep(&field, "="); /* not by sscanf: the kernel's knows no ranges in %[] */
    s64 value;

    if (!field || kstrtos64(field, 0, &value))
        return -EINVAL;
    if (!strcmp(name, "at"))
        fault->at += value;
    else if (!strcmp(name, "count"))
        fault->count = value;
    else if (!strcmp(name, "period"))
        fault->period = value;
    else if (!strcmp(name, "value"))
        fault->value = value;
    else if (!strcmp(name, "chip"))
        fault->chip = (u32)value;
    else
        return -EINVAL;
    return 0;
}

static int parse(struct fault *fault, char *text)
{
    char *word = strsep(&text, " \n");
    int kind = match_string(names, FAULT_KINDS, word), error = 0;

    if (kind < 0)
        return -EINVAL;
    fault->kind = kind;
    while (!error && (word = strsep(&text, " \n")))
        if (*word)
            error = parse_field(fault, word);
    return error;
}

int emulator_fault_add(struct emulator *emulator, const char *text)
{
    struct fault fault = {.chip = U32_MAX, .count = 1};
    unsigned long flags;
    char copy[96];
    int error = 0;
    u64 ns;

    if (strscpy(copy, text, sizeof(copy)) < 0)
        return -EINVAL;
    raw_spin_lock_irqsave(&emulator->lock, flags);
    ns = emulator_catch_up(emulator);
    fault.at = emulator->slots[0].chip.falls;
    if (!strncmp(copy, "clear", 5)) {
        set_unplugged(emulator, false, ns);
        emulator->n_faults = 0;
    } else {
        error = parse(&fault, copy);
        if (!error && happens_once(fault.kind) && fault.at == emulator->slots[0].chip.falls &&
            fault.period == 0)
            happen(emulator, &fault, ns);
        else if (!error && emulator->n_faults < EMULATOR_FAULTS)
            emulator->faults[emulator->n_faults++] = fault;
        else if (!error)
            error = -ENOSPC;
        if (!error && fault.kind == FAULT_UNPLUGGED && fault.at == emulator->slots[0].chip.falls)
            set_unplugged(emulator, true, ns); /* chips that do not convert fall never */
    }
    emulator_arm(emulator);
    raw_spin_unlock_irqrestore(&emulator->lock, flags);
    return error;
}
