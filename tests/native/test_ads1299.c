/* SPDX-License-Identifier: MIT */
/* Conversion decode: scale, layouts of one to four chips, blocks against single calls, checks. */
#include "ads1299.h"
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N_SAMPLES 23
#define STRIDE 32

static const int gains[] = {1, 2, 4, 6, 8, 12, 24};

static double lsb_of_gain(int gain)
{
    return 4.5e6 / 8388608.0 / gain;
}

/* Every input of the given chips is a plane, in chip order. */
static struct eegd_conversion_map map_of_chips(const uint32_t *channels, uint32_t n_chips)
{
    struct eegd_conversion_map map = {.n_chips = n_chips};

    for (uint32_t chip = 0; chip < n_chips; chip++) {
        map.chip_offset[chip] = map.n_bytes;
        for (uint32_t i = 0; i < channels[chip]; i++) {
            map.channel_offset[map.n_channels] = map.n_bytes + 3 + 3 * i;
            map.lsb_uv[map.n_channels] = lsb_of_gain(gains[map.n_channels % 7]) * (i % 3 == 2 ? -1 : 1);
            map.n_channels++;
        }
        map.n_bytes += 3 + 3 * channels[chip];
    }
    return map;
}

static void test_codes_are_signed_and_most_significant_byte_first(void)
{
    CHECK_EQ(eegd_code_from_bytes((const uint8_t[]){0x00, 0x00, 0x01}), 1);
    CHECK_EQ(eegd_code_from_bytes((const uint8_t[]){0xFF, 0xFF, 0xFF}), -1);
    CHECK_EQ(eegd_code_from_bytes((const uint8_t[]){0x12, 0x34, 0x56}), 1193046);
    CHECK_EQ(eegd_code_from_bytes((const uint8_t[]){0xFE, 0xDC, 0xBA}), -74566);
    CHECK_EQ(eegd_code_from_bytes((const uint8_t[]){0x7F, 0xFF, 0xFF}), 8388607);
    CHECK_EQ(eegd_code_from_bytes((const uint8_t[]){0x80, 0x00, 0x00}), -8388608);
}

/* All 2^24 codes, through the block decode and through single calls, with either sign of the LSB. */
static void test_microvolts_give_back_every_code_at_every_gain(void)
{
    enum { BLOCK = 4096 };
    struct eegd_conversion_map map = map_of_chips((const uint32_t[]){8}, 1);
    uint8_t *bytes = calloc(BLOCK, map.n_bytes);
    float *planes = calloc(8 * BLOCK, sizeof *planes);
    float single[8];
    long wrong = 0;

    for (uint32_t channel = 0; channel < 8; channel++)
        map.lsb_uv[channel] = lsb_of_gain(gains[channel % 7]) * (channel & 1 ? -1 : 1);
    for (uint32_t base = 0; base < 1u << 24; base += BLOCK) {
        for (uint32_t i = 0; i < BLOCK; i++) {
            for (uint32_t channel = 0; channel < 8; channel++) {
                uint8_t *code = bytes + i * map.n_bytes + map.channel_offset[channel];
                code[0] = (uint8_t)((base + i) >> 16);
                code[1] = (uint8_t)((base + i) >> 8);
                code[2] = (uint8_t)(base + i);
            }
        }
        eegd_conversions_decode(&map, bytes, BLOCK, planes, BLOCK, 0);
        for (uint32_t i = 0; i < BLOCK; i++) {
            int32_t code = (int32_t)((base + i) ^ 0x800000) - 0x800000;
            eegd_conversion_decode(&map, bytes + i * map.n_bytes, single, 1, 0);
            for (uint32_t channel = 0; channel < 8; channel++) {
                float uv = planes[channel * BLOCK + i];
                wrong += uv != (float)((double)code * map.lsb_uv[channel]);
                wrong += uv != single[channel];
                wrong += (int32_t)rint((double)uv / map.lsb_uv[channel]) != code;
            }
        }
    }
    CHECK_EQ(wrong, 0);
    free(planes);
    free(bytes);
}

/* 4.5 V / 2^23 / gain × code, worked out in fractions and rounded to the nearest float32, half to even: the
 * bits that every processor and compiler has to give. */
static void test_microvolts_have_the_same_bits_on_every_processor(void)
{
    static const struct {
        int gain;
        int32_t code;
        uint32_t bits;
    } golden[] = {
        {1, 1, 0x3F095440},        {1, -1, 0xBF095440},       {2, -7000001, 0xC9E53155},
        {4, 7654321, 0x497A9DC7},  {6, -74566, 0xC5D055C2},   {8, 5592405, 0x48B71AFF},
        {12, 1193046, 0x47505550}, {24, 8388607, 0x48371AFF}, {24, -8388608, 0xC8371B00},
        {1, 8323072, 0x4A884198},  {6, 8372224, 0x4936BF72},  {24, 8339456, 0x48360858}, /* half-way cases */
    };
    struct eegd_conversion_map map = map_of_chips((const uint32_t[]){8}, 1);
    uint8_t bytes[8 * 27];
    float single[8], block[8 * 8];

    for (unsigned g = 0; g < sizeof(golden) / sizeof(golden[0]); g++) {
        uint32_t code = (uint32_t)golden[g].code;

        for (uint32_t channel = 0; channel < 8; channel++)
            map.lsb_uv[channel] = lsb_of_gain(golden[g].gain);
        for (uint32_t i = 0; i < 8 * 9; i++)
            memcpy(bytes + 3 * i,
                   (const uint8_t[]){(uint8_t)(code >> 16), (uint8_t)(code >> 8), (uint8_t)code}, 3);
        eegd_conversion_decode(&map, bytes, single, 1, 0);
        eegd_conversions_decode(&map, bytes, 8, block, 8, 0);
        for (uint32_t i = 0; i < 8 * 8; i++) {
            uint32_t of_single, of_block;

            memcpy(&of_single, &single[i % 8], sizeof of_single);
            memcpy(&of_block, &block[i], sizeof of_block);
            CHECK_EQ(of_single, golden[g].bits);
            CHECK_EQ(of_block, golden[g].bits);
        }
    }
}

static void check_block_against_singles(const struct eegd_conversion_map *map)
{
    /* Exactly as many bytes as there are, so that a sanitizer sees a read past them. */
    uint8_t *bytes = malloc((size_t)N_SAMPLES * map->n_bytes);
    float block[32 * STRIDE], single[32 * STRIDE];

    for (uint32_t i = 0; i < N_SAMPLES * map->n_bytes; i++)
        bytes[i] = (uint8_t)rand();
    for (uint32_t n = 0; n <= N_SAMPLES; n++) {
        memset(block, 0x55, sizeof block);
        memset(single, 0x55, sizeof single);
        eegd_conversions_decode(map, bytes + (N_SAMPLES - n) * map->n_bytes, n, block, STRIDE, 5);
        for (uint32_t i = 0; i < n; i++)
            eegd_conversion_decode(map, bytes + (N_SAMPLES - n + i) * map->n_bytes, single, STRIDE, 5 + i);
        CHECK(memcmp(block, single, sizeof block) == 0);
    }
    free(bytes);
}

static void test_block_gives_the_bits_of_single_calls_and_touches_nothing_else(void)
{
    static const uint32_t sizes[] = {4, 6, 8};
    uint32_t chips[4];

    for (uint32_t n_chips = 1; n_chips <= 4; n_chips++) {
        for (uint32_t mix = 0; mix < 81; mix++) {
            uint32_t rest = mix;
            for (uint32_t chip = 0; chip < n_chips; chip++, rest /= 3)
                chips[chip] = sizes[rest % 3];
            struct eegd_conversion_map map = map_of_chips(chips, n_chips);
            check_block_against_singles(&map);
        }
    }
}

static void test_planes_may_come_in_any_order_and_leave_inputs_out(void)
{
    struct eegd_conversion_map map = map_of_chips((const uint32_t[]){8, 4}, 2);
    const uint32_t order[] = {30, 3, 12, 15, 18, 21, 33, 6};

    map.n_channels = 8;
    memcpy(map.channel_offset, order, sizeof order);
    check_block_against_singles(&map);
}

static void test_an_lsb_that_is_no_float32_is_multiplied_in_double(void)
{
    struct eegd_conversion_map map = map_of_chips((const uint32_t[]){8}, 1);

    for (uint32_t channel = 0; channel < 8; channel++)
        map.lsb_uv[channel] = 0.1 * (channel + 1);
    check_block_against_singles(&map);
}

static void test_check_tells_dead_lines_and_the_status_of_every_chip(void)
{
    struct eegd_conversion_map map = map_of_chips((const uint32_t[]){8, 4, 6, 8}, 4);
    uint8_t bytes[EEGD_MAX_CONVERSION_BYTES] = {0};

    CHECK_EQ(map.n_bytes, 27 + 15 + 21 + 27);
    CHECK_EQ(eegd_conversion_check(&map, bytes), EEGD_CONVERSION_ALL_00);
    memset(bytes, 0xFF, sizeof bytes);
    CHECK_EQ(eegd_conversion_check(&map, bytes), EEGD_CONVERSION_ALL_FF);
    memset(bytes, 0, sizeof bytes);
    for (uint32_t chip = 0; chip < 4; chip++) {
        CHECK(eegd_conversion_check(&map, bytes) != EEGD_CONVERSION_OK);
        bytes[map.chip_offset[chip]] = 0xC0 | chip;
    }
    CHECK_EQ(eegd_conversion_check(&map, bytes), EEGD_CONVERSION_OK);
    for (uint32_t chip = 0; chip < 4; chip++) {
        bytes[map.chip_offset[chip]] ^= 0x10;
        CHECK_EQ(eegd_conversion_check(&map, bytes), EEGD_CONVERSION_BAD_STATUS);
        bytes[map.chip_offset[chip]] ^= 0x10;
    }
}

static void test_known_bits_of_a_status_word_are_checked_and_gpio_alone_is_the_marker(void)
{
    struct eegd_conversion_map map = map_of_chips((const uint32_t[]){8, 8}, 2);
    uint8_t bytes[EEGD_MAX_CONVERSION_BYTES] = {0};
    uint8_t *status = bytes + map.chip_offset[1];

    bytes[0] = status[0] = 0xC0;
    bytes[2] = 0x5;
    map.status_mask[1] = 0xFFFFFC; /* two pins are inputs */
    map.status[1] = 0xC00008;
    for (uint32_t bit = 0; bit < 24; bit++) {
        uint32_t word = 0xC00008 ^ UINT32_C(1) << bit;
        memcpy(status, (const uint8_t[]){(uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word}, 3);
        CHECK_EQ(eegd_conversion_check(&map, bytes), bit < 2   ? EEGD_CONVERSION_OK
                                                     : bit < 4 ? EEGD_CONVERSION_BAD_MARKER
                                                               : EEGD_CONVERSION_BAD_STATUS);
    }
    memcpy(status, (const uint8_t[]){0xC1, 0x00, 0x00}, 3); /* both wrong: no marker is told of a slip */
    CHECK_EQ(eegd_conversion_check(&map, bytes), EEGD_CONVERSION_BAD_STATUS);
}

static void test_status_word_of_each_chip(void)
{
    struct eegd_conversion_map map = map_of_chips((const uint32_t[]){4, 8}, 2);
    uint8_t bytes[EEGD_MAX_CONVERSION_BYTES] = {0xC0, 0x00, 0x08};

    memcpy(bytes + 15, (const uint8_t[]){0xCF, 0xF8, 0x15}, 3);
    CHECK_EQ(eegd_conversion_status(&map, bytes, 0), 0xC00008);
    CHECK_EQ(eegd_conversion_status(&map, bytes, 1), 0xCFF815);
}

int main(void)
{
    RUN(test_codes_are_signed_and_most_significant_byte_first);
    RUN(test_microvolts_give_back_every_code_at_every_gain);
    RUN(test_microvolts_have_the_same_bits_on_every_processor);
    RUN(test_block_gives_the_bits_of_single_calls_and_touches_nothing_else);
    RUN(test_planes_may_come_in_any_order_and_leave_inputs_out);
    RUN(test_an_lsb_that_is_no_float32_is_multiplied_in_double);
    RUN(test_check_tells_dead_lines_and_the_status_of_every_chip);
    RUN(test_known_bits_of_a_status_word_are_checked_and_gpio_alone_is_the_marker);
    RUN(test_status_word_of_each_chip);
    return check_report();
}
