/* SPDX-License-Identifier: MIT */
/*
 * A hostile reader's lease page in the writer, which believes its own book only: no other reader misses
 * anything, and every slab comes back. And tables of counters as anybody may send them. Built with the
 * address and undefined-behaviour sanitizers. One thread.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include "counters.h"
#include "fuzz.h"

/* ---- what a hostile reader does to its page ---- */

#define N_HOSTILE 6
#define N_SLABS 128

static void deface(struct fixture_reader *reader)
{
    struct eegd_lease_page *page = reader->page;
    switch (below(4)) {
    case 0:
        fill_random(page, reader->page_bytes);
        break;
    case 1:
        scribble((uint8_t *)page, reader->page_bytes, 1 + below(8));
        break;
    case 2: /* believable: other states of words that are there */
        for (uint32_t i = 0; i < reader->depth; i++)
            atomic_store(&page->words[i], (atomic_load(&page->words[i]) & ~3ull) | below(4));
        break;
    default: /* a word of one place in another */
        atomic_store(&page->words[below(reader->depth)], atomic_load(&page->words[below(reader->depth)]));
    }
}

/* Whoever has left is replaced; the sockets of the zeromq lane are never read and fill up. */
static void come_or_go(struct eegd_outlet *outlet, struct fixture_reader *reader)
{
    if (reader->place >= 0) {
        fixture_detach(outlet, reader);
        reader->place = -1;
        return;
    }
    fixture_prepare(reader, one_in(2) ? EEGD_LANE_ZEROMQ : EEGD_LANE_DIRECT, 2 + below(10));
    reader->push.refuse_one_in = one_in(2) ? 3 : 0;
    CHECK(fixture_join(outlet, reader, (int)below(3)) >= 0);
}

static void expect_frame(struct fixture_reader *honest, uint64_t number)
{
    struct eegd_frame frame;
    CHECK_EQ(eegd_inlet_take(honest->inlet, 0, &frame), 1);
    CHECK_EQ(frame.descriptor.frame_number, number);
    CHECK(frame_is_right(&frame));
    eegd_inlet_release(frame.slab);
}

static void pages_of_hostile_readers(void)
{
    struct fixture_reader honest, hostile[N_HOSTILE];
    struct eegd_outlet_stats stats;
    struct eegd_reader_stats reader_stats;
    struct eegd_outlet *outlet = fixture_outlet(N_SLABS, 2, 0);
    uint64_t n_corrupt = 0;
    for (int i = 0; i < N_HOSTILE; i++)
        hostile[i] = (struct fixture_reader){.place = -1};
    fixture_attach(outlet, &honest, EEGD_POLICY_QUEUE, EEGD_LANE_DIRECT, 4);
    for (long i = 0; i < n_wanted; i++) {
        alive();
        struct fixture_reader *reader = &hostile[below(N_HOSTILE)];
        if (one_in(16))
            come_or_go(outlet, reader);
        if (reader->place >= 0) {
            deface(reader);
            CHECK(eegd_outlet_reader_stats(outlet, reader->place, &reader_stats) >= 0);
            n_corrupt += reader_stats.corrupt;
        }
        if (one_in(16))
            eegd_outlet_idle(outlet);
        CHECK(fixture_publish(outlet) >= 1); /* never a lack of slabs: the honest reader gets every frame */
        expect_frame(&honest, (uint64_t)i);
    }
    for (int i = 0; i < N_HOSTILE; i++)
        if (hostile[i].place >= 0)
            fixture_detach(outlet, &hostile[i]);
    fixture_detach(outlet, &honest);
    eegd_outlet_idle(outlet);
    eegd_outlet_stats(outlet, &stats);
    CHECK_EQ(stats.free, N_SLABS);
    CHECK_EQ(stats.promised, 0);
    CHECK_EQ(stats.claim_failures, 0);
    CHECK(n_corrupt > 0);
    eegd_outlet_free(outlet);
    printf("     %ld frames published, all %d slabs came back\n", n_wanted, N_SLABS);
}

/* ---- tables of counters ---- */

static long n_mapped;

static void one_table(const uint8_t *good, size_t good_bytes)
{
    struct eegd_counters *counters = NULL;
    struct eegd_counters_entry entry;
    uint8_t *map;
    size_t bytes = one_in(16) ? below(2 * (uint32_t)good_bytes) : good_bytes;
    int fd = memory_of(bytes, &map);
    if (map) {
        memcpy(map, good, bytes < good_bytes ? bytes : good_bytes);
        scribble(map, one_in(2) && bytes > 64 ? 64 : bytes, below(6));
    }
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, one_in(16) ? 0 : F_SEAL_SHRINK | F_SEAL_GROW), 0);
    int error = eegd_counters_map(fd, &counters);
    CHECK(error == 0 || error == -EPROTO);
    if (!error) {
        scribble(map, bytes, below(16)); /* and it changes once it is mapped */
        uint32_t n = eegd_counters_used(counters);
        CHECK(n <= eegd_counters_capacity(counters));
        for (uint32_t i = 0; i < n + 2; i++)
            if (eegd_counters_read(counters, i, &entry) == 1)
                CHECK(strnlen(entry.label, sizeof(entry.label)) < sizeof(entry.label));
        CHECK_EQ(eegd_counters_allocate(counters, "mine"), -EROFS);
        eegd_counters_close(counters);
        n_mapped++;
    }
    if (map)
        munmap(map, bytes);
    close(fd);
}

static void counters_of_a_hostile_writer(void)
{
    struct eegd_counters *counters;
    int n_fds = count_fds();
    n_mapped = 0;
    CHECK_EQ(eegd_counters_create(12, &counters), 0);
    for (int i = 0; i < 8; i++) {
        char label[32];
        snprintf(label, sizeof(label), "loss.%d", i);
        CHECK_EQ(eegd_counters_allocate(counters, label), i);
    }
    struct stat status;
    CHECK_EQ(fstat(eegd_counters_fd(counters), &status), 0);
    size_t bytes = (size_t)status.st_size;
    void *good = mmap(NULL, bytes, PROT_READ, MAP_SHARED, eegd_counters_fd(counters), 0);
    CHECK(good != MAP_FAILED);
    for (long i = 0; i < n_wanted; i++) {
        alive();
        one_table(good, bytes);
    }
    munmap(good, bytes);
    eegd_counters_close(counters);
    CHECK_EQ(count_fds(), n_fds);
    printf("     %ld tables, %ld of them mapped\n", n_wanted, n_mapped);
}

int main(int n_arguments, char **arguments)
{
    fuzz_begin("fuzz_pages", n_arguments, arguments);
    RUN(pages_of_hostile_readers);
    RUN(counters_of_a_hostile_writer);
    return check_report();
}
