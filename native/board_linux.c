/* SPDX-License-Identifier: MIT */
/* The real board. Runs on the thread that owns it; linux_wake on any. See board_linux.h. */
#define _GNU_SOURCE
#include "board_linux.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <linux/spi/spidev.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "monotonic.h"

#define READ_EVENTS 64
#define SEGMENT_BYTES 64 /* the FIFO of RP1's SPI: more would go by DMA */
#define MAX_SEGMENTS 32
#define MAX_SPI 4
#define N_LINES 3
#define NS_PER_S INT64_C(1000000000)
#define LONGEST_NS (NS_PER_S * 1000000000) /* 31 years: beyond that a wait is without limit */

struct linux_board {
    struct eegd_board base;
    struct eegd_linux_config config; /* with the duplicates, -1 where there is none */
    int wake_fd;
    uint32_t drdy_number; /* the kernel's, of the last falling edge */
    uint32_t idle_number;
    uint32_t n_foreign; /* numbers since that edge that went to other events */
    struct eegd_edge edge;
    struct gpio_v2_line_event events[READ_EVENTS];
    struct spi_ioc_transfer segments[MAX_SEGMENTS];
};

static struct linux_board *linux_of(struct eegd_board *board)
{
    return (struct linux_board *)board;
}

/* ---- the DRDY line ---- */

static void take_fall(struct linux_board *board, const struct gpio_v2_line_event *event)
{
    uint32_t number = board->config.idle_offset >= 0 ? event->seqno : event->line_seqno;
    /* 32 bits, so that the kernel's wrap is a step like any other. The idle line's events may come in after
     * ones that were numbered later: an edge is one more than the last in any case. */
    int64_t step = (int64_t)(uint32_t)(number - board->drdy_number) - board->n_foreign;

    board->edge.seq += step > 1 ? (uint64_t)step : 1;
    board->edge.drdy_ns = (int64_t)event->timestamp_ns;
    board->drdy_number = number;
    board->n_foreign = 0;
}

/* 1: an edge of DRDY. Everything else only uses up numbers. */
static int take_event(struct linux_board *board, const struct gpio_v2_line_event *event)
{
    if (event->offset == board->config.drdy_offset && event->id == GPIO_V2_LINE_EVENT_FALLING_EDGE) {
        take_fall(board, event);
        return 1;
    }
    if (event->offset == board->config.drdy_offset) {
        board->n_foreign++;
    } else if ((int64_t)event->offset == board->config.idle_offset) {
        board->n_foreign += event->line_seqno - board->idle_number;
        board->idle_number = event->line_seqno;
    }
    return 0;
}

/* Takes all events that are queued. 1: an edge was among them; 0: none; or -errno. */
static int take_events(struct linux_board *board)
{
    int seen = 0;

    for (;;) {
        ssize_t n = read(board->config.drdy_fd, board->events, sizeof(board->events));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? seen : -errno;
        if (n == 0)
            return -ENODEV;
        for (size_t i = 0; i < (size_t)n / sizeof(board->events[0]); i++)
            seen |= take_event(board, &board->events[i]);
        if ((size_t)n < sizeof(board->events))
            return seen;
    }
}

static void forget_wake(struct linux_board *board)
{
    uint64_t ignored;

    while (read(board->wake_fd, &ignored, sizeof(ignored)) < 0 && errno == EINTR)
        ;
}

/* 1: events are there to be taken; 0: timeout or woken; or -errno. */
static int poll_line(struct linux_board *board, const struct timespec *limit)
{
    struct pollfd fds[2] = {{.fd = board->config.drdy_fd, .events = POLLIN},
                            {.fd = board->wake_fd, .events = POLLIN}};

    if (ppoll(fds, 2, limit, NULL) < 0)
        return -errno;
    if (fds[1].revents) {
        forget_wake(board);
        return 0;
    }
    if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
        return -ENODEV;
    return fds[0].revents != 0;
}

static int linux_wait(struct eegd_board *base, int64_t timeout_ns, struct eegd_edge *edge)
{
    struct linux_board *board = linux_of(base);
    int limited = timeout_ns >= 0 && timeout_ns < LONGEST_NS;
    int64_t left_ns = timeout_ns, until_ns = limited ? eegd_monotonic_ns() + timeout_ns : 0;

    for (;;) {
        struct timespec limit = {.tv_sec = left_ns / NS_PER_S, .tv_nsec = left_ns % NS_PER_S};
        int result = poll_line(board, limited ? &limit : NULL);
        if (result == 0)
            return 0;
        if (result == 1)
            result = take_events(board);
        if (result == 1)
            *edge = board->edge;
        if (result != 0 && result != -EINTR)
            return result;
        if (limited) { /* a signal, or events of no interest: the rest of the time is left */
            left_ns = until_ns - eegd_monotonic_ns();
            if (left_ns <= 0)
                return 0;
        }
    }
}

static int linux_drain(struct eegd_board *base, uint64_t *seq)
{
    struct linux_board *board = linux_of(base);
    int result = take_events(board);

    *seq = board->edge.seq;
    return result < 0 ? result : 0;
}

static void linux_wake(struct eegd_board *base)
{
    uint64_t one = 1;

    while (write(linux_of(base)->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

/* ---- SPI ---- */

/* One message, during which the kernel holds CS low. tx is always given: without one RP1's controller refuses
 * DMA, and DIN must be 0 while the chip sends. */
static int linux_transfer(struct eegd_board *base, const struct eegd_transfer *transfer, int64_t *end_ns)
{
    struct linux_board *board = linux_of(base);
    uint32_t n = (transfer->len + SEGMENT_BYTES - 1) / SEGMENT_BYTES;
    int sent;

    if (transfer->cs >= board->config.n_spi || transfer->delay_us > UINT16_MAX)
        return -EINVAL;
    if (n > MAX_SEGMENTS)
        return -EMSGSIZE;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = i * SEGMENT_BYTES, left = transfer->len - at;
        board->segments[i] = (struct spi_ioc_transfer){
            .tx_buf = (uintptr_t)(transfer->tx + at),
            .rx_buf = transfer->rx ? (uintptr_t)(transfer->rx + at) : 0,
            .len = left < SEGMENT_BYTES ? left : SEGMENT_BYTES,
            .speed_hz = transfer->speed_hz,
            .delay_usecs = i + 1 == n ? (uint16_t)transfer->delay_us : 0,
            .bits_per_word = 8,
        };
    }
    sent = ioctl(board->config.spi_fd[transfer->cs], SPI_IOC_MESSAGE(n), board->segments);
    if (end_ns)
        *end_ns = eegd_monotonic_ns();
    if (sent < 0)
        return -errno;
    return (uint32_t)sent == transfer->len ? 0 : -EIO;
}

/* ---- lines and time ---- */

static int linux_set_line(struct eegd_board *base, int line, int level)
{
    struct linux_board *board = linux_of(base);
    int index = board->config.output_index[line];

    if (index < 0)
        return -ENOTSUP;
    struct gpio_v2_line_values values = {.bits = (uint64_t)level << index, .mask = UINT64_C(1) << index};
    return ioctl(board->config.output_fd, GPIO_V2_LINE_SET_VALUES_IOCTL, &values) < 0 ? -errno : 0;
}

static int64_t linux_now(struct eegd_board *base)
{
    (void)base;
    return eegd_monotonic_ns();
}

static int linux_sleep(struct eegd_board *base, int64_t ns)
{
    int64_t until_ns = eegd_monotonic_ns() + (ns < LONGEST_NS ? ns : LONGEST_NS);
    struct timespec until = {.tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S};
    int error;

    (void)base;
    do
        error = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    while (error == EINTR);
    return -error;
}

/* ---- opening and closing ---- */

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void linux_close(struct eegd_board *base)
{
    struct linux_board *board = linux_of(base);

    for (int i = 0; i < MAX_SPI; i++)
        close_fd(board->config.spi_fd[i]);
    close_fd(board->config.drdy_fd);
    close_fd(board->config.output_fd);
    close_fd(board->wake_fd);
    free(board);
}

static const struct eegd_board_ops linux_ops = {
    .name = "linux",
    .wait = linux_wait,
    .transfer = linux_transfer,
    .set_line = linux_set_line,
    .now = linux_now,
    .sleep = linux_sleep,
    .drain = linux_drain,
    .wake = linux_wake,
    .close = linux_close,
};

static int is_usable(const struct eegd_linux_config *config)
{
    if (config->n_spi < 1 || config->n_spi > MAX_SPI || config->drdy_fd < 0)
        return 0;
    if (config->idle_offset < -1 || config->idle_offset == (int64_t)config->drdy_offset)
        return 0;
    for (int line = 0; line < N_LINES; line++) {
        int index = config->output_index[line];
        if (index >= GPIO_V2_LINES_MAX || (index >= 0 && config->output_fd < 0))
            return 0;
    }
    return 1;
}

/* A descriptor of our own, or -errno. */
static int duplicate(int fd)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    return own < 0 ? -errno : own;
}

static int take_descriptors(struct linux_board *board, const struct eegd_linux_config *config)
{
    int failed = 0, *own = board->config.spi_fd, flags;

    for (uint32_t i = 0; i < config->n_spi && failed >= 0; i++)
        failed = own[i] = duplicate(config->spi_fd[i]);
    if (failed >= 0)
        failed = board->config.drdy_fd = duplicate(config->drdy_fd);
    if (failed >= 0 && config->output_fd >= 0)
        failed = board->config.output_fd = duplicate(config->output_fd);
    if (failed < 0)
        return failed;
    flags = fcntl(board->config.drdy_fd, F_GETFL);
    if (flags < 0 || fcntl(board->config.drdy_fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    board->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return board->wake_fd < 0 ? -errno : 0;
}

struct eegd_board *eegd_board_linux_open(const struct eegd_linux_config *config, int *error)
{
    struct linux_board *board = is_usable(config) ? malloc(sizeof(*board)) : NULL;

    if (!board) {
        *error = is_usable(config) ? -ENOMEM : -EINVAL;
        return NULL;
    }
    explicit_bzero(board, sizeof(*board)); /* touches its pages now and not at the first edge */
    board->base.ops = &linux_ops;
    board->config = *config;
    board->wake_fd = -1;
    for (int i = 0; i < MAX_SPI; i++)
        board->config.spi_fd[i] = -1;
    board->config.drdy_fd = board->config.output_fd = -1;
    *error = take_descriptors(board, config);
    if (*error) {
        linux_close(&board->base);
        return NULL;
    }
    return &board->base;
}
