/* SPDX-License-Identifier: MIT */
/* The check pattern. Runs on the thread of its caller. See pattern.h. */
#include "pattern.h"

static uint32_t scramble(uint32_t x)
{
    x = x * EEGD_PATTERN_FACTOR1 & 0xFFFFFF;
    x ^= x >> 12;
    x = x * EEGD_PATTERN_FACTOR2 & 0xFFFFFF;
    return x ^ x >> 11;
}

static uint32_t fold_index(uint64_t index)
{
    return (uint32_t)index + (uint32_t)(index >> 24) * EEGD_PATTERN_FOLD;
}

static int32_t as_code(uint32_t bits)
{
    return (int32_t)(bits << 8) >> 8;
}

int32_t eegd_pattern_code(uint64_t index, uint32_t input)
{
    return as_code(scramble((fold_index(index) + input * EEGD_PATTERN_STEP) & 0xFFFFFF));
}

int32_t eegd_pattern_checksum(uint64_t index, const int32_t *codes, uint32_t n_codes)
{
    uint32_t sum = fold_index(index), c;

    for (c = 0; c < n_codes; c++)
        sum += (2 * c + 1) * (uint32_t)codes[c];
    return as_code(scramble(sum & 0xFFFFFF));
}
