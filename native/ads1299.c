/* SPDX-License-Identifier: MIT */
/*
 * Conversion decode: SPI bytes to microvolts. No state, no allocation; the
 * capture thread calls it once per DRDY, replay and tests on whole blocks.
 *
 * A code has 24 significant bits, as float32 does, so it converts without
 * loss. Where the LSB is itself a float32 (4.5 V / 2^23 is, at every gain of
 * the chip), the float32 product rounds the exact product once, as the
 * double product rounded to float32 does: both give the same bits, and blocks
 * use the cheaper one.
 */
#include "ads1299.h"

#include <string.h>
#include "code_inline.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the tiled decode assumes a little-endian machine"
#endif

#define GPIO_BITS UINT32_C(0xF) /* of a status word */
#define TILE 4                  /* channels × samples that are decoded and transposed at a time */

#if defined(__x86_64__)
#define TILE_TARGET __attribute__((target("ssse3")))
#define TILE_SUPPORTED __builtin_cpu_supports("ssse3")
#elif defined(__aarch64__)
#define TILE_TARGET
#define TILE_SUPPORTED 1
#else
#define TILE_TARGET
#define TILE_SUPPORTED 0
#endif

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef int32_t codes4 __attribute__((vector_size(16)));
typedef float floats4 __attribute__((vector_size(16)));

static inline float microvolts(const uint8_t *bytes, double lsb_uv)
{
    return (float)((double)eegd_code_at(bytes) * lsb_uv);
}

/* Samples first … n - 1 of one plane. */
static void decode_plane(const struct eegd_conversion_map *map, uint32_t channel, const uint8_t *bytes,
                         uint32_t first, uint32_t n, float *plane)
{
    const uint8_t *code = bytes + map->channel_offset[channel];
    double lsb_uv = map->lsb_uv[channel];

    for (uint32_t i = first; i < n; i++)
        plane[i] = microvolts(code + (size_t)i * map->n_bytes, lsb_uv);
}

/* Whether this plane and the next three lie side by side in the bytes and may be scaled in float32. */
static int is_tile(const struct eegd_conversion_map *map, uint32_t channel)
{
    if (channel + TILE > map->n_channels)
        return 0;
    for (uint32_t i = 0; i < TILE; i++) {
        if (map->channel_offset[channel + i] != map->channel_offset[channel] + 3 * i)
            return 0;
        if ((double)(float)map->lsb_uv[channel + i] != map->lsb_uv[channel + i])
            return 0;
    }
    return 1;
}

/* Four codes of one sample; reads 16 bytes, of which 12 count. */
static inline TILE_TARGET floats4 four_channels(const uint8_t *bytes, floats4 scale)
{
    bytes16 raw;

    memcpy(&raw, bytes, sizeof raw);
    /* Each code into the upper three bytes of a lane; the shift then extends its sign. */
    codes4 lanes =
        (codes4)__builtin_shufflevector(raw, raw, 0, 2, 1, 0, 0, 5, 4, 3, 0, 8, 7, 6, 0, 11, 10, 9);
    return __builtin_convertvector(lanes >> 8, floats4) * scale;
}

/* Four planes side by side. Returns how many samples it did: a multiple of four, short of n where its wide
 * loads would read past the bytes. */
static TILE_TARGET uint32_t decode_tiles(const struct eegd_conversion_map *map, uint32_t channel,
                                         const uint8_t *bytes, uint32_t n, float *plane, uint32_t stride)
{
    size_t step = map->n_bytes;
    size_t end = n * step;
    const double *lsb_uv = map->lsb_uv + channel;
    const floats4 scale = {(float)lsb_uv[0], (float)lsb_uv[1], (float)lsb_uv[2], (float)lsb_uv[3]};
    uint32_t i = 0;

    for (; i + TILE <= n; i += TILE) {
        size_t at = i * step + map->channel_offset[channel];
        if (at + 3 * step + sizeof(bytes16) > end)
            break;
        floats4 a = four_channels(bytes + at, scale);
        floats4 b = four_channels(bytes + at + step, scale);
        floats4 c = four_channels(bytes + at + 2 * step, scale);
        floats4 d = four_channels(bytes + at + 3 * step, scale);
        floats4 ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
        floats4 ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
        floats4 cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
        floats4 cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        const floats4 rows[TILE] = {
            __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5),
            __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
            __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5),
            __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7),
        };
        for (uint32_t k = 0; k < TILE; k++)
            memcpy(plane + (size_t)k * stride + i, &rows[k], sizeof rows[k]);
    }
    return i;
}

static int is_all(const uint8_t *bytes, uint32_t n_bytes, uint8_t value)
{
    for (uint32_t i = 0; i < n_bytes; i++)
        if (bytes[i] != value)
            return 0;
    return 1;
}

int eegd_conversion_check(const struct eegd_conversion_map *map, const uint8_t *bytes)
{
    /* The first byte of a good one is 0xC0 … 0xCF. */
    if (bytes[0] == 0x00 && is_all(bytes, map->n_bytes, 0x00))
        return EEGD_CONVERSION_ALL_00;
    if (bytes[0] == 0xFF && is_all(bytes, map->n_bytes, 0xFF))
        return EEGD_CONVERSION_ALL_FF;
    uint32_t wrong = 0;
    for (uint32_t chip = 0; chip < map->n_chips; chip++) {
        uint32_t status = eegd_status_at(map, bytes, chip);
        wrong |= (status ^ 0xC00000) & 0xF00000;
        wrong |= (status ^ map->status[chip]) & map->status_mask[chip];
    }
    if (wrong & ~GPIO_BITS)
        return EEGD_CONVERSION_BAD_STATUS;
    return wrong ? EEGD_CONVERSION_BAD_MARKER : EEGD_CONVERSION_OK;
}

uint32_t eegd_conversion_status(const struct eegd_conversion_map *map, const uint8_t *bytes, uint32_t chip)
{
    return eegd_status_at(map, bytes, chip);
}

int32_t eegd_code_from_bytes(const uint8_t *bytes)
{
    return eegd_code_at(bytes);
}

float eegd_conversion_microvolts(const struct eegd_conversion_map *map, const uint8_t *bytes,
                                 uint32_t channel)
{
    return microvolts(bytes + map->channel_offset[channel], map->lsb_uv[channel]);
}

void eegd_conversion_decode(const struct eegd_conversion_map *map, const uint8_t *bytes, float *planes,
                            uint32_t stride, uint32_t index)
{
    for (uint32_t channel = 0; channel < map->n_channels; channel++)
        planes[(size_t)channel * stride + index] =
            microvolts(bytes + map->channel_offset[channel], map->lsb_uv[channel]);
}

void eegd_conversions_decode(const struct eegd_conversion_map *map, const uint8_t *bytes, uint32_t n,
                             float *planes, uint32_t stride, uint32_t index)
{
    int tiled = TILE_SUPPORTED;
    uint32_t channel = 0;

    while (channel < map->n_channels) {
        uint32_t side_by_side = tiled && is_tile(map, channel) ? TILE : 1;
        float *plane = planes + (size_t)channel * stride + index;
        uint32_t done = side_by_side == TILE ? decode_tiles(map, channel, bytes, n, plane, stride) : 0;

        for (uint32_t k = 0; k < side_by_side; k++)
            decode_plane(map, channel + k, bytes, done, n, plane + (size_t)k * stride);
        channel += side_by_side;
    }
}
