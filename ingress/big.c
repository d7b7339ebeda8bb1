// SPDX-License-Identifier: Apache-2.0
#include "ingress/big.h"

#include "core/base/file.h"
#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct big_file {
    struct journal *journal;
    char path[256];
    char folder[160];
    int fd;           // of the disk thread
    int error;        // first failure, told on the loop
    unsigned writing; // chunks under way
    int unwanted;     // remove when the last chunk is through
    journal_worked_fn *fn;
    void *context;
};

// One piece of work for the disk thread.
struct chunk {
    struct big_file *file;
    struct buffer bytes;
    int last; // sync, too
};

static void remove_file(struct big_file *self);

struct big_file *big_file_new(struct journal *journal, const char *folder, const char *name)
{
    struct big_file *self = allocate(sizeof(*self));
    self->journal = journal;
    self->fd = -1;
    snprintf(self->folder, sizeof(self->folder), "%s", folder);
    snprintf(self->path, sizeof(self->path), "%s/%s", folder, name);
    return self;
}

static int write_chunk(void *context)
{
    struct chunk *chunk = context;
    struct big_file *self = chunk->file;
    if (self->fd < 0)
        self->fd = open(self->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (self->fd < 0 ||
        file_write_whole(self->fd, buffer_bytes(&chunk->bytes), buffer_size(&chunk->bytes)) < 0)
        return errno;
    if (!chunk->last)
        return 0;
    if (fsync(self->fd) < 0 || file_sync_folder(self->folder) < 0)
        return errno;
    return 0;
}

static void chunk_written(void *context, int result)
{
    struct chunk *chunk = context;
    struct big_file *self = chunk->file;
    int last = chunk->last;
    buffer_free(&chunk->bytes);
    free(chunk);
    self->writing--;
    if (result != 0 && self->error == 0)
        self->error = result;
    if (last) {
        journal_worked_fn *fn = self->fn;
        void *fn_context = self->context;
        int error = self->error;
        if (error == 0) {
            close(self->fd);
            free(self);
        } else {
            remove_file(self);
        }
        fn(fn_context, error);
    } else if (self->unwanted && self->writing == 0) {
        remove_file(self);
    }
}

static int queue_chunk(struct big_file *self, struct buffer *bytes, int last)
{
    struct chunk *chunk = allocate(sizeof(*chunk));
    *chunk = (struct chunk){self, *bytes, last};
    if (journal_run(self->journal, write_chunk, chunk_written, chunk) < 0) {
        free(chunk);
        return -1;
    }
    self->writing++;
    buffer_init(bytes);
    return 0;
}

int big_file_write(struct big_file *self, struct buffer *bytes)
{
    return queue_chunk(self, bytes, 0);
}

int big_file_failed(const struct big_file *self)
{
    return self->error;
}

void big_file_finish(struct big_file **file, struct buffer *rest, journal_worked_fn *fn,
                     void *context)
{
    struct big_file *self = *file;
    *file = NULL;
    self->fn = fn;
    self->context = context;
    if (queue_chunk(self, rest, 1) == 0)
        return;
    self->unwanted = 1;
    if (self->writing == 0)
        remove_file(self);
    fn(context, EAGAIN);
}

// -- removal

struct removal {
    int fd;
    char path[256];
};

static int unlink_file(void *context)
{
    struct removal *removal = context;
    if (removal->fd >= 0)
        close(removal->fd);
    return unlink(removal->path) < 0 && errno != ENOENT ? errno : 0;
}

static void unlinked(void *context, int result)
{
    struct removal *removal = context;
    if (result != 0)
        log_warning("big.unlink", "path=%s errno=%d", removal->path, result);
    free(removal);
}

static void queue_removal(struct journal *journal, int fd, const char *path)
{
    struct removal *removal = allocate(sizeof(*removal));
    removal->fd = fd;
    snprintf(removal->path, sizeof(removal->path), "%s", path);
    // A file that stays because the queue is full is found by the sweep at the next start.
    if (journal_run(journal, unlink_file, unlinked, removal) < 0) {
        if (fd >= 0)
            close(fd);
        free(removal);
    }
}

static void remove_file(struct big_file *self)
{
    queue_removal(self->journal, self->fd, self->path);
    free(self);
}

void big_file_remove(struct big_file **file)
{
    struct big_file *self = *file;
    *file = NULL;
    self->unwanted = 1;
    if (self->writing == 0)
        remove_file(self);
}

void big_file_unlink(struct journal *journal, const char *folder, const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    queue_removal(journal, -1, path);
}
