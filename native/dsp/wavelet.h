/* SPDX-License-Identifier: MIT */
/*
 * Wavelet: the DWT of a sliding window and what follows from it, one call per
 * frame: copy, filter, DWT, energy, trip, publish. The result of each window is
 * the latest, its energies are a row of the history.
 *
 * One thread pushes frames, and sees the result between two pushes where it
 * was made. Latest and history are for any thread. Only new and free allocate.
 *
 * Python reads this text through cffi: plain declarations only.
 */
#ifndef EEGD_DSP_WAVELET_H
#define EEGD_DSP_WAVELET_H
#include <stddef.h>
#include <stdint.h>

#define EEGD_WAVELET_MAX_CHANNELS 1024

struct eegd_sos;
struct eegd_wavelet;

struct eegd_wavelet_config {
    int wavelet;           /* EEGD_DWT_… */
    uint32_t n_channels;   /* 1 … 1024 */
    uint32_t n_window;     /* samples; a power of two */
    uint32_t n_step;       /* samples from one window to the next, 1 … */
    uint32_t n_levels;     /* 1 … eegd_dwt_max_levels */
    uint32_t n_history;    /* rows, 2 … */
    uint32_t trip_channel; /* whose value is checked */
    uint32_t trip_level;   /* which: 0 the D1 peak, else the energy of this level */
    double trip_threshold; /* infinity: never */
    double trip_hysteresis;
    uint64_t trip_hold;      /* samples */
    uint32_t n_stage_frames; /* of how many frames the time per stage is kept, 1 … */
};

/* The result of a window: this, then floats: n_channels × n_levels energies, n_channels peaks of D1, and the
 * coefficients, n_channels rows of eegd_wavelet_room, as eegd_dwt_forward leaves them. */
struct eegd_wavelet_result {
    uint64_t number;       /* 1, 2, … since new */
    uint64_t sample_index; /* of the window's first sample */
    uint64_t trip_since;   /* last sample of the window at which the trip last changed */
    double trip_value;     /* what was checked */
    uint32_t tripped;      /* 1: it is */
    uint32_t trip_change;  /* EEGD_TRIP_…, by this window */
    uint32_t n_trips;      /* since new */
    uint32_t reserved[5];
};

/* A row of the history: this, then n_channels × n_levels energies as floats. */
struct eegd_wavelet_row {
    uint64_t sample_index; /* of the window's first sample */
};

/* filter: what samples go through before they are transformed; NULL: nothing. It stays the caller's, has to
 * live as long, and is the pushing thread's. NULL and errno on failure: EINVAL for a number out of its range,
 * or ENOMEM. */
struct eegd_wavelet *eegd_wavelet_new(const struct eegd_wavelet_config *config, struct eegd_sos *filter);
void eegd_wavelet_free(struct eegd_wavelet *wavelet); /* NULL is allowed */

/* Checks another value from the next window on, or the same against other limits: the five trip_… of the
 * config, and no more, are looked at. A trip is over without EEGD_TRIP_CLEARED. The pushing thread only. 0,
 * or -EINVAL: nothing changed. */
int eegd_wavelet_set_trip(struct eegd_wavelet *wavelet, const struct eegd_wavelet_config *config);

/* Floats of a row of coefficients, bytes of a result, and of a row of the history. */
uint32_t eegd_wavelet_room(const struct eegd_wavelet *wavelet);
size_t eegd_wavelet_result_bytes(const struct eegd_wavelet *wavelet);
size_t eegd_wavelet_row_bytes(const struct eegd_wavelet *wavelet);

/* Takes samples in, channel c at data + c * stride, until a window is complete or there are no more, and
 * returns how many. *complete: 1 when there is a new result; then call again with what is left. A
 * sample_index that does not go on from the last call starts a new window; history, trip and filter go on. */
uint32_t eegd_wavelet_push(struct eegd_wavelet *wavelet, const float *data, ptrdiff_t stride,
                           uint32_t n_samples, uint64_t sample_index, int *complete);

/* The result of the last window, in place, for the pushing thread. It stays where it is. */
const struct eegd_wavelet_result *eegd_wavelet_own_result(const struct eegd_wavelet *wavelet);

struct eegd_latest *eegd_wavelet_latest(const struct eegd_wavelet *wavelet);
struct eegd_history *eegd_wavelet_history(const struct eegd_wavelet *wavelet);
struct eegd_stages *eegd_wavelet_stages(const struct eegd_wavelet *wavelet);
const struct eegd_dwt *eegd_wavelet_dwt(const struct eegd_wavelet *wavelet);

#endif
