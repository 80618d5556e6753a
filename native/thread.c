/* SPDX-License-Identifier: MIT */
/* Making of real-time threads. eegd_thread_start on control, the rest on the new thread. */
#define _GNU_SOURCE
#include "thread.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK_BYTES (256 * 1024)
#define TOUCHED_BYTES (64 * 1024)

int eegd_thread_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited by the new thread */
    int error = pthread_create(thread, &attributes, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -error;
}

/* Writes to the stack pages that later calls will use, so that they are there. */
static __attribute__((noinline)) void touch_stack(void)
{
    volatile unsigned char pages[TOUCHED_BYTES];
    for (size_t i = 0; i < sizeof(pages); i += 1024)
        pages[i] = 0;
}

int eegd_thread_settle(const struct eegd_thread_config *config)
{
    int error = 0;
    pthread_setname_np(pthread_self(), config->name);
    prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul);
    if (config->cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)config->cpu, &set);
        pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
    }
    if (config->priority > 0) {
        struct sched_param parameter = {.sched_priority = config->priority};
        error = -pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameter);
    }
    touch_stack();
    return error;
}

int eegd_thread_id(void)
{
    return (int)syscall(SYS_gettid);
}
