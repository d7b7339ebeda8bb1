// SPDX-License-Identifier: Apache-2.0
// Another process's segments, mapped to be read. A mapping outlives the unlink of its file.
#include "core/journal/journal.h"

#include "core/base/crc32c.h"
#include "core/journal/record.h"
#include "core/journal/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct mapping {
    struct mapping *next; // most recently used first
    uint64_t number;
    dev_t device;
    ino_t inode;
    const unsigned char *bytes;
    size_t size;
    unsigned users; // and one for standing in the list
};

struct segment_map {
    char *folder;
    unsigned keep;
    struct mapping *first;
};

struct segment_map *segment_map_new(const char *folder, unsigned keep)
{
    struct segment_map *self = allocate(sizeof(*self));
    self->folder = duplicate(folder);
    self->keep = keep ? keep : 1;
    return self;
}

static void leave(struct mapping *mapping)
{
    if (--mapping->users > 0)
        return;
    munmap((void *)(uintptr_t)mapping->bytes, mapping->size);
    free(mapping);
}

void segment_map_destroy(struct segment_map **map)
{
    struct segment_map *self = *map;
    if (!self)
        return;
    *map = NULL;
    for (struct mapping *mapping = self->first, *next; mapping; mapping = next) {
        next = mapping->next;
        leave(mapping);
    }
    free(self->folder);
    free(self);
}

static void path_of(const struct segment_map *self, uint64_t number, char ret[PATH_MAX])
{
    char name[SEGMENT_NAME];
    segment_name(number, name);
    snprintf(ret, PATH_MAX, "%s/%s", self->folder, name);
}

// A journal that was emptied counts from 1 again: then the name stands for another file. Ours keeps
// its inode number as long as it is mapped.
static int is_replaced(const struct segment_map *self, const struct mapping *mapping)
{
    char path[PATH_MAX];
    struct stat status;
    path_of(self, mapping->number, path);
    return stat(path, &status) == 0 &&
           (status.st_ino != mapping->inode || status.st_dev != mapping->device);
}

static struct mapping *map_file(const struct segment_map *self, uint64_t number)
{
    char path[PATH_MAX];
    path_of(self, number, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct stat status;
    void *bytes = MAP_FAILED;
    if (fstat(fd, &status) == 0 && status.st_size > 0)
        bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
    else
        errno = EBADMSG;
    int error = errno;
    close(fd);
    errno = error;
    if (bytes == MAP_FAILED)
        return NULL;
    struct mapping *mapping = allocate(sizeof(*mapping));
    *mapping = (struct mapping){
        .number = number,
        .device = status.st_dev,
        .inode = status.st_ino,
        .bytes = bytes,
        .size = (size_t)status.st_size,
        .users = 1,
    };
    return mapping;
}

static void drop_beyond(struct segment_map *self)
{
    struct mapping **at = &self->first;
    for (unsigned i = 0; *at && i < self->keep; i++)
        at = &(*at)->next;
    struct mapping *dropped = *at;
    *at = NULL;
    for (struct mapping *next; dropped; dropped = next) {
        next = dropped->next;
        leave(dropped);
    }
}

static struct mapping *find(struct segment_map *self, uint64_t number)
{
    struct mapping **at = &self->first;
    while (*at && (*at)->number != number)
        at = &(*at)->next;
    struct mapping *mapping = *at;
    if (mapping)
        *at = mapping->next;
    if (mapping && is_replaced(self, mapping)) {
        leave(mapping);
        mapping = NULL;
    }
    if (!mapping)
        mapping = map_file(self, number);
    if (!mapping)
        return NULL;
    mapping->next = self->first;
    self->first = mapping;
    drop_beyond(self);
    return mapping;
}

const void *segment_map_get(struct segment_map *self, struct position where, void **ret_handle)
{
    struct mapping *mapping = find(self, where.segment);
    if (!mapping)
        return NULL;
    struct record record;
    uint64_t end = (uint64_t)where.offset + RECORD_HEADER_SIZE + where.length;
    const unsigned char *header = mapping->bytes + where.offset;
    if (end > mapping->size || record_decode(&record, header, 0, where.segment, where.offset) < 0 ||
        record.length != where.length ||
        crc32c(0, header + RECORD_HEADER_SIZE, record.length) != record.payload_crc) {
        errno = EBADMSG;
        return NULL;
    }
    mapping->users++;
    *ret_handle = mapping;
    return header + RECORD_HEADER_SIZE;
}

void segment_map_done(struct segment_map *self, void *handle)
{
    (void)self;
    leave(handle);
}
