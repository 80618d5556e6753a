/* SPDX-License-Identifier: MIT */
/* DWT: against the filters' own definition, sum by sum in double; and back. PyWavelets is asked in
 * tests/unit/test_dwt.py. */
#include "check.h"
#include "dsp/dwt.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define MAX_N 600
#define MAX_ROOM 1024

struct filter {
    int wavelet, n_taps;
    double low[6], high[6];
};

static const struct filter filters[] = {
    {EEGD_DWT_HAAR, 2, {M_SQRT1_2, M_SQRT1_2}, {-M_SQRT1_2, M_SQRT1_2}},
    {EEGD_DWT_CDF53,
     6,
     {0, -M_SQRT2 / 8, M_SQRT2 / 4, 3 * M_SQRT2 / 4, M_SQRT2 / 4, -M_SQRT2 / 8},
     {0, M_SQRT2 / 4, -M_SQRT2 / 2, M_SQRT2 / 4, 0, 0}},
    {EEGD_DWT_DB2,
     4,
     {-0.12940952255126037, 0.22414386804201339, 0.83651630373780790, 0.48296291314453414},
     {-0.48296291314453414, 0.83651630373780790, -0.22414386804201339, -0.12940952255126037}},
};
#define N_FILTERS (sizeof(filters) / sizeof(filters[0]))

static double mirrored(const double *x, int n, int i)
{
    return i < 0 ? x[-1 - i] : i < n ? x[i] : x[2 * n - 1 - i];
}

/* One level by convolution; returns the number of coefficients of each kind. */
static int convolve(const struct filter *f, const double *x, int n, double *low, double *high)
{
    int n_out = (n + f->n_taps - 1) / 2;

    for (int k = 0; k < n_out; k++) {
        low[k] = high[k] = 0;
        for (int j = 0; j < f->n_taps; j++) {
            low[k] += f->low[j] * mirrored(x, n, 2 * k + 1 - j);
            high[k] += f->high[j] * mirrored(x, n, 2 * k + 1 - j);
        }
    }
    return n_out;
}

static float noise(void)
{
    static unsigned state = 1;

    state = state * 1664525u + 1013904223u;
    return (float)((int)(state >> 8) - (1 << 23)) * (100.0f / (1 << 23));
}

static int wrong_coefficients(const struct filter *f, const struct eegd_dwt *dwt, const float *samples,
                              const float *row)
{
    double x[MAX_N], low[MAX_N], high[MAX_N];
    uint32_t n_levels = eegd_dwt_levels(dwt);
    int n = (int)eegd_dwt_samples(dwt), wrong = 0;

    for (int i = 0; i < n; i++)
        x[i] = samples[i];
    for (uint32_t level = 1; level <= n_levels; level++) {
        n = convolve(f, x, n, low, high);
        wrong += (uint32_t)n != eegd_dwt_length(dwt, level);
        for (int k = 0; k < n; k++)
            wrong += !(fabs(high[k] - row[eegd_dwt_offset(dwt, level) + k]) < 1e-3);
        memcpy(x, low, sizeof(x));
    }
    wrong += (uint32_t)n != eegd_dwt_length(dwt, 0) || eegd_dwt_offset(dwt, 0) != 0;
    for (int k = 0; k < n; k++)
        wrong += !(fabs(low[k] - row[k]) < 1e-3);
    return wrong;
}

static void test_coefficients_are_those_of_the_filters_and_the_inverse_gives_the_samples_back(void)
{
    static float samples[3][MAX_N], rows[3][MAX_ROOM];
    int n_plans = 0;

    for (unsigned f = 0; f < N_FILTERS; f++)
        for (uint32_t n = 2; n <= MAX_N; n += n < 70 ? 1 : 53)
            for (uint32_t l = 1; l <= eegd_dwt_max_levels(filters[f].wavelet, n); l++) {
                struct eegd_dwt *dwt = eegd_dwt_new(filters[f].wavelet, n, l);
                uint32_t room = eegd_dwt_room(dwt);
                int wrong = 0;

                n_plans++;
                wrong += room < n || room + 1 > MAX_ROOM;
                for (int c = 0; c < 3; c++) {
                    for (uint32_t i = 0; i < n; i++)
                        rows[c][i] = samples[c][i] = noise();
                    rows[c][room] = 12345; /* nobody's */
                }
                eegd_dwt_forward(dwt, rows[0], MAX_ROOM, 3);
                for (int c = 0; c < 3; c++)
                    wrong += wrong_coefficients(&filters[f], dwt, samples[c], rows[c]);
                eegd_dwt_inverse(dwt, rows[0], MAX_ROOM, 3);
                for (int c = 0; c < 3; c++) {
                    for (uint32_t i = 0; i < n; i++)
                        wrong += !(fabsf(rows[c][i] - samples[c][i]) < 1e-3f);
                    wrong += rows[c][room] != 12345;
                }
                CHECK_EQ(wrong, 0);
                eegd_dwt_free(dwt);
            }
    CHECK(n_plans > 500);
}

static void test_samples_from_elsewhere_give_the_same_bits_and_stay_as_they_are(void)
{
    static float samples[3][MAX_N], kept[3][MAX_N], rows[3][MAX_ROOM], wanted[3][MAX_ROOM];

    for (unsigned f = 0; f < N_FILTERS; f++) {
        struct eegd_dwt *dwt = eegd_dwt_new(filters[f].wavelet, 77, 3);
        size_t n_bytes = eegd_dwt_room(dwt) * sizeof(float);

        for (int c = 0; c < 3; c++)
            for (int i = 0; i < MAX_N; i++)
                kept[c][i] = samples[c][i] = noise();
        for (int c = 0; c < 3; c++)
            memcpy(wanted[c], samples[c], 77 * sizeof(float));
        eegd_dwt_forward(dwt, wanted[0], MAX_ROOM, 3);
        eegd_dwt_forward_from(dwt, samples[0], MAX_N, rows[0], MAX_ROOM, 3);
        for (int c = 0; c < 3; c++)
            CHECK(memcmp(rows[c], wanted[c], n_bytes) == 0);
        CHECK(memcmp(samples, kept, sizeof(kept)) == 0);
        eegd_dwt_free(dwt);
    }
}

static void test_a_constant_has_no_details_and_cdf53_none_of_a_ramp_away_from_the_edges(void)
{
    for (unsigned f = 0; f < N_FILTERS; f++) {
        struct eegd_dwt *dwt = eegd_dwt_new(filters[f].wavelet, 64, 1);
        float row[128], largest = 0;

        for (int i = 0; i < 64; i++)
            row[i] = 60000;
        eegd_dwt_forward(dwt, row, 128, 1);
        for (uint32_t k = 0; k < eegd_dwt_length(dwt, 1); k++)
            largest = fmaxf(largest, fabsf(row[eegd_dwt_offset(dwt, 1) + k]));
        CHECK(largest == 0); /* as float32, 60 mV has steps of 4 nV */
        for (int i = 0; i < 64; i++)
            row[i] = (float)i;
        eegd_dwt_forward(dwt, row, 128, 1);
        largest = 0;
        for (uint32_t k = 3; k + 3 < eegd_dwt_length(dwt, 1); k++)
            largest = fmaxf(largest, fabsf(row[eegd_dwt_offset(dwt, 1) + k]));
        CHECK((largest < 1e-4f) == (filters[f].wavelet != EEGD_DWT_HAAR));
        eegd_dwt_free(dwt);
    }
}

static void test_what_cannot_be_transformed_is_refused(void)
{
    static const struct {
        int wavelet;
        uint32_t n_samples, n_levels;
    } refused[] = {{3, 64, 1},
                   {-1, 64, 1},
                   {EEGD_DWT_HAAR, 1, 1},
                   {EEGD_DWT_HAAR, 64, 0},
                   {EEGD_DWT_HAAR, 64, 7},
                   {EEGD_DWT_CDF53, 8, 1},
                   {EEGD_DWT_DB2, 64, 5},
                   {EEGD_DWT_DB2, EEGD_DWT_MAX_SAMPLES + 1, 1},
                   {EEGD_DWT_HAAR, UINT32_MAX, 1}};

    for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        errno = 0;
        CHECK(!eegd_dwt_new(refused[i].wavelet, refused[i].n_samples, refused[i].n_levels));
        CHECK_EQ(errno, EINVAL);
    }
    CHECK_EQ(eegd_dwt_max_levels(EEGD_DWT_HAAR, EEGD_DWT_MAX_SAMPLES), EEGD_DWT_MAX_LEVELS);
    eegd_dwt_free(NULL);
}

int main(void)
{
    RUN(test_coefficients_are_those_of_the_filters_and_the_inverse_gives_the_samples_back);
    RUN(test_samples_from_elsewhere_give_the_same_bits_and_stay_as_they_are);
    RUN(test_a_constant_has_no_details_and_cdf53_none_of_a_ramp_away_from_the_edges);
    RUN(test_what_cannot_be_transformed_is_refused);
    return check_report();
}
