// SPDX-License-Identifier: Apache-2.0
#include "node/bodies.h"

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/ulid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_MOST = 256 * 1024, READS_MOST = 16, DAY_SIZE = 10 };

struct reading {
    struct bodies *bodies;
    unsigned master;
    char path[256];
    struct ulid id;
    uint64_t offset, total;
    size_t wanted, size;
    char *data;
};

struct bodies {
    struct journal *journal;
    const char *state;
    bodies_send_fn *send;
    void *context;
    unsigned reads; // at once; a master asks again for what is not answered
};

struct bodies *bodies_new(struct journal *journal, const char *state, bodies_send_fn *fn,
                          void *context)
{
    struct bodies *self = allocate(sizeof(*self));
    self->journal = journal;
    self->state = state;
    self->send = fn;
    self->context = context;
    return self;
}

void bodies_destroy(struct bodies **self)
{
    free(*self);
    *self = NULL;
}

// "2026-11-23": it becomes part of a path.
static int is_day(const ProtobufCBinaryData *day)
{
    for (size_t i = 0; i < day->len; i++)
        if (i == 4 || i == 7 ? day->data[i] != '-' : day->data[i] < '0' || day->data[i] > '9')
            return 0;
    return day->len == DAY_SIZE;
}

static int open_reading(struct reading *self, const char *state,
                        const Postern__BodyRequest *request)
{
    char id[ULID_TEXT];
    if (request->id.len != ULID_SIZE || !is_day(&request->day))
        return -1;
    memcpy(self->id.bytes, request->id.data, ULID_SIZE);
    ulid_format(&self->id, id);
    self->offset = request->offset;
    self->wanted = request->length < PIECE_MOST ? request->length : PIECE_MOST;
    snprintf(self->path, sizeof(self->path), "%s/quarantine/%.*s/%s", state, DAY_SIZE,
             (const char *)request->day.data, id);
    return 0;
}

// On the disk thread.
static int read_piece(void *context)
{
    struct reading *self = context;
    struct stat status;
    int fd = open(self->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno;
    int result = fstat(fd, &status) < 0 ? errno : 0;
    if (result == 0) {
        self->total = (uint64_t)status.st_size;
        self->data = allocate(self->wanted + 1);
        ssize_t size = pread(fd, self->data, self->wanted, (off_t)self->offset);
        result = size < 0 ? errno : 0;
        self->size = size < 0 ? 0 : (size_t)size;
    }
    close(fd);
    return result;
}

static void piece_read(void *context, int result)
{
    struct reading *self = context;
    struct bodies *bodies = self->bodies;
    Postern__BodyChunk chunk = POSTERN__BODY_CHUNK__INIT;
    chunk.id = (ProtobufCBinaryData){ULID_SIZE, self->id.bytes};
    chunk.offset = self->offset;
    chunk.total = self->total;
    chunk.missing = result != 0;
    chunk.data = (ProtobufCBinaryData){self->size, (uint8_t *)self->data};
    bodies->reads--;
    if (result == 0 || result == ENOENT)
        bodies->send(bodies->context, self->master, &chunk);
    else
        log_error("body.read", "path=%s errno=%d", self->path, result); // it may be there still
    free(self->data);
    free(self);
}

void bodies_request(struct bodies *self, unsigned master, const Postern__BodyRequest *request)
{
    struct reading *reading = allocate(sizeof(*reading));
    reading->bodies = self;
    reading->master = master;
    if (self->reads == READS_MOST || open_reading(reading, self->state, request) < 0 ||
        journal_run(self->journal, read_piece, piece_read, reading) < 0) {
        free(reading);
        return;
    }
    self->reads++;
}

// -- what comes back

struct writing {
    struct bodies *bodies;
    unsigned master;
    char folder[256], making[288], path[288];
    struct ulid id;
    uint64_t offset, total;
    size_t size;
    char *data;
};

// On the disk thread.
static int write_piece(void *context)
{
    struct writing *self = context;
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (self->offset == 0 ? O_TRUNC : 0);
    if (file_make_folders(self->folder, 0750) < 0)
        return errno;
    int fd = open(self->making, flags, 0640);
    if (fd < 0)
        return errno;
    int whole = self->offset + self->size == self->total, result = 0;
    if (pwrite(fd, self->data, self->size, (off_t)self->offset) != (ssize_t)self->size)
        result = errno ? errno : ENOSPC;
    if (result == 0 && whole && fsync(fd) < 0)
        result = errno;
    close(fd);
    if (result == 0 && whole &&
        (rename(self->making, self->path) < 0 || file_sync_folder(self->folder) < 0))
        result = errno;
    return result;
}

static void piece_written(void *context, int result)
{
    struct writing *self = context;
    struct bodies *bodies = self->bodies;
    Postern__BodyChunk chunk = POSTERN__BODY_CHUNK__INIT;
    chunk.id = (ProtobufCBinaryData){ULID_SIZE, self->id.bytes};
    chunk.offset = self->offset;
    chunk.total = self->total;
    bodies->reads--;
    if (result == 0)
        bodies->send(bodies->context, self->master, &chunk);
    else
        log_error("body.write", "path=%s errno=%d", self->path, result);
    free(self->data);
    free(self);
}

static int open_writing(struct writing *self, const char *state, const Postern__BodyGiven *given)
{
    char id[ULID_TEXT];
    if (given->id.len != ULID_SIZE || !is_day(&given->day) || given->data.len > PIECE_MOST ||
        given->offset > given->total || given->data.len > given->total - given->offset)
        return -1;
    memcpy(self->id.bytes, given->id.data, ULID_SIZE);
    ulid_format(&self->id, id);
    snprintf(self->folder, sizeof(self->folder), "%s/quarantine/%.*s", state, DAY_SIZE,
             (const char *)given->day.data);
    snprintf(self->making, sizeof(self->making), "%.200s/.%s.given%u", self->folder, id,
             self->master);
    snprintf(self->path, sizeof(self->path), "%.200s/%s", self->folder, id);
    self->offset = given->offset;
    self->total = given->total;
    self->size = given->data.len;
    self->data =
        duplicate_bytes(given->data.data ? (const char *)given->data.data : "", self->size);
    return 0;
}

void bodies_given(struct bodies *self, unsigned master, const Postern__BodyGiven *given)
{
    struct writing *writing = allocate(sizeof(*writing));
    writing->bodies = self;
    writing->master = master;
    if (self->reads == READS_MOST || open_writing(writing, self->state, given) < 0 ||
        journal_run(self->journal, write_piece, piece_written, writing) < 0) {
        free(writing->data);
        free(writing);
        return;
    }
    self->reads++;
}
