/* SPDX-License-Identifier: MIT */
/* History: order, wrap, and a reader that looks while rows are overwritten. */
#include "check.h"
#include "dsp/history.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define ROWS 8
#define WORDS 33
#define APPENDED 200000
#define LOOKS 5000

static void fill(uint32_t *row, uint64_t number)
{
    for (uint32_t i = 0; i < WORDS; i++)
        row[i] = (uint32_t)number * 2654435761u + i;
}

/* Rows that are not what their number says. */
static int wrong_rows(uint32_t rows[][WORDS], uint32_t n, uint64_t first)
{
    uint32_t wanted[WORDS];
    int wrong = 0;

    for (uint32_t r = 0; r < n; r++) {
        fill(wanted, first + r);
        for (uint32_t i = 0; i < WORDS; i++)
            wrong += rows[r][i] != wanted[i];
    }
    return wrong;
}

static void test_the_last_n_come_oldest_first_and_the_ring_keeps_its_length(void)
{
    struct eegd_history *history = eegd_history_new(ROWS, WORDS * sizeof(uint32_t));
    uint32_t rows[2 * ROWS][WORDS], row[WORDS];
    uint64_t first;

    CHECK_EQ(eegd_history_last(history, 5, rows, &first), 0);
    for (uint64_t number = 1; number <= 30; number++) {
        uint32_t there = number < ROWS ? (uint32_t)number : ROWS;

        fill(row, number);
        eegd_history_append(history, row);
        CHECK_EQ(eegd_history_last(history, 2 * ROWS, rows, &first), there);
        CHECK_EQ(first, number - there + 1);
        CHECK_EQ(wrong_rows(rows, there, first), 0);
        CHECK_EQ(eegd_history_last(history, 1, rows, &first), 1);
        CHECK_EQ(first, number);
        CHECK_EQ(wrong_rows(rows, 1, first), 0);
    }
    CHECK_EQ(eegd_history_last(history, 0, rows, &first), 0);
    eegd_history_free(history);
    eegd_history_free(NULL);
}

static void test_lengths_out_of_range_are_refused(void)
{
    errno = 0;
    CHECK(!eegd_history_new(1, 8));
    CHECK_EQ(errno, EINVAL);
    CHECK(!eegd_history_new(8, 0));
    CHECK(!eegd_history_new(UINT32_MAX, 8));
}

struct run {
    struct eegd_history *history;
    _Atomic int is_over;
};

static void *append_until_over(void *arg)
{
    struct run *run = arg;
    uint32_t row[WORDS];

    for (uint64_t number = 1; number <= APPENDED || !atomic_load(&run->is_over); number++) {
        fill(row, number);
        eegd_history_append(run->history, row);
    }
    return NULL;
}

static void test_rows_are_whole_and_in_order_while_others_are_appended(void)
{
    struct run run = {.history = eegd_history_new(ROWS, WORDS * sizeof(uint32_t))};
    uint32_t rows[ROWS][WORDS];
    uint64_t first, before = 0;
    int n_rows = 0, n_wrong = 0, n_back = 0;
    pthread_t writer;

    pthread_create(&writer, NULL, append_until_over, &run);
    for (int look = 0; look < LOOKS; look++) {
        uint32_t n = eegd_history_last(run.history, ROWS, rows, &first);

        n_rows += (int)n;
        n_wrong += wrong_rows(rows, n, first);
        n_back += first + n < before;
        before = first + n;
    }
    atomic_store(&run.is_over, 1);
    pthread_join(writer, NULL);
    CHECK_EQ(n_wrong, 0);
    CHECK_EQ(n_back, 0);
    printf("%d rows in %d looks\n", n_rows, LOOKS);
    CHECK_EQ(eegd_history_last(run.history, ROWS, rows, &first), ROWS);
    CHECK_EQ(wrong_rows(rows, ROWS, first), 0);
    eegd_history_free(run.history);
}

int main(void)
{
    RUN(test_the_last_n_come_oldest_first_and_the_ring_keeps_its_length);
    RUN(test_lengths_out_of_range_are_refused);
    RUN(test_rows_are_whole_and_in_order_while_others_are_appended);
    return check_report();
}
