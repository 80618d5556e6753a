/* SPDX-License-Identifier: MIT */
/* Wavelet: windows, steps and gaps whatever the frames' length; what is published; a reader beside it;
 * stages. */
#include "check.h"
#include "dsp/dwt.h"
#include "dsp/energy.h"
#include "dsp/history.h"
#include "dsp/latest.h"
#include "dsp/sos.h"
#include "dsp/stages.h"
#include "dsp/trip.h"
#include "dsp/wavelet.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define CHANNELS 3
#define WINDOW 32
#define LEVELS 3
#define SAMPLES 1000

static float signal[CHANNELS][SAMPLES];

static struct eegd_wavelet_config config_of(uint32_t n_step)
{
    return (struct eegd_wavelet_config){.wavelet = EEGD_DWT_DB2,
                                        .n_channels = CHANNELS,
                                        .n_window = WINDOW,
                                        .n_step = n_step,
                                        .n_levels = LEVELS,
                                        .n_history = 16,
                                        .trip_threshold = INFINITY,
                                        .n_stage_frames = 64};
}

static void make_signal(void)
{
    for (int c = 0; c < CHANNELS; c++)
        for (int i = 0; i < SAMPLES; i++)
            signal[c][i] = (float)((i * i * 31 + c * 977 + i * 7919) % 4001) * 0.05f - 100;
}

/* 1 when the newest result is what dwt and energy make of the window that begins at `first` of the signal. */
static int is_result_of(struct eegd_wavelet *wavelet, uint32_t first, uint64_t sample_index)
{
    static unsigned char bytes[65536];
    struct eegd_dwt *dwt = eegd_dwt_new(EEGD_DWT_DB2, WINDOW, LEVELS);
    struct eegd_wavelet_result result;
    uint32_t room = eegd_dwt_room(dwt);
    float rows[CHANNELS * 64], energies[CHANNELS * LEVELS], peaks[CHANNELS];
    int is_same;

    for (int c = 0; c < CHANNELS; c++)
        memcpy(rows + c * room, signal[c] + first, WINDOW * sizeof(float));
    eegd_dwt_forward(dwt, rows, room, CHANNELS);
    eegd_energy_of_levels(dwt, rows, room, CHANNELS, energies);
    eegd_energy_peak(dwt, rows, room, CHANNELS, peaks);
    is_same = eegd_latest_read(eegd_wavelet_latest(wavelet), bytes) > 0;
    memcpy(&result, bytes, sizeof(result));
    is_same &= result.sample_index == sample_index;
    is_same &= !memcmp(bytes + sizeof(result), energies, sizeof(energies));
    is_same &= !memcmp(bytes + sizeof(result) + sizeof(energies), peaks, sizeof(peaks));
    is_same &= !memcmp(bytes + sizeof(result) + sizeof(energies) + sizeof(peaks), rows,
                       CHANNELS * room * sizeof(float));
    is_same &= eegd_wavelet_room(wavelet) == room;
    is_same &= !memcmp(bytes, eegd_wavelet_own_result(wavelet), eegd_wavelet_result_bytes(wavelet));
    eegd_dwt_free(dwt);
    return is_same;
}

/* Pushes signal[begin … end) as sample indices from `index` on in frames of n_frame; checks every result.
 * Returns how many there were. */
static int push_all(struct eegd_wavelet *wavelet, uint32_t begin, uint32_t end, uint64_t index,
                    uint32_t n_frame, uint32_t n_step)
{
    int n_results = 0, n_wrong = 0;

    for (uint32_t at = begin; at < end;) {
        uint32_t frame_end = at + n_frame < end ? at + n_frame : end;

        while (at < frame_end) {
            int complete;

            at += eegd_wavelet_push(wavelet, signal[0] + at, SAMPLES, frame_end - at, index + at - begin,
                                    &complete);
            if (!complete)
                continue;
            n_wrong += at - begin != WINDOW + (uint32_t)n_results * n_step;
            n_wrong += !is_result_of(wavelet, at - WINDOW, index + at - begin - WINDOW);
            n_results++;
        }
    }
    CHECK_EQ(n_wrong, 0);
    return n_results;
}

static void test_results_do_not_depend_on_the_length_of_frames_or_of_steps(void)
{
    static const uint32_t steps[] = {1, 5, 32, 47, 200}, frames[] = {1, 7, 32, 64, 400, 1000};

    for (unsigned s = 0; s < sizeof(steps) / sizeof(steps[0]); s++)
        for (unsigned f = 0; f < sizeof(frames) / sizeof(frames[0]); f++) {
            struct eegd_wavelet_config config = config_of(steps[s]);
            struct eegd_wavelet *wavelet = eegd_wavelet_new(&config, NULL);

            CHECK_EQ(push_all(wavelet, 0, SAMPLES, 5000, frames[f], steps[s]),
                     1 + (SAMPLES - WINDOW) / steps[s]);
            eegd_wavelet_free(wavelet);
        }
}

static void test_a_filter_is_run_over_every_sample_once(void)
{
    static const double half_of_the_one_before[] = {0, 0.5, 0, 1, 0, 0};
    static float halved[CHANNELS][SAMPLES];
    struct eegd_wavelet_config config = config_of(10);
    struct eegd_sos *filter;
    struct eegd_wavelet *filtered, *plain;
    int complete, n_wrong = 0, n_complete = 0;

    CHECK_EQ(eegd_sos_create(&filter, half_of_the_one_before, 1, CHANNELS), 0);
    for (int c = 0; c < CHANNELS; c++)
        for (int i = 1; i < SAMPLES; i++)
            halved[c][i] = signal[c][i - 1] * 0.5f;
    filtered = eegd_wavelet_new(&config, filter);
    plain = eegd_wavelet_new(&config, NULL);
    for (uint32_t at = 0, n; at < SAMPLES; at += n) {
        n = eegd_wavelet_push(filtered, signal[0] + at, SAMPLES, SAMPLES - at, at, &complete);
        CHECK_EQ(eegd_wavelet_push(plain, halved[0] + at, SAMPLES, SAMPLES - at, at, &complete), n);
        n_complete += complete;
        n_wrong += memcmp(eegd_wavelet_own_result(filtered), eegd_wavelet_own_result(plain),
                          eegd_wavelet_result_bytes(plain)) != 0;
    }
    CHECK_EQ(n_wrong, 0);
    CHECK_EQ(n_complete, 97);
    eegd_wavelet_free(filtered);
    eegd_wavelet_free(plain);
    eegd_sos_destroy(filter);
}

static void test_no_window_spans_a_gap(void)
{
    struct eegd_wavelet_config config = config_of(8);
    struct eegd_wavelet *wavelet = eegd_wavelet_new(&config, NULL);

    CHECK_EQ(push_all(wavelet, 0, 60, 0, 10, 8), 4);
    CHECK_EQ(push_all(wavelet, 60, 91, 61, 10, 8), 0);
    CHECK_EQ(push_all(wavelet, 91, 150, 200, 10, 8), 4);
    eegd_wavelet_free(wavelet);
}

static void test_the_history_has_the_energies_of_the_last_windows(void)
{
    struct eegd_wavelet_config config = config_of(10);
    struct eegd_wavelet *wavelet = eegd_wavelet_new(&config, NULL);
    unsigned char rows[16][sizeof(struct eegd_wavelet_row) + CHANNELS * LEVELS * sizeof(float)];
    struct eegd_wavelet_row row;
    uint64_t first;

    CHECK_EQ(eegd_wavelet_row_bytes(wavelet), sizeof(rows[0]));
    CHECK_EQ(push_all(wavelet, 0, SAMPLES, 0, 16, 10), 97);
    CHECK_EQ(eegd_history_last(eegd_wavelet_history(wavelet), 100, rows, &first), 16);
    CHECK_EQ(first, 97 - 15);
    for (int i = 0; i < 16; i++) {
        memcpy(&row, rows[i], sizeof(row));
        CHECK_EQ(row.sample_index, (first - 1 + i) * 10);
    }
    CHECK(!memcmp(rows[15] + sizeof(row), eegd_wavelet_own_result(wavelet) + 1,
                  CHANNELS * LEVELS * sizeof(float)));
    eegd_wavelet_free(wavelet);
}

static void test_a_step_in_one_channel_trips_and_clears_by_peak_or_energy(void)
{
    for (uint32_t level = 0; level <= LEVELS; level++)
        for (uint32_t channel = 0; channel < CHANNELS; channel++) {
            struct eegd_wavelet_config config = config_of(1);
            struct eegd_wavelet *wavelet;
            const struct eegd_wavelet_result *result;
            float zeros[CHANNELS][200] = {{0}};
            uint64_t tripped = 0, cleared = 0;
            int complete;

            config.trip_channel = 1;
            config.trip_level = level;
            config.trip_threshold = 10;
            config.trip_hold = 20;
            wavelet = eegd_wavelet_new(&config, NULL);
            result = eegd_wavelet_own_result(wavelet);
            zeros[channel][100] = 100;
            for (uint32_t i = 0; i < 200; i++) {
                eegd_wavelet_push(wavelet, &zeros[0][i], 200, 1, i, &complete);
                if (complete && result->trip_change == EEGD_TRIP_TRIPPED)
                    tripped = result->trip_since;
                if (complete && result->trip_change == EEGD_TRIP_CLEARED)
                    cleared = result->trip_since;
            }
            CHECK_EQ(result->n_trips, channel == 1);
            CHECK(channel == 1 ? tripped >= 100 && tripped < 104 : tripped == 0);
            CHECK(channel == 1 ? cleared > 131 && cleared <= 132 + 20 : cleared == 0);
            eegd_wavelet_free(wavelet);
        }
}

static void test_another_trip_holds_from_the_next_window_on_and_the_window_goes_on(void)
{
    struct eegd_wavelet_config config = config_of(1);
    struct eegd_wavelet *wavelet = eegd_wavelet_new(&config, NULL);
    const struct eegd_wavelet_result *result = eegd_wavelet_own_result(wavelet);

    CHECK_EQ(push_all(wavelet, 0, 100, 0, 10, 1), 69);
    CHECK_EQ(result->tripped, 0);
    config.trip_level = 1;
    config.trip_channel = CHANNELS;
    config.trip_threshold = 1;
    CHECK_EQ(eegd_wavelet_set_trip(wavelet, &config), -EINVAL);
    config.trip_channel = 2;
    CHECK_EQ(eegd_wavelet_set_trip(wavelet, &config), 0);
    for (uint64_t at = 100; at < 102; at++) {
        int complete;

        eegd_wavelet_push(wavelet, signal[0] + at, SAMPLES, 1, at, &complete);
        CHECK_EQ(complete, 1);
        CHECK_EQ(result->trip_change, at == 100 ? EEGD_TRIP_TRIPPED : EEGD_TRIP_NOTHING);
    }
    CHECK(result->trip_value == (double)((const float *)(result + 1))[2 * LEVELS]);
    eegd_wavelet_free(wavelet);
}

struct run {
    struct eegd_wavelet *wavelet;
    _Atomic int is_over;
    int n_wrong, n_read;
};

/* A result is whole when its energies are those of its coefficients. */
static void *read_latest(void *arg)
{
    static unsigned char bytes[65536];
    struct run *run = arg;
    const struct eegd_dwt *dwt = eegd_wavelet_dwt(run->wavelet);
    float energies[CHANNELS * LEVELS];
    uint64_t before = 0;

    while (!atomic_load(&run->is_over)) {
        struct eegd_wavelet_result result;
        const float *found = (const float *)(bytes + sizeof(result));
        int64_t number = eegd_latest_read(eegd_wavelet_latest(run->wavelet), bytes);

        if (number <= 0)
            continue;
        memcpy(&result, bytes, sizeof(result));
        run->n_read++;
        run->n_wrong += result.number != (uint64_t)number || result.number < before;
        before = result.number;
        eegd_energy_of_levels(dwt, found + CHANNELS * (LEVELS + 1), eegd_dwt_room(dwt), CHANNELS, energies);
        run->n_wrong += memcmp(energies, found, sizeof(energies)) != 0;
    }
    return NULL;
}

static void test_a_reader_in_another_thread_sees_whole_results_only(void)
{
    struct eegd_wavelet_config config = config_of(1);
    struct run run = {.wavelet = eegd_wavelet_new(&config, NULL)};
    pthread_t reader;
    uint64_t index = 0;
    int complete;

    pthread_create(&reader, NULL, read_latest, &run);
    for (int round = 0; round < 30; round++)
        for (uint32_t at = 0; at < SAMPLES;) {
            uint32_t n =
                eegd_wavelet_push(run.wavelet, signal[0] + at, SAMPLES, SAMPLES - at, index, &complete);

            at += n;
            index += n;
        }
    atomic_store(&run.is_over, 1);
    pthread_join(reader, NULL);
    CHECK_EQ(run.n_wrong, 0);
    CHECK_EQ(eegd_latest_number(eegd_wavelet_latest(run.wavelet)), 30 * SAMPLES - WINDOW + 1);
    printf("%d results read\n", run.n_read);
    eegd_wavelet_free(run.wavelet);
}

static void test_stages_are_kept_only_while_they_are_on(void)
{
    struct eegd_wavelet_config config = config_of(10);
    struct eegd_wavelet *wavelet = eegd_wavelet_new(&config, NULL);
    struct eegd_stages *stages = eegd_wavelet_stages(wavelet);
    uint32_t times[64][EEGD_STAGES];
    int n_with_dwt = 0;

    push_all(wavelet, 0, 500, 0, 1, 10);
    CHECK_EQ(eegd_stages_last(stages, 64, times[0]), 0);
    eegd_stages_turn(stages, 1);
    push_all(wavelet, 500, 550, 0, 1, 10);
    CHECK_EQ(eegd_stages_last(stages, 64, times[0]), 50);
    for (int i = 0; i < 50; i++) {
        n_with_dwt += times[i][EEGD_STAGE_DWT] > 0;
        CHECK_EQ(times[i][EEGD_STAGE_FILTER], 0);
    }
    CHECK_EQ(n_with_dwt, 2);
    CHECK(times[31][EEGD_STAGE_DWT] > 0 && times[41][EEGD_STAGE_PUBLISH] > 0);
    push_all(wavelet, 0, 500, 1000, 1, 10);
    CHECK_EQ(eegd_stages_last(stages, 100, times[0]), 64);
    CHECK_EQ(eegd_stages_last(stages, 3, times[0]), 3);
    eegd_stages_turn(stages, 0);
    push_all(wavelet, 0, 100, 5000, 1, 10);
    CHECK_EQ(eegd_stages_last(stages, 64, times[0]), 0);
    eegd_wavelet_free(wavelet);
}

static void test_numbers_out_of_range_are_refused(void)
{
    struct eegd_wavelet_config good = config_of(8), bad[9];

    for (int i = 0; i < 9; i++)
        bad[i] = good;
    bad[0].n_window = 33;
    bad[1].n_window = 1;
    bad[2].n_step = 0;
    bad[3].n_levels = 4;
    bad[4].n_channels = 0;
    bad[5].n_history = 1;
    bad[6].trip_channel = CHANNELS;
    bad[7].trip_level = LEVELS + 1;
    bad[8].trip_threshold = NAN;
    for (int i = 0; i < 9; i++) {
        errno = 0;
        CHECK(!eegd_wavelet_new(&bad[i], NULL));
        CHECK_EQ(errno, EINVAL);
    }
    eegd_wavelet_free(NULL);
    CHECK(!eegd_stages_new(0));
    eegd_stages_free(NULL);
}

int main(void)
{
    make_signal();
    RUN(test_results_do_not_depend_on_the_length_of_frames_or_of_steps);
    RUN(test_a_filter_is_run_over_every_sample_once);
    RUN(test_no_window_spans_a_gap);
    RUN(test_the_history_has_the_energies_of_the_last_windows);
    RUN(test_a_step_in_one_channel_trips_and_clears_by_peak_or_energy);
    RUN(test_another_trip_holds_from_the_next_window_on_and_the_window_goes_on);
    RUN(test_a_reader_in_another_thread_sees_whole_results_only);
    RUN(test_stages_are_kept_only_while_they_are_on);
    RUN(test_numbers_out_of_range_are_refused);
    return check_report();
}
