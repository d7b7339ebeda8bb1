// SPDX-License-Identifier: Apache-2.0
#pragma once

// The disk under a journal: files by name in one folder. The functions may be called from any
// thread; those that return an int or ssize_t give -1 with errno. Tests put a simulated disk here.
#include "core/base/base.h"
#include <sys/types.h>

typedef void journal_name_fn(void *context, const char *name);

struct journal_io {
    void *context;
    int (*open)(void *context, const char *name,
                int create); // create: must be new, else for reading
    void (*close)(void *context, int fd);
    int64_t (*size)(void *context, int fd);
    ssize_t (*pread)(void *context, int fd, void *ret, size_t size, uint64_t offset);
    ssize_t (*pwrite)(void *context, int fd, const void *data, size_t size, uint64_t offset);
    int (*preallocate)(void *context, int fd,
                       uint64_t size); // takes the space; zeros are written afterwards
    int (*fdatasync)(void *context, int fd);
    // Begins to bring a stretch to the disk; `wait`: returns once that has ended. Makes nothing
    // durable.
    int (*write_back)(void *context, int fd, uint64_t offset, uint64_t size, int wait);
    int (*unlink)(void *context, const char *name);
    int (*sync_folder)(void *context);
    int (*list)(void *context, journal_name_fn *fn, void *fn_context);
    // Keeps a bad stretch under `name`, synced; over an earlier one of that name.
    int (*keep)(void *context, const char *name, const void *data, size_t size, char *ret_path,
                size_t path_size);
    unsigned (*free_percent)(void *context); // of the file system
    int64_t (*now_us)(void *context);        // monotonic
    void (*destroy)(void *context);
};

// The real one. Makes `folder` if it is missing; `corrupt` when it is first needed (NULL: nothing
// is kept).
NODISCARD int journal_io_open(struct journal_io *ret, const char *folder, const char *corrupt);
