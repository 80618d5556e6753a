/* SPDX-License-Identifier: MIT */
/* The whole C test harness: checks that say what they saw, and a report. */
#ifndef CHECK_H
#define CHECK_H
#include <stdio.h>
#include <stdlib.h>

static int check_failed, check_passed;

#define CHECK(cond)                                                                                          \
    do {                                                                                                     \
        if (cond) {                                                                                          \
            check_passed++;                                                                                  \
        } else {                                                                                             \
            check_failed++;                                                                                  \
            fprintf(stderr, "%s:%d: %s: not so: %s\n", __FILE__, __LINE__, __func__, #cond);                 \
        }                                                                                                    \
    } while (0)

#define CHECK_EQ(seen, wanted)                                                                               \
    do {                                                                                                     \
        long long seen_ = (long long)(seen), wanted_ = (long long)(wanted);                                  \
        if (seen_ == wanted_) {                                                                              \
            check_passed++;                                                                                  \
        } else {                                                                                             \
            check_failed++;                                                                                  \
            fprintf(stderr, "%s:%d: %s: %s is %lld (0x%llx), wanted %lld (0x%llx)\n", __FILE__, __LINE__,    \
                    __func__, #seen, seen_, (unsigned long long)seen_, wanted_,                              \
                    (unsigned long long)wanted_);                                                            \
        }                                                                                                    \
    } while (0)

#define RUN(test)                                                                                            \
    do {                                                                                                     \
        int before_ = check_failed;                                                                          \
        test();                                                                                              \
        printf("%s %s\n", check_failed == before_ ? "ok  " : "FAIL", #test);                                 \
    } while (0)

/* A test that an emulated processor cannot pass, whatever the code, is left out there, with a line that says
 * why. EEGD_EMULATED_CPU is set by tests/setup/aarch64.sh. */
#define RUN_ON_A_REAL_CPU(test, reason)                                                                      \
    do {                                                                                                     \
        const char *emulated_ = getenv("EEGD_EMULATED_CPU");                                                 \
        if (emulated_ && *emulated_)                                                                         \
            printf("skip %s: %s: %s\n", #test, emulated_, reason);                                           \
        else                                                                                                 \
            RUN(test);                                                                                       \
    } while (0)

static int check_report(void)
{
    printf("%d checks passed, %d failed\n", check_passed, check_failed);
    return check_failed ? 1 : 0;
}

#endif
