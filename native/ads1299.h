/* SPDX-License-Identifier: MIT */
/*
 * Conversion decode: the bytes one or several ADS1299 clock out at a DRDY
 * (24-bit status, then one 24-bit two's-complement code per channel, MSB
 * first, SBAS499C 9.4.4) become float32 microvolts in the planes of a slab.
 *
 * Pure functions on caller-owned memory; called on the capture thread.
 */
#ifndef EEGD_ADS1299_H
#define EEGD_ADS1299_H
#include <stdint.h>

#define EEGD_MAX_CONVERSION_BYTES 108 /* 4 chips x (3 + 8 x 3) */

/* How the bytes of one conversion are laid out and scaled; fixed for a stream epoch. */
struct eegd_conversion_map {
    uint32_t n_chips;
    uint32_t chip_offset[4];     /* byte of each chip's status word */
    uint32_t n_bytes;            /* whole conversion */
    uint32_t n_channels;         /* planes */
    uint32_t channel_offset[32]; /* byte of each plane's code */
    double lsb_uv[32];           /* microvolts per code; negative where the electrode is on N */
    uint32_t status_mask[4];     /* per chip: bits of its status word that are known beforehand, */
    uint32_t status[4];          /*   and their values; bits 23 … 20 are 1100 in any case */
};

/* Verdicts of eegd_conversion_check, worst first. */
#define EEGD_CONVERSION_OK 0
#define EEGD_CONVERSION_ALL_00 1
#define EEGD_CONVERSION_ALL_FF 2
#define EEGD_CONVERSION_BAD_STATUS                                                                           \
    3 /* a chip's status does not begin with 1100, or other known bits differ */
#define EEGD_CONVERSION_BAD_MARKER                                                                           \
    4 /* only GPIO levels, bits 3 … 0, are not those that a chip was told to drive */

/* One of EEGD_CONVERSION_…, for the whole conversion. */
int eegd_conversion_check(const struct eegd_conversion_map *map, const uint8_t *bytes);

/* 24-bit status word of one chip, 0xCxxxxx. */
uint32_t eegd_conversion_status(const struct eegd_conversion_map *map, const uint8_t *bytes, uint32_t chip);

/* Signed code, -8388608 … 8388607, from 3 bytes. */
int32_t eegd_code_from_bytes(const uint8_t *bytes);

/* One channel's microvolts, the very bits that eegd_conversion_decode writes. */
float eegd_conversion_microvolts(const struct eegd_conversion_map *map, const uint8_t *bytes,
                                 uint32_t channel);

/* Writes sample `index` of every plane: planes[channel * stride + index] = (float)(code * lsb_uv), the
 * product in double, rounded once. stride in floats. */
void eegd_conversion_decode(const struct eegd_conversion_map *map, const uint8_t *bytes, float *planes,
                            uint32_t stride, uint32_t index);

/* The same for n whole conversions that follow each other in `bytes`: samples index … index + n - 1. Gives
 * the very bits of n single calls, several times faster. */
void eegd_conversions_decode(const struct eegd_conversion_map *map, const uint8_t *bytes, uint32_t n,
                             float *planes, uint32_t stride, uint32_t index);

#endif
