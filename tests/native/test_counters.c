/* SPDX-License-Identifier: MIT */
/* Counters: the table's own rules, what a mapped one refuses, and reading while others count and allocate. */
#define _GNU_SOURCE
#include "check.h"
#include "counter_inline.h"
#include "counters.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STRESS_COUNTS 1000000
#define STRESS_REUSES 20000

static struct eegd_counters *make(uint32_t capacity)
{
    struct eegd_counters *counters = NULL;

    CHECK_EQ(eegd_counters_create(capacity, &counters), 0);
    return counters;
}

static void test_a_label_is_found_and_counts(void)
{
    struct eegd_counters *counters = make(4);
    struct eegd_counters_entry entry;
    int index = eegd_counters_allocate(counters, "loss.missed");
    struct eegd_counter *counter = eegd_counters_at(counters, (uint32_t)index);

    CHECK_EQ(index, 0);
    eegd_counter_count(counter, 2);
    eegd_counter_add(counter, 3);
    CHECK_EQ(eegd_counter_get(counter), 5);
    CHECK_EQ(eegd_counters_read(counters, 0, &entry), 1);
    CHECK_EQ(entry.value, 5);
    CHECK_EQ(strcmp(entry.label, "loss.missed"), 0);
    eegd_counter_set(counter, UINT64_MAX);
    eegd_counters_read(counters, 0, &entry);
    CHECK(entry.value == UINT64_MAX);
    CHECK_EQ(eegd_counters_used(counters), 1);
    CHECK_EQ(eegd_counters_read(counters, 1, &entry), 0);
    CHECK_EQ(eegd_counters_read(counters, 4, &entry), -EINVAL);
    eegd_counters_close(counters);
    eegd_counters_close(NULL);
}

static void test_allocate_refuses_full_double_and_bad_labels(void)
{
    struct eegd_counters *counters = make(2);
    char longest[EEGD_COUNTERS_LABEL_BYTES], too_long[EEGD_COUNTERS_LABEL_BYTES + 1];

    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    memset(too_long, 'x', sizeof(too_long));
    too_long[sizeof(too_long) - 1] = '\0';
    CHECK_EQ(eegd_counters_allocate(counters, ""), -EINVAL);
    CHECK_EQ(eegd_counters_allocate(counters, "a\nb"), -EINVAL);
    CHECK_EQ(eegd_counters_allocate(counters, "\xc2\xb5V"), -EINVAL);
    CHECK_EQ(eegd_counters_allocate(counters, too_long), -EINVAL);
    CHECK_EQ(eegd_counters_allocate(counters, longest), 0);
    CHECK_EQ(eegd_counters_allocate(counters, longest), -EEXIST);
    CHECK_EQ(eegd_counters_allocate(counters, "b"), 1);
    CHECK_EQ(eegd_counters_allocate(counters, "c"), -ENOSPC);
    eegd_counters_close(counters);
}

static void test_a_freed_entry_starts_again_at_zero_with_another_id(void)
{
    struct eegd_counters *counters = make(2);
    struct eegd_counters_entry before, after;

    eegd_counters_allocate(counters, "reader.a.missed");
    eegd_counter_add(eegd_counters_at(counters, 0), 7);
    eegd_counters_read(counters, 0, &before);
    CHECK_EQ(eegd_counters_free(counters, 0), 0);
    CHECK_EQ(eegd_counters_free(counters, 0), -EINVAL);
    CHECK_EQ(eegd_counters_free(counters, 2), -EINVAL);
    CHECK(!eegd_counters_at(counters, 0));
    CHECK_EQ(eegd_counters_read(counters, 0, &after), 0);
    CHECK_EQ(eegd_counters_allocate(counters, "reader.b.missed"), 0);
    CHECK_EQ(eegd_counters_read(counters, 0, &after), 1);
    CHECK_EQ(after.value, 0);
    CHECK(after.id != before.id);
    CHECK_EQ(strcmp(after.label, "reader.b.missed"), 0);
    eegd_counters_close(counters);
}

static void test_a_mapped_table_shows_the_same_and_changes_nothing(void)
{
    struct eegd_counters *counters = make(8), *mapped = NULL;
    struct eegd_counters_entry entry;
    int fd = dup(eegd_counters_fd(counters));

    eegd_counters_allocate(counters, "capture.conversions");
    CHECK_EQ(eegd_counters_map(fd, &mapped), 0);
    close(fd);
    eegd_counter_add(eegd_counters_at(counters, 0), 41);
    CHECK_EQ(eegd_counters_read(mapped, 0, &entry), 1);
    CHECK_EQ(entry.value, 41);
    CHECK_EQ(eegd_counters_capacity(mapped), 8);
    CHECK_EQ(eegd_counters_used(mapped), 1);
    CHECK_EQ(eegd_counters_fd(mapped), -1);
    CHECK_EQ(eegd_counters_allocate(mapped, "x"), -EROFS);
    CHECK_EQ(eegd_counters_free(mapped, 0), -EROFS);
    CHECK(!eegd_counters_at(mapped, 0));
    eegd_counters_close(counters);
    CHECK_EQ(eegd_counters_read(mapped, 0, &entry), 1); /* memory outlives the writer */
    CHECK_EQ(entry.value, 41);
    eegd_counters_close(mapped);
}

static void test_nobody_else_can_write_cut_or_grow_the_segment(void)
{
    struct eegd_counters *counters = make(8);
    int fd = eegd_counters_fd(counters);
    void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

    CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    CHECK(mprotect(map, 4096, PROT_READ | PROT_WRITE) < 0);
    CHECK(ftruncate(fd, 0) < 0);
    CHECK(ftruncate(fd, 1 << 20) < 0);
    CHECK(write(fd, "x", 1) < 0);
    CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) < 0);
    munmap(map, 4096);
    eegd_counters_close(counters);
}

/* A copy of a good table with one 32-bit word changed, sealed as asked: what a hostile writer may send. */
static int forge(size_t bytes, size_t offset, uint32_t word, int seals)
{
    struct eegd_counters *counters = make(2);
    char image[EEGD_COUNTERS_HEADER_BYTES + 2 * EEGD_COUNTERS_ENTRY_BYTES] = {0};
    int fd = memfd_create("forged", MFD_ALLOW_SEALING | MFD_CLOEXEC);

    eegd_counters_allocate(counters, "honest");
    CHECK_EQ(pread(eegd_counters_fd(counters), image, sizeof(image), 0), sizeof(image));
    eegd_counters_close(counters);
    memcpy(image + offset, &word, sizeof(word));
    CHECK_EQ(pwrite(fd, image, sizeof(image), 0), sizeof(image));
    CHECK_EQ(ftruncate(fd, (off_t)bytes), 0);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static int map_forged(size_t bytes, size_t offset, uint32_t word, int seals, struct eegd_counters **mapped)
{
    int fd = forge(bytes, offset, word, seals);
    int result = eegd_counters_map(fd, mapped);

    close(fd);
    return result;
}

static void test_map_refuses_every_table_that_is_not_one(void)
{
    const int sealed = F_SEAL_SHRINK | F_SEAL_GROW;
    const size_t good = EEGD_COUNTERS_HEADER_BYTES + 2 * EEGD_COUNTERS_ENTRY_BYTES;
    struct eegd_counters *mapped = NULL;
    int pipes[2];

    CHECK_EQ(map_forged(good, 124, 0, sealed, &mapped), 0);
    eegd_counters_close(mapped);
    CHECK_EQ(map_forged(good, 124, 0, 0, &mapped), -EPROTO);
    CHECK_EQ(map_forged(good, 124, 0, F_SEAL_GROW, &mapped), -EPROTO);
    CHECK_EQ(map_forged(good, 124, 0, F_SEAL_SHRINK, &mapped), -EPROTO);
    for (size_t offset = 0; offset < 24; offset += 4) { /* magic, version, capacity, header and entry bytes */
        CHECK_EQ(map_forged(good, offset, 0, sealed, &mapped), -EPROTO);
        CHECK_EQ(map_forged(good, offset, 0xffffffff, sealed, &mapped), -EPROTO);
    }
    CHECK_EQ(map_forged(good, 12, 1, sealed, &mapped), -EPROTO);
    CHECK_EQ(map_forged(good, 12, 3, sealed, &mapped), -EPROTO);
    CHECK_EQ(map_forged(good - 1, 124, 0, sealed, &mapped), -EPROTO);
    CHECK_EQ(map_forged(good + 1, 124, 0, sealed, &mapped), -EPROTO);
    CHECK_EQ(map_forged(0, 124, 0, sealed, &mapped), -EPROTO);
    CHECK_EQ(map_forged((size_t)1 << 40, 124, 0, sealed, &mapped), -EPROTO);
    CHECK_EQ(pipe(pipes), 0);
    CHECK_EQ(eegd_counters_map(pipes[0], &mapped), -EPROTO);
    close(pipes[0]);
    close(pipes[1]);
    CHECK_EQ(eegd_counters_map(-1, &mapped), -EBADF);
}

static void test_a_hostile_used_or_label_stays_inside_the_table(void)
{
    const int sealed = F_SEAL_SHRINK | F_SEAL_GROW;
    const size_t good = EEGD_COUNTERS_HEADER_BYTES + 2 * EEGD_COUNTERS_ENTRY_BYTES;
    struct eegd_counters *mapped = NULL;
    struct eegd_counters_entry entry;

    CHECK_EQ(map_forged(good, 24, 0xffffffff, sealed, &mapped), 0);
    CHECK_EQ(eegd_counters_used(mapped), 2);
    CHECK_EQ(eegd_counters_read(mapped, 0, &entry), 1);
    eegd_counters_close(mapped);
    CHECK_EQ(map_forged(good, EEGD_COUNTERS_HEADER_BYTES + 16, 0x0a0a0a0a, sealed, &mapped), 0);
    CHECK_EQ(eegd_counters_read(mapped, 0, &entry), -EPROTO);
    eegd_counters_close(mapped);
}

static void test_capacity_has_limits(void)
{
    struct eegd_counters *counters = NULL;

    CHECK_EQ(eegd_counters_create(0, &counters), -EINVAL);
    CHECK_EQ(eegd_counters_create(EEGD_COUNTERS_MAX_CAPACITY + 1, &counters), -EINVAL);
    CHECK_EQ(eegd_counters_create(EEGD_COUNTERS_MAX_CAPACITY, &counters), 0);
    eegd_counters_close(counters);
}

static void *count_all(void *arg)
{
    for (int i = 0; i < STRESS_COUNTS; i++)
        eegd_counter_count(arg, 1);
    return NULL;
}

static void test_two_threads_count_while_a_third_reads(void)
{
    struct eegd_counters *counters = make(2), *mapped = NULL;
    struct eegd_counters_entry entry;
    uint64_t last[2] = {0, 0};
    pthread_t threads[2];
    int backwards = 0;

    for (uint32_t i = 0; i < 2; i++) {
        eegd_counters_allocate(counters, i ? "two" : "one");
        pthread_create(&threads[i], NULL, count_all, eegd_counters_at(counters, i));
    }
    CHECK_EQ(eegd_counters_map(eegd_counters_fd(counters), &mapped), 0);
    while (last[0] < STRESS_COUNTS || last[1] < STRESS_COUNTS)
        for (uint32_t i = 0; i < 2; i++) {
            backwards += eegd_counters_read(mapped, i, &entry) != 1 || entry.value < last[i];
            last[i] = entry.value;
            sched_yield();
        }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(backwards, 0);
    CHECK_EQ(last[0], STRESS_COUNTS);
    CHECK_EQ(last[1], STRESS_COUNTS);
    eegd_counters_close(mapped);
    eegd_counters_close(counters);
}

static atomic_int reuse_over;

/* One entry changes hands all the time; id, value and label of each owner belong together. */
static void *reuse_all(void *arg)
{
    char label[EEGD_COUNTERS_LABEL_BYTES];

    for (uint64_t id = 1; id <= STRESS_REUSES; id++) {
        memset(label, 'a' + (int)(id % 26), sizeof(label));
        label[sizeof(label) - 1] = '\0';
        if (eegd_counters_allocate(arg, label) != 0)
            break;
        if (id % 4 == 0)
            sched_yield();
        eegd_counters_free(arg, 0);
    }
    atomic_store(&reuse_over, 1);
    return NULL;
}

static void test_a_reader_never_sees_a_torn_entry(void)
{
    struct eegd_counters *counters = make(1);
    struct eegd_counters_entry entry;
    pthread_t writer;
    int torn = 0, seen = 0;

    pthread_create(&writer, NULL, reuse_all, counters);
    while (!atomic_load(&reuse_over)) {
        if (eegd_counters_read(counters, 0, &entry) != 1)
            continue;
        seen++;
        for (size_t i = 0; i < sizeof(entry.label) - 1; i++)
            torn += entry.label[i] != 'a' + (int)(entry.id % 26);
    }
    pthread_join(writer, NULL);
    printf("     %d entries read while it changed hands\n", seen);
    CHECK_EQ(torn, 0);
    eegd_counters_close(counters);
}

int main(void)
{
    RUN(test_a_label_is_found_and_counts);
    RUN(test_allocate_refuses_full_double_and_bad_labels);
    RUN(test_a_freed_entry_starts_again_at_zero_with_another_id);
    RUN(test_a_mapped_table_shows_the_same_and_changes_nothing);
    RUN(test_nobody_else_can_write_cut_or_grow_the_segment);
    RUN(test_map_refuses_every_table_that_is_not_one);
    RUN(test_a_hostile_used_or_label_stays_inside_the_table);
    RUN(test_capacity_has_limits);
    RUN(test_two_threads_count_while_a_third_reads);
    RUN(test_a_reader_never_sees_a_torn_entry);
    return check_report();
}
