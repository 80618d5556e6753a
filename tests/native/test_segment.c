/* SPDX-License-Identifier: MIT */
/* Segments and lease pages: what a reader cannot do to them, and what a peer cannot make us map. */
#define _GNU_SOURCE
#include "segment.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"
#include "layout.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#define SEGMENT_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE)
#define PAGE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

static const struct eegd_geometry small = {.n_slabs = 5,
                                           .n_channels = 3,
                                           .slab_samples = 20,
                                           .flags = EEGD_FLAG_REPLAY,
                                           .stream_epoch = 42,
                                           .rate_sps = 500};

static void create(struct eegd_segment *segment)
{
    CHECK_EQ(eegd_segment_create(segment, "test", &small, NULL), 0);
}

static void test_geometry_is_computed_and_aligned(void)
{
    struct eegd_geometry geometry = small;
    CHECK_EQ(eegd_geometry_complete(&geometry), 0);
    CHECK_EQ(geometry.plane_stride, 128); /* 20 samples are 80 bytes */
    CHECK_EQ(geometry.slab_stride, 3 * 128);
    CHECK_EQ(geometry.segment_bytes % (uint64_t)sysconf(_SC_PAGESIZE), 0);
    CHECK(geometry.segment_bytes >= 256 + 5 * 128 + 5 * 3 * 128);
}

static void test_geometry_out_of_range_is_refused(void)
{
    struct eegd_geometry wrong[] = {small, small, small, small, small, small, small, small};
    wrong[0].n_slabs = 1;
    wrong[1].n_slabs = 65536;
    wrong[2].n_channels = 0;
    wrong[3].n_channels = 33; /* electrodes */
    wrong[4].slab_samples = 0;
    wrong[5].slab_samples = 401;
    wrong[6].kind = 3;
    wrong[7] = (struct eegd_geometry){
        .n_slabs = 65535, .n_channels = 1024, .slab_samples = 400, .kind = EEGD_KIND_FEATURES}; /* 100 GB */
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CHECK_EQ(eegd_geometry_complete(&wrong[i]), -EINVAL);
    struct eegd_geometry columns = small;
    columns.kind = EEGD_KIND_FEATURES;
    columns.n_channels = 1024;
    CHECK_EQ(eegd_geometry_complete(&columns), 0);
}

static void test_reader_sees_what_the_writer_writes(void)
{
    struct eegd_segment ours, theirs;
    create(&ours);
    CHECK_EQ(eegd_segment_map(&theirs, ours.fd), 0);
    CHECK_EQ(theirs.writable, 0);
    CHECK(theirs.fd != ours.fd);
    CHECK_EQ(theirs.geometry.n_slabs, 5);
    CHECK_EQ(theirs.geometry.n_channels, 3);
    CHECK_EQ(theirs.geometry.slab_samples, 20);
    CHECK_EQ(theirs.geometry.flags, EEGD_FLAG_REPLAY);
    CHECK_EQ(theirs.geometry.stream_epoch, 42);
    CHECK(theirs.geometry.rate_sps == 500);
    CHECK_EQ(theirs.geometry.slab_stride, ours.geometry.slab_stride);
    ours.slabs[ours.geometry.slab_stride * 4 + 9] = 0xA5;
    ours.descriptors[128 * 4 + 3] = 0x5A;
    CHECK_EQ(theirs.slabs[theirs.geometry.slab_stride * 4 + 9], 0xA5);
    CHECK_EQ(theirs.descriptors[128 * 4 + 3], 0x5A);
    eegd_segment_unmap(&ours);
    CHECK_EQ(theirs.slabs[theirs.geometry.slab_stride * 4 + 9], 0xA5); /* the map outlives the writer */
    eegd_segment_unmap(&theirs);
}

static void test_reader_cannot_make_the_segment_writable(void)
{
    struct eegd_segment ours, theirs;
    char path[64];
    create(&ours);
    CHECK_EQ(eegd_segment_map(&theirs, ours.fd), 0);
    size_t bytes = theirs.geometry.segment_bytes;
    CHECK(mprotect(theirs.base, bytes, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);
    CHECK(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, theirs.fd, 0) == MAP_FAILED &&
          errno == EPERM);
    CHECK(pwrite(theirs.fd, "x", 1, 0) < 0 && errno == EPERM);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", theirs.fd);
    int again = open(path, O_RDWR | O_CLOEXEC); /* a new open file, the same seals */
    CHECK(again >= 0);
    CHECK(mmap(NULL, bytes, PROT_WRITE, MAP_SHARED, again, 0) == MAP_FAILED && errno == EPERM);
    CHECK(pwrite(again, "x", 1, 0) < 0 && errno == EPERM);
    close(again);
    eegd_segment_unmap(&theirs);
    ours.slabs[0] = 1; /* the writer's own map is as it was */
    eegd_segment_unmap(&ours);
}

static void test_reader_cannot_punch_holes_through_its_map(void)
{
    struct eegd_segment ours, theirs;
    create(&ours);
    CHECK_EQ(eegd_segment_map(&theirs, ours.fd), 0);
    CHECK(madvise(theirs.base, theirs.geometry.segment_bytes, MADV_REMOVE) < 0);
    eegd_segment_unmap(&theirs);
    eegd_segment_unmap(&ours);
}

static void test_segment_keeps_its_size_and_its_pages(void)
{
    struct eegd_segment ours;
    create(&ours);
    off_t bytes = (off_t)ours.geometry.segment_bytes;
    CHECK(ftruncate(ours.fd, 0) < 0 && errno == EPERM);
    CHECK(ftruncate(ours.fd, bytes * 2) < 0 && errno == EPERM);
    CHECK(fallocate(ours.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, bytes) < 0 && errno == EPERM);
    CHECK(fallocate(ours.fd, 0, 0, bytes * 2) < 0 && errno == EPERM);
    CHECK(fcntl(ours.fd, F_ADD_SEALS, F_SEAL_WRITE) <
          0); /* nobody seals what we need open, or takes seals away */
    struct stat status;
    CHECK_EQ(fstat(ours.fd, &status), 0);
    CHECK(status.st_blocks * 512 >= bytes); /* allocated in full: no write can meet a full memory */
    eegd_segment_unmap(&ours);
}

static void test_page_cannot_be_truncated_by_its_reader(void)
{
    int fd = eegd_page_create(100);
    void *page;
    uint32_t depth = 0;
    uint64_t bytes = 0;
    CHECK(fd >= 0);
    CHECK_EQ(eegd_page_map(fd, &page, &depth, &bytes), 0);
    CHECK_EQ(depth, 100);
    CHECK(ftruncate(fd, 0) < 0 && errno == EPERM);
    CHECK(ftruncate(fd, (off_t)bytes * 2) < 0 && errno == EPERM);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0);
    /* Holes can be punched by whoever may write: the writer then reads zeros, which are no word of its book.
     */
    CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes), 0);
    CHECK_EQ(((struct eegd_lease_page *)page)->words[99], 0);
    eegd_page_unmap(page, bytes);
    close(fd);
    CHECK_EQ(eegd_page_create(0), -EINVAL);
    CHECK_EQ(eegd_page_create(EEGD_MAX_DEPTH + 1), -EINVAL);
}

static void test_largest_page_maps_with_all_its_words(void)
{
    int fd = eegd_page_create(EEGD_MAX_DEPTH);
    void *page;
    uint32_t depth = 0;
    uint64_t bytes = 0;
    CHECK_EQ(eegd_page_map(fd, &page, &depth, &bytes), 0);
    CHECK_EQ(depth, EEGD_MAX_DEPTH);
    CHECK(bytes >= sizeof(struct eegd_lease_page) + EEGD_MAX_DEPTH * sizeof(uint64_t));
    eegd_page_unmap(page, bytes);
    close(fd);
}

/* A memfd with these contents, this size and these seals, as a hostile peer could make it. */
static int forge(const void *contents, size_t length, off_t bytes, int seals)
{
    int fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0 && ftruncate(fd, bytes) == 0);
    CHECK_EQ(pwrite(fd, contents, length, 0), (ssize_t)length);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static int map_forged_segment(const struct eegd_segment_header *header, off_t bytes, int seals)
{
    struct eegd_segment segment;
    int fd = forge(header, sizeof(*header) < (size_t)bytes ? sizeof(*header) : (size_t)bytes, bytes, seals);
    int result = eegd_segment_map(&segment, fd);
    CHECK(result == 0 || (segment.base == NULL && segment.fd == -1));
    if (!result)
        eegd_segment_unmap(&segment);
    close(fd);
    return result;
}

static void test_forged_segments_are_refused(void)
{
    struct eegd_segment ours;
    create(&ours);
    struct eegd_segment_header good, bad;
    memcpy(&good, ours.base, sizeof(good));
    off_t bytes = (off_t)ours.geometry.segment_bytes;
    CHECK_EQ(map_forged_segment(&good, bytes, SEGMENT_SEALS), 0);
#define REFUSED(change)                                                                                      \
    do {                                                                                                     \
        bad = good;                                                                                          \
        change;                                                                                              \
        CHECK_EQ(map_forged_segment(&bad, bytes, SEGMENT_SEALS), -EPROTO);                                   \
    } while (0)
    REFUSED(bad.magic ^= 1);
    REFUSED(bad.layout_version++);
    REFUSED(bad.header_bytes = 512);
    REFUSED(bad.segment_bytes += 4096);
    REFUSED(bad.descriptors_offset = 0);
    REFUSED(bad.slabs_offset += 64);
    REFUSED(bad.slab_stride *= 2);
    REFUSED(bad.plane_stride = 64);
    REFUSED(bad.n_slabs = 60000);
    REFUSED(bad.n_slabs = 0xFFFFFFFF);
    REFUSED(bad.n_channels = 0);
    REFUSED(bad.n_channels = 32);
    REFUSED(bad.slab_samples = 0xFFFFFFFF);
    REFUSED(bad.kind = 9);
#undef REFUSED
    CHECK_EQ(map_forged_segment(&good, bytes - 4096, SEGMENT_SEALS), -EPROTO);
    CHECK_EQ(map_forged_segment(&good, 100, SEGMENT_SEALS), -EPROTO);
    CHECK_EQ(map_forged_segment(&good, 0, SEGMENT_SEALS), -EPROTO);
    eegd_segment_unmap(&ours);
}

static void test_segment_without_every_seal_is_refused(void)
{
    struct eegd_segment ours;
    create(&ours);
    struct eegd_segment_header good;
    memcpy(&good, ours.base, sizeof(good));
    off_t bytes = (off_t)ours.geometry.segment_bytes;
    CHECK_EQ(map_forged_segment(&good, bytes, F_SEAL_SHRINK | F_SEAL_GROW), -EPROTO);
    CHECK_EQ(map_forged_segment(&good, bytes, F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE), -EPROTO);
    CHECK_EQ(map_forged_segment(&good, bytes, F_SEAL_GROW | F_SEAL_FUTURE_WRITE), -EPROTO);
    eegd_segment_unmap(&ours);
    struct eegd_segment segment;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK_EQ(eegd_segment_map(&segment, null), -EPROTO); /* no seals at all */
    CHECK_EQ(eegd_segment_map(&segment, -1), -EPROTO);
    close(null);
}

static int map_forged_page(const struct eegd_lease_page *header, off_t bytes, int seals)
{
    void *page = NULL;
    uint32_t depth;
    uint64_t mapped;
    int fd = forge(header, sizeof(*header), bytes, seals);
    int result = eegd_page_map(fd, &page, &depth, &mapped);
    if (!result)
        eegd_page_unmap(page, mapped);
    close(fd);
    return result;
}

static void test_forged_pages_are_refused(void)
{
    struct eegd_lease_page good = {
        .magic = EEGD_PAGE_MAGIC, .layout_version = EEGD_LAYOUT_VERSION, .n_words = (4096 - 192) / 8};
    struct eegd_lease_page bad;
    CHECK_EQ(map_forged_page(&good, 4096, PAGE_SEALS), 0);
    bad = good;
    bad.magic++;
    CHECK_EQ(map_forged_page(&bad, 4096, PAGE_SEALS), -EPROTO);
    bad = good;
    bad.layout_version = 2;
    CHECK_EQ(map_forged_page(&bad, 4096, PAGE_SEALS), -EPROTO);
    bad = good;
    bad.n_words = 0;
    CHECK_EQ(map_forged_page(&bad, 4096, PAGE_SEALS), -EPROTO);
    bad = good;
    bad.n_words++;
    CHECK_EQ(map_forged_page(&bad, 4096, PAGE_SEALS), -EPROTO); /* one word more than there is room for */
    bad.n_words = 0xFFFFFFFF;
    CHECK_EQ(map_forged_page(&bad, 4096, PAGE_SEALS), -EPROTO);
    CHECK_EQ(map_forged_page(&good, 4096, F_SEAL_SHRINK), -EPROTO);
    CHECK_EQ(map_forged_page(&good, 4096, F_SEAL_GROW), -EPROTO);
    CHECK_EQ(map_forged_page(&good, 1 << 20, PAGE_SEALS), -EPROTO); /* larger than any page is */
}

int main(void)
{
    RUN(test_geometry_is_computed_and_aligned);
    RUN(test_geometry_out_of_range_is_refused);
    RUN(test_reader_sees_what_the_writer_writes);
    RUN(test_reader_cannot_make_the_segment_writable);
    RUN_ON_A_REAL_CPU(test_reader_cannot_punch_holes_through_its_map,
                      "answers madvise itself, and does nothing");
    RUN(test_segment_keeps_its_size_and_its_pages);
    RUN(test_page_cannot_be_truncated_by_its_reader);
    RUN(test_largest_page_maps_with_all_its_words);
    RUN(test_forged_segments_are_refused);
    RUN(test_segment_without_every_seal_is_refused);
    RUN(test_forged_pages_are_refused);
    return check_report();
}
