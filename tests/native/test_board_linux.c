/* SPDX-License-Identifier: MIT */
/* The real board over descriptors of this test: a pipe in place of the line request, and an ioctl() of our
 * own that writes down what the kernel would have been asked. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <linux/spi/spidev.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "board_linux.h"
#include "check.h"
#include "monotonic.h"

#define DRDY 26
#define IDLE 17
#define FALLING GPIO_V2_LINE_EVENT_FALLING_EDGE
#define RISING GPIO_V2_LINE_EVENT_RISING_EDGE
#define LONG_NS INT64_C(60000000000)

/* ---- the kernel ---- */

static struct {
    int fd, n, error; /* error: what the next call fails with */
    int sent;         /* what SPI_IOC_MESSAGE returns, -1: all */
    unsigned long request;
    struct spi_ioc_transfer segments[64];
    struct gpio_v2_line_values values;
} kernel;

int ioctl(int fd, unsigned long request, ...)
{
    int total = 0;
    va_list list;

    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    kernel.fd = fd;
    kernel.request = request;
    if (kernel.error) {
        errno = kernel.error;
        kernel.error = 0;
        return -1;
    }
    if (request == GPIO_V2_LINE_SET_VALUES_IOCTL) {
        memcpy(&kernel.values, argument, sizeof(kernel.values));
        return 0;
    }
    kernel.n = (int)(_IOC_SIZE(request) / sizeof(kernel.segments[0]));
    memcpy(kernel.segments, argument, _IOC_SIZE(request));
    for (int i = 0; i < kernel.n; i++) {
        const struct spi_ioc_transfer *segment = &kernel.segments[i];
        for (uint32_t k = 0; segment->rx_buf && k < segment->len;
             k++) /* what was sent comes back, inverted */
            ((uint8_t *)(uintptr_t)segment->rx_buf)[k] = ~((const uint8_t *)(uintptr_t)segment->tx_buf)[k];
        total += (int)segment->len;
    }
    return kernel.sent >= 0 ? kernel.sent : total;
}

/* ---- the allocator ---- */

static uint64_t n_allocations;

/* A sanitizer has an allocator of its own, and faults pages for itself. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define COUNTS_ALLOCATIONS 0
#else
#define COUNTS_ALLOCATIONS 1
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void __libc_free(void *memory);

void *malloc(size_t bytes)
{
    n_allocations++;
    return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
    n_allocations++;
    return __libc_calloc(n, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    n_allocations++;
    return __libc_realloc(memory, bytes);
}

void free(void *memory)
{
    n_allocations += memory != NULL;
    __libc_free(memory);
}
#endif

/* ---- the bench ---- */

static struct eegd_linux_config config;
static struct eegd_board *board;
static struct eegd_edge edge;
static int events[2];

static void fresh(void)
{
    memset(&kernel, 0, sizeof(kernel));
    kernel.sent = -1;
    CHECK_EQ(pipe2(events, O_CLOEXEC), 0);
    config = (struct eegd_linux_config){.n_spi = 1,
                                        .spi_fd = {events[1], events[1], events[1], events[1]},
                                        .drdy_fd = events[0],
                                        .drdy_offset = DRDY,
                                        .idle_offset = -1,
                                        .output_fd = -1,
                                        .output_index = {-1, -1, -1}};
}

static void open_board(void)
{
    int error = 1;

    board = eegd_board_linux_open(&config, &error);
    CHECK(board != NULL);
    CHECK_EQ(error, 0);
}

static void done(void)
{
    eegd_board_close(board);
    close(events[0]);
    if (events[1] >= 0)
        close(events[1]);
}

static void open_fresh(int64_t idle_offset)
{
    fresh();
    config.idle_offset = idle_offset;
    open_board();
}

/* One event as the kernel queues it. */
static void queue(uint32_t offset, uint32_t id, uint32_t seqno, uint32_t line_seqno, int64_t time_ns)
{
    struct gpio_v2_line_event event = {.timestamp_ns = (uint64_t)time_ns,
                                       .id = id,
                                       .offset = offset,
                                       .seqno = seqno,
                                       .line_seqno = line_seqno};

    CHECK_EQ(write(events[1], &event, sizeof(event)), sizeof(event));
}

static void fall(uint32_t seqno, uint32_t line_seqno, int64_t time_ns)
{
    queue(DRDY, FALLING, seqno, line_seqno, time_ns);
}

/* The sequence that the next wait gives; 0 where it gives no edge. */
static uint64_t next_seq(void)
{
    return eegd_board_wait(board, 0, &edge) == 1 ? edge.seq : 0;
}

/* ---- edges ---- */

static void test_an_edge_comes_with_the_kernels_stamp(void)
{
    open_fresh(-1);
    CHECK_EQ(eegd_board_wait(board, 0, &edge), 0);
    fall(1, 1, 5000000000123);
    CHECK_EQ(eegd_board_wait(board, -1, &edge), 1);
    CHECK_EQ(edge.drdy_ns, 5000000000123);
    CHECK_EQ(edge.seq, 1);
    CHECK_EQ(eegd_board_wait(board, 0, &edge), 0);
    done();
}

static void test_the_newest_of_several_edges_is_given(void)
{
    open_fresh(-1);
    for (uint32_t i = 1; i <= 3; i++)
        fall(i, i, i * 100);
    CHECK_EQ(next_seq(), 3);
    CHECK_EQ(edge.drdy_ns, 300);
    CHECK_EQ(next_seq(), 0);
    for (uint32_t i = 4; i <= 1027; i++) /* as many as the kernel keeps: several reads */
        fall(i, i, i * 100);
    CHECK_EQ(next_seq(), 1027);
    CHECK_EQ(edge.drdy_ns, 102700);
    CHECK_EQ(next_seq(), 0);
    done();
}

static void test_a_queue_that_overflowed_shows_as_a_jump(void)
{
    open_fresh(-1);
    fall(1, 1, 100);
    CHECK_EQ(next_seq(), 1);
    fall(8, 8, 800);
    CHECK_EQ(next_seq(), 8);
    done();
}

static void test_the_kernels_numbers_wrap_and_ours_do_not(void)
{
    open_fresh(-1);
    fall(0xFFFFFFFE, 0xFFFFFFFE, 1);
    CHECK_EQ(next_seq(), 0xFFFFFFFE);
    fall(0xFFFFFFFF, 0xFFFFFFFF, 2);
    CHECK_EQ(next_seq(), 0xFFFFFFFF);
    fall(0, 0, 3);
    CHECK_EQ(next_seq(), INT64_C(0x100000000));
    fall(2, 2, 5);
    CHECK_EQ(next_seq(), INT64_C(0x100000002));
    done();
}

static void test_merged_edges_show_where_there_is_an_idle_line(void)
{
    open_fresh(IDLE);
    fall(1, 1, 100);
    CHECK_EQ(next_seq(), 1);
    fall(4, 2, 400); /* the interrupt counted 4, the queue 2 */
    CHECK_EQ(next_seq(), 4);
    done();
    open_fresh(-1);
    fall(4, 2, 400); /* without one, the first number means nothing */
    CHECK_EQ(next_seq(), 2);
    done();
}

static void test_noise_on_the_idle_line_is_not_counted(void)
{
    open_fresh(IDLE);
    fall(1, 1, 100);
    CHECK_EQ(next_seq(), 1);
    queue(IDLE, FALLING, 2, 1, 110);
    queue(IDLE, RISING, 3, 2, 120);
    CHECK_EQ(next_seq(), 0);
    fall(4, 2, 200);
    CHECK_EQ(next_seq(), 2);
    queue(IDLE, FALLING, 8, 6, 210); /* three of them lost from the queue */
    fall(9, 3, 300);
    CHECK_EQ(next_seq(), 3);
    fall(12, 4, 400);
    CHECK_EQ(next_seq(), 6);
    done();
}

static void test_an_idle_event_that_comes_in_late_makes_no_edge_vanish(void)
{
    open_fresh(IDLE);
    fall(1, 1, 100);
    fall(3, 2, 200); /* number 2 is the idle line's, queued after this */
    CHECK_EQ(next_seq(), 3);
    queue(IDLE, FALLING, 2, 1, 190);
    fall(4, 3, 300);
    CHECK_EQ(next_seq(), 4);
    fall(5, 4, 400);
    CHECK_EQ(next_seq(), 5);
    done();
}

static void test_rising_edges_and_other_lines_are_no_edges(void)
{
    open_fresh(-1);
    queue(DRDY, RISING, 1, 1, 50);
    CHECK_EQ(next_seq(), 0);
    fall(2, 2, 100);
    CHECK_EQ(next_seq(), 1);
    queue(DRDY, RISING, 3, 3, 150);
    queue(3, FALLING, 9, 9, 160);
    queue(DRDY, 77, 4, 4, 170);
    fall(5, 5, 200);
    CHECK_EQ(next_seq(), 2);
    CHECK_EQ(edge.drdy_ns, 200);
    done();
}

static void test_half_an_event_is_no_event(void)
{
    char some[10] = {0};

    open_fresh(-1);
    CHECK_EQ(write(events[1], some, sizeof(some)), sizeof(some));
    CHECK_EQ(next_seq(), 0);
    fall(1, 1, 100);
    CHECK_EQ(next_seq(), 1);
    done();
}

static void test_drain_forgets_edges_and_tells_where_the_line_is(void)
{
    uint64_t seq = 99;

    open_fresh(-1);
    CHECK_EQ(eegd_board_drain(board, &seq), 0);
    CHECK_EQ(seq, 0);
    for (uint32_t i = 1; i <= 200; i++)
        fall(i, i, i);
    CHECK_EQ(eegd_board_drain(board, &seq), 0);
    CHECK_EQ(seq, 200);
    CHECK_EQ(next_seq(), 0);
    CHECK_EQ(eegd_board_drain(board, NULL), 0);
    fall(201, 201, 201);
    CHECK_EQ(next_seq(), 201);
    CHECK_EQ(eegd_board_drain(board, &seq), 0);
    CHECK_EQ(seq, 201);
    done();
}

/* ---- waiting ---- */

static void test_a_wait_without_an_edge_ends_at_its_time_and_not_before(void)
{
    int64_t before_ns = eegd_monotonic_ns();

    open_fresh(-1);
    CHECK_EQ(eegd_board_wait(board, 3000000, &edge), 0);
    CHECK(eegd_monotonic_ns() - before_ns >= 3000000);
    before_ns = eegd_monotonic_ns();
    queue(DRDY, RISING, 1, 1, 1); /* noise does not shorten it */
    CHECK_EQ(eegd_board_wait(board, 3000000, &edge), 0);
    CHECK(eegd_monotonic_ns() - before_ns >= 3000000);
    done();
}

static void test_any_length_of_wait_may_be_asked_for(void)
{
    open_fresh(-1);
    for (uint32_t i = 1; i <= 2; i++) {
        fall(i, i, i);
        CHECK_EQ(eegd_board_wait(board, i == 1 ? INT64_MAX : INT64_MIN, &edge), 1);
    }
    done();
}

static void test_wake_ends_the_next_wait_once_and_loses_no_edge(void)
{
    open_fresh(-1);
    fall(1, 1, 1);
    eegd_board_wake(board);
    eegd_board_wake(board);
    CHECK_EQ(eegd_board_wait(board, -1, &edge), 0);
    CHECK_EQ(eegd_board_wait(board, -1, &edge), 1);
    CHECK_EQ(edge.seq, 1);
    done();
}

static int waited;

static void *wait_long(void *unused)
{
    (void)unused;
    waited = eegd_board_wait(board, LONG_NS, &edge);
    return NULL;
}

static void test_wake_ends_a_wait_in_another_thread(void)
{
    pthread_t thread;
    int64_t before_ns = eegd_monotonic_ns();

    open_fresh(-1);
    waited = 99;
    CHECK_EQ(pthread_create(&thread, NULL, wait_long, NULL), 0);
    eegd_board_wake(board);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(waited, 0);
    CHECK(eegd_monotonic_ns() - before_ns < LONG_NS);
    done();
}

static volatile sig_atomic_t n_signals;

static void on_signal(int number)
{
    (void)number;
    if (++n_signals == 3)
        eegd_board_wake(board); /* which a handler may */
}

static void test_signals_do_not_end_a_wait(void)
{
    struct sigaction action = {.sa_handler = on_signal}, before;
    struct itimerspec every = {.it_interval.tv_nsec = 2000000, .it_value.tv_nsec = 2000000};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    timer_t timer;

    open_fresh(-1);
    n_signals = 0;
    CHECK_EQ(sigaction(SIGUSR1, &action, &before), 0);
    CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    CHECK_EQ(timer_settime(timer, 0, &every, NULL), 0);
    CHECK_EQ(eegd_board_wait(board, LONG_NS, &edge), 0);
    CHECK(n_signals >= 3);
    int64_t before_ns = eegd_monotonic_ns();
    CHECK_EQ(eegd_board_sleep(board, 10000000), 0);
    CHECK(eegd_monotonic_ns() - before_ns >= 10000000);
    CHECK_EQ(timer_delete(timer), 0);
    CHECK_EQ(sigaction(SIGUSR1, &before, NULL), 0);
    done();
}

static void test_a_chip_that_went_away_is_no_device(void)
{
    fresh();
    config.spi_fd[0] = events[0]; /* else the board would keep the writing end open */
    open_board();
    close(events[1]);
    events[1] = -1;
    CHECK_EQ(eegd_board_wait(board, -1, &edge), -ENODEV);
    CHECK_EQ(eegd_board_wait(board, 0, &edge), -ENODEV);
    CHECK_EQ(eegd_board_drain(board, NULL), -ENODEV);
    done();
}

/* ---- SPI ---- */

static uint8_t tx[4096], rx[4096];

static int transfer(uint32_t len, uint32_t delay_us, int64_t *end_ns)
{
    struct eegd_transfer request = {
        .tx = tx, .rx = rx, .len = len, .speed_hz = 8000000, .cs = 0, .delay_us = delay_us};

    for (uint32_t i = 0; i < sizeof(tx); i++) {
        tx[i] = (uint8_t)(i * 7);
        rx[i] = (uint8_t)(i * 7);
    }
    return eegd_board_transfer(board, &request, end_ns);
}

static void test_a_message_is_one_chip_select_in_segments_of_a_fifo(void)
{
    static const uint32_t lengths[] = {1, 27, 54, 64, 65, 81, 108, 128, 2048};

    open_fresh(-1);
    for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
        uint32_t len = lengths[k], sum = 0;
        CHECK_EQ(transfer(len, 3, NULL), 0);
        CHECK_EQ(kernel.n, (len + 63) / 64);
        for (int i = 0; i < kernel.n; i++) {
            const struct spi_ioc_transfer *segment = &kernel.segments[i];
            CHECK(segment->len >= 1 && segment->len <= 64);
            CHECK_EQ(segment->tx_buf, (uintptr_t)tx + sum);
            CHECK_EQ(segment->rx_buf, (uintptr_t)rx + sum);
            CHECK_EQ(segment->speed_hz, 8000000);
            CHECK_EQ(segment->bits_per_word, 8);
            CHECK_EQ(segment->cs_change, 0); /* in the last one it would keep CS low for ever */
            CHECK_EQ(segment->delay_usecs, i + 1 == kernel.n ? 3 : 0);
            CHECK_EQ(segment->word_delay_usecs | segment->tx_nbits | segment->rx_nbits | segment->pad, 0);
            sum += segment->len;
        }
        CHECK_EQ(sum, len);
        CHECK_EQ(rx[len - 1], (uint8_t)~tx[len - 1]);
        CHECK(len == sizeof(rx) || rx[len] == tx[len]);
    }
    done();
}

static void test_nothing_need_be_received(void)
{
    struct eegd_transfer request = {.tx = tx, .len = 100, .speed_hz = 1000000};

    open_fresh(-1);
    CHECK_EQ(eegd_board_transfer(board, &request, NULL), 0);
    CHECK_EQ(kernel.n, 2);
    CHECK_EQ(kernel.segments[0].rx_buf, 0);
    CHECK_EQ(kernel.segments[1].rx_buf, 0);
    CHECK(kernel.segments[1].tx_buf != 0);
    done();
}

static void test_the_end_of_a_read_is_stamped_after_it(void)
{
    int64_t end_ns = 0, before_ns = eegd_monotonic_ns();

    open_fresh(-1);
    CHECK_EQ(transfer(27, 0, &end_ns), 0);
    CHECK(end_ns >= before_ns);
    CHECK(end_ns <= eegd_board_now(board));
    done();
}

static void test_each_chip_select_has_its_descriptor(void)
{
    struct eegd_transfer request = {.tx = tx, .len = 1, .speed_hz = 1000000};
    int own[4];

    fresh();
    config.n_spi = 4;
    open_board();
    for (request.cs = 0; request.cs < 4; request.cs++) {
        CHECK_EQ(eegd_board_transfer(board, &request, NULL), 0);
        own[request.cs] = kernel.fd;
        CHECK(kernel.fd != events[1]);
    }
    CHECK(own[0] != own[1] && own[1] != own[2] && own[2] != own[3]);
    done();
    open_fresh(-1);
    request.cs = 1;
    CHECK_EQ(eegd_board_transfer(board, &request, NULL), -EINVAL);
    done();
}

static void test_what_the_kernel_says_comes_back(void)
{
    static const int errors[] = {ETIMEDOUT, ESHUTDOWN, EMSGSIZE, EINVAL};

    open_fresh(-1);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        kernel.error = errors[i];
        CHECK_EQ(transfer(27, 0, NULL), -errors[i]);
    }
    CHECK_EQ(transfer(27, 0, NULL), 0);
    kernel.sent = 26;
    CHECK_EQ(transfer(27, 0, NULL), -EIO);
    kernel.sent = -1;
    CHECK_EQ(transfer(2049, 0, NULL), -EMSGSIZE);
    CHECK_EQ(transfer(27, 65536, NULL), -EINVAL);
    done();
}

/* ---- steady state ---- */

/* As capture does: an edge, a read of each length, a wait that ends without an edge, a look back. */
static void act_steadily(uint32_t first, uint32_t n)
{
    static const uint32_t lengths[] = {27, 54, 108};
    uint64_t seq;

    for (uint32_t i = first; i < first + n; i++) {
        int64_t end_ns;
        fall(i, i, i * 1000);
        CHECK_EQ(eegd_board_wait(board, 100000000, &edge), 1);
        CHECK_EQ(transfer(lengths[i % 3], 0, &end_ns), 0);
        CHECK_EQ(eegd_board_wait(board, 0, &edge), 0);
        CHECK_EQ(eegd_board_drain(board, &seq), 0);
        CHECK_EQ(seq, i);
    }
}

static long page_faults(void)
{
    struct rusage usage;

    CHECK_EQ(getrusage(RUSAGE_THREAD, &usage), 0);
    return usage.ru_minflt + usage.ru_majflt;
}

static void test_edges_and_reads_allocate_nothing_and_fault_no_page(void)
{
    open_fresh(-1);
    act_steadily(1, 16);
    uint64_t allocated = n_allocations;
    long faults = page_faults();
    act_steadily(17, 10000);
    faults = page_faults() - faults;
    CHECK_EQ(n_allocations, allocated);
#if COUNTS_ALLOCATIONS
    CHECK(allocated > 0); /* the board itself: so they are counted */
    CHECK_EQ(faults, 0);
#endif
    done();
}

/* ---- lines ---- */

static void test_a_line_is_set_by_its_place_in_the_request(void)
{
    fresh();
    config.output_fd = events[1];
    config.output_index[EEGD_LINE_START] = 2;
    config.output_index[EEGD_LINE_PWDN] = 0;
    open_board();
    CHECK_EQ(eegd_board_set_line(board, EEGD_LINE_START, 1), 0);
    CHECK_EQ(kernel.request, GPIO_V2_LINE_SET_VALUES_IOCTL);
    CHECK_EQ(kernel.values.mask, 4);
    CHECK_EQ(kernel.values.bits, 4);
    CHECK_EQ(eegd_board_set_line(board, EEGD_LINE_START, 0), 0);
    CHECK_EQ(kernel.values.mask, 4);
    CHECK_EQ(kernel.values.bits, 0);
    CHECK_EQ(eegd_board_set_line(board, EEGD_LINE_PWDN, 1), 0);
    CHECK_EQ(kernel.values.mask, 1);
    CHECK_EQ(kernel.values.bits, 1);
    kernel.request = 0;
    CHECK_EQ(eegd_board_set_line(board, EEGD_LINE_RESET, 0), -ENOTSUP);
    CHECK_EQ(kernel.request, 0);
    kernel.error = ENODEV;
    CHECK_EQ(eegd_board_set_line(board, EEGD_LINE_START, 1), -ENODEV);
    done();
}

/* ---- opening ---- */

static void test_configurations_that_cannot_be_are_refused(void)
{
    int error;

#define REFUSED(change, wanted)                                                                              \
    do {                                                                                                     \
        fresh();                                                                                             \
        change;                                                                                              \
        error = 0;                                                                                           \
        CHECK(!eegd_board_linux_open(&config, &error));                                                      \
        CHECK_EQ(error, wanted);                                                                             \
        close(events[0]);                                                                                    \
        close(events[1]);                                                                                    \
    } while (0)

    REFUSED(config.n_spi = 0, -EINVAL);
    REFUSED(config.n_spi = 5, -EINVAL);
    REFUSED(config.drdy_fd = -1, -EINVAL);
    REFUSED(config.idle_offset = DRDY, -EINVAL);
    REFUSED(config.idle_offset = -2, -EINVAL);
    REFUSED(config.output_index[EEGD_LINE_START] = 0, -EINVAL);
    REFUSED((config.output_fd = events[1], config.output_index[0] = 64), -EINVAL);
    REFUSED((config.n_spi = 2, config.spi_fd[1] = -1), -EBADF);
    REFUSED(config.drdy_fd = 1000000, -EBADF);
    REFUSED(config.output_fd = 1000000, -EBADF);
}

static int is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void test_the_callers_descriptors_may_close_and_ours_close_with_the_board(void)
{
    struct pollfd writer;

    fresh();
    open_board();
    close(events[0]);
    fall(1, 1, 100); /* without a reader this would be SIGPIPE */
    CHECK_EQ(next_seq(), 1);
    CHECK_EQ(transfer(27, 0, NULL), 0);
    CHECK(is_open(kernel.fd));
    CHECK_EQ(fcntl(kernel.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    eegd_board_close(board);
    CHECK(!is_open(kernel.fd));
    writer = (struct pollfd){.fd = events[1], .events = POLLOUT};
    CHECK_EQ(poll(&writer, 1, 0), 1);
    CHECK(writer.revents & POLLERR);
    close(events[1]);
}

int main(void)
{
    RUN(test_an_edge_comes_with_the_kernels_stamp);
    RUN(test_the_newest_of_several_edges_is_given);
    RUN(test_a_queue_that_overflowed_shows_as_a_jump);
    RUN(test_the_kernels_numbers_wrap_and_ours_do_not);
    RUN(test_merged_edges_show_where_there_is_an_idle_line);
    RUN(test_noise_on_the_idle_line_is_not_counted);
    RUN(test_an_idle_event_that_comes_in_late_makes_no_edge_vanish);
    RUN(test_rising_edges_and_other_lines_are_no_edges);
    RUN(test_half_an_event_is_no_event);
    RUN(test_drain_forgets_edges_and_tells_where_the_line_is);
    RUN(test_a_wait_without_an_edge_ends_at_its_time_and_not_before);
    RUN(test_any_length_of_wait_may_be_asked_for);
    RUN(test_wake_ends_the_next_wait_once_and_loses_no_edge);
    RUN(test_wake_ends_a_wait_in_another_thread);
    RUN(test_signals_do_not_end_a_wait);
    RUN(test_a_chip_that_went_away_is_no_device);
    RUN(test_a_message_is_one_chip_select_in_segments_of_a_fifo);
    RUN(test_nothing_need_be_received);
    RUN(test_the_end_of_a_read_is_stamped_after_it);
    RUN(test_each_chip_select_has_its_descriptor);
    RUN(test_what_the_kernel_says_comes_back);
    RUN(test_edges_and_reads_allocate_nothing_and_fault_no_page);
    RUN(test_a_line_is_set_by_its_place_in_the_request);
    RUN(test_configurations_that_cannot_be_are_refused);
    RUN(test_the_callers_descriptors_may_close_and_ours_close_with_the_board);
    return check_report();
}
