/* SPDX-License-Identifier: MIT */
/*
 * Synthetic EEG: the sources of a head are mixed onto electrodes, each with a
 * background and a drift of its own, and electrodes are wired to pins.
 *
 * All state lies in one block that the constructor allocates; `next` runs on
 * the thread that owns the board. Randomness is one stream, drawn in a fixed
 * order: first the head's sources, then the electrodes.
 */
#include "synth.h"

#include <math.h>
#include <stdlib.h>

#include "descriptor.h"
#include "head.h"
#include "noise.h"

static const double drift_hz = 0.003;

struct synth {
    struct eegd_source source;
    struct eegd_synth_config config; /* its pointers are not used after construction */
    struct eegd_head head;
    int64_t period_ns; /* that the coefficients are for */
    double drift_keep, drift_gain;
    double own[EEGD_SYNTH_MAX_ELECTRODES][EEGD_N_POLES];
    double drift[EEGD_SYNTH_MAX_ELECTRODES];
    float weights[EEGD_SYNTH_MAX_ELECTRODES][EEGD_SYNTH_SOURCES];
    float noise_uv[EEGD_SYNTH_MAX_ELECTRODES];
    float drift_uv[EEGD_SYNTH_MAX_ELECTRODES];
    float offset_uv[EEGD_SYNTH_MAX_ELECTRODES];
    int64_t nv[EEGD_SYNTH_MAX_ELECTRODES];
};

static void set_period(struct synth *synth, int64_t period_ns)
{
    double period_s = 1e-9 * (double)period_ns;

    synth->period_ns = period_ns;
    eegd_head_set_period(&synth->head, period_s, synth->config.mains_hz);
    synth->drift_keep = eegd_noise_keep(drift_hz, period_s);
    synth->drift_gain = sqrt(1 - synth->drift_keep * synth->drift_keep);
}

static void run_electrodes(struct synth *synth, const double *sources)
{
    uint64_t signs[2] = {eegd_noise_draw(&synth->head.random), eegd_noise_draw(&synth->head.random)};

    for (uint32_t e = 0; e < synth->config.n_electrodes; e++) {
        /* Far slower than a sample, so a coin for a noise does as well. */
        double coin = signs[e >> 6] >> (e & 63) & 1 ? 1.0 : -1.0;
        double uv = synth->offset_uv[e];

        synth->drift[e] = synth->drift_keep * synth->drift[e] + synth->drift_gain * coin;
        uv += synth->drift_uv[e] * synth->drift[e];
        uv += synth->noise_uv[e] * eegd_background_next(&synth->head.background, synth->own[e],
                                                        eegd_noise_gauss(&synth->head.random));
        for (int i = 0; i < EEGD_SYNTH_SOURCES; i++)
            uv += synth->weights[e][i] * sources[i];
        synth->nv[e] = llrint(1000.0 * fmin(fmax(uv, -1e7), 1e7)); /* beyond ±10 V all clips */
    }
}

static int64_t at_pin(const struct synth *synth, uint8_t electrode)
{
    return electrode == EEGD_SYNTH_NO_ELECTRODE ? 0 : synth->nv[electrode];
}

static int synth_next(struct eegd_source *source, uint64_t index, int64_t time_ns, int64_t period_ns,
                      struct eegd_inputs *inputs)
{
    struct synth *synth = (struct synth *)source;
    double sources[EEGD_SYNTH_SOURCES];

    (void)index;
    if (period_ns != synth->period_ns)
        set_period(synth, period_ns);
    eegd_head_next(&synth->head, 1e-9 * (double)time_ns, sources);
    run_electrodes(synth, sources);
    for (uint32_t i = 0; i < EEGD_SOURCE_INPUTS; i++) {
        inputs->p_nv[i] = at_pin(synth, synth->config.p[i]);
        inputs->n_nv[i] = at_pin(synth, synth->config.n[i]);
    }
    inputs->srb1_nv = at_pin(synth, synth->config.srb1);
    inputs->srb2_nv = at_pin(synth, synth->config.srb2);
    return 1;
}

static void synth_free(struct eegd_source *source)
{
    free(source);
}

static const struct eegd_source_ops synth_ops = {"synthetic", synth_next, synth_free};

static int is_electrode(const struct eegd_synth_config *config, uint8_t electrode)
{
    return electrode < config->n_electrodes || electrode == EEGD_SYNTH_NO_ELECTRODE;
}

static int is_sound(const struct eegd_synth_config *config)
{
    if (!config->n_electrodes || config->n_electrodes > EEGD_SYNTH_MAX_ELECTRODES)
        return 0;
    if (!(config->mains_hz >= 0 && config->mains_hz < 1e6))
        return 0;
    for (int i = 0; i < EEGD_SOURCE_INPUTS; i++)
        if (!is_electrode(config, config->p[i]) || !is_electrode(config, config->n[i]))
            return 0;
    return is_electrode(config, config->srb1) && is_electrode(config, config->srb2);
}

static void copy_finite(float *to, const float *from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        to[i] = isfinite(from[i]) ? from[i] : 0;
}

struct eegd_source *eegd_source_synth(const struct eegd_synth_config *config)
{
    struct synth *synth;

    if (!is_sound(config))
        return NULL;
    synth = calloc(1, sizeof *synth);
    if (!synth)
        return NULL;
    synth->source.ops = &synth_ops;
    synth->source.flags = EEGD_FLAG_SIMULATED;
    synth->config = *config;
    eegd_head_init(&synth->head, config->seed);
    copy_finite(&synth->weights[0][0], config->weights, config->n_electrodes * EEGD_SYNTH_SOURCES);
    copy_finite(synth->noise_uv, config->noise_uv, config->n_electrodes);
    copy_finite(synth->drift_uv, config->drift_uv, config->n_electrodes);
    copy_finite(synth->offset_uv, config->offset_uv, config->n_electrodes);
    return &synth->source;
}
