/* SPDX-License-Identifier: MIT */
/*
 * Stand-in for the few calls of libzmq: a message is a packet on a socketpair, so that it also crosses
 * processes. A sender can be told to refuse. Include in one C file of a test program; fake_zmq_use() comes
 * before any stream.
 */
#ifndef FAKE_ZMQ_H
#define FAKE_ZMQ_H
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "layout.h"
#include "libzmq_calls.h"

struct fake_socket {
    int fd;
    uint32_t refuse;        /* so many sends to come fail as if the high-water mark were reached */
    uint32_t refuse_one_in; /* … and one in so many, by `dice`; 0: none */
    uint32_t dice;
    uint64_t n_refused;
    uint64_t last_frame; /* receiver: frame number in the last message */
};

static inline int fake_zmq_send(void *socket, const void *buffer, size_t length, int flags)
{
    struct fake_socket *fake = socket;
    (void)flags;
    fake->dice = fake->dice * 1664525u + 1013904223u;
    if (fake->refuse || (fake->refuse_one_in && (fake->dice >> 8) % fake->refuse_one_in == 0)) {
        fake->refuse -= fake->refuse > 0;
        fake->n_refused++;
        errno = EAGAIN;
        return -1;
    }
    return (int)send(fake->fd, buffer, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static inline int fake_zmq_recv(void *socket, void *buffer, size_t length, int flags)
{
    struct fake_socket *fake = socket;
    (void)flags;
    ssize_t received = recv(fake->fd, buffer, length, MSG_DONTWAIT | MSG_TRUNC);
    if (received == 0) { /* the other end is gone: ZeroMQ has no end of file */
        errno = EAGAIN;
        return -1;
    }
    if (received == sizeof(struct eegd_message))
        memcpy(&fake->last_frame, buffer, sizeof(fake->last_frame));
    return (int)received;
}

static inline int fake_zmq_poll(struct eegd_zmq_pollitem *items, int n_items, long timeout_ms)
{
    struct pollfd polled[8];
    for (int i = 0; i < n_items; i++)
        polled[i] =
            (struct pollfd){.fd = items[i].socket ? ((struct fake_socket *)items[i].socket)->fd : items[i].fd,
                            .events = POLLIN};
    int n_ready = poll(polled, (nfds_t)n_items, (int)timeout_ms);
    for (int i = 0; i < n_items; i++)
        items[i].revents = polled[i].revents ? EEGD_ZMQ_POLLIN : 0;
    return n_ready;
}

static inline int fake_zmq_error(void)
{
    return errno;
}

static inline void fake_zmq_use(void)
{
    eegd_zmq = (struct eegd_libzmq){
        .send = fake_zmq_send, .recv = fake_zmq_recv, .poll = fake_zmq_poll, .error = fake_zmq_error};
}

#endif
