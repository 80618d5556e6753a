/* SPDX-License-Identifier: MIT */
/* Which conversions are bad, and why. */
#include "verdict.h"
#include <string.h>
#include "check.h"

#define CHIP_BYTES 27

static struct eegd_capture_config config;
static struct eegd_verdict verdict;
static uint8_t bytes[2 * CHIP_BYTES];

static void set_code(uint32_t chip, uint32_t channel, int32_t code)
{
    uint8_t *at = bytes + chip * CHIP_BYTES + 3 + 3 * channel;
    at[0] = (uint8_t)(code >> 16);
    at[1] = (uint8_t)(code >> 8);
    at[2] = (uint8_t)code;
}

static void set_all(int32_t code)
{
    for (uint32_t i = 0; i < 16; i++)
        set_code(i / 8, i % 8, code + (int32_t)i);
}

static void prepare(void)
{
    memset(bytes, 0, sizeof(bytes));
    bytes[0] = bytes[CHIP_BYTES] = 0xC0;
    config = (struct eegd_capture_config){
        .map = {.n_chips = 2, .chip_offset = {0, CHIP_BYTES}, .n_bytes = sizeof(bytes), .n_channels = 16},
        .frozen_run = 4};
    for (uint32_t i = 0; i < 16; i++)
        config.map.channel_offset[i] = i / 8 * CHIP_BYTES + 3 + 3 * (i % 8);
    set_all(5000);
    eegd_verdict_init(&verdict, &config);
    CHECK_EQ(eegd_verdict_take(&verdict, bytes), -1);
}

static void test_each_cause_has_its_counter(void)
{
    prepare();
    bytes[CHIP_BYTES] = 0x60;
    CHECK_EQ(eegd_verdict_take(&verdict, bytes), EEGD_COUNT_BAD_STATUS);
    memset(bytes, 0, sizeof(bytes));
    CHECK_EQ(eegd_verdict_take(&verdict, bytes), EEGD_COUNT_ALL_00);
    memset(bytes, 0xFF, sizeof(bytes));
    CHECK_EQ(eegd_verdict_take(&verdict, bytes), EEGD_COUNT_ALL_FF);
    prepare();
    config.map.status_mask[1] = config.map.status[1] = 0x8;
    CHECK_EQ(eegd_verdict_take(&verdict, bytes), EEGD_COUNT_MARKER);
    bytes[CHIP_BYTES + 2] = 0x9;
    CHECK_EQ(eegd_verdict_take(&verdict, bytes), -1);
}

static void test_equal_conversions_are_frozen_from_the_nth_on_unless_every_channel_is_at_an_end(void)
{
    prepare();
    for (int i = 0; i < 2; i++)
        CHECK_EQ(eegd_verdict_take(&verdict, bytes), -1);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(eegd_verdict_take(&verdict, bytes), EEGD_COUNT_FROZEN);
    set_code(1, 7, 1); /* one chip moves again, the other still does not */
    CHECK_EQ(eegd_verdict_take(&verdict, bytes), EEGD_COUNT_FROZEN);
    set_all(6000);
    CHECK_EQ(eegd_verdict_take(&verdict, bytes), -1);
    for (uint32_t i = 0; i < 16; i++)
        set_code(i / 8, i % 8, i % 2 ? 0x7FFFFF : -0x800000);
    for (int i = 0; i < 20; i++)
        CHECK_EQ(eegd_verdict_take(&verdict, bytes), -1);
}

static void test_bad_reads_do_not_make_a_frozen_chip_live(void)
{
    uint8_t held[sizeof(bytes)];
    prepare();
    memcpy(held, bytes, sizeof(held));
    for (int i = 0; i < 6; i++) {
        memset(bytes, 0, sizeof(bytes));
        CHECK_EQ(eegd_verdict_take(&verdict, bytes), EEGD_COUNT_ALL_00);
        memcpy(bytes, held, sizeof(held));
        CHECK_EQ(eegd_verdict_take(&verdict, bytes), i < 2 ? -1 : EEGD_COUNT_FROZEN);
    }
    memset(bytes, 0xFF, sizeof(bytes));
    CHECK_EQ(eegd_verdict_take(&verdict, bytes), EEGD_COUNT_ALL_FF);
    memcpy(bytes, held, sizeof(held));
    memset(bytes + 15, 0, 12); /* nor hide that a chip falls silent */
    CHECK_EQ(eegd_verdict_take(&verdict, bytes), EEGD_COUNT_CUT);
}

/* Codes of live inputs: noise of some LSB, drawn anew for each channel. */
static void make_noise(uint32_t *seed, int32_t lsb)
{
    for (uint32_t i = 0; i < 16; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        set_code(i / 8, i % 8, 5000 + (int32_t)(*seed >> 8) % lsb);
    }
}

static void see_noise(uint32_t *seed, int32_t lsb, int n)
{
    for (int i = 0; i < n; i++) {
        make_noise(seed, lsb);
        CHECK_EQ(eegd_verdict_take(&verdict, bytes), -1);
    }
}

/* Returns which of the equal conversions of the second chip, while the first one lives, is called frozen. */
static int first_frozen_repeat(uint32_t *seed, int32_t lsb)
{
    uint8_t held[CHIP_BYTES];
    memcpy(held, bytes + CHIP_BYTES, CHIP_BYTES);
    for (int n = 1; n < 100; n++) {
        make_noise(seed, lsb);
        memcpy(bytes + CHIP_BYTES, held, CHIP_BYTES);
        if (eegd_verdict_take(&verdict, bytes) == EEGD_COUNT_FROZEN)
            return n;
    }
    return 100;
}

static void test_a_chip_with_live_inputs_is_frozen_at_its_first_repeat(void)
{
    uint32_t seed = 1;
    prepare();
    config.frozen_learns = 1;
    config.frozen_run = 32;
    see_noise(&seed, 1000, 1000);
    CHECK_EQ(first_frozen_repeat(&seed, 1000), 1);
    see_noise(&seed, 1000, 1000); /* it lives again, and nothing of it is lost */
    CHECK_EQ(first_frozen_repeat(&seed, 1000), 1);
}

static void test_the_less_noise_the_more_repeats_it_takes(void)
{
    uint32_t seed = 2;
    int few, many;
    prepare();
    config.frozen_learns = 1;
    config.frozen_run = 32;
    see_noise(&seed, 10, 1000);
    few = first_frozen_repeat(&seed, 10);
    CHECK(few >= 2 && few <= 4);
    see_noise(&seed, 2, 2000);
    many = first_frozen_repeat(&seed, 2);
    CHECK(many > few && many <= 8);
    prepare();
    config.frozen_learns = 1;
    config.frozen_run = 32;
    many = 0;
    for (int i = 0; i < 20000; i++) { /* one channel alone moves, slowly: as constant inputs */
        set_code(0, 3, 6000 + i / 20);
        set_code(1, 3, 6000 + i / 20);
        many += eegd_verdict_take(&verdict, bytes) != -1;
    }
    CHECK_EQ(many, 0);
    CHECK_EQ(first_frozen_repeat(&seed, 2), 31 - 19); /* it stood for 19 already */
}

static void test_channels_that_have_just_railed_prove_nothing(void)
{
    uint32_t seed = 3;
    int few;
    prepare();
    config.frozen_learns = 1;
    config.frozen_run = 32;
    see_noise(&seed, 1000, 1000);
    for (uint32_t channel = 0; channel < 8; channel++)
        set_code(1, channel, channel ? 0x7FFFFF : 5000);
    few = first_frozen_repeat(&seed, 1000);
    CHECK(few >= 4 && few <= 8); /* one live channel, which repeats 1 in 1000 */
}

static void test_a_chip_that_falls_silent_in_the_midst_of_a_read_is_cut_off(void)
{
    for (uint32_t chip = 0; chip < 2; chip++) {
        prepare();
        memset(bytes + chip * CHIP_BYTES + 15, 0, 12);
        CHECK_EQ(eegd_verdict_take(&verdict, bytes), EEGD_COUNT_CUT);
    }
    prepare();
    memset(bytes + 18, 0, 9); /* three zeros may be true */
    CHECK_EQ(eegd_verdict_take(&verdict, bytes), -1);
    prepare();
    memset(bytes + 3, 0, 24); /* a signal that all channels have in common passes 0 */
    CHECK_EQ(eegd_verdict_take(&verdict, bytes), -1);
    prepare();
    set_all(500); /* shorted inputs are near 0 anyway */
    CHECK_EQ(eegd_verdict_take(&verdict, bytes), -1);
    memset(bytes + 15, 0, 12);
    CHECK_EQ(eegd_verdict_take(&verdict, bytes), -1);
    CHECK_EQ(eegd_verdict_take(&verdict, bytes), -1);
}

static void test_of_several_that_are_cut_off_in_a_row_each_is_found(void)
{
    for (uint32_t frozen_run = 0; frozen_run <= 4; frozen_run += 4) {
        prepare();
        config.frozen_run = frozen_run; /* 0: a replay, in which channels may be off from here on */
        for (int i = 0; i < 10; i++) {
            set_all(7000 + 100 * i);
            memset(bytes + 15, 0, 12);
            CHECK_EQ(eegd_verdict_take(&verdict, bytes), !i || frozen_run ? EEGD_COUNT_CUT : -1);
            memset(bytes, 0, sizeof(bytes)); /* and what is bad by itself in between changes nothing */
            CHECK_EQ(eegd_verdict_take(&verdict, bytes), EEGD_COUNT_ALL_00);
            bytes[0] = bytes[CHIP_BYTES] = 0xC0;
        }
        set_all(9000);
        CHECK_EQ(eegd_verdict_take(&verdict, bytes), -1);
        memset(bytes + 15, 0, 12);
        CHECK_EQ(eegd_verdict_take(&verdict, bytes), EEGD_COUNT_CUT);
    }
}

static void test_channels_that_are_off_are_not_missed(void)
{
    prepare();
    config.map.n_channels = 3; /* of the first chip only */
    eegd_verdict_init(&verdict, &config);
    CHECK_EQ(eegd_verdict_take(&verdict, bytes), -1);
    memset(bytes + 3, 0, 24);
    CHECK_EQ(eegd_verdict_take(&verdict, bytes), -1);
}

/* Planes go by montage, not by chip: the same bytes have the same verdict. */
static void test_the_order_of_the_channels_changes_nothing(void)
{
    uint32_t seed = 3;
    struct eegd_capture_config turned;
    struct eegd_verdict other;
    int n_frozen = 0, n_cut = 0;
    prepare();
    config.frozen_learns = 1;
    config.frozen_run = 32;
    turned = config;
    for (uint32_t i = 0; i < 16; i++)
        turned.map.channel_offset[i] = config.map.channel_offset[(i * 7 + 5) % 16];
    eegd_verdict_init(&verdict, &config);
    eegd_verdict_init(&other, &turned);
    for (int i = 0; i < 20000; i++) {
        uint8_t held[CHIP_BYTES];
        memcpy(held, bytes + CHIP_BYTES, CHIP_BYTES);
        make_noise(&seed, 1 + i / 2000 * 20);
        if (i % 50 == 0)
            memcpy(bytes + CHIP_BYTES, held, CHIP_BYTES);
        if (i % 70 == 0)
            memset(bytes + 15, 0, 12);
        int cause = eegd_verdict_take(&verdict, bytes);
        CHECK_EQ(eegd_verdict_take(&other, bytes), cause);
        n_frozen += cause == EEGD_COUNT_FROZEN;
        n_cut += cause == EEGD_COUNT_CUT;
    }
    CHECK(n_frozen > 100 && n_cut > 100);
}

int main(void)
{
    RUN(test_each_cause_has_its_counter);
    RUN(test_equal_conversions_are_frozen_from_the_nth_on_unless_every_channel_is_at_an_end);
    RUN(test_bad_reads_do_not_make_a_frozen_chip_live);
    RUN(test_a_chip_with_live_inputs_is_frozen_at_its_first_repeat);
    RUN(test_the_less_noise_the_more_repeats_it_takes);
    RUN(test_channels_that_have_just_railed_prove_nothing);
    RUN(test_a_chip_that_falls_silent_in_the_midst_of_a_read_is_cut_off);
    RUN(test_of_several_that_are_cut_off_in_a_row_each_is_found);
    RUN(test_channels_that_are_off_are_not_missed);
    RUN(test_the_order_of_the_channels_changes_nothing);
    return check_report();
}
