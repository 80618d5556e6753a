/* SPDX-License-Identifier: MIT */
/*
 * One mapping of a lease page for writer and reader. The thread sanitizer goes by addresses: two maps of one
 * memfd are strangers to it, so that it would neither see a race between them nor what orders them. A program
 * that is linked with -Wl,--wrap=mmap,--wrap=munmap and has this in one of its files gets the map that is
 * there already whenever a memfd is mapped writable again. (Segments are mapped read-only by their readers,
 * each for itself.)
 */
#ifndef SHARED_MAPS_H
#define SHARED_MAPS_H
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>

void *__real_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t length);
void *__wrap_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *address, size_t length);

static struct shared_map {
    ino_t inode;
    void *base;
    int n_users;
} shared_maps[256];
static pthread_mutex_t shared_maps_lock = PTHREAD_MUTEX_INITIALIZER;

static struct shared_map *shared_map_find(ino_t inode, const void *base)
{
    for (unsigned i = 0; i < sizeof(shared_maps) / sizeof(shared_maps[0]); i++)
        if (base    ? shared_maps[i].n_users && shared_maps[i].base == base
            : inode ? shared_maps[i].n_users && shared_maps[i].inode == inode
                    : !shared_maps[i].n_users)
            return &shared_maps[i];
    return NULL;
}

void *__wrap_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    struct stat status;
    if (!(flags & MAP_SHARED) || !(protection & PROT_WRITE) || fd < 0 || fstat(fd, &status) < 0)
        return __real_mmap(address, length, protection, flags, fd, offset);
    pthread_mutex_lock(&shared_maps_lock);
    struct shared_map *map = shared_map_find(status.st_ino, NULL);
    if (!map && (map = shared_map_find(0, NULL))) {
        map->base = __real_mmap(address, length, protection, flags, fd, offset);
        map->inode = status.st_ino;
    }
    void *base = map ? map->base : MAP_FAILED;
    if (base != MAP_FAILED)
        map->n_users++;
    pthread_mutex_unlock(&shared_maps_lock);
    return base;
}

int __wrap_munmap(void *address, size_t length)
{
    int result = 0;
    pthread_mutex_lock(&shared_maps_lock);
    struct shared_map *map = shared_map_find(0, address);
    if (!map || --map->n_users == 0)
        result = __real_munmap(address, length);
    pthread_mutex_unlock(&shared_maps_lock);
    return result;
}

#endif
