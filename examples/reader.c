/* SPDX-License-Identifier: MIT */
/*
 * A complete reader in C, with no library: attaches to a stream on the direct
 * lane, prints number, time and first sample of every frame, counts what it
 * missed, and ends with the stream. Its steps are those of docs/protocol.md;
 * from native/ it takes the layout alone. One thread.
 *
 *   cc -std=gnu11 -O2 -Inative -o reader examples/reader.c
 *   ./reader $XDG_RUNTIME_DIR/eegd/raw.stream [queue|latest|lossless]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include "layout.h"

static char packet[256 * 1024 + 1]; /* the longest packet, and a zero */

static void die(const char *what)
{
    fprintf(stderr, "reader: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

/* One packet into `packet`, and its two descriptors if it has them. Returns its length; 0 at end of file. */
static ssize_t receive(int connection, int fds[2])
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
    struct iovec part = {packet, sizeof(packet) - 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control};
    message.msg_controllen = sizeof(control);
    ssize_t length = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
    packet[length > 0 ? length : 0] = 0;
    struct cmsghdr *header = length > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(2 * sizeof(int)))
        memcpy(fds, CMSG_DATA(header), 2 * sizeof(int));
    return length;
}

static int attach(const char *path, const char *policy, int fds[2])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    int connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (connection < 0 || connect(connection, (struct sockaddr *)&address, sizeof(address)) < 0)
        die(path);
    const char *request =
        "{\"op\":\"attach\",\"protocol\":1,\"name\":\"reader.c\",\"lane\":\"direct\",\"policy\":\"%s\"}";
    snprintf(packet, sizeof(packet), request, policy);
    if (send(connection, packet, strlen(packet), MSG_NOSIGNAL) < 0 || receive(connection, fds) <= 0)
        die("no answer");
    if (fds[0] < 0) /* "refused" comes without descriptors, and says why */
        die(packet);
    return connection;
}

/* Maps a memfd that cannot shrink under us. */
static void *map(int fd, int protection, size_t least, uint64_t *bytes)
{
    struct stat status;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &status) < 0 || (size_t)status.st_size < least)
        die("not sealed memory");
    *bytes = (uint64_t)status.st_size;
    void *base = mmap(NULL, *bytes, protection, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        die("mmap");
    return base;
}

static int is_valid(const struct eegd_segment_header *header, uint64_t bytes)
{
    uint64_t slab = (uint64_t)header->plane_stride * header->n_channels;
    return header->magic == EEGD_SEGMENT_MAGIC && header->layout_version == EEGD_LAYOUT_VERSION &&
           header->segment_bytes == bytes && header->plane_stride >= 4ull * header->slab_samples &&
           header->slab_stride == slab && header->slabs_offset < bytes &&
           header->n_slabs * slab <= bytes - header->slabs_offset &&
           header->descriptors_offset + 128ull * header->n_slabs <= header->slabs_offset;
}

/* queued → held for the oldest queued frame. Returns its word; NULL where nothing is queued. */
static _Atomic uint64_t *claim(struct eegd_lease_page *page, uint32_t depth, uint64_t *value)
{
    for (;;) { /* again where a newer frame took the word over (policy latest) */
        _Atomic uint64_t *oldest = NULL;
        for (uint32_t i = 0; i < depth; i++) {
            uint64_t word = atomic_load_explicit(&page->words[i], memory_order_relaxed);
            if (eegd_lease_state(word) != EEGD_LEASE_QUEUED || (oldest && word >> 18 > *value >> 18))
                continue;
            oldest = &page->words[i];
            *value = word;
        }
        /* acquire: the writer wrote slab and descriptor before the word */
        if (!oldest ||
            atomic_compare_exchange_strong_explicit(oldest, value, (*value & ~3ull) | EEGD_LEASE_HELD,
                                                    memory_order_acquire, memory_order_relaxed))
            return oldest;
    }
}

static void print_frame(const struct eegd_segment_header *header, uint64_t word)
{
    const uint8_t *base = (const uint8_t *)header;
    uint64_t slab = eegd_lease_slab(word);
    if (slab >= header->n_slabs)
        die("no such slab");
    const struct eegd_descriptor *frame = (const void *)(base + header->descriptors_offset + 128 * slab);
    const uint8_t *plane = base + header->slabs_offset + header->slab_stride * slab;
    if (frame->frame_number != eegd_lease_frame(word) || frame->n_samples - 1 >= header->slab_samples)
        die("descriptor and lease disagree");
    printf("frame %" PRIu64 " sample %" PRIu64 " n %u lost %" PRIu64 " time %.6f s:", frame->frame_number,
           frame->sample_index, frame->n_samples, frame->lost_before, frame->time_ns * 1e-9);
    for (uint32_t channel = 0; channel < header->n_channels; channel++, plane += header->plane_stride)
        printf(" %.9g", (double)*(const float *)plane); /* nine digits give the float back */
    putchar('\n');
}

/* Sleeps until the bell rings on, at most 100 ms; not where it has rung for something else than a word. Then
 * 1 where the connection says that the stream has ended. */
static int await(struct eegd_lease_page *page, uint32_t bell, uint32_t *heard, int connection)
{
    struct timespec wait = {.tv_nsec = 100000000};
    struct pollfd item = {.fd = connection, .events = POLLIN};
    atomic_store_explicit(&page->waiting, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst); /* the writer rings, fences, then looks at `waiting` */
    if (bell == *heard)
        syscall(SYS_futex, &page->bell, FUTEX_WAIT, bell, &wait, NULL, 0);
    *heard = bell;
    atomic_store_explicit(&page->waiting, 0, memory_order_relaxed);
    if (poll(&item, 1, 0) <= 0)
        return 0;
    return receive(connection, (int[2]){0}) <= 0 || strstr(packet, "\"op\":\"end\"");
}

int main(int argc, char **argv)
{
    if (argc < 2)
        die("usage: reader SOCKET [queue|latest|lossless]");
    int fds[2] = {-1, -1}, ended = 0;
    int connection = attach(argv[1], argc > 2 ? argv[2] : "queue", fds);
    uint64_t segment_bytes, page_bytes, value, n_frames = 0, n_missed = 0, next_frame = 0;
    const struct eegd_segment_header *header = map(fds[0], PROT_READ, sizeof(*header), &segment_bytes);
    struct eegd_lease_page *page = map(fds[1], PROT_READ | PROT_WRITE, sizeof(*page), &page_bytes);
    uint32_t depth = page->n_words, heard = 0; /* of the bell: one for each word taken */
    if (!is_valid(header, segment_bytes) || page->magic != EEGD_PAGE_MAGIC || depth > (page_bytes - 192) / 8)
        die("memory of another layout than version 1");
    for (;;) {
        uint32_t bell = atomic_load_explicit(&page->bell, memory_order_acquire); /* before the words */
        _Atomic uint64_t *word = claim(page, depth, &value);
        if (word) {
            heard++;
            print_frame(header, value);
            /* held → free; release: our last look at the slab comes first */
            atomic_store_explicit(word, value & ~3ull, memory_order_release);
            n_missed += n_frames++ ? eegd_lease_frame(value) - next_frame : 0;
            next_frame = eegd_lease_frame(value) + 1;
        } else if (ended) {
            break; /* all that was queued at the end has been taken */
        } else {
            ended = await(page, bell, &heard, connection);
        }
    }
    printf("%" PRIu64 " frames, %" PRIu64 " missed; %s\n", n_frames, n_missed,
           *packet ? packet : "the writer is gone");
    return 0;
}
