/* SPDX-License-Identifier: MIT */
/* Latest: never torn, never older than before; one writer at full speed against two readers. */
#include "check.h"
#include "dsp/latest.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#define WORDS 301 /* 1204 bytes: the last word of 8 is half full */
#define RESULTS 200000
#define READS 20000

static void fill(uint32_t *result, uint32_t number)
{
    for (uint32_t i = 0; i < WORDS; i++)
        result[i] = number * 2654435761u + i;
}

static int is_torn(const uint32_t *result, uint32_t number)
{
    int torn = 0;

    for (uint32_t i = 0; i < WORDS; i++)
        torn |= result[i] != number * 2654435761u + i;
    return torn;
}

static void test_there_is_nothing_at_first_and_then_the_newest(void)
{
    struct eegd_latest *latest = eegd_latest_new(WORDS * sizeof(uint32_t));
    uint32_t result[WORDS + 1];

    result[WORDS] = 77; /* nobody's */
    CHECK_EQ(eegd_latest_read(latest, result), 0);
    CHECK_EQ(eegd_latest_number(latest), 0);
    for (uint32_t number = 1; number <= 5; number++) {
        fill(result, number);
        eegd_latest_publish(latest, result);
        memset(result, 0, WORDS * sizeof(uint32_t));
        CHECK_EQ(eegd_latest_read(latest, result), number);
        CHECK(!is_torn(result, number));
        CHECK_EQ(eegd_latest_number(latest), number);
    }
    CHECK_EQ(result[WORDS], 77);
    eegd_latest_free(latest);
    eegd_latest_free(NULL);
    errno = 0;
    CHECK(!eegd_latest_new(0));
    CHECK_EQ(errno, EINVAL);
}

struct run {
    struct eegd_latest *latest;
    _Atomic int is_over;
};

struct reader {
    struct run *run;
    uint64_t n_read, n_overtaken, n_torn, n_older;
};

static void *write_until_read(void *arg)
{
    struct run *run = arg;
    uint32_t result[WORDS];

    for (uint32_t number = 1; number <= RESULTS || !atomic_load(&run->is_over); number++) {
        fill(result, number);
        eegd_latest_publish(run->latest, result);
    }
    return NULL;
}

static void *read_many(void *arg)
{
    struct reader *reader = arg;
    uint32_t result[WORDS];
    int64_t before = 0;

    while (reader->n_read < READS) {
        int64_t number = eegd_latest_read(reader->run->latest, result);

        if (number == -EAGAIN)
            reader->n_overtaken++;
        if (number <= 0)
            continue;
        reader->n_read++;
        reader->n_torn += (uint64_t)is_torn(result, (uint32_t)number);
        reader->n_older += number < before;
        before = number;
    }
    return NULL;
}

static void test_no_result_is_torn_or_older_while_one_thread_writes_without_a_pause(void)
{
    struct run run = {.latest = eegd_latest_new(WORDS * sizeof(uint32_t))};
    struct reader readers[2] = {{.run = &run}, {.run = &run}};
    pthread_t writer, reading[2];

    pthread_create(&writer, NULL, write_until_read, &run);
    for (int i = 0; i < 2; i++)
        pthread_create(&reading[i], NULL, read_many, &readers[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(reading[i], NULL);
    atomic_store(&run.is_over, 1);
    pthread_join(writer, NULL);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(readers[i].n_read, READS);
        CHECK_EQ(readers[i].n_torn, 0);
        CHECK_EQ(readers[i].n_older, 0);
        printf("reader %d: overtaken %llu times in %d reads\n", i, (unsigned long long)readers[i].n_overtaken,
               READS);
    }
    CHECK(eegd_latest_number(run.latest) >= RESULTS);
    eegd_latest_free(run.latest);
}

int main(void)
{
    RUN(test_there_is_nothing_at_first_and_then_the_newest);
    RUN(test_no_result_is_torn_or_older_while_one_thread_writes_without_a_pause);
    return check_report();
}
