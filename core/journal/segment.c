// SPDX-License-Identifier: Apache-2.0
#include "core/journal/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILL_CHUNK = 512 * 1024,     // a commit waits for at most one of these
    FILL_AHEAD = 8 * FILL_CHUNK, // under way to the disk at once
    READ_CHUNK = 1024 * 1024,
    BLOCK = 4096, // what a failing disk loses at once
};

void segment_name(uint64_t number, char ret_name[SEGMENT_NAME])
{
    snprintf(ret_name, SEGMENT_NAME, "%016" PRIx64 ".segment", number);
}

uint64_t segment_number(const char *name)
{
    char again[SEGMENT_NAME];
    uint64_t number = strtoull(name, NULL, 16);
    segment_name(number, again);
    return strcmp(name, again) == 0 ? number : 0;
}

struct numbers {
    uint64_t *list;
    size_t count, capacity;
};

static void add_number(void *context, const char *name)
{
    struct numbers *self = context;
    uint64_t number = segment_number(name);
    if (!number)
        return;
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? 2 * self->capacity : 16;
        self->list = reallocate(self->list, self->capacity * sizeof(*self->list));
    }
    self->list[self->count++] = number;
}

static int ascending(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

int segment_numbers(const struct journal_io *io, uint64_t **ret_numbers, size_t *ret_count)
{
    struct numbers numbers = {0};
    if (io->list(io->context, add_number, &numbers) < 0) {
        free(numbers.list);
        return -1;
    }
    if (numbers.count)
        qsort(numbers.list, numbers.count, sizeof(*numbers.list), ascending);
    *ret_numbers = numbers.list;
    *ret_count = numbers.count;
    return 0;
}

int segment_create(struct segment *ret, const struct journal_io *io, uint64_t number, uint32_t size)
{
    char name[SEGMENT_NAME];
    segment_name(number, name);
    int fd = io->open(io->context, name, 1);
    if (fd < 0)
        return -1;
    struct segment made = {.number = number, .fd = fd, .size = size};
    if (io->preallocate(io->context, fd, size) < 0) {
        segment_discard(&made, io);
        return -1;
    }
    *ret = made;
    return 0;
}

static uint32_t fill_chunk(uint32_t done, uint32_t to)
{
    return to - done < FILL_CHUNK ? to - done : FILL_CHUNK;
}

// A sync per chunk would cost a slow disk more than all commits; one for the whole, with nothing on
// its way yet, would keep a commit waiting for long. So the chunks go to the disk by themselves,
// and little is left for the sync.
static int write_zeros(struct segment *self, const struct journal_io *io)
{
    static const unsigned char zeros[FILL_CHUNK];
    uint32_t chunk = fill_chunk(self->filled, self->size);
    if (chunk > 0 && (segment_write(self, io, zeros, chunk, self->filled) < 0 ||
                      io->write_back(io->context, self->fd, self->filled, chunk, 0) < 0))
        return -1;
    self->filled += chunk;
    if (self->filled < self->size && self->filled - self->settled < FILL_AHEAD)
        return 0;
    chunk = fill_chunk(self->settled, self->filled);
    if (io->write_back(io->context, self->fd, self->settled, chunk, 1) < 0)
        return -1;
    self->settled += chunk;
    return 0;
}

int segment_fill(struct segment *self, const struct journal_io *io)
{
    int result = 0;
    if (self->settled < self->size)
        result = write_zeros(self, io);
    else if (io->fdatasync(io->context, self->fd) < 0 || io->sync_folder(io->context) < 0)
        result = -1;
    else
        return 1;
    if (result < 0)
        segment_discard(self, io);
    return result;
}

int segment_write(const struct segment *self, const struct journal_io *io, const void *data,
                  size_t size, uint64_t offset)
{
    const unsigned char *at = data;
    while (size) {
        ssize_t wrote = io->pwrite(io->context, self->fd, at, size, offset);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0) {
            errno = wrote < 0 ? errno : EIO;
            return -1;
        }
        at += wrote;
        offset += (uint64_t)wrote;
        size -= (size_t)wrote;
    }
    return 0;
}

void segment_close(struct segment *self, const struct journal_io *io)
{
    if (self->number)
        io->close(io->context, self->fd);
    *self = (struct segment){0};
}

void segment_discard(struct segment *self, const struct journal_io *io)
{
    int kept = errno;
    char name[SEGMENT_NAME];
    segment_name(self->number, name);
    segment_close(self, io);
    io->unlink(io->context, name);
    errno = kept;
}

static ssize_t read_stretch(const struct journal_io *io, int fd, unsigned char *ret, size_t size,
                            uint64_t offset)
{
    ssize_t got;
    do
        got = io->pread(io->context, fd, ret, size, offset);
    while (got < 0 && errno == EINTR);
    return got;
}

// Reads block by block where the whole could not be read, so that only bad blocks are lost.
static void read_blocks(const struct journal_io *io, int fd, unsigned char *ret, size_t size,
                        uint64_t offset, uint64_t *unreadable)
{
    for (size_t done = 0; done < size; done += BLOCK) {
        size_t block = size - done < BLOCK ? size - done : BLOCK;
        if (read_stretch(io, fd, ret + done, block, offset + done) >= 0)
            continue;
        memset(ret + done, 0, block);
        ++*unreadable;
    }
}

unsigned char *segment_read(const struct journal_io *io, uint64_t number, uint32_t to,
                            uint32_t *ret_size, uint64_t *ret_unreadable)
{
    char name[SEGMENT_NAME];
    segment_name(number, name);
    int fd = io->open(io->context, name, 0);
    if (fd < 0)
        return NULL;
    unsigned char *bytes = NULL;
    int64_t end = io->size(io->context, fd);
    if (end < 0)
        goto out;
    uint32_t size = end < to ? (uint32_t)end : to;
    bytes = allocate((size_t)size + 1);
    for (uint32_t done = 0; done < size;) {
        size_t chunk = size - done < READ_CHUNK ? size - done : READ_CHUNK;
        ssize_t got = read_stretch(io, fd, bytes + done, chunk, done);
        if (got == 0)
            break;
        if (got < 0) {
            read_blocks(io, fd, bytes + done, chunk, done, ret_unreadable);
            got = (ssize_t)chunk;
        }
        done += (uint32_t)got;
    }
    *ret_size = size;
out:
    io->close(io->context, fd);
    return bytes;
}
