/* SPDX-License-Identifier: MIT */
/*
 * What the C fuzzers share: deterministic dice, odd numbers, scribbling, and a detector of hangs. Include in
 * the one C file of a program.
 *
 * usage of each: PROGRAM [ITERATIONS [SEED]]
 */
#ifndef FUZZ_H
#define FUZZ_H
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include "stream_fixture.h"

#define HANG_S 60 /* no single input may take so long */

static uint64_t dice_state;
static long n_wanted = 100000;

/* splitmix64: the same seed gives the same run. */
static inline uint64_t dice(void)
{
    uint64_t z = dice_state += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static inline uint32_t below(uint32_t n)
{
    return (uint32_t)(dice() % n);
}

static inline int one_in(uint32_t n)
{
    return below(n) == 0;
}

/* Numbers at which checks tend to break, beside plain random ones. */
static inline uint64_t odd_number(void)
{
    static const uint64_t odd[] = {
        0,          1,          2,          3,          63,          64,      127,        128,
        255,        256,        399,        400,        401,         4095,    4096,       65535,
        65536,      0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000000, 1 << 18, UINT64_MAX, (uint64_t)INT64_MAX,
        1ull << 63, 1ull << 46};
    switch (below(4)) {
    case 0:
        return dice();
    case 1:
        return below(16);
    default:
        return odd[below(sizeof(odd) / sizeof(odd[0]))] + (one_in(4) ? (uint64_t)below(3) - 1 : 0);
    }
}

static inline void scribble(uint8_t *memory, size_t bytes, uint32_t n_places)
{
    for (uint32_t i = 0; i < n_places; i++) {
        size_t place = dice() % bytes;
        uint64_t value = odd_number();
        size_t width = 1u << below(4);
        if (width > bytes - place)
            width = bytes - place;
        memcpy(memory + place, &value, width);
    }
}

static inline int count_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int n = 0;
    while (readdir(directory))
        n++;
    closedir(directory);
    return n;
}

static inline void fill_random(void *memory, size_t bytes)
{
    uint8_t *place = memory;
    for (size_t i = 0; i < bytes; i++)
        place[i] = (uint8_t)dice();
}

/* A memfd as a careful writer makes it, with the map that it keeps; seals and content are the caller's. */
static inline int memory_of(size_t bytes, uint8_t **map)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
    *map = bytes ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : NULL;
    CHECK(*map != MAP_FAILED);
    return fd;
}

static inline void on_alarm(int number)
{
    static const char text[] = "hang: no progress within the bound\n";
    (void)number;
    if (write(2, text, sizeof(text) - 1) < 0)
        _exit(3);
    abort();
}

/* Every input begins with this. */
static inline void alive(void)
{
    alarm(HANG_S);
}

static inline void fuzz_begin(const char *name, int n_arguments, char **arguments)
{
    if (n_arguments > 1)
        n_wanted = atol(arguments[1]);
    dice_state = n_arguments > 2 ? strtoull(arguments[2], NULL, 0) : (uint64_t)time(NULL);
    printf("%s: %ld iterations each, seed %llu\n", name, n_wanted, (unsigned long long)dice_state);
    fflush(stdout);
    signal(SIGALRM, on_alarm);
    fake_zmq_use();
}

#endif
