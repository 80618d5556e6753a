/* SPDX-License-Identifier: MIT */
/*
 * Emulated ADS1299, the analogue side: input multiplexer, reference wirings,
 * lead-off currents, test signal, noise, and the frame that a conversion
 * becomes. Runs on the thread of its caller. See chip.h.
 */
#include "chip_private.h"
#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <string.h>
#endif

#define VREF_NV 4500000000LL
#define TEST_NV (VREF_NV / 2400) /* SBAS499C formula; its electrical table belongs to a 2.4 V reference */
#define LIMIT_NV 10000000000LL   /* far beyond every range: keeps products within 64 bits */
#define CODE_MAX 8388607
#define CODE_MIN (-8388608)

#define MUX_ELECTRODES 0
#define MUX_SHORTED 1
#define MUX_BIAS 2
#define MUX_SUPPLY 3
#define MUX_TEMPERATURE 4
#define MUX_TEST 5
#define MUX_BIAS_P 6
#define MUX_BIAS_N 7

static const uint8_t gains[8] = {1, 2, 4, 6, 8, 12, 24, 24}; /* choice: the forbidden 111 is 24 */

/* SBAS499C table 1, nV rms: rate (16 kSPS first) by gain. */
static const uint16_t noise_nv[7][7] = {
    {21700, 10850, 5600, 3870, 3050, 2270, 1660}, {6930, 3650, 1980, 1310, 1110, 920, 800},
    {4330, 2280, 1240, 930, 790, 650, 560},       {3060, 1610, 880, 660, 560, 460, 400},
    {2170, 1140, 620, 460, 390, 320, 280},        {1530, 810, 440, 330, 280, 230, 200},
    {1080, 570, 310, 230, 200, 160, 140},
};
static const int64_t lead_off_pa[4] = {6000, 24000, 6000000, 24000000};
static const uint16_t threshold_permille[8] = {950, 925, 900, 875, 850, 800, 750, 700};

int64_t eegd_chip_noise_nv(uint32_t dr, uint32_t gain_code)
{
    return noise_nv[dr < 6 ? dr : 6][gain_code < 6 ? gain_code : 6];
}

static int32_t clip(int64_t code)
{
    return code > CODE_MAX ? CODE_MAX : code < CODE_MIN ? CODE_MIN : (int32_t)code;
}

static int64_t within(int64_t nv)
{
    return nv > LIMIT_NV ? LIMIT_NV : nv < -LIMIT_NV ? -LIMIT_NV : nv;
}

int32_t eegd_chip_code(int64_t nv, uint32_t gain)
{
    /* 2^23 / 4.5e9 nV in lowest terms is 2^15 / 17578125. */
    int64_t scaled = within(nv) * gain * 32768;

    return clip((scaled + (scaled < 0 ? -8789062 : 8789062)) / 17578125);
}

uint8_t eegd_chip_gpio_levels(const struct eegd_chip *chip)
{
    uint8_t inputs = chip->reg[ADS1299_REG_GPIO] & 0x0F;
    uint8_t latch = chip->reg[ADS1299_REG_GPIO] >> 4;

    return (uint8_t)(((latch & ~inputs) | (chip->gpio_in & inputs)) & 0x0F);
}

int eegd_chip_reference_on(const struct eegd_chip *chip)
{
    return chip->config.external_reference || (chip->reg[ADS1299_REG_CONFIG3] & 0x80);
}

/* splitmix64: one addition of state per number. */
static uint64_t next_random(struct eegd_chip *chip)
{
    uint64_t z = chip->random += 0x9E3779B97F4A7C15u;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Twelve uniform 16-bit numbers sum to a bell of variance (2^16)^2: Gaussian out to beyond 4 sigma. */
static int64_t gaussian(struct eegd_chip *chip, int64_t rms_nv)
{
    int64_t sum = -12 * 65535 / 2;
    int word;

    for (word = 0; word < 3; word++) {
        uint64_t bits = next_random(chip);

        sum += (int64_t)((bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48));
    }
    return rms_nv * sum / 65536;
}

/* ---- square waves: test signal and lead-off tones ---- */

/* +6 or -6: the sign of a square wave of this half period in the sample interval that ends `ticks` after
 * START. */
static int square(uint64_t ticks, uint64_t half_period)
{
    return ((ticks - 1) / half_period) & 1 ? -6 : 6;
}

/* The same as the chip reports it, in sixths: sharp, or through sinc3, whose step response is 1/6, 5/6, 1. */
static int settled_square(const struct eegd_chip *chip, uint64_t tick, uint64_t half_period)
{
    uint64_t period = eegd_chip_period(chip), ticks = tick - chip->started_at - SETTLE_EXTRA;

    if (!chip->config.settle || ticks < 3 * period)
        return square(ticks, half_period);
    return (square(ticks, half_period) + 4 * square(ticks - period, half_period) +
            square(ticks - 2 * period, half_period)) /
           6;
}

static int64_t test_nv(const struct eegd_chip *chip, uint64_t tick)
{
    uint8_t config2 = chip->reg[ADS1299_REG_CONFIG2];
    int64_t amplitude = config2 & 0x04 ? 2 * TEST_NV : TEST_NV;

    if (!(config2 & 0x10))
        return 0; /* choice: nothing is connected to TESTP and TESTN */
    switch (config2 & 3) {
    case 0:
        return amplitude * settled_square(chip, tick, 1u << 20) / 6;
    case 1:
        return amplitude * settled_square(chip, tick, 1u << 19) / 6;
    default: /* choice: the forbidden 10 is DC as well */
        return -amplitude;
    }
}

/* ---- lead-off ---- */

/* Current into the P inputs, in pA times 6; the N inputs sink the same. */
static int64_t lead_off_current(const struct eegd_chip *chip, uint64_t tick)
{
    uint8_t loff = chip->reg[ADS1299_REG_LOFF];
    int64_t current = lead_off_pa[loff >> 2 & 3];

    switch (loff & 3) {
    case 0:
        return 6 * current;
    case 1:
        return current * settled_square(chip, tick, 1u << 17);
    case 2:
        return current * settled_square(chip, tick, 1u << 15);
    default:
        return current * settled_square(chip, tick, 2 * eegd_chip_period(chip));
    }
}

/* A pin that carries a lead-off current (pA times 6): an open one goes to the rail. */
static int64_t driven(const struct eegd_chip *chip, int64_t nv, int64_t current, int64_t ohm)
{
    int64_t rail = (int64_t)(chip->config.avdd_mv - chip->config.avss_mv) * 500000;

    if (!current)
        return nv;
    nv = ohm < 0 ? (current > 0 ? rail : -rail) : nv + current * (ohm < 1000000000 ? ohm : 1000000000) / 6000;
    return nv > rail ? rail : nv < -rail ? -rail : nv;
}

static int beyond_threshold(const struct eegd_chip *chip, int64_t nv)
{
    int64_t supply = (int64_t)(chip->config.avdd_mv - chip->config.avss_mv) * 1000;
    int64_t limit = supply * (threshold_permille[chip->reg[ADS1299_REG_LOFF] >> 5] - 500);

    return nv > limit || nv < -limit;
}

struct pins {
    int64_t p;
    int64_t n;
};

/* What the amplifier of a channel sees at its two inputs when MUX is electrodes. */
static struct pins electrodes(const struct eegd_chip *chip, const struct eegd_chip_inputs *inputs,
                              uint32_t channel, int64_t current, int64_t srb1_nv)
{
    int srb1 = chip->reg[ADS1299_REG_MISC1] & 0x20;
    int srb2 = chip->reg[ADS1299_REG_CH1SET + channel] & 0x08;
    int off = chip->electrodes_off >> channel & 1;
    struct pins pins = {within(srb2 ? inputs->srb2_nv : inputs->p_nv[channel]),
                        within(srb1 ? srb1_nv : inputs->n_nv[channel])};

    if (!current)
        return pins;
    if (chip->reg[ADS1299_REG_LOFF_FLIP] >> channel & 1)
        current = -current;
    if (chip->reg[ADS1299_REG_LOFF_SENSP] >> channel & 1)
        pins.p = driven(chip, pins.p, current, srb2 ? chip->srb2_ohm : off ? -1 : chip->p_ohm[channel]);
    if ((chip->reg[ADS1299_REG_LOFF_SENSN] >> channel & 1) && !srb1)
        pins.n = driven(chip, pins.n, -current, off ? -1 : chip->n_ohm[channel]);
    return pins;
}

/* SRB1 joins all N inputs: the currents of all of them flow through the one electrode there. */
static int64_t srb1_potential(const struct eegd_chip *chip, const struct eegd_chip_inputs *inputs,
                              int64_t current)
{
    int64_t sum = 0;
    uint32_t channel;

    if (!current || !(chip->reg[ADS1299_REG_MISC1] & 0x20))
        return within(inputs->srb1_nv);
    for (channel = 0; channel < chip->config.n_channels; channel++)
        if (chip->reg[ADS1299_REG_LOFF_SENSN] >> channel & 1)
            sum += chip->reg[ADS1299_REG_LOFF_FLIP] >> channel & 1 ? current : -current;
    return driven(chip, within(inputs->srb1_nv), sum, chip->srb1_ohm);
}

static void compare(struct eegd_chip *chip, uint32_t channel, struct pins pins)
{
    uint8_t bit = (uint8_t)(1u << channel);

    if ((chip->reg[ADS1299_REG_LOFF_SENSP] & bit) && beyond_threshold(chip, pins.p))
        chip->reg[ADS1299_REG_LOFF_STATP] |= bit;
    if ((chip->reg[ADS1299_REG_LOFF_SENSN] & bit) && beyond_threshold(chip, pins.n))
        chip->reg[ADS1299_REG_LOFF_STATN] |= bit;
}

/* ---- one channel ---- */

static int64_t supply_nv(const struct eegd_chip *chip, uint32_t channel)
{
    if (channel == 2 || channel == 3)
        return (int64_t)chip->config.dvdd_mv * 1000000 / 4;
    return (int64_t)(chip->config.avdd_mv - chip->config.avss_mv) * 1000000 / 2;
}

static int64_t internal_nv(const struct eegd_chip *chip, const struct eegd_chip_inputs *inputs,
                           uint32_t channel, uint64_t tick, struct pins pins)
{
    switch (chip->reg[ADS1299_REG_CH1SET + channel] & 7) {
    case MUX_BIAS:
        return chip->reg[ADS1299_REG_CONFIG3] & 0x10 ? within(inputs->bias_nv) : 0;
    case MUX_SUPPLY:
        return supply_nv(chip, channel);
    case MUX_TEMPERATURE:
        return 145300000 + (int64_t)(chip->config.temperature_mc - 25000) * 490;
    case MUX_TEST:
        return test_nv(chip, tick);
    case MUX_BIAS_P:
        return within(inputs->bias_nv) - pins.n;
    case MUX_BIAS_N:
        return pins.p - within(inputs->bias_nv);
    default:
        return 0;
    }
}

static int32_t channel_code(struct eegd_chip *chip, const struct eegd_chip_inputs *inputs, uint32_t channel,
                            uint64_t tick, struct pins pins)
{
    uint8_t setting = chip->reg[ADS1299_REG_CH1SET + channel];
    uint8_t mux = setting & 7, gain_code = setting >> 4 & 7;
    uint32_t noise = chip->config.noise;
    int64_t nv;

    if (setting & 0x80)
        return 0;
    if (!eegd_chip_reference_on(chip))
        mux = MUX_SHORTED; /* choice: noise that looks plausible */
    if (mux == MUX_ELECTRODES && inputs->codes)
        return clip(inputs->codes[channel]);
    nv = mux == MUX_ELECTRODES ? pins.p - pins.n
         : mux == MUX_SHORTED  ? 0
                               : internal_nv(chip, inputs, channel, tick, pins);
    if (noise == EEGD_NOISE_ALL || (noise == EEGD_NOISE_SHORTED && (mux == MUX_SHORTED || mux == MUX_TEST)))
        nv += gaussian(chip, eegd_chip_noise_nv(chip->reg[ADS1299_REG_CONFIG1] & 7, gain_code));
    return eegd_chip_code(nv + chip->config.offset_nv, gains[gain_code]);
}

/* ---- the frame ---- */

static void write_status(struct eegd_chip *chip)
{
    uint8_t p = chip->reg[ADS1299_REG_LOFF_STATP], n = chip->reg[ADS1299_REG_LOFF_STATN];

    chip->latest[0] = (uint8_t)(0xC0 | p >> 4);
    chip->latest[1] = (uint8_t)(p << 4 | n >> 4);
    chip->latest[2] = (uint8_t)(n << 4 | eegd_chip_gpio_levels(chip));
}

static void copy_frame(struct eegd_chip *chip, const struct eegd_chip_inputs *inputs)
{
    uint32_t n = inputs->frame_bytes < chip->frame_bytes ? inputs->frame_bytes : chip->frame_bytes;

    memset(chip->latest, 0, sizeof(chip->latest));
    memcpy(chip->latest, inputs->frame, n);
}

static void write_code(struct eegd_chip *chip, uint32_t channel, int32_t code)
{
    uint8_t *at = chip->latest + 3 + 3 * channel;

    at[0] = (uint8_t)((uint32_t)code >> 16);
    at[1] = (uint8_t)((uint32_t)code >> 8);
    at[2] = (uint8_t)code;
}

static void rail_channels(struct eegd_chip *chip)
{
    uint32_t channel;

    for (channel = 0; channel < chip->config.n_channels; channel++) {
        if (chip->railed_high >> channel & 1)
            write_code(chip, channel, CODE_MAX);
        else if (chip->railed_low >> channel & 1)
            write_code(chip, channel, CODE_MIN);
    }
}

int eegd_chip_build_frame(struct eegd_chip *chip, uint64_t tick)
{
    int comparing = chip->reg[ADS1299_REG_CONFIG4] & 0x02;
    int driving = chip->reg[ADS1299_REG_LOFF_SENSP] | chip->reg[ADS1299_REG_LOFF_SENSN];
    struct eegd_chip_inputs inputs;
    int64_t current, srb1_nv;
    uint32_t channel;

    memset(&inputs, 0, sizeof(inputs));
    if (!chip->convert(chip->context, tick, &inputs))
        return 0;
    chip->reg[ADS1299_REG_LOFF_STATP] = 0;
    chip->reg[ADS1299_REG_LOFF_STATN] = 0;
    current = driving ? lead_off_current(chip, tick) : 0;
    srb1_nv = srb1_potential(chip, &inputs, current);
    for (channel = 0; channel < chip->config.n_channels; channel++) {
        struct pins pins = electrodes(chip, &inputs, channel, current, srb1_nv);

        if (comparing)
            compare(chip, channel, pins);
        write_code(chip, channel, channel_code(chip, &inputs, channel, tick, pins));
    }
    write_status(chip);
    if (inputs.frame)
        copy_frame(chip, &inputs);
    if (chip->railed_high | chip->railed_low)
        rail_channels(chip);
    return 1;
}
