/* SPDX-License-Identifier: MIT */
/*
 * The words of a conversion, for C on the capture path, which looks at each of
 * them at every sample; not for cffi. Others take the same from ads1299.h.
 */
#ifndef EEGD_CODE_INLINE_H
#define EEGD_CODE_INLINE_H
#include <stdint.h>
#include "ads1299.h"

/* Signed code from 3 bytes. */
static inline int32_t eegd_code_at(const uint8_t *bytes)
{
    return (int32_t)((uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8) >> 8;
}

/* 24-bit status word of one chip. */
static inline uint32_t eegd_status_at(const struct eegd_conversion_map *map, const uint8_t *bytes,
                                      uint32_t chip)
{
    const uint8_t *status = bytes + map->chip_offset[chip];
    return (uint32_t)status[0] << 16 | (uint32_t)status[1] << 8 | status[2];
}

#endif
