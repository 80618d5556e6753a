/* SPDX-License-Identifier: MIT */
/* The resolved calls, for C only. NULL until eegd_libzmq_load. Constants are libzmq's stable ABI. */
#ifndef EEGD_LIBZMQ_CALLS_H
#define EEGD_LIBZMQ_CALLS_H
#include <stddef.h>

#define EEGD_ZMQ_DONTWAIT 1
#define EEGD_ZMQ_POLLIN 1

struct eegd_zmq_pollitem { /* zmq_pollitem_t on Unix */
    void *socket;
    int fd;
    short events;
    short revents;
};

struct eegd_libzmq {
    int (*send)(void *socket, const void *buffer, size_t length, int flags);
    int (*recv)(void *socket, void *buffer, size_t length, int flags);
    int (*poll)(struct eegd_zmq_pollitem *items, int n_items, long timeout_ms);
    int (*error)(void);
};

extern struct eegd_libzmq eegd_zmq;

#endif
