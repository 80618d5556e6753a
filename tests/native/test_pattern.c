/* SPDX-License-Identifier: MIT */
/* The check pattern: no single error passes, and no two conversions look alike. */
#include <stdlib.h>

#include "pattern.h"
#include "check.h"

static void pattern_checksum_sees_every_single_wrong_bit(void)
{
    int32_t codes[7];

    for (uint32_t c = 0; c < 7; c++)
        codes[c] = eegd_pattern_code(77, c);
    for (uint32_t c = 0; c < 7; c++)
        for (int bit = 0; bit < 24; bit++) {
            int32_t right = eegd_pattern_checksum(77, codes, 7);

            codes[c] ^= 1 << bit;
            CHECK(eegd_pattern_checksum(77, codes, 7) != right);
            codes[c] ^= 1 << bit;
        }
}

static void pattern_of_input_0_repeats_only_after_all_indices(void)
{
    uint8_t *seen = calloc(1 << 24, 1);
    int repeats = 0;

    for (uint64_t k = 0; k < 1 << 24; k++)
        repeats += seen[eegd_pattern_code(k, 0) & 0xFFFFFF]++;
    CHECK_EQ(repeats, 0);
    free(seen);
}

int main(void)
{
    RUN(pattern_checksum_sees_every_single_wrong_bit);
    RUN(pattern_of_input_0_repeats_only_after_all_indices);
    return check_report();
}
