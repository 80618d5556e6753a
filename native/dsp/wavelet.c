/* SPDX-License-Identifier: MIT */
/*
 * Wavelet: samples are kept in rows twice as long as the window, so that a
 * window is always contiguous; when a row is full, its last window moves to
 * the front. The transform writes to the place from which the result is
 * published, and leaves the window as it is, since windows overlap.
 *
 * Threads and ownership: see wavelet.h.
 */
#include "dsp/wavelet.h"
#include "dsp/dwt.h"
#include "dsp/energy.h"
#include "dsp/history.h"
#include "dsp/latest.h"
#include "dsp/sos.h"
#include "dsp/stages.h"
#include "dsp/stages_inline.h"
#include "dsp/trip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_LINE 64

struct eegd_wavelet {
    struct eegd_wavelet_config config;
    struct eegd_sos *filter; /* the caller's; or NULL */
    struct eegd_dwt *dwt;
    struct eegd_latest *latest;
    struct eegd_history *history;
    struct eegd_stages *stages;
    struct eegd_trip trip;
    size_t n_result, n_row; /* bytes */
    float *past;            /* n_channels rows of 2 * n_window */
    uint32_t n_past;        /* samples that are in them */
    uint64_t next;          /* index of the sample that comes next */
    uint64_t due;           /* sample index at which the next window is complete */
    struct eegd_wavelet_result *result;
    float *energies, *peaks, *coefficients; /* in the result */
    struct eegd_wavelet_row *row;
};

static int config_is_good(const struct eegd_wavelet_config *config)
{
    return config->n_channels >= 1 && config->n_channels <= EEGD_WAVELET_MAX_CHANNELS &&
           config->n_window >= 2 && (config->n_window & (config->n_window - 1)) == 0 && config->n_step >= 1;
}

/* Zeroed and touched: calloc would leave the pages to the first frames. */
static void *zeroed(size_t n_bytes)
{
    size_t n_all = (n_bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    void *memory = aligned_alloc(CACHE_LINE, n_all);

    return memory ? memset(memory, 0, n_all) : NULL;
}

/* All memory; false when some is not to be had. */
static int allocate(struct eegd_wavelet *wavelet)
{
    const struct eegd_wavelet_config *config = &wavelet->config;
    size_t n_energies = (size_t)config->n_channels * config->n_levels;

    wavelet->dwt = eegd_dwt_new(config->wavelet, config->n_window, config->n_levels);
    if (!wavelet->dwt)
        return 0;
    wavelet->n_row = sizeof(*wavelet->row) + n_energies * sizeof(float);
    wavelet->n_result =
        sizeof(*wavelet->result) +
        (n_energies + config->n_channels + (size_t)config->n_channels * eegd_dwt_room(wavelet->dwt)) *
            sizeof(float);
    wavelet->latest = eegd_latest_new(wavelet->n_result);
    wavelet->history = eegd_history_new(config->n_history, wavelet->n_row);
    wavelet->stages = eegd_stages_new(config->n_stage_frames);
    wavelet->past = zeroed((size_t)config->n_channels * 2 * config->n_window * sizeof(float));
    wavelet->result = zeroed(wavelet->n_result);
    wavelet->row = zeroed(wavelet->n_row);
    return wavelet->latest && wavelet->history && wavelet->stages && wavelet->past && wavelet->result &&
           wavelet->row;
}

struct eegd_wavelet *eegd_wavelet_new(const struct eegd_wavelet_config *config, struct eegd_sos *filter)
{
    struct eegd_wavelet *wavelet;
    int error;

    if (!config_is_good(config)) {
        errno = EINVAL;
        return NULL;
    }
    wavelet = calloc(1, sizeof(*wavelet));
    if (!wavelet)
        return NULL;
    wavelet->config = *config;
    wavelet->filter = filter;
    error = -eegd_wavelet_set_trip(wavelet, config);
    if (!error && !allocate(wavelet))
        error = errno;
    if (error) {
        eegd_wavelet_free(wavelet);
        errno = error;
        return NULL;
    }
    wavelet->next = UINT64_MAX;
    wavelet->energies = (float *)(wavelet->result + 1);
    wavelet->peaks = wavelet->energies + (size_t)config->n_channels * config->n_levels;
    wavelet->coefficients = wavelet->peaks + config->n_channels;
    return wavelet;
}

int eegd_wavelet_set_trip(struct eegd_wavelet *wavelet, const struct eegd_wavelet_config *config)
{
    if (config->trip_channel >= wavelet->config.n_channels || config->trip_level > wavelet->config.n_levels ||
        !(config->trip_hysteresis >= 0) || config->trip_threshold != config->trip_threshold)
        return -EINVAL;
    wavelet->config.trip_channel = config->trip_channel;
    wavelet->config.trip_level = config->trip_level;
    wavelet->trip.threshold = config->trip_threshold;
    wavelet->trip.hysteresis = config->trip_hysteresis;
    wavelet->trip.hold = config->trip_hold;
    wavelet->trip.tripped = 0;
    return 0;
}

void eegd_wavelet_free(struct eegd_wavelet *wavelet)
{
    if (!wavelet)
        return;
    eegd_dwt_free(wavelet->dwt);
    eegd_latest_free(wavelet->latest);
    eegd_history_free(wavelet->history);
    eegd_stages_free(wavelet->stages);
    free(wavelet->past);
    free(wavelet->result);
    free(wavelet->row);
    free(wavelet);
}

uint32_t eegd_wavelet_room(const struct eegd_wavelet *wavelet)
{
    return eegd_dwt_room(wavelet->dwt);
}

size_t eegd_wavelet_result_bytes(const struct eegd_wavelet *wavelet)
{
    return wavelet->n_result;
}

size_t eegd_wavelet_row_bytes(const struct eegd_wavelet *wavelet)
{
    return wavelet->n_row;
}

const struct eegd_wavelet_result *eegd_wavelet_own_result(const struct eegd_wavelet *wavelet)
{
    return wavelet->result;
}

struct eegd_latest *eegd_wavelet_latest(const struct eegd_wavelet *wavelet)
{
    return wavelet->latest;
}

struct eegd_history *eegd_wavelet_history(const struct eegd_wavelet *wavelet)
{
    return wavelet->history;
}

struct eegd_stages *eegd_wavelet_stages(const struct eegd_wavelet *wavelet)
{
    return wavelet->stages;
}

const struct eegd_dwt *eegd_wavelet_dwt(const struct eegd_wavelet *wavelet)
{
    return wavelet->dwt;
}

static float *past_of(const struct eegd_wavelet *wavelet, uint32_t channel)
{
    return wavelet->past + (size_t)channel * 2 * wavelet->config.n_window;
}

/* Moves the last window to the front of its row. */
static void make_room(struct eegd_wavelet *wavelet)
{
    uint32_t n_window = wavelet->config.n_window;
    uint32_t n_kept = wavelet->n_past < n_window ? wavelet->n_past : n_window;

    for (uint32_t channel = 0; channel < wavelet->config.n_channels; channel++) {
        float *past = past_of(wavelet, channel);

        memmove(past, past + wavelet->n_past - n_kept, n_kept * sizeof(float));
    }
    wavelet->n_past = n_kept;
}

/* At most n_window samples; so there is room for them behind the last window. */
static void append(struct eegd_wavelet *wavelet, const float *data, ptrdiff_t stride, uint32_t n)
{
    ptrdiff_t past_stride = 2 * (ptrdiff_t)wavelet->config.n_window;
    float *fresh;

    if (wavelet->n_past + n > 2 * wavelet->config.n_window)
        make_room(wavelet);
    fresh = wavelet->past + wavelet->n_past;
    if (!wavelet->filter)
        for (uint32_t channel = 0; channel < wavelet->config.n_channels; channel++)
            memcpy(fresh + channel * past_stride, data + channel * stride, n * sizeof(float));
    eegd_stages_mark(wavelet->stages, EEGD_STAGE_COPY);
    if (wavelet->filter) {
        eegd_sos_run(wavelet->filter, data, stride, fresh, past_stride, n);
        eegd_stages_mark(wavelet->stages, EEGD_STAGE_FILTER);
    }
    wavelet->n_past += n;
    wavelet->next += n;
}

static void check_trip(struct eegd_wavelet *wavelet)
{
    const struct eegd_wavelet_config *config = &wavelet->config;
    struct eegd_wavelet_result *result = wavelet->result;

    result->trip_value =
        config->trip_level
            ? (double)wavelet->energies[config->trip_channel * config->n_levels + config->trip_level - 1]
            : (double)wavelet->peaks[config->trip_channel];
    result->trip_change = (uint32_t)eegd_trip_check(&wavelet->trip, result->trip_value, wavelet->next - 1);
    result->trip_since = wavelet->trip.since;
    result->tripped = wavelet->trip.tripped;
    result->n_trips = wavelet->trip.n_trips;
}

static void publish(struct eegd_wavelet *wavelet)
{
    wavelet->result->number++;
    wavelet->row->sample_index = wavelet->result->sample_index;
    memcpy(wavelet->row + 1, wavelet->energies, wavelet->n_row - sizeof(*wavelet->row));
    eegd_history_append(wavelet->history, wavelet->row);
    eegd_latest_publish(wavelet->latest, wavelet->result);
}

/* The window that ends with the newest sample. */
static void analyse(struct eegd_wavelet *wavelet)
{
    uint32_t n_channels = wavelet->config.n_channels, n_window = wavelet->config.n_window;
    uint32_t room = eegd_dwt_room(wavelet->dwt);

    wavelet->result->sample_index = wavelet->next - n_window;
    eegd_dwt_forward_from(wavelet->dwt, past_of(wavelet, 0) + wavelet->n_past - n_window,
                          2 * (ptrdiff_t)n_window, wavelet->coefficients, room, n_channels);
    eegd_stages_mark(wavelet->stages, EEGD_STAGE_DWT);
    eegd_energy_of_levels(wavelet->dwt, wavelet->coefficients, room, n_channels, wavelet->energies);
    eegd_energy_peak(wavelet->dwt, wavelet->coefficients, room, n_channels, wavelet->peaks);
    eegd_stages_mark(wavelet->stages, EEGD_STAGE_ENERGY);
    check_trip(wavelet);
    eegd_stages_mark(wavelet->stages, EEGD_STAGE_TRIP);
    publish(wavelet);
    eegd_stages_mark(wavelet->stages, EEGD_STAGE_PUBLISH);
}

static uint32_t least(uint64_t a, uint64_t b)
{
    return (uint32_t)(a < b ? a : b);
}

/* The part of a frame up to the next window's end. */
static uint32_t take(struct eegd_wavelet *wavelet, const float *data, ptrdiff_t stride, uint32_t n_samples)
{
    uint32_t n_taken = 0;

    while (n_taken < n_samples && wavelet->next < wavelet->due) {
        uint32_t n =
            least(least(n_samples - n_taken, wavelet->due - wavelet->next), wavelet->config.n_window);

        append(wavelet, data + n_taken, stride, n);
        n_taken += n;
    }
    return n_taken;
}

uint32_t eegd_wavelet_push(struct eegd_wavelet *wavelet, const float *data, ptrdiff_t stride,
                           uint32_t n_samples, uint64_t sample_index, int *complete)
{
    uint32_t n_taken;

    eegd_stages_begin(wavelet->stages);
    if (sample_index != wavelet->next) {
        wavelet->n_past = 0;
        wavelet->next = sample_index;
        wavelet->due = sample_index + wavelet->config.n_window;
    }
    n_taken = take(wavelet, data, stride, n_samples);
    *complete = wavelet->next == wavelet->due;
    if (*complete) {
        wavelet->due += wavelet->config.n_step;
        analyse(wavelet);
    }
    eegd_stages_end(wavelet->stages);
    return n_taken;
}
