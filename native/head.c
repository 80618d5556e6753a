/* SPDX-License-Identifier: MIT */
/* Sources of synthetic EEG. On its user's thread. See head.h. */
#include "head.h"
#include <math.h>

#define TURN (2.0 * M_PI)

static const double alpha_hz[2] = {9.9, 10.3};
static const double alpha_width_hz = 0.3;

void eegd_head_init(struct eegd_head *head, uint64_t seed)
{
    *head = (struct eegd_head){.random = seed};
    head->alpha = (struct eegd_spell){.off_min = 2, .off_max = 5, .on_min = 3, .on_max = 7, .on = 1};
    head->blink =
        (struct eegd_spell){.off_min = 2.66, .off_max = 5.66, .on_min = 0.34, .on_max = 0.34, .on = 1};
    for (int side = 0; side < 2; side++) {
        head->muscle[side] =
            (struct eegd_spell){.off_min = 4, .off_max = 12, .on_min = 0.3, .on_max = 1, .on = 1};
        head->alpha_re[side] = 1;
    }
    head->mains_re = 1;
}

void eegd_head_set_period(struct eegd_head *head, double period_s, double mains_hz)
{
    double high;

    eegd_background_set(&head->background, period_s);
    for (int side = 0; side < 2; side++) {
        head->alpha_cos[side] = cos(TURN * alpha_hz[side] * period_s);
        head->alpha_sin[side] = sin(TURN * alpha_hz[side] * period_s);
    }
    head->alpha_jitter =
        sqrt(TURN * alpha_width_hz * period_s); /* phase diffusion gives the line this width */
    head->alpha_slew = 1 - exp(-period_s / 0.2);
    head->muscle_keep_low = eegd_noise_keep(20, period_s);
    high = head->muscle_keep_high = eegd_noise_keep(100, period_s);
    /* 100 Hz low-pass of unit power; what the 20 Hz high-pass takes of it is 20 / 120. */
    head->muscle_gain = sqrt((1 - high * high) * 1.2);
    head->gaze_slew = 1 - exp(-period_s / 0.015);
    head->mains_cos = cos(TURN * mains_hz * period_s);
    head->mains_sin = sin(TURN * mains_hz * period_s);
}

static double between(struct eegd_head *head, double low, double high)
{
    return low + (high - low) * eegd_noise_uniform(&head->random);
}

/* 1 when the state has just changed. */
static int advance(struct eegd_head *head, struct eegd_spell *spell)
{
    if (head->seconds < spell->until)
        return 0;
    spell->on = !spell->on;
    spell->length = spell->on ? between(head, spell->on_min, spell->on_max)
                              : between(head, spell->off_min, spell->off_max);
    spell->until = head->seconds + spell->length;
    return 1;
}

/* Seconds since the present state began. */
static double age(const struct eegd_head *head, const struct eegd_spell *spell)
{
    return spell->length - (spell->until - head->seconds);
}

/* A phasor turns at 10 Hz with a little noise in its phase and is pulled back to length 1. Its height fades
 * in and out, and waxes and wanes by itself meanwhile. */
static void alpha(struct eegd_head *head, double *left_right)
{
    advance(head, &head->alpha);
    for (int side = 0; side < 2; side++) {
        double re = head->alpha_re[side], im = head->alpha_im[side];
        double bend = head->alpha_jitter * eegd_noise_gauss(&head->random);
        double pull = 1.5 - 0.5 * (re * re + im * im);
        double turned_re = head->alpha_cos[side] * re - head->alpha_sin[side] * im;
        double turned_im = head->alpha_sin[side] * re + head->alpha_cos[side] * im;
        double wax = head->region[side][0] / 3; /* a slow part of the background serves as the envelope */
        double target = head->alpha.on ? fmin(fmax(0.75 + wax, 0.4), 1.0) : 0.0;

        head->alpha_re[side] = pull * (turned_re - bend * turned_im);
        head->alpha_im[side] = pull * (turned_im + bend * turned_re);
        head->alpha_level[side] += head->alpha_slew * (target - head->alpha_level[side]);
        left_right[side] = head->alpha_level[side] * head->alpha_re[side];
    }
}

/* The lid closes in 0.12 s and opens in 0.22 s. */
static double blink(struct eegd_head *head)
{
    double t;

    if (advance(head, &head->blink) && head->blink.on)
        head->blink_peak = between(head, 0.8, 1.2);
    if (!head->blink.on)
        return 0;
    t = age(head, &head->blink);
    return head->blink_peak * 0.5 * (1 - cos(t < 0.12 ? M_PI * t / 0.12 : M_PI * (1 + (t - 0.12) / 0.22)));
}

static double gaze(struct eegd_head *head)
{
    if (head->seconds >= head->gaze_until) {
        head->gaze_target = between(head, -1, 1);
        head->gaze_until = head->seconds + between(head, 0.8, 3);
    }
    return head->gaze += head->gaze_slew * (head->gaze_target - head->gaze);
}

static double muscle(struct eegd_head *head, int side)
{
    struct eegd_spell *burst = &head->muscle[side];
    double low = head->muscle_low[side], high = head->muscle_high[side];

    high = head->muscle_keep_high * high + head->muscle_gain * eegd_noise_gauss(&head->random);
    low = head->muscle_keep_low * low + (1 - head->muscle_keep_low) * high;
    head->muscle_high[side] = high;
    head->muscle_low[side] = low;
    advance(head, burst);
    return burst->on ? sin(M_PI * age(head, burst) / burst->length) * (high - low) : 0;
}

static double bump(double t, double centre, double width)
{
    double x = (t - centre) / width;

    return x * x < 40 ? exp(-x * x) : 0;
}

static double heart(struct eegd_head *head)
{
    double t = head->seconds - head->beat_start;

    if (t >= head->beat_length) {
        head->beat_start = head->seconds;
        head->beat_length = 0.88 + 0.04 * eegd_noise_gauss(&head->random);
        t = 0;
    }
    return 0.12 * bump(t, 0.12, 0.035) - 0.12 * bump(t, 0.265, 0.012) + bump(t, 0.29, 0.013) -
           0.22 * bump(t, 0.32, 0.013) + 0.28 * bump(t, 0.53, 0.065);
}

static double mains(struct eegd_head *head)
{
    double re = head->mains_re, im = head->mains_im, pull = 1.5 - 0.5 * (re * re + im * im);

    head->mains_re = pull * (head->mains_cos * re - head->mains_sin * im);
    head->mains_im = pull * (head->mains_sin * re + head->mains_cos * im);
    return im;
}

void eegd_head_next(struct eegd_head *head, double seconds, double *sources)
{
    head->seconds = seconds;
    for (int i = 0; i < EEGD_SYNTH_REGIONS; i++)
        sources[i] =
            eegd_background_next(&head->background, head->region[i], eegd_noise_gauss(&head->random));
    alpha(head, &sources[EEGD_SYNTH_ALPHA_LEFT]);
    sources[EEGD_SYNTH_BLINK] = blink(head);
    sources[EEGD_SYNTH_GAZE] = gaze(head);
    sources[EEGD_SYNTH_MUSCLE_LEFT] = muscle(head, 0);
    sources[EEGD_SYNTH_MUSCLE_RIGHT] = muscle(head, 1);
    sources[EEGD_SYNTH_HEART] = heart(head);
    sources[EEGD_SYNTH_MAINS] = mains(head);
}
