// SPDX-License-Identifier: Apache-2.0
// A body on its way from a worker: piece by piece, one asked for at a time, so that what is under
// way is bounded by the number of pulls.
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "master/bodies_internal.h"
#include "master/commands.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_TIMEOUT_MS = 10000 };
#define BODY_MOST ((uint64_t)2 << 30) // more than the largest message that the schema allows

struct pull {
    struct disk_job job;
    struct bodies *bodies;
    struct want *want;
    char node[64];
    struct blob_writer *writer;
    uint64_t at, total;
    void *data; // the piece at hand
    size_t size;
    int whole; // that piece is the last
    int error;
};

static void fetch_next(struct pull *self);

static void free_pull(struct pull *self)
{
    struct bodies *bodies = self->bodies;
    struct want *want = self->want;
    want->pull = NULL;
    bodies->pulling--;
    if (want->dropped)
        want_done(bodies, want);
    free(self->data);
    free(self);
}

// -- on the disk thread

static void write_piece(struct disk_job *job)
{
    struct pull *self = (struct pull *)job;
    if (!self->writer && !(self->writer = blob_writer_new(self->bodies->folder)))
        self->error = errno;
    else if (blob_writer_add(self->writer, self->data, self->size) < 0)
        self->error = errno;
    else if (self->whole && blob_writer_finish(&self->writer, self->want->body.sha256) < 0)
        self->error = errno;
    if (self->error)
        blob_writer_destroy(&self->writer);
}

static void abandon(struct disk_job *job)
{
    blob_writer_destroy(&((struct pull *)job)->writer);
}

// -- on the loop

static void abandoned(struct disk_job *job)
{
    struct pull *self = (struct pull *)job;
    want_later(self->bodies, self->want);
    free_pull(self);
}

static void give_up(struct pull *self)
{
    self->job = (struct disk_job){abandon, abandoned};
    if (disk_put(self->bodies->disk, &self->job) == 0)
        return;
    abandon(&self->job);
    abandoned(&self->job);
}

static void held(struct pull *self)
{
    struct bodies *bodies = self->bodies;
    struct want *want = self->want;
    metric_add(bodies->taken, 1);
    if (want->dropped) {
        bodies_forget(bodies, &want->body.id); // deleted while it was on its way
    } else {
        bodies_note(bodies, &want->body.id, BODY_HELD);
        bodies_tell(bodies, &want->body);
    }
    want->dropped = 1; // wanted no more
    free_pull(self);
}

static void piece_written(struct disk_job *job)
{
    struct pull *self = (struct pull *)job;
    char id[ULID_TEXT];
    free(self->data);
    self->data = NULL;
    self->at += self->size;
    if (!self->error && self->whole) {
        held(self);
    } else if (!self->error) {
        fetch_next(self);
    } else {
        ulid_format(&self->want->body.id, id);
        metric_add(self->bodies->refused, 1);
        log_error("body.refused", "id=%s node=%s error=\"%s\"", id, self->node,
                  self->error == EBADMSG ? "these are not the bytes that its event names"
                                         : strerror(self->error));
        want_later(self->bodies, self->want);
        free_pull(self);
    }
}

static void fetched(void *context, const void *data, size_t size, uint64_t total, const char *error)
{
    struct pull *self = context;
    if (error || total > BODY_MOST || self->at + size > total || (size == 0 && self->at < total)) {
        log_debug("body.later", "node=%s reason=\"%s\"", self->node, error ? error : "wrong size");
        give_up(self);
        return;
    }
    self->total = total;
    self->size = size;
    self->data = duplicate_bytes(size ? data : "", size);
    self->whole = self->at + size == total;
    self->job = (struct disk_job){write_piece, piece_written};
    if (disk_put(self->bodies->disk, &self->job) < 0)
        give_up(self);
}

static void fetch_next(struct pull *self)
{
    struct master *master = self->bodies->master;
    const struct member *member = members_by_name(&master->members, self->node);
    char id[ULID_TEXT];
    ulid_format(&self->want->body.id, id);
    if (member && master->commands && !self->want->dropped)
        commands_fetch(master->commands, member, id, self->want->body.day, self->at,
                       PIECE_TIMEOUT_MS, fetched, self);
    else
        give_up(self);
}

void pull_start(struct bodies *self, struct want *want, const struct member *member)
{
    struct pull *pull = allocate(sizeof(*pull));
    pull->bodies = self;
    pull->want = want;
    memcpy(pull->node, member->name, sizeof(pull->node));
    want->pull = pull;
    self->pulling++;
    fetch_next(pull);
}
