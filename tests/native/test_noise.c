/* SPDX-License-Identifier: MIT */
/* Random numbers and 1/f backgrounds: known values, moments, spectrum. */
#include "noise.h"
#include <math.h>
#include "check.h"

#define N 200000

static void test_the_stream_is_splitmix64(void)
{
    uint64_t random = 0;
    CHECK(eegd_noise_draw(&random) == UINT64_C(0xE220A8397B1DCDAF)); /* its published first two, of seed 0 */
    CHECK(eegd_noise_draw(&random) == UINT64_C(0x6E789E6AA1B965F4));
}

static void test_uniform_and_gauss_have_the_moments_they_say(void)
{
    uint64_t random = 1;
    double low = 1, high = 0, sum = 0, squares = 0, fourth = 0;
    for (int i = 0; i < N; i++) {
        double u = eegd_noise_uniform(&random), g = eegd_noise_gauss(&random);
        low = fmin(low, u);
        high = fmax(high, u);
        sum += g;
        squares += g * g;
        fourth += g * g * g * g;
    }
    CHECK(low >= 0 && low < 1e-3 && high < 1 && high > 1 - 1e-3);
    CHECK(fabs(sum / N) < 0.01);
    CHECK(fabs(squares / N - 1) < 0.01);
    CHECK(fabs(fourth / N - 2.7) < 0.1); /* four uniforms; 3 of a Gaussian */
}

/* Mean square of a background after a high-pass and a low-pass of first order, an octave or so. */
static double power(double period_s, double hz)
{
    struct eegd_background background;
    double poles[EEGD_N_POLES] = {0}, low = 0, lower = 0, sum = 0;
    double keep = eegd_noise_keep(hz * 1.5, period_s), keep_low = eegd_noise_keep(hz / 1.5, period_s);
    uint64_t random = 7;
    int n = (int)(400 / period_s);
    eegd_background_set(&background, period_s);
    for (int i = 0; i < n; i++) {
        double x = eegd_background_next(&background, poles, eegd_noise_gauss(&random));
        if (hz > 0) {
            low = keep * low + (1 - keep) * x;
            lower = keep_low * lower + (1 - keep_low) * x;
            x = low - lower;
        }
        sum += x * x;
    }
    return sum / n;
}

static void test_a_background_has_rms_1_at_any_rate(void)
{
    const double periods[] = {1 / 250.0, 1 / 1000.0, 1 / 4000.0};
    for (int i = 0; i < 3; i++)
        CHECK(fabs(sqrt(power(periods[i], 0)) - 1) < 0.1);
}

static void test_octaves_of_a_background_are_of_like_power(void)
{
    double at_2 = power(1e-3, 2), at_8 = power(1e-3, 8), at_32 = power(1e-3, 32);
    CHECK(at_2 / at_8 > 0.7 && at_2 / at_8 < 1.4);
    CHECK(at_8 / at_32 > 0.7 && at_8 / at_32 < 1.4);
}

int main(void)
{
    RUN(test_the_stream_is_splitmix64);
    RUN(test_uniform_and_gauss_have_the_moments_they_say);
    RUN(test_a_background_has_rms_1_at_any_rate);
    RUN(test_octaves_of_a_background_are_of_like_power);
    return check_report();
}
