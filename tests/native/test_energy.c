/* SPDX-License-Identifier: MIT */
/* Energy: sums of squares and the peak, against plain loops. */
#include "check.h"
#include "dsp/dwt.h"
#include "dsp/energy.h"

#include <math.h>

static void test_energies_and_peaks_are_those_of_plain_loops_for_every_length(void)
{
    static float rows[2][600];

    for (uint32_t n = 8; n < 300; n += 7) {
        struct eegd_dwt *dwt = eegd_dwt_new(EEGD_DWT_DB2, n, eegd_dwt_max_levels(EEGD_DWT_DB2, n));
        uint32_t n_levels = eegd_dwt_levels(dwt);
        float energies[2 * EEGD_DWT_MAX_LEVELS], peaks[2];
        int wrong = 0;

        for (int c = 0; c < 2; c++)
            for (int i = 0; i < 600; i++)
                rows[c][i] = (float)((i * 7919 + c * 31 + (int)n) % 2001 - 1000);
        eegd_energy_of_levels(dwt, rows[0], 600, 2, energies);
        eegd_energy_peak(dwt, rows[0], 600, 2, peaks);
        for (int c = 0; c < 2; c++) {
            float peak = 0;

            for (uint32_t level = 1; level <= n_levels; level++) {
                const float *at = rows[c] + eegd_dwt_offset(dwt, level);
                double sum = 0;

                for (uint32_t k = 0; k < eegd_dwt_length(dwt, level); k++) {
                    sum += (double)at[k] * at[k];
                    if (level == 1)
                        peak = fmaxf(peak, fabsf(at[k]));
                }
                wrong += energies[c * n_levels + level - 1] != (float)sum; /* whole numbers: exact */
            }
            wrong += peaks[c] != peak;
        }
        CHECK_EQ(wrong, 0);
        eegd_dwt_free(dwt);
    }
}

static void test_the_peak_is_found_at_either_end_and_with_either_sign(void)
{
    struct eegd_dwt *dwt = eegd_dwt_new(EEGD_DWT_HAAR, 64, 1);
    float row[64] = {0}, peak;

    for (uint32_t k = 0; k < 32; k += 31) {
        row[eegd_dwt_offset(dwt, 1) + k] = k ? -3 : 2;
        eegd_energy_peak(dwt, row, 64, 1, &peak);
        CHECK(peak == (k ? 3 : 2));
    }
    row[5] = 100; /* of the approximation */
    eegd_energy_peak(dwt, row, 64, 1, &peak);
    CHECK(peak == 3);
    eegd_dwt_free(dwt);
}

static void test_a_coefficient_that_is_missing_leaves_no_peak(void)
{
    for (uint32_t n = 64; n <= 74; n += 10) { /* all in the lanes, and some beyond */
        struct eegd_dwt *dwt = eegd_dwt_new(EEGD_DWT_HAAR, n, 1);
        float row[74] = {0}, peak;
        for (uint32_t k = 0; k < n / 2; k++) {
            float *at = &row[eegd_dwt_offset(dwt, 1) + k];
            *at = NAN;
            eegd_energy_peak(dwt, row, 74, 1, &peak);
            CHECK(isnan(peak));
            *at = -3;
            eegd_energy_peak(dwt, row, 74, 1, &peak);
            CHECK(peak == 3);
        }
        eegd_dwt_free(dwt);
    }
}

static void test_an_infinity_and_a_subnormal_are_found_wherever_they_are(void)
{
    /* 37 details: more than a vector, and some left over. */
    struct eegd_dwt *dwt = eegd_dwt_new(EEGD_DWT_HAAR, 74, 1);
    int wrong = 0;

    for (uint32_t k = 0; k < 37; k++) {
        float row[74] = {0}, peak, *details = row + eegd_dwt_offset(dwt, 1);

        details[k] = -0.0f;
        eegd_energy_peak(dwt, row, 74, 1, &peak);
        wrong += peak != 0 || signbit(peak);
        details[(k + 5) % 37] = -3e-39f;
        eegd_energy_peak(dwt, row, 74, 1, &peak);
        wrong += peak != 3e-39f;
        details[(k + 8) % 37] = -INFINITY;
        eegd_energy_peak(dwt, row, 74, 1, &peak);
        wrong += peak != INFINITY;
    }
    CHECK_EQ(wrong, 0);
    eegd_dwt_free(dwt);
}

int main(void)
{
    RUN(test_energies_and_peaks_are_those_of_plain_loops_for_every_length);
    RUN(test_the_peak_is_found_at_either_end_and_with_either_sign);
    RUN(test_a_coefficient_that_is_missing_leaves_no_peak);
    RUN(test_an_infinity_and_a_subnormal_are_found_wherever_they_are);
    return check_report();
}
