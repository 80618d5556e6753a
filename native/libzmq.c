/* SPDX-License-Identifier: MIT */
/* Finds libzmq's calls through the extension that pyzmq has loaded. Called once, on the main thread. */
#define _GNU_SOURCE
#include "libzmq.h"
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include "libzmq_calls.h"

struct eegd_libzmq eegd_zmq;

int eegd_libzmq_load(const char *path, int *major, int *minor, int *patch)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (!library)
        return -ENOENT;
    /* Symbols of the extension's own dependencies (the bundled libzmq) are found through its handle. */
    struct eegd_libzmq found = {
        .send = (int (*)(void *, const void *, size_t, int))dlsym(library, "zmq_send"),
        .recv = (int (*)(void *, void *, size_t, int))dlsym(library, "zmq_recv"),
        .poll = (int (*)(struct eegd_zmq_pollitem *, int, long))dlsym(library, "zmq_poll"),
        .error = (int (*)(void))dlsym(library, "zmq_errno"),
    };
    void (*version)(int *, int *, int *) = (void (*)(int *, int *, int *))dlsym(library, "zmq_version");
    if (!found.send || !found.recv || !found.poll || !found.error || !version)
        return -ENOSYS;
    version(major, minor, patch);
    eegd_zmq = found; /* the handle stays open: pyzmq keeps the library anyway */
    return 0;
}
