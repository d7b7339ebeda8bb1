// SPDX-License-Identifier: Apache-2.0
#include "ingress/big.h"

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/removal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The file's sync shares the disk thread with the commits of small mails, so that it must not find
// all of the file still to be written: each chunk goes on its way to the disk as it arrives, and
// what is left at the end is waited for in bounded pieces, between which commits get their turn.
enum { SETTLED_AT_ONCE = 2 * BIG_CHUNK, AHEAD_MOST = 8 * BIG_CHUNK };

struct big_file {
    struct journal *journal;
    char path[256];
    char folder[160];
    // Of the disk thread.
    int fd;
    uint64_t written, settled; // settled: is on the disk, though not durable

    int error;             // first failure, told on the loop
    unsigned writing;      // chunks under way
    int synced;            // whole and durable
    int unwanted;          // remove when the last chunk is through
    journal_worked_fn *fn; // wanted: all chunks are given
    void *context;
};

// One piece of work for the disk thread.
struct chunk {
    struct big_file *file;
    struct buffer bytes;
};

static void remove_file(struct big_file *self);
static void finish(struct big_file *self);

struct big_file *big_file_new(struct journal *journal, const char *folder, const char *name)
{
    struct big_file *self = allocate(sizeof(*self));
    self->journal = journal;
    self->fd = -1;
    snprintf(self->folder, sizeof(self->folder), "%s", folder);
    snprintf(self->path, sizeof(self->path), "%s/%s", folder, name);
    return self;
}

// A file system that cannot do it leaves all to the sync.
static int write_back(const struct big_file *self, uint64_t from, uint64_t size, unsigned how)
{
    if (sync_file_range(self->fd, (off64_t)from, (off64_t)size, how) == 0)
        return 0;
    return errno == ENOSYS || errno == EINVAL || errno == ESPIPE ? 0 : -1;
}

static int settle(struct big_file *self)
{
    uint64_t size = self->written - self->settled;
    if (size > SETTLED_AT_ONCE)
        size = SETTLED_AT_ONCE;
    unsigned how = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    if (size > 0 && write_back(self, self->settled, size, how) < 0)
        return errno;
    self->settled += size;
    return 0;
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
    uint64_t size = buffer_size(&chunk->bytes);
    if (size > 0 && write_back(self, self->written, size, SYNC_FILE_RANGE_WRITE) < 0)
        return errno;
    self->written += size;
    return self->written - self->settled > AHEAD_MOST ? settle(self) : 0;
}

static void chunk_written(void *context, int result)
{
    struct chunk *chunk = context;
    struct big_file *self = chunk->file;
    buffer_free(&chunk->bytes);
    free(chunk);
    self->writing--;
    if (result != 0 && self->error == 0)
        self->error = result;
    if (self->writing > 0)
        return;
    if (self->unwanted)
        remove_file(self);
    else if (self->fn)
        finish(self);
}

static int queue_chunk(struct big_file *self, struct buffer *bytes)
{
    struct chunk *chunk = allocate(sizeof(*chunk));
    *chunk = (struct chunk){self, *bytes};
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
    return queue_chunk(self, bytes);
}

int big_file_failed(const struct big_file *self)
{
    return self->error;
}

// -- the end

static int settle_or_sync(void *context)
{
    struct big_file *self = context;
    if (self->settled < self->written)
        return settle(self);
    if (fsync(self->fd) < 0 || file_sync_folder(self->folder) < 0)
        return errno;
    self->synced = 1;
    return 0;
}

static void finished(void *context, int error)
{
    struct big_file *self = context;
    self->error = error;
    finish(self);
}

// Every chunk is written: what is left is done piece by piece.
static void finish(struct big_file *self)
{
    journal_worked_fn *fn = self->fn;
    void *fn_context = self->context;
    if (!self->error && !self->synced) {
        if (journal_run(self->journal, settle_or_sync, finished, self) == 0)
            return;
        self->error = EAGAIN;
    }
    int error = self->error;
    if (error == 0) {
        close(self->fd);
        free(self);
    } else {
        remove_file(self);
    }
    fn(fn_context, error);
}

void big_file_finish(struct big_file **file, struct buffer *rest, journal_worked_fn *fn,
                     void *context)
{
    struct big_file *self = *file;
    *file = NULL;
    if (queue_chunk(self, rest) == 0) {
        self->fn = fn;
        self->context = context;
        return;
    }
    self->unwanted = 1;
    if (self->writing == 0)
        remove_file(self);
    fn(context, EAGAIN);
}

// -- removal

struct leaving {
    struct journal *journal;
    struct removal removal;
};

static int remove_some(void *context)
{
    struct leaving *leaving = context;
    return removal_step(&leaving->removal);
}

static void removed_some(void *context, int result)
{
    struct leaving *leaving = context;
    if (result != 0)
        log_warning("big.unlink", "path=%s errno=%d", leaving->removal.path, result);
    if (removal_goes_on(&leaving->removal) &&
        journal_run(leaving->journal, remove_some, removed_some, leaving) == 0)
        return;
    removal_end(&leaving->removal);
    free(leaving);
}

static void queue_removal(struct journal *journal, int fd, const char *path)
{
    struct leaving *leaving = allocate(sizeof(*leaving));
    leaving->journal = journal;
    leaving->removal.fd = fd;
    snprintf(leaving->removal.path, sizeof(leaving->removal.path), "%s", path);
    // A file that stays because the queue is full is found by the sweep at the next start.
    if (journal_run(journal, remove_some, removed_some, leaving) < 0) {
        removal_end(&leaving->removal);
        free(leaving);
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
