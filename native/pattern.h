/* SPDX-License-Identifier: MIT */
/*
 * Pattern: codes from which conversion and input can be recomputed, and a
 * checksum, for checks from end to end. Integer logic only, like the chip:
 * the same file also runs below a real SPI driver. Any thread.
 */
#ifndef EEGD_PATTERN_H
#define EEGD_PATTERN_H
#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#endif

/* All arithmetic is modulo 2^24; results are read as 24-bit two's complement.
 *   scramble(x): x *= FACTOR1; x ^= x >> 12; x *= FACTOR2; x ^= x >> 11      (one to one)
 *   fold(k) = k mod 2^24 + FOLD * floor(k / 2^24)
 *   code(k, c) = scramble(fold(k) + STEP * c)                 for every input c but the last
 *   checksum(k) = scramble(fold(k) + sum over c of (2c + 1) * code(k, c))     on the last input
 * So input 0 tells k, and no single wrong code leaves the checksum right. */
#define EEGD_PATTERN_FACTOR1 0x9E3779
#define EEGD_PATTERN_FACTOR2 0x85EBCB
#define EEGD_PATTERN_FOLD 0x5BD1E9
#define EEGD_PATTERN_STEP 0x3C6EF3

/* The code of a conversion and an input: 24 bits, signed; the last input carries the checksum instead. */
int32_t eegd_pattern_code(uint64_t index, uint32_t input);
/* What the last input carries; codes are those of the n_codes inputs before it. */
int32_t eegd_pattern_checksum(uint64_t index, const int32_t *codes, uint32_t n_codes);

#endif
