/* SPDX-License-Identifier: MIT */
/* Second-order sections against the same recursion sample by sample, in blocks, in place, and against bad
 * calls. */
#include "check.h"
#include "dsp/sos.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define N_SECTIONS 3
#define MAX_CHANNELS 33
#define N_SAMPLES 500

static const double SECTIONS[6 * N_SECTIONS] = {
    0.2, -0.1, 0.1, 1, -1.6,   0.8,   /* a band */
    2.0, 1.0,  0.5, 2, -1.0,   0.5,   /* a0 is not 1 */
    1.0, -2.0, 1.0, 1, -1.999, 0.9991 /* nothing at 0 Hz */
};

static float input[MAX_CHANNELS][N_SAMPLES], output[MAX_CHANNELS][N_SAMPLES];
static double wanted[MAX_CHANNELS][N_SAMPLES];

static double uniform(void)
{
    static uint32_t state = 1;
    state = state * 1664525 + 1013904223;
    return state / 4294967296.0 - 0.5;
}

/* The recursion as the header writes it, one channel and one sample at a time. */
static void recur(uint32_t n_channels)
{
    for (uint32_t c = 0; c < n_channels; c++) {
        double s[N_SECTIONS][2] = {{0}};
        for (int t = 0; t < N_SAMPLES; t++) {
            input[c][t] = (float)(1000 * uniform());
            double x = input[c][t];
            for (int i = 0; i < N_SECTIONS; i++) {
                const double *k = SECTIONS + 6 * i;
                double y = k[0] / k[3] * x + s[i][0];
                s[i][0] = k[1] / k[3] * x - k[4] / k[3] * y + s[i][1];
                s[i][1] = k[2] / k[3] * x - k[5] / k[3] * y;
                x = y;
            }
            wanted[c][t] = x;
        }
    }
}

/* Number of samples that are not the wanted ones, bit for bit, in blocks of block_size. */
static int differing(uint32_t n_channels, size_t block_size, float (*out)[N_SAMPLES])
{
    struct eegd_sos *sos;
    CHECK_EQ(eegd_sos_create(&sos, SECTIONS, N_SECTIONS, n_channels), 0);
    for (size_t at = 0; at < N_SAMPLES; at += block_size) {
        size_t n = N_SAMPLES - at < block_size ? N_SAMPLES - at : block_size;
        eegd_sos_run(sos, &input[0][at], N_SAMPLES, &out[0][at], N_SAMPLES, n);
    }
    eegd_sos_destroy(sos);
    int n_wrong = 0;
    for (uint32_t c = 0; c < n_channels; c++)
        for (int t = 0; t < N_SAMPLES; t++)
            n_wrong += out[c][t] != (float)wanted[c][t];
    return n_wrong;
}

static void blocks_of_any_size_give_the_recursion_bit_for_bit(void)
{
    const size_t sizes[] = {1, 2, 7, 31, 32, 33, 64, 400, 500};
    const uint32_t channels[] = {1, 2, 7, 8, 9, 16, 32, 33};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
        recur(channels[i]);
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
            CHECK_EQ(differing(channels[i], sizes[k], output), 0);
    }
}

static void in_place_gives_the_same(void)
{
    recur(9);
    CHECK_EQ(differing(9, 50, input), 0);
}

static void rows_between_the_channels_are_left_alone(void)
{
    recur(5);
    memset(output, 0x7f, sizeof output);
    struct eegd_sos *sos;
    CHECK_EQ(eegd_sos_create(&sos, SECTIONS, N_SECTIONS, 5), 0);
    eegd_sos_run(sos, input[0], N_SAMPLES, output[0], 2 * N_SAMPLES, N_SAMPLES);
    eegd_sos_run(sos, input[0], N_SAMPLES, output[1], 2 * N_SAMPLES, 0);
    eegd_sos_destroy(sos);
    int n_wrong = 0;
    unsigned char untouched[sizeof output[0]];
    memset(untouched, 0x7f, sizeof untouched);
    for (int c = 0; c < 5; c++) {
        for (int t = 0; t < N_SAMPLES; t++)
            n_wrong += output[2 * c][t] != (float)wanted[c][t];
        n_wrong += memcmp(output[2 * c + 1], untouched, sizeof untouched) != 0;
    }
    CHECK_EQ(n_wrong, 0);
}

static void a_constant_gives_a_constant_once_settled(void)
{
    struct eegd_sos *sos;
    CHECK_EQ(eegd_sos_create(&sos, SECTIONS, 2, 9), 0);
    double first[9];
    for (int c = 0; c < 9; c++) {
        first[c] = 60000 - 1000 * c;
        for (int t = 0; t < N_SAMPLES; t++)
            input[c][t] = (float)first[c];
    }
    eegd_sos_settle(sos, first);
    eegd_sos_run(sos, input[0], N_SAMPLES, output[0], N_SAMPLES, N_SAMPLES);
    for (int c = 0; c < 9; c++) {
        float least = output[c][0], most = output[c][0];
        for (int t = 0; t < N_SAMPLES; t++) {
            least = fminf(least, output[c][t]);
            most = fmaxf(most, output[c][t]);
        }
        CHECK(most - least <= 1e-6f * fabsf(most));
    }
    eegd_sos_destroy(sos);
}

static void a_pole_at_1_settles_at_rest(void)
{
    const double integrator[6] = {1, 0, 0, 1, -1, 0};
    struct eegd_sos *sos;
    CHECK_EQ(eegd_sos_create(&sos, integrator, 1, 1), 0);
    double first = 5, state[2];
    eegd_sos_settle(sos, &first);
    eegd_sos_state(sos, 0, state);
    CHECK(state[0] == 0 && state[1] == 0);
    eegd_sos_destroy(sos);
}

static void a_state_that_fades_becomes_0_and_not_subnormal(void)
{
    const double decay[6] = {1, 0, 0, 1, -0.5, 0};
    struct eegd_sos *sos;
    CHECK_EQ(eegd_sos_create(&sos, decay, 1, 1), 0);
    memset(input[0], 0, sizeof input[0]);
    input[0][0] = 1;
    double state[2];
    eegd_sos_run(sos, input[0], N_SAMPLES, output[0], N_SAMPLES, 50);
    eegd_sos_state(sos, 0, state);
    CHECK(state[0] > 0);
    eegd_sos_run(sos, input[0] + 50, N_SAMPLES, output[0] + 50, N_SAMPLES, 100);
    eegd_sos_state(sos, 0, state);
    CHECK(state[0] == 0);
    eegd_sos_destroy(sos);
}

/* What comes out where samples are missing, written down channel by channel: NaN, and then a cascade of its
 * own that begins settled. */
static void restart(uint32_t channel, float *wanted_out)
{
    struct eegd_sos *sos = NULL;
    for (int t = 0; t < N_SAMPLES; t++) {
        if (!isfinite(input[channel][t])) {
            wanted_out[t] = NAN;
            eegd_sos_destroy(sos);
            sos = NULL;
            continue;
        }
        if (!sos) {
            double first = input[channel][t];
            CHECK_EQ(eegd_sos_create(&sos, SECTIONS, N_SECTIONS, 1), 0);
            if (t)
                eegd_sos_settle(sos, &first);
        }
        eegd_sos_run(sos, &input[channel][t], 1, &wanted_out[t], 1, 1);
    }
    eegd_sos_destroy(sos);
}

static void what_is_missing_comes_out_as_nan_and_the_channel_begins_anew(void)
{
    static const float odd[3] = {NAN, INFINITY, -INFINITY};
    static float restarted[MAX_CHANNELS][N_SAMPLES];
    const size_t sizes[] = {1, 7, 32, 33, 500};
    const uint32_t n_channels = 17;
    int n_wrong = 0, n_missing = 0;
    recur(n_channels);
    for (int k = 0; k < 30; k++)
        input[k % 4 * 5][(37 * k + k * k) % N_SAMPLES] = odd[k % 3];
    input[10][0] = input[15][31] = input[15][32] = input[15][N_SAMPLES - 1] = NAN;
    for (uint32_t c = 0; c < n_channels; c++)
        restart(c, restarted[c]);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        differing(n_channels, sizes[i], output);
        for (uint32_t c = 0; c < n_channels; c++)
            for (int t = 0; t < N_SAMPLES; t++) {
                n_missing += isnan(output[c][t]);
                n_wrong += memcmp(&output[c][t], &restarted[c][t], sizeof(float)) != 0 &&
                           !(isnan(output[c][t]) && isnan(restarted[c][t]));
                n_wrong += c % 5 != 0 && output[c][t] != (float)wanted[c][t];
            }
    }
    CHECK_EQ(n_wrong, 0);
    CHECK(n_missing > 5 * 20 && n_missing <= 5 * 34);
}

static void settled_at_nothing_it_waits_for_the_first_sample(void)
{
    struct eegd_sos *sos;
    double first[9];
    int n_wrong = 0;
    recur(9);
    for (int i = 0; i < 2; i++) {
        for (int c = 0; c < 9; c++)
            first[c] = i ? NAN : input[c][0];
        CHECK_EQ(eegd_sos_create(&sos, SECTIONS, N_SECTIONS, 9), 0);
        eegd_sos_settle(sos, first);
        eegd_sos_run(sos, input[0], N_SAMPLES, output[0], N_SAMPLES, N_SAMPLES);
        eegd_sos_destroy(sos);
        for (int c = 0; c < 9; c++)
            for (int t = 0; t < N_SAMPLES; t++) {
                n_wrong += i && wanted[c][t] != (double)output[c][t];
                wanted[c][t] = output[c][t];
            }
    }
    CHECK_EQ(n_wrong, 0);
}

static void what_cannot_be_a_cascade_is_refused(void)
{
    struct eegd_sos *sos = NULL;
    double bad[6] = {1, 0, 0, 1, 0, 0};
    CHECK_EQ(eegd_sos_create(&sos, bad, 0, 1), -EINVAL);
    CHECK_EQ(eegd_sos_create(&sos, bad, EEGD_SOS_MAX_SECTIONS + 1, 1), -EINVAL);
    CHECK_EQ(eegd_sos_create(&sos, bad, 1, 0), -EINVAL);
    CHECK_EQ(eegd_sos_create(&sos, bad, 1, EEGD_SOS_MAX_CHANNELS + 1), -EINVAL);
    bad[3] = 0;
    CHECK_EQ(eegd_sos_create(&sos, bad, 1, 1), -EINVAL);
    bad[3] = 1e-320; /* b0 / a0 is infinite */
    CHECK_EQ(eegd_sos_create(&sos, bad, 1, 1), -EINVAL);
    bad[3] = 1, bad[5] = NAN;
    CHECK_EQ(eegd_sos_create(&sos, bad, 1, 1), -EINVAL);
    CHECK(sos == NULL);
    eegd_sos_destroy(NULL);
}

int main(void)
{
    RUN(blocks_of_any_size_give_the_recursion_bit_for_bit);
    RUN(in_place_gives_the_same);
    RUN(rows_between_the_channels_are_left_alone);
    RUN(a_constant_gives_a_constant_once_settled);
    RUN(a_pole_at_1_settles_at_rest);
    RUN(a_state_that_fades_becomes_0_and_not_subnormal);
    RUN(what_is_missing_comes_out_as_nan_and_the_channel_begins_anew);
    RUN(settled_at_nothing_it_waits_for_the_first_sample);
    RUN(what_cannot_be_a_cascade_is_refused);
    return check_report();
}
