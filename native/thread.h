/* SPDX-License-Identifier: MIT */
/* How the daemon's C threads are made: signals blocked, stack touched, FIFO where allowed. C only. */
#ifndef EEGD_THREAD_H
#define EEGD_THREAD_H
#include <pthread.h>

struct eegd_thread_config {
    const char *name; /* at most 15 characters */
    int priority;     /* SCHED_FIFO priority, 0: ordinary scheduling */
    int cpu;          /* -1: any */
};

/* Starts a thread that blocks all signals. 0 or -errno. */
int eegd_thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

/* To be called first by the thread itself: name, priority, processor, stack touched. Returns 0, or the -errno
 * with which real-time priority was refused (the thread goes on without). */
int eegd_thread_settle(const struct eegd_thread_config *config);

int eegd_thread_id(void);

#endif
