/* SPDX-License-Identifier: MIT */
/*
 * libzmq: the few calls of the library that pyzmq itself uses, found in
 * pyzmq's own extension, so that C and Python talk about the same sockets.
 *
 * Sockets are made and configured in Python; while C has one (an active
 * reader's PUSH, a stream's PULL inside eegd_inlet_take) no other thread
 * touches it.
 */
#ifndef EEGD_LIBZMQ_H
#define EEGD_LIBZMQ_H

/* Resolves the calls in the shared object at `path` (pyzmq's extension, already loaded by the interpreter; it
 * is opened with RTLD_NOLOAD) and reports the library's version. 0, -ENOENT when it is not loaded, -ENOSYS
 * when a call is missing. Once per process, before any stream is opened. */
int eegd_libzmq_load(const char *path, int *major, int *minor, int *patch);

#endif
