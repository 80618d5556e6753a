/* SPDX-License-Identifier: MIT */
/*
 * Synthetic EEG: the sources of a head advance by one sample period per
 * conversion and are mixed onto electrodes and pins.
 *
 * All state lies in one block that the constructor allocates; `next` runs on
 * the thread that owns the board. Randomness is one splitmix64 stream, drawn
 * in a fixed order.
 */
#include "synth.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "descriptor.h"

#define N_POLES 5
#define TURN (2.0 * M_PI)

/* Corner frequencies a factor 4 apart, of equal power: their sum falls as 1/f from 0.3 to about 80 Hz. */
static const double pole_hz[N_POLES] = {0.3, 1.2, 4.8, 19.2, 76.8};
static const double drift_hz = 0.003;
static const double alpha_hz[2] = {9.9, 10.3};
static const double alpha_width_hz = 0.3;

/* Something that comes and goes: off for a random time, then on for a random time. All in seconds. */
struct spell {
    double off_min, off_max, on_min, on_max;
    double until;  /* when the present state ends */
    double length; /* of the present state */
    int on;
};

struct synth {
    struct eegd_source source;
    struct eegd_synth_config config; /* its pointers are not used after construction */
    uint64_t random;
    int64_t period_ns; /* that the coefficients below belong to */
    double seconds;    /* of signal so far */

    /* Coefficients for one sample period. */
    double pole_keep[N_POLES], pole_gain[N_POLES];
    double drift_keep, drift_gain;
    double alpha_cos[2], alpha_sin[2], alpha_jitter, alpha_slew;
    double muscle_keep_low, muscle_keep_high, muscle_gain;
    double gaze_slew, mains_cos, mains_sin;

    /* State. */
    double region[EEGD_SYNTH_REGIONS][N_POLES];
    double own[EEGD_SYNTH_MAX_ELECTRODES][N_POLES];
    double drift[EEGD_SYNTH_MAX_ELECTRODES];
    double alpha_re[2], alpha_im[2], alpha_level[2];
    double muscle_low[2], muscle_high[2];
    double mains_re, mains_im;
    double gaze, gaze_target, gaze_until;
    double blink_peak, beat_start, beat_length;
    struct spell alpha, blink, muscle[2];

    float weights[EEGD_SYNTH_MAX_ELECTRODES][EEGD_SYNTH_SOURCES];
    float noise_uv[EEGD_SYNTH_MAX_ELECTRODES];
    float drift_uv[EEGD_SYNTH_MAX_ELECTRODES];
    float offset_uv[EEGD_SYNTH_MAX_ELECTRODES];
    int64_t nv[EEGD_SYNTH_MAX_ELECTRODES];
};

static uint64_t draw(struct synth *synth)
{
    uint64_t x = synth->random += 0x9E3779B97F4A7C15u;

    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

/* 0 … 1 */
static double uniform(struct synth *synth)
{
    return (double)(draw(synth) >> 11) * 0x1p-53;
}

/* Mean 0, variance 1, near enough to a Gaussian: the sum of four 16-bit uniforms. */
static double gauss(struct synth *synth)
{
    uint64_t x = draw(synth);
    int32_t sum = (int32_t)(x & 0xFFFF) + (int32_t)(x >> 16 & 0xFFFF) + (int32_t)(x >> 32 & 0xFFFF) +
                  (int32_t)(x >> 48);

    return (sum - 131070) * (1.0 / 37837.2);
}

/* Coefficients */

static double keep_of(double hz, double period)
{
    return exp(-TURN * hz * period);
}

/* All poles share one noise; the gains make each of equal power and their sum of variance 1. */
static void set_background(struct synth *synth, double period)
{
    double variance = 0;

    for (int i = 0; i < N_POLES; i++) {
        synth->pole_keep[i] = keep_of(pole_hz[i], period);
        synth->pole_gain[i] = sqrt(1 - synth->pole_keep[i] * synth->pole_keep[i]);
    }
    for (int i = 0; i < N_POLES; i++)
        for (int j = 0; j < N_POLES; j++)
            variance +=
                synth->pole_gain[i] * synth->pole_gain[j] / (1 - synth->pole_keep[i] * synth->pole_keep[j]);
    for (int i = 0; i < N_POLES; i++)
        synth->pole_gain[i] /= sqrt(variance);
    synth->drift_keep = keep_of(drift_hz, period);
    synth->drift_gain = sqrt(1 - synth->drift_keep * synth->drift_keep);
}

static void set_period(struct synth *synth, int64_t period_ns)
{
    double period = 1e-9 * (double)period_ns, high;

    synth->period_ns = period_ns;
    set_background(synth, period);
    for (int side = 0; side < 2; side++) {
        synth->alpha_cos[side] = cos(TURN * alpha_hz[side] * period);
        synth->alpha_sin[side] = sin(TURN * alpha_hz[side] * period);
    }
    synth->alpha_jitter =
        sqrt(TURN * alpha_width_hz * period); /* phase diffusion gives the line this width */
    synth->alpha_slew = 1 - exp(-period / 0.2);
    synth->muscle_keep_low = keep_of(20, period);
    high = synth->muscle_keep_high = keep_of(100, period);
    /* 100 Hz low-pass of unit power; what the 20 Hz high-pass takes of it is 20 / 120. */
    synth->muscle_gain = sqrt((1 - high * high) * 1.2);
    synth->gaze_slew = 1 - exp(-period / 0.015);
    synth->mains_cos = cos(TURN * synth->config.mains_hz * period);
    synth->mains_sin = sin(TURN * synth->config.mains_hz * period);
}

/* Sources */

/* One step of a 1/f background of rms 1. */
static double background(const struct synth *synth, double *poles, double noise)
{
    double sum = 0;

    for (int i = 0; i < N_POLES; i++) {
        poles[i] = synth->pole_keep[i] * poles[i] + synth->pole_gain[i] * noise;
        sum += poles[i];
    }
    return sum;
}

static double between(struct synth *synth, double low, double high)
{
    return low + (high - low) * uniform(synth);
}

/* 1 when the state has just changed. */
static int advance(struct synth *synth, struct spell *spell)
{
    if (synth->seconds < spell->until)
        return 0;
    spell->on = !spell->on;
    spell->length = spell->on ? between(synth, spell->on_min, spell->on_max)
                              : between(synth, spell->off_min, spell->off_max);
    spell->until = synth->seconds + spell->length;
    return 1;
}

/* Seconds since the present state began. */
static double age(const struct synth *synth, const struct spell *spell)
{
    return spell->length - (spell->until - synth->seconds);
}

/* A phasor turns at 10 Hz with a little noise in its phase and is pulled back to length 1. Its height fades
 * in and out, and waxes and wanes by itself meanwhile. */
static void alpha(struct synth *synth, double *left_right)
{
    advance(synth, &synth->alpha);
    for (int side = 0; side < 2; side++) {
        double re = synth->alpha_re[side], im = synth->alpha_im[side];
        double bend = synth->alpha_jitter * gauss(synth), pull = 1.5 - 0.5 * (re * re + im * im);
        double turned_re = synth->alpha_cos[side] * re - synth->alpha_sin[side] * im;
        double turned_im = synth->alpha_sin[side] * re + synth->alpha_cos[side] * im;
        double wax = synth->region[side][0] / 3; /* a slow part of the background serves as the envelope */
        double target = synth->alpha.on ? fmin(fmax(0.75 + wax, 0.4), 1.0) : 0.0;

        synth->alpha_re[side] = pull * (turned_re - bend * turned_im);
        synth->alpha_im[side] = pull * (turned_im + bend * turned_re);
        synth->alpha_level[side] += synth->alpha_slew * (target - synth->alpha_level[side]);
        left_right[side] = synth->alpha_level[side] * synth->alpha_re[side];
    }
}

/* The lid closes in 0.12 s and opens in 0.22 s. */
static double blink(struct synth *synth)
{
    double t;

    if (advance(synth, &synth->blink) && synth->blink.on)
        synth->blink_peak = between(synth, 0.8, 1.2);
    if (!synth->blink.on)
        return 0;
    t = age(synth, &synth->blink);
    return synth->blink_peak * 0.5 * (1 - cos(t < 0.12 ? M_PI * t / 0.12 : M_PI * (1 + (t - 0.12) / 0.22)));
}

static double gaze(struct synth *synth)
{
    if (synth->seconds >= synth->gaze_until) {
        synth->gaze_target = between(synth, -1, 1);
        synth->gaze_until = synth->seconds + between(synth, 0.8, 3);
    }
    return synth->gaze += synth->gaze_slew * (synth->gaze_target - synth->gaze);
}

static double muscle(struct synth *synth, int side)
{
    struct spell *burst = &synth->muscle[side];
    double low = synth->muscle_low[side], high = synth->muscle_high[side];

    high = synth->muscle_keep_high * high + synth->muscle_gain * gauss(synth);
    low = synth->muscle_keep_low * low + (1 - synth->muscle_keep_low) * high;
    synth->muscle_high[side] = high;
    synth->muscle_low[side] = low;
    advance(synth, burst);
    return burst->on ? sin(M_PI * age(synth, burst) / burst->length) * (high - low) : 0;
}

static double bump(double t, double centre, double width)
{
    double x = (t - centre) / width;

    return x * x < 40 ? exp(-x * x) : 0;
}

static double heart(struct synth *synth)
{
    double t = synth->seconds - synth->beat_start;

    if (t >= synth->beat_length) {
        synth->beat_start = synth->seconds;
        synth->beat_length = 0.88 + 0.04 * gauss(synth);
        t = 0;
    }
    return 0.12 * bump(t, 0.12, 0.035) - 0.12 * bump(t, 0.265, 0.012) + bump(t, 0.29, 0.013) -
           0.22 * bump(t, 0.32, 0.013) + 0.28 * bump(t, 0.53, 0.065);
}

static double mains(struct synth *synth)
{
    double re = synth->mains_re, im = synth->mains_im, pull = 1.5 - 0.5 * (re * re + im * im);

    synth->mains_re = pull * (synth->mains_cos * re - synth->mains_sin * im);
    synth->mains_im = pull * (synth->mains_sin * re + synth->mains_cos * im);
    return im;
}

static void run_sources(struct synth *synth, double *sources)
{
    for (int i = 0; i < EEGD_SYNTH_REGIONS; i++)
        sources[i] = background(synth, synth->region[i], gauss(synth));
    alpha(synth, &sources[EEGD_SYNTH_ALPHA_LEFT]);
    sources[EEGD_SYNTH_BLINK] = blink(synth);
    sources[EEGD_SYNTH_GAZE] = gaze(synth);
    sources[EEGD_SYNTH_MUSCLE_LEFT] = muscle(synth, 0);
    sources[EEGD_SYNTH_MUSCLE_RIGHT] = muscle(synth, 1);
    sources[EEGD_SYNTH_HEART] = heart(synth);
    sources[EEGD_SYNTH_MAINS] = mains(synth);
}

/* Electrodes and pins */

static void run_electrodes(struct synth *synth, const double *sources)
{
    uint64_t signs[2] = {draw(synth), draw(synth)};

    for (uint32_t e = 0; e < synth->config.n_electrodes; e++) {
        /* Far slower than a sample, so a coin for a noise does as well. */
        double coin = signs[e >> 6] >> (e & 63) & 1 ? 1.0 : -1.0;
        double uv = synth->offset_uv[e];

        synth->drift[e] = synth->drift_keep * synth->drift[e] + synth->drift_gain * coin;
        uv += synth->drift_uv[e] * synth->drift[e];
        uv += synth->noise_uv[e] * background(synth, synth->own[e], gauss(synth));
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
    synth->seconds = 1e-9 * (double)time_ns;
    run_sources(synth, sources);
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

static void start_spells(struct synth *synth)
{
    synth->alpha = (struct spell){.off_min = 2, .off_max = 5, .on_min = 3, .on_max = 7, .on = 1};
    synth->blink = (struct spell){.off_min = 2.66, .off_max = 5.66, .on_min = 0.34, .on_max = 0.34, .on = 1};
    for (int side = 0; side < 2; side++) {
        synth->muscle[side] =
            (struct spell){.off_min = 4, .off_max = 12, .on_min = 0.3, .on_max = 1, .on = 1};
        synth->alpha_re[side] = 1;
    }
    synth->mains_re = 1;
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
    synth->random = config->seed;
    copy_finite(&synth->weights[0][0], config->weights, config->n_electrodes * EEGD_SYNTH_SOURCES);
    copy_finite(synth->noise_uv, config->noise_uv, config->n_electrodes);
    copy_finite(synth->drift_uv, config->drift_uv, config->n_electrodes);
    copy_finite(synth->offset_uv, config->offset_uv, config->n_electrodes);
    start_spells(synth);
    return &synth->source;
}
