// SPDX-License-Identifier: Apache-2.0
// Bodies between the masters: what the worker has no more, the peer may still hold.
#include "core/base/log.h"
#include "core/base/loop.h"
#include "master/bodies_internal.h"
#include "proto/control.pb-c.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 256 * 1024 };

// -- pieces of what is held here, for whoever asks

struct piece {
    struct disk_job job;
    struct bodies *bodies;
    struct ulid id;
    uint64_t offset;
    body_piece_fn *fn;
    void *context;
    struct body body;
    struct buffer bytes;
    uint64_t total;
    int error;
};

static void forget_reader(struct body_reader *slot)
{
    blob_reader_destroy(&slot->reader);
    buffer_free(&slot->ahead);
    *slot = (struct body_reader){0};
}

// The whole body, verified before any of it is given: in memory up to a bound, and kept for the
// pieces that follow.
static int open_reader(struct body_reader *slot, const char *folder, const struct body *body)
{
    int more = 1;
    forget_reader(slot);
    buffer_init(&slot->ahead);
    slot->reader = blob_reader_new(folder, body->sha256);
    if (!slot->reader)
        return -1;
    while (more == 1 && buffer_size(&slot->ahead) <= BODY_IN_MEMORY)
        more = blob_reader_next(slot->reader, PIECE, &slot->ahead);
    if (more == 0) {
        slot->id = body->id;
        return 0;
    }
    errno = more < 0 ? EBADMSG : EFBIG;
    return -1;
}

static void read_piece(struct disk_job *job)
{
    struct piece *self = (struct piece *)job;
    struct body_reader *slot = &self->bodies->reader;
    if (bodies_find(self->bodies->reading, &self->id, &self->body) != 1 ||
        self->body.state == BODY_GONE) {
        self->error = ENOENT;
        return;
    }
    int known = slot->reader && memcmp(slot->id.bytes, self->id.bytes, ULID_SIZE) == 0;
    if (!known && open_reader(slot, self->bodies->folder, &self->body) < 0) {
        self->error = errno;
        forget_reader(slot);
        return;
    }
    self->total = buffer_size(&slot->ahead);
    uint64_t left = self->offset < self->total ? self->total - self->offset : 0;
    buffer_add(&self->bytes, buffer_bytes(&slot->ahead) + self->offset * (left > 0),
               left < PIECE ? left : PIECE);
    if (left <= PIECE)
        forget_reader(slot); // that was its last piece
}

static void piece_read(struct disk_job *job)
{
    struct piece *self = (struct piece *)job;
    if (self->error == EBADMSG)
        bodies_rotten(self->bodies, &self->body);
    self->fn(self->context, self->error ? NULL : buffer_bytes(&self->bytes),
             buffer_size(&self->bytes), self->total, self->body.state == BODY_GONE);
    buffer_free(&self->bytes);
    free(self);
}

void bodies_piece(struct bodies *self, const struct ulid *id, uint64_t offset, body_piece_fn *fn,
                  void *context)
{
    struct piece *piece = allocate(sizeof(*piece));
    piece->job = (struct disk_job){read_piece, piece_read};
    piece->bodies = self;
    piece->id = *id;
    piece->offset = offset;
    piece->fn = fn;
    piece->context = context;
    buffer_init(&piece->bytes);
    if (disk_put(self->disk, &piece->job) == 0)
        return;
    piece->error = EAGAIN;
    piece_read(&piece->job);
}

void bodies_readers_free(struct bodies *self)
{
    forget_reader(&self->reader);
}

// -- the peer asks

struct asked {
    struct bodies *bodies;
    char route[64];
    struct ulid id;
    uint64_t offset;
};

static void answer(void *context, const void *data, size_t size, uint64_t total, int gone)
{
    (void)gone;
    struct asked *self = context;
    Postern__BodyChunk chunk = POSTERN__BODY_CHUNK__INIT;
    chunk.id = (ProtobufCBinaryData){ULID_SIZE, self->id.bytes};
    chunk.offset = self->offset;
    chunk.total = total;
    chunk.missing = data == NULL;
    chunk.data = (ProtobufCBinaryData){data ? size : 0, (uint8_t *)(uintptr_t)data};
    if (control_send(self->bodies->master->control, self->route, CONTROL_PEER_BODY, &chunk.base) <
        0)
        log_debug("body.unanswered", "errno=%d", errno);
    free(self);
}

void bodies_asked(struct bodies *self, const char *route, const Postern__BodyRequest *request)
{
    if (request->id.len != ULID_SIZE)
        return;
    struct asked *asked = allocate(sizeof(*asked));
    asked->bodies = self;
    snprintf(asked->route, sizeof(asked->route), "%s", route);
    memcpy(asked->id.bytes, request->id.data, ULID_SIZE);
    asked->offset = request->offset;
    bodies_piece(self, &asked->id, asked->offset, answer, asked);
}
