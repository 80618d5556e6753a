/* SPDX-License-Identifier: MIT */
/*
 * Counts what each thread of a program allocates, from outside: a library for LD_PRELOAD that stands before
 * malloc, calloc, realloc, free, posix_memalign, aligned_alloc and mmap. The counts lie in the file that the
 * environment variable EEGD_ALLOC_COUNTS names, mapped and shared, so that a test reads them while the
 * program runs. Without the variable nothing is counted. Every thread counts in a line of its own.
 *
 *   file: 8 bytes "EEGDALC1", uint32 lines used, uint32 bytes per line (64), 48 bytes zero; then per line
 *         int32 tid, 4 bytes zero, uint64 calls of: malloc+calloc+aligned, realloc, free, mmap; 24 bytes zero
 *
 * A thread's name is in /proc/PID/task/TID/comm. A tid that is used again gets a new line; add them up.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_LINES 1024

struct line {
    _Atomic int32_t tid;
    uint32_t pad;
    _Atomic uint64_t allocated, reallocated, freed, mapped;
    uint8_t reserved[24];
};
_Static_assert(sizeof(struct line) == 64, "one cache line per thread");

struct table {
    char magic[8];
    _Atomic uint32_t n_lines;
    uint32_t line_bytes;
    uint8_t reserved[48];
    struct line lines[MAX_LINES];
};

/* Calls of all kinds by the thread so far. For programs that know they are preloaded. */
uint64_t alloc_counter_of(int tid);

static struct table *_Atomic table;
static __thread struct line *own __attribute__((tls_model("initial-exec")));

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);
static int (*real_posix_memalign)(void **, size_t, size_t);
static void *(*real_aligned_alloc)(size_t, size_t);

/* dlsym may allocate before it has told us where calloc is: that comes from here, and is never freed. */
static _Alignas(16) char early[8192];
static size_t early_used;

static void *early_alloc(size_t bytes)
{
    size_t start = early_used;
    early_used += (bytes + 15) & ~(size_t)15;
    return early_used <= sizeof(early) ? early + start : NULL;
}

static int is_early(const void *memory)
{
    return (const char *)memory >= early && (const char *)memory < early + sizeof(early);
}

static void *map(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

/* Plain system calls only: nothing here may allocate. */
static void open_table(void)
{
    const char *path = getenv("EEGD_ALLOC_COUNTS");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    if (ftruncate(fd, sizeof(struct table)) == 0) {
        struct table *mapped =
            map(NULL, sizeof(*mapped), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
        if (mapped != MAP_FAILED) {
            memset(mapped, 0, sizeof(*mapped)); /* every page is there before anything is counted */
            mapped->line_bytes = sizeof(struct line);
            memcpy(mapped->magic, "EEGDALC1", 8);
            atomic_store(&table, mapped);
        }
    }
    close(fd);
}

/* A child counts for itself, not in its parent's lines. */
static void in_child(void)
{
    atomic_store(&table, NULL);
}

static __attribute__((constructor)) void find_the_real_ones(void)
{
    static int done;
    if (done)
        return;
    done = 1;
    real_calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
    real_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    real_realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
    real_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
    real_posix_memalign = (int (*)(void **, size_t, size_t))dlsym(RTLD_NEXT, "posix_memalign");
    real_aligned_alloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "aligned_alloc");
    open_table();
    unsetenv("LD_PRELOAD"); /* not for programs that this one starts */
}

static __attribute__((constructor)) void watch_forks(void)
{
    extern int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *);
    __register_atfork(NULL, NULL, in_child, NULL);
}

/* This thread's line, NULL where nothing is counted. */
static struct line *line(void)
{
    struct table *counts = atomic_load_explicit(&table, memory_order_acquire);
    if (!counts || own)
        return counts ? own : NULL;
    uint32_t n = atomic_fetch_add(&counts->n_lines, 1);
    if (n >= MAX_LINES)
        n = MAX_LINES - 1; /* the last line is for all who came too late */
    own = &counts->lines[n];
    atomic_store(&own->tid, (int32_t)syscall(SYS_gettid));
    return own;
}

#define COUNT(what)                                                                                          \
    do {                                                                                                     \
        struct line *line_ = line();                                                                         \
        if (line_)                                                                                           \
            atomic_fetch_add_explicit(&line_->what, 1, memory_order_relaxed);                                \
    } while (0)

void *malloc(size_t bytes)
{
    if (!real_malloc)
        return early_alloc(bytes);
    COUNT(allocated);
    return real_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
    if (!real_calloc)
        return bytes && n > sizeof(early) / bytes ? NULL : early_alloc(n * bytes); /* zero as it is */
    COUNT(allocated);
    return real_calloc(n, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    if (is_early(memory) || !real_realloc) {
        size_t room = memory ? (size_t)(early + sizeof(early) - (char *)memory) : 0;
        void *moved = malloc(bytes);
        return moved && memory ? memcpy(moved, memory, bytes < room ? bytes : room) : moved;
    }
    COUNT(reallocated);
    return real_realloc(memory, bytes);
}

void free(void *memory)
{
    if (!memory || is_early(memory) || !real_free)
        return;
    COUNT(freed);
    real_free(memory);
}

int posix_memalign(void **memory, size_t alignment, size_t bytes)
{
    if (!real_posix_memalign)
        return ENOMEM;
    COUNT(allocated);
    return real_posix_memalign(memory, alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    if (!real_aligned_alloc)
        return NULL;
    COUNT(allocated);
    return real_aligned_alloc(alignment, bytes);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    COUNT(mapped);
    return map(address, length, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset)
    __attribute__((alias("mmap")));

uint64_t alloc_counter_of(int tid)
{
    struct table *counts = atomic_load(&table);
    uint64_t sum = 0;
    for (uint32_t i = 0; counts && i < MAX_LINES; i++)
        if (atomic_load(&counts->lines[i].tid) == tid)
            sum += counts->lines[i].allocated + counts->lines[i].reallocated + counts->lines[i].freed +
                   counts->lines[i].mapped;
    return sum;
}
