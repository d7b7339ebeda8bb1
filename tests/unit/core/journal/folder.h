// SPDX-License-Identifier: Apache-2.0
#pragma once

// A folder for one test, and the real disk functions over it with some that fail when told to.
#include "core/journal/io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct folder {
    char path[64];
    struct journal_io io;
    struct journal_io real;
    int syncs;       // so far
    int sync_errno;  // for the next sync, once
    int write_errno; // for each write
    int short_writes;
    int read_errno; // for reads that touch `bad_block`
    uint64_t bad_block;
};

static inline int folder_fdatasync(void *context, int fd)
{
    struct folder *self = context;
    (void)fd; // a unit test waits for no disk
    self->syncs++;
    errno = self->sync_errno;
    self->sync_errno = 0;
    return errno ? -1 : 0;
}

static inline ssize_t folder_pwrite(void *context, int fd, const void *data, size_t size,
                                    uint64_t offset)
{
    struct folder *self = context;
    errno = self->write_errno;
    if (errno)
        return -1;
    if (self->short_writes && size > 1)
        size /= 2;
    return self->real.pwrite(self->real.context, fd, data, size, offset);
}

static inline ssize_t folder_pread(void *context, int fd, void *ret, size_t size, uint64_t offset)
{
    struct folder *self = context;
    uint64_t bad = self->bad_block * 4096;
    errno = self->read_errno;
    if (errno && offset <= bad && bad < offset + size)
        return -1;
    return self->real.pread(self->real.context, fd, ret, size, offset);
}

// The rest goes through to the real functions, whose context differs.
static inline int folder_open(void *context, const char *name, int create)
{
    struct folder *self = context;
    return self->real.open(self->real.context, name, create);
}

static inline int folder_unlink(void *context, const char *name)
{
    struct folder *self = context;
    return self->real.unlink(self->real.context, name);
}

static inline int folder_sync_folder(void *context)
{
    (void)context;
    return 0;
}

static inline int folder_list(void *context, journal_name_fn *fn, void *fn_context)
{
    struct folder *self = context;
    return self->real.list(self->real.context, fn, fn_context);
}

static inline int folder_keep(void *context, const char *name, const void *data, size_t size,
                              char *ret_path, size_t path_size)
{
    struct folder *self = context;
    return self->real.keep(self->real.context, name, data, size, ret_path, path_size);
}

static inline unsigned folder_free_percent(void *context)
{
    (void)context;
    return 50;
}

static inline int make_folder(struct folder *self)
{
    char corrupt[96];
    *self = (struct folder){0};
    snprintf(self->path, sizeof(self->path), "/tmp/postern-journal-XXXXXX");
    if (!mkdtemp(self->path))
        return -1;
    snprintf(corrupt, sizeof(corrupt), "%s/corrupt", self->path);
    if (journal_io_open(&self->real, self->path, corrupt) < 0)
        return -1;
    self->io = self->real; // what is not named below needs no context
    self->io.context = self;
    self->io.open = folder_open;
    self->io.pread = folder_pread;
    self->io.pwrite = folder_pwrite;
    self->io.fdatasync = folder_fdatasync;
    self->io.unlink = folder_unlink;
    self->io.sync_folder = folder_sync_folder;
    self->io.list = folder_list;
    self->io.keep = folder_keep;
    self->io.free_percent = folder_free_percent;
    return 0;
}

static inline void remove_folder(struct folder *self)
{
    char command[96];
    self->real.destroy(self->real.context);
    snprintf(command, sizeof(command), "rm -r %s", self->path);
    if (system(command) != 0)
        abort();
}
