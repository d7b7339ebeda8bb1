// SPDX-License-Identifier: Apache-2.0
#include "node/bodies.h"

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
