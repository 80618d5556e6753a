/* SPDX-License-Identifier: MIT */
/* The emulated ADS1299, analogue side: codes, inner inputs, wirings, lead-off, noise. */
#include "chip_bench.h"

static void test_levels_become_the_golden_codes(void)
{
    CHECK_EQ(eegd_chip_code(100000, 24), 0x00117A);
    CHECK_EQ(eegd_chip_code(-100000, 24), 0xFFEE86 - 0x1000000);
    CHECK_EQ(eegd_chip_code(1875000, 1), 0x000DA7);
    CHECK_EQ(eegd_chip_code(-1875000, 1), 0xFFF259 - 0x1000000);
    CHECK_EQ(eegd_chip_code(1875000, 24), 0x0147AE);
    CHECK_EQ(eegd_chip_code(-1875000, 24), 0xFEB852 - 0x1000000);
    CHECK_EQ(eegd_chip_code(3750000, 1), 0x001B4F);
    CHECK_EQ(eegd_chip_code(-3750000, 1), 0xFFE4B1 - 0x1000000);
    CHECK_EQ(eegd_chip_code(3750000, 24), 0x028F5C);
    CHECK_EQ(eegd_chip_code(-3750000, 24), 0xFD70A4 - 0x1000000);
    CHECK_EQ(eegd_chip_code(4500000000, 1), 0x7FFFFF);
    CHECK_EQ(eegd_chip_code(-4500000000, 1), -0x800000);
    CHECK_EQ(eegd_chip_code(INT64_MAX, 24), 0x7FFFFF);
    CHECK_EQ(eegd_chip_code(INT64_MIN, 24), -0x800000);
}

static void test_every_code_comes_back_from_its_own_voltage(void)
{
    static const uint32_t gains[7] = {1, 2, 4, 6, 8, 12, 24};
    int32_t code, wrong = 0;
    uint32_t g;

    for (g = 0; g < 7; g++)
        for (code = -8388608; code <= 8388607; code += 1009)
            wrong += eegd_chip_code(llround(code * 4.5e9 / (8388608.0 * gains[g])), gains[g]) != code;
    CHECK_EQ(wrong, 0);
}

static void test_inner_inputs_read_as_the_datasheet_says(void)
{
    power(8);
    CHECK_EQ(first_code(0x04), 0x04220B);
    power(8);
    bench.chip.config.temperature_mc = 35000;
    CHECK_EQ(first_code(0x04), 0x0445B9);
    power(8);
    CHECK_EQ(first_code(0x03), 0x471C72);
    power(8);
    {
        uint8_t frame[27];

        run(0x96, 0x03);
        next_fall();
        read_frame(frame);
        CHECK_EQ(code_of(frame, 2), 0x177777);
        CHECK_EQ(code_of(frame, 3), 0x177777);
        CHECK_EQ(code_of(frame, 4), 0x471C72);
    }
}

static void test_status_word_carries_lead_off_and_gpio(void)
{
    uint8_t frame[27];
    uint32_t i;

    power(8);
    for (i = 0; i < 8; i++)
        bench.chip.p_ohm[i] = bench.chip.n_ohm[i] = -1;
    for (i = 1; i < 7; i++)
        bench.chip.n_ohm[i] = 1000;
    command(0x11);
    write_reg(ADS1299_REG_GPIO, 0x50);
    write_reg(ADS1299_REG_LOFF_SENSP, 0xFF);
    write_reg(ADS1299_REG_LOFF_SENSN, 0xFF);
    write_reg(ADS1299_REG_CONFIG4, 0x02);
    run(0x96, 0x60);
    next_fall();
    read_frame(frame);
    CHECK_EQ(frame[0] << 16 | frame[1] << 8 | frame[2], 0xCFF815);
    command(0x11);
    CHECK_EQ(read_reg(ADS1299_REG_LOFF_STATP), 0xFF);
    CHECK_EQ(read_reg(ADS1299_REG_LOFF_STATN), 0x81);
    write_reg(ADS1299_REG_CONFIG4, 0x00);
    write_reg(ADS1299_REG_GPIO, 0x80);
    command(0x10);
    next_fall();
    next_fall();
    read_frame(frame);
    CHECK_EQ(frame[0] << 16 | frame[1] << 8 | frame[2], 0xC00008);
}

static void test_reference_wirings_reach_the_amplifier(void)
{
    uint8_t frame[27];

    power(8);
    bench.p[0] = 50000;
    bench.n[0] = 20000;
    bench.srb1 = -10000;
    bench.srb2 = 5000;
    run(0x96, 0x60);
    next_fall();
    read_frame(frame);
    CHECK_EQ(code_of(frame, 0), eegd_chip_code(30000, 24));
    command(0x11);
    write_reg(ADS1299_REG_MISC1, 0x20);
    command(0x10);
    next_fall();
    next_fall();
    read_frame(frame);
    CHECK_EQ(code_of(frame, 0), eegd_chip_code(60000, 24));
    command(0x11);
    write_reg(ADS1299_REG_MISC1, 0x00);
    write_reg(ADS1299_REG_CH1SET, 0x68);
    command(0x10);
    next_fall();
    next_fall();
    read_frame(frame);
    CHECK_EQ(code_of(frame, 0), eegd_chip_code(-15000, 24));
}

static void test_bias_measurement_needs_its_bit(void)
{
    power(8);
    bench.bias = 1000000;
    CHECK_EQ(first_code(0x02), 0);
    command(0x11);
    write_reg(ADS1299_REG_CONFIG3, 0xFC);
    command(0x10);
    next_fall();
    next_fall();
    CHECK_EQ(code_of(bench.chip.out, 0), eegd_chip_code(1000000, 1));
}

static void test_powered_down_channels_send_zero_and_keep_their_place(void)
{
    uint8_t frame[27];

    power(8);
    bench.p[0] = bench.p[1] = bench.p[2] = 100000;
    run(0x96, 0x60);
    command(0x11);
    write_reg(ADS1299_REG_CH1SET + 1, 0x81);
    command(0x10);
    next_fall();
    read_frame(frame);
    CHECK_EQ(code_of(frame, 0), 0x117A);
    CHECK_EQ(code_of(frame, 1), 0);
    CHECK_EQ(code_of(frame, 2), 0x117A);
}

static void test_square_wave_has_its_codes_and_its_period(void)
{
    static const struct {
        uint8_t config2, setting;
        int32_t code;
        uint32_t half;
    } cases[4] = {
        {0xD0, 0x05, 3495, 128}, {0xD1, 0x65, 83886, 64}, {0xD4, 0x05, 6991, 128}, {0xD5, 0x65, 167772, 64}};
    uint32_t c, i;

    for (c = 0; c < 4; c++) {
        int32_t sign = 1, wrong = 0;

        power(8);
        command(0x11);
        write_reg(ADS1299_REG_CONFIG2, cases[c].config2);
        run(0x96, cases[c].setting);
        for (i = 4; i < 600; i++) { /* the 4th sample interval after START ends at the first DRDY */
            next_fall();
            sign = ((i - 1) / cases[c].half) & 1 ? -1 : 1;
            wrong += code_of(bench.chip.out, 0) != sign * cases[c].code;
        }
        CHECK_EQ(wrong, 0);
    }
    power(8);
    command(0x11);
    write_reg(ADS1299_REG_CONFIG2, 0xD3);
    CHECK_EQ(first_code(0x05), -3495);
}

static void test_settled_steps_take_three_samples(void)
{
    uint32_t i;

    power(8);
    bench.chip.config.settle = 1;
    command(0x11);
    write_reg(ADS1299_REG_CONFIG2, 0xD1);
    run(0x96, 0x05);
    for (i = 4; i < 64; i++)
        next_fall();
    next_fall();
    CHECK_EQ(code_of(bench.chip.out, 0), 3495);
    next_fall();
    CHECK_EQ(code_of(bench.chip.out, 0), 2330);
    next_fall();
    CHECK_EQ(code_of(bench.chip.out, 0), -2330);
    next_fall();
    CHECK_EQ(code_of(bench.chip.out, 0), -3495);
}

/* sqrt(2) * rms of the fundamental over I * Z is the k of the impedance formula: 1.178 at 31.25 Hz and 250
 * SPS. */
static void test_lead_off_tone_shows_the_impedance(void)
{
    double re = 0, im = 0, amplitude;
    int i;

    power(8);
    bench.chip.config.settle = 1;
    bench.chip.p_ohm[0] = 10000;
    command(0x11);
    write_reg(ADS1299_REG_LOFF, 0x02);
    write_reg(ADS1299_REG_LOFF_SENSP, 0x01);
    run(0x96, 0x60);
    for (i = 0; i < 800; i++) {
        next_fall();
        re += code_of(bench.chip.out, 0) * cos(2 * M_PI * i / 8);
        im += code_of(bench.chip.out, 0) * sin(2 * M_PI * i / 8);
    }
    amplitude = hypot(re, im) * 2 / 800 * 4.5e9 / 24 / 8388608;
    CHECK(fabs(amplitude / (6.0 * 10000) - 1.178) < 0.006);
}

static void test_dc_lead_off_adds_current_times_impedance(void)
{
    uint8_t frame[27];

    power(8);
    bench.chip.p_ohm[0] = 5000;
    bench.chip.n_ohm[0] = 3000;
    bench.chip.srb1_ohm = 1000;
    command(0x11);
    write_reg(ADS1299_REG_LOFF_SENSP, 0x01);
    write_reg(ADS1299_REG_LOFF_SENSN, 0x01);
    write_reg(ADS1299_REG_LOFF, 0x04); /* 24 nA */
    run(0x96, 0x60);
    next_fall();
    read_frame(frame);
    CHECK_EQ(code_of(frame, 0), eegd_chip_code(24 * 8000, 24));
    command(0x11);
    write_reg(ADS1299_REG_LOFF_FLIP, 0x01);
    command(0x10);
    next_fall();
    next_fall();
    read_frame(frame);
    CHECK_EQ(code_of(frame, 0), eegd_chip_code(-24 * 8000, 24));
    command(0x11);
    write_reg(ADS1299_REG_LOFF_FLIP, 0x00);
    write_reg(ADS1299_REG_LOFF_SENSP, 0x00);
    write_reg(ADS1299_REG_LOFF_SENSN, 0xFF);
    write_reg(ADS1299_REG_MISC1, 0x20);
    command(0x10);
    next_fall();
    next_fall();
    read_frame(frame);
    CHECK_EQ(code_of(frame, 0), eegd_chip_code(8 * 24 * 1000, 24));
}

static void test_bias_status_tells_an_open_electrode_only_while_sensing(void)
{
    power(8);
    bench.chip.bias_ohm = -1;
    command(0x11);
    CHECK_EQ(read_reg(ADS1299_REG_CONFIG3), 0x60);
    write_reg(ADS1299_REG_CONFIG3, 0xE2);
    CHECK_EQ(read_reg(ADS1299_REG_CONFIG3), 0xE3);
    write_reg(ADS1299_REG_CONFIG3, 0xE6);
    CHECK_EQ(read_reg(ADS1299_REG_CONFIG3), 0xE6);
}

static void test_without_a_reference_there_is_only_noise(void)
{
    power(8);
    bench.p[0] = 100000;
    command(0x11);
    write_reg(ADS1299_REG_CH1SET, 0x60);
    command(0x08);
    next_fall();
    CHECK_EQ(code_of(bench.chip.latest, 0), 0);
    CHECK_EQ(count(EEGD_VIOLATION_REFERENCE), 1);
}

static void test_shorted_noise_has_the_rms_of_the_table(void)
{
    static const uint8_t settings[7] = {0x01, 0x11, 0x21, 0x31, 0x41, 0x51, 0x61};
    static const uint32_t gains[7] = {1, 2, 4, 6, 8, 12, 24};
    uint8_t dr, g;

    for (dr = 0; dr < 7; dr++)
        for (g = 0; g < 7; g++) {
            struct eegd_chip_config config;
            double sum = 0, squares = 0, lsb = 4.5e9 / 8388608 / gains[g], rms,
                   wanted = eegd_chip_noise_nv(dr, g);
            int i, c;

            eegd_chip_defaults(&config);
            config.seed = 7 * dr + g + 1;
            power_with(&config);
            run((uint8_t)(0x90 | dr), settings[g]);
            for (i = 0; i < 1000; i++) {
                next_fall();
                for (c = 0; c < 8; c++) {
                    double nv = code_of(bench.chip.out, (uint32_t)c) * lsb;

                    sum += nv;
                    squares += nv * nv;
                }
            }
            rms = sqrt(squares / 8000);
            wanted = sqrt(wanted * wanted + lsb * lsb / 12); /* and the rounding to codes */
            CHECK(fabs(rms / wanted - 1) < 0.035);           /* 4 sigma of 8000 values */
            CHECK(fabs(sum / 8000) < 4.5 * wanted / sqrt(8000));
        }
}

static void test_noise_repeats_with_its_seed(void)
{
    struct eegd_chip_config config;
    uint8_t first[27], again[27], other[27];

    eegd_chip_defaults(&config);
    power_with(&config);
    run(0x96, 0x61);
    next_fall();
    memcpy(first, bench.chip.out, 27);
    power_with(&config);
    run(0x96, 0x61);
    next_fall();
    memcpy(again, bench.chip.out, 27);
    config.seed++;
    power_with(&config);
    run(0x96, 0x61);
    next_fall();
    memcpy(other, bench.chip.out, 27);
    CHECK(memcmp(first, again, 27) == 0);
    CHECK(memcmp(first, other, 27) != 0);
}

static void test_frames_and_codes_go_through_verbatim(void)
{
    int32_t codes[8] = {1, -1, 1193046, -74566, 8388607, -8388608, 99999999, -99999999};
    uint8_t frame[27], rx[27];
    int i;

    power(8);
    bench.codes = codes;
    run(0x96, 0x60);
    command(0x11);
    write_reg(ADS1299_REG_CH1SET + 1, 0x65); /* MUX other than electrodes: the chip's own value */
    command(0x10);
    next_fall();
    read_frame(rx);
    CHECK_EQ(code_of(rx, 0), 1);
    CHECK_EQ(code_of(rx, 1), 0);
    for (i = 2; i < 6; i++)
        CHECK_EQ(code_of(rx, (uint32_t)i), codes[i]);
    CHECK_EQ(code_of(rx, 6), 8388607);
    CHECK_EQ(code_of(rx, 7), -8388608);
    for (i = 0; i < 27; i++)
        frame[i] = (uint8_t)(i * 7 + 1);
    bench.frame = frame;
    bench.frame_bytes = 27;
    next_fall();
    read_frame(rx);
    CHECK(memcmp(rx, frame, 27) == 0);
}

int main(void)
{
    RUN(test_levels_become_the_golden_codes);
    RUN(test_every_code_comes_back_from_its_own_voltage);
    RUN(test_inner_inputs_read_as_the_datasheet_says);
    RUN(test_status_word_carries_lead_off_and_gpio);
    RUN(test_reference_wirings_reach_the_amplifier);
    RUN(test_bias_measurement_needs_its_bit);
    RUN(test_powered_down_channels_send_zero_and_keep_their_place);
    RUN(test_square_wave_has_its_codes_and_its_period);
    RUN(test_settled_steps_take_three_samples);
    RUN(test_lead_off_tone_shows_the_impedance);
    RUN(test_dc_lead_off_adds_current_times_impedance);
    RUN(test_bias_status_tells_an_open_electrode_only_while_sensing);
    RUN(test_without_a_reference_there_is_only_noise);
    RUN(test_shorted_noise_has_the_rms_of_the_table);
    RUN(test_noise_repeats_with_its_seed);
    RUN(test_frames_and_codes_go_through_verbatim);
    return check_report();
}
