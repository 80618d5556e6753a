/* SPDX-License-Identifier: MIT */
/* CLOCK_MONOTONIC in ns, as the kernel stamps edges with it. Any thread; no system call. C only. */
#ifndef EEGD_MONOTONIC_H
#define EEGD_MONOTONIC_H
#include <stdint.h>
#include <time.h>

static inline int64_t eegd_monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

#endif
