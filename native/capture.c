/* SPDX-License-Identifier: MIT */
/* The capture thread. Everything below run() happens on it; the rest on control. See capture.h. */
#define _GNU_SOURCE
#include "capture.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "board.h"
#include "cadence.h"
#include "channel_state.h"
#include "descriptor.h"
#include "detect.h"
#include "framing.h"
#include "outlet.h"
#include "pace.h"
#include "readout.h"
#include "ring.h"
#include "sender.h"
#include "shown.h"
#include "tally.h"
#include "thread.h"
#include "verdict.h"

#define LOOK_NS 100000000ll /* longest wait without a look at the reader table */

struct eegd_capture {
    struct eegd_capture_config config;
    struct eegd_cadence cadence;
    struct eegd_pace pace;
    struct eegd_verdict verdict;
    struct eegd_channel_state channel_state;
    struct eegd_readout readout;
    uint32_t to_discard;
    struct eegd_framing framing;
    struct eegd_tally tally;
    uint32_t bad_run;
    uint8_t bytes[EEGD_MAX_CONVERSION_BYTES]; /* this conversion */
    struct eegd_shown shown;
    struct eegd_detect *_Atomic detect; /* control stores, this thread loads */
    struct eegd_detect *detecting;      /* what it loaded last */
    _Atomic int stop;
    pthread_t thread;
};

/* A frame never spans samples that are gone. */
static void lose(struct eegd_capture *capture, int counter, uint32_t event, uint64_t n, double value)
{
    eegd_framing_close(&capture->framing, capture->cadence.clock.period_ns);
    eegd_tally_loss(&capture->tally, counter, event, n, value);
}

static void look_at_channels(struct eegd_capture *capture, const uint8_t *bytes,
                             struct eegd_channel_seen *seen)
{
    struct eegd_channel_state *state = &capture->channel_state;
    if (!eegd_channel_state_take(state, bytes, capture->tally.sample_index, capture->tally.drdy_ns, seen))
        return;
    for (uint32_t which = 0; which < EEGD_N_STATES; which++)
        atomic_store_explicit(&capture->shown.states[which], state->shown[which], memory_order_relaxed);
    eegd_tally_changes(&capture->tally, state);
}

/* Only what is in a frame is looked at. One branch where there are no detectors. */
static void detect(struct eegd_capture *capture, const struct eegd_sample *sample)
{
    /* Pairs with eegd_capture_detect: the table is whole. */
    struct eegd_detect *table = atomic_load_explicit(&capture->detect, memory_order_acquire);
    if (!table)
        return;
    if (table != capture->detecting) {
        if (capture->detecting)
            eegd_detect_follow(table, capture->detecting);
        capture->detecting = table;
    }
    struct eegd_detect_sample seen = {.bytes = sample->bytes,
                                      .index = sample->index,
                                      .time_ns = (int64_t)sample->time_ns - capture->config.edge_latency_ns};
    eegd_detect_take(table, &seen);
}

static void append(struct eegd_capture *capture, const uint8_t *bytes, double time_ns)
{
    struct eegd_channel_seen seen;
    look_at_channels(capture, bytes, &seen);
    struct eegd_sample sample = {.bytes = bytes,
                                 .seen = &seen,
                                 .index = capture->tally.sample_index,
                                 .drdy_ns = capture->tally.drdy_ns,
                                 .time_ns = time_ns,
                                 .period_ns = capture->cadence.clock.period_ns};
    if (!eegd_framing_append(&capture->framing, &sample)) {
        lose(capture, EEGD_COUNT_OVERRUN, EEGD_EVENT_LOSS_OVERRUN, 1, 0);
        return;
    }
    detect(capture, &sample);
    eegd_tally_sample(&capture->tally);
}

/* ---- conversions ---- */

static void lose_bad(struct eegd_capture *capture, int cause)
{
    eegd_tally_count(&capture->tally, cause, 1);
    capture->bad_run++;
    lose(capture, EEGD_COUNT_BAD, EEGD_EVENT_LOSS_BAD, 1, cause);
}

static void take_conversion(struct eegd_capture *capture, double time_ns)
{
    int64_t end_ns = 0;
    int error = eegd_readout_take(&capture->readout, capture->bytes, &end_ns);
    eegd_tally_count(&capture->tally, EEGD_COUNT_CONVERSIONS, 1);
    if (capture->to_discard) {
        capture->to_discard--;
        eegd_tally_count(&capture->tally, EEGD_COUNT_DISCARDED, 1);
        return;
    }
    if (error < 0) {
        atomic_store_explicit(&capture->shown.error, error, memory_order_relaxed);
        lose_bad(capture, EEGD_COUNT_SPI_ERRORS);
        return;
    }
    double late_ns = eegd_readout_lateness_ns(&capture->readout, &capture->cadence.clock, end_ns, time_ns);
    if (late_ns > 0) {
        lose(capture, EEGD_COUNT_LATE, EEGD_EVENT_LOSS_LATE, 1, late_ns);
        return;
    }
    int cause = eegd_verdict_take(&capture->verdict, capture->bytes);
    if (cause >= 0) {
        lose_bad(capture, cause);
        return;
    }
    if (capture->bad_run) { /* what was wrong is over: it is not why capture may end later */
        capture->bad_run = 0;
        atomic_store_explicit(&capture->shown.error, 0, memory_order_relaxed);
    }
    append(capture, capture->bytes, time_ns);
}

/* ---- edges ---- */

/* The times that follow do not continue those of the frame being filled: it ends here. */
static void on_relock(struct eegd_capture *capture, double step_ns)
{
    eegd_framing_close(&capture->framing, capture->cadence.clock.period_ns);
    eegd_tally_post(&capture->tally, EEGD_EVENT_CLOCK_RELOCK, 0, step_ns);
}

/* The rate is not what was set, or a chip seems to have restarted. Returns EEGD_CAPTURE_…. */
static int judge_pace(struct eegd_capture *capture, const struct eegd_edge *edge)
{
    double found_ns = 0;
    int verdict = eegd_pace_take(&capture->pace, edge, &found_ns);
    if (verdict == EEGD_PACE_GOOD)
        return EEGD_CAPTURE_RUNNING;
    atomic_store_explicit(&capture->shown.found_ns, found_ns, memory_order_relaxed);
    return verdict == EEGD_PACE_WRONG ? EEGD_CAPTURE_WRONG_RATE : EEGD_CAPTURE_RESTARTED;
}

/* Returns EEGD_CAPTURE_RUNNING, or why capture has to end before this edge's conversion is believed. */
static int on_edge(struct eegd_capture *capture, const struct eegd_edge *edge)
{
    struct eegd_beat beat = eegd_cadence_take(&capture->cadence, edge);
    if (beat.n_extra)
        eegd_tally_count(&capture->tally, EEGD_COUNT_EXTRA_EDGES, beat.n_extra);
    if (!beat.n_periods)
        return EEGD_CAPTURE_RUNNING;
    int state = judge_pace(capture, edge);
    if (state != EEGD_CAPTURE_RUNNING)
        return state;
    if (beat.relocked)
        on_relock(capture, beat.step_ns);
    if (beat.n_periods > 1 && !capture->to_discard)
        lose(capture, EEGD_COUNT_MISSED, EEGD_EVENT_LOSS_MISSED, beat.n_periods - 1, 0);
    capture->tally.drdy_ns = edge->drdy_ns;
    take_conversion(capture, eegd_clock_time_ns(&capture->cadence.clock));
    eegd_shown_edge(&capture->shown, &capture->cadence.clock, capture->tally.drdy_ns,
                    capture->tally.sample_index);
    return capture->config.max_bad_run && capture->bad_run >= capture->config.max_bad_run
               ? EEGD_CAPTURE_BAD
               : EEGD_CAPTURE_RUNNING;
}

static void look_at_readers(struct eegd_capture *capture)
{
    if (!capture->framing.sender)
        eegd_outlet_idle(capture->config.outlet);
}

/* No edge within a wait. True when it has lasted too long. */
static int is_stalled(struct eegd_capture *capture, int64_t waiting_since)
{
    look_at_readers(capture);
    int64_t quiet_ns = eegd_board_now(capture->config.board) - waiting_since;
    if (quiet_ns < capture->config.stall_ns)
        return 0;
    eegd_tally_count(&capture->tally, EEGD_COUNT_STALLS, 1);
    eegd_tally_post(&capture->tally, EEGD_EVENT_STALLED, 0, (double)quiet_ns);
    return 1;
}

/* Runs until something ends it; returns EEGD_CAPTURE_…. */
static int capture_until_end(struct eegd_capture *capture)
{
    struct eegd_board *board = capture->config.board;
    struct eegd_edge edge;
    int64_t since = eegd_board_now(board), looked = since;
    while (!atomic_load_explicit(&capture->stop, memory_order_relaxed)) {
        int result = eegd_board_wait(board, LOOK_NS, &edge);
        if (result == 1) {
            int state = on_edge(capture, &edge);
            if (state != EEGD_CAPTURE_RUNNING)
                return state;
            since = eegd_board_now(board);
            if (since - looked >= LOOK_NS) { /* a frame may last longer than readers should wait */
                look_at_readers(capture);
                looked = since;
            }
        } else if (result == 0) {
            if (is_stalled(capture, since))
                return EEGD_CAPTURE_STALLED;
        } else if (result == -ENODATA) {
            return EEGD_CAPTURE_OVER;
        } else if (result != -EINTR) {
            atomic_store_explicit(&capture->shown.error, result, memory_order_relaxed);
            return EEGD_CAPTURE_BOARD_ERROR;
        }
    }
    return EEGD_CAPTURE_STOPPED;
}

static void post_end(struct eegd_capture *capture, int state)
{
    if (state == EEGD_CAPTURE_OVER)
        eegd_tally_post(&capture->tally, EEGD_EVENT_REPLAY_OVER, capture->tally.sample_index, 0);
    else if (state != EEGD_CAPTURE_STOPPED)
        eegd_tally_post(&capture->tally, EEGD_EVENT_BOARD_FAILED, (uint64_t)-capture->shown.error, state);
}

static void *run(void *argument)
{
    struct eegd_capture *capture = argument;
    struct eegd_thread_config thread = {
        .name = "eegd-capture", .priority = capture->config.priority, .cpu = capture->config.cpu};
    atomic_store(&capture->shown.priority_error, eegd_thread_settle(&thread));
    atomic_store(&capture->shown.tid, eegd_thread_id());
    int state = EEGD_CAPTURE_BOARD_ERROR;
    uint64_t seq = 0;
    int error = eegd_board_drain(capture->config.board, &seq);
    eegd_cadence_start(&capture->cadence, seq);
    if (error >= 0) /* last of all, from this thread, so that the first edge finds it waiting */
        error = eegd_readout_start(&capture->readout);
    if (error < 0)
        atomic_store(&capture->shown.error, error);
    else
        state = capture_until_end(capture);
    eegd_framing_close(&capture->framing, capture->cadence.clock.period_ns);
    atomic_store_explicit(&capture->shown.state, state, memory_order_release);
    post_end(capture, state);
    return NULL;
}

/* ---- control ---- */

static int is_usable(const struct eegd_capture_config *config)
{
    return config->frame_samples >= 1 && config->frame_samples <= EEGD_MAX_FRAME_SAMPLES &&
           config->period_ns > 0 && config->stall_ns > 0 && config->map.n_channels >= 1 &&
           config->map.n_channels <= EEGD_MAX_CHANNELS &&
           !(config->use_sender &&
             config->board->virtual_clock); /* its time stands still while a sender works */
}

struct eegd_capture *eegd_capture_start(const struct eegd_capture_config *config, int *error)
{
    *error = is_usable(config) ? 0 : -EINVAL;
    struct eegd_capture *capture = *error ? NULL : calloc(1, sizeof(*capture));
    if (!capture) {
        *error = *error ? *error : -ENOMEM;
        return NULL;
    }
    capture->config = *config;
    *error = eegd_readout_init(&capture->readout, &capture->config);
    capture->to_discard = config->discard;
    capture->tally.config = &capture->config;
    atomic_init(&capture->detect, config->detect);
    eegd_framing_init(&capture->framing, &capture->config);
    eegd_verdict_init(&capture->verdict, &capture->config);
    eegd_channel_state_init(&capture->channel_state, &capture->config);
    eegd_pace_init(&capture->pace, config->period_ns, config->tclk_ns, !config->start_command);
    for (uint32_t i = 0; i < EEGD_N_STATES; i++)
        atomic_init(&capture->shown.states[i], config->states_before[i]);
    if (!*error)
        *error = eegd_cadence_init(&capture->cadence, config->period_ns);
    if (!*error && config->use_sender)
        capture->framing.sender = eegd_sender_start(
            config->outlet, config->priority > 1 ? config->priority - 1 : 0, config->cpu, error);
    if (!*error)
        *error = eegd_thread_start(&capture->thread, run, capture);
    if (*error) {
        if (capture->framing.sender)
            eegd_sender_stop(capture->framing.sender);
        free(capture);
        return NULL;
    }
    return capture;
}

void eegd_capture_stop(struct eegd_capture *capture)
{
    atomic_store(&capture->stop, 1);
    eegd_board_wake(capture->config.board);
}

void eegd_capture_join(struct eegd_capture *capture)
{
    pthread_join(capture->thread, NULL);
    if (capture->framing.sender)
        eegd_sender_stop(capture->framing.sender);
    capture->framing.sender = NULL;
}

void eegd_capture_detect(struct eegd_capture *capture, struct eegd_detect *table)
{
    atomic_store_explicit(&capture->detect, table, memory_order_release);
}

void eegd_capture_free(struct eegd_capture *capture)
{
    free(capture);
}

void eegd_capture_stats(const struct eegd_capture *capture, struct eegd_capture_stats *stats)
{
    eegd_shown_stats(&capture->shown, capture->config.period_ns, stats);
    stats->sender_tid = capture->framing.sender ? eegd_sender_tid(capture->framing.sender) : 0;
}
