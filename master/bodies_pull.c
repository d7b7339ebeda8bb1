// SPDX-License-Identifier: Apache-2.0
// A body on its way from a worker, or from the peer: piece by piece, one asked for at a time, so
// that what is under way is bounded by the number of pulls.
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "master/bodies_internal.h"
#include "master/commands.h"
#include "master/peer.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_TIMEOUT_MS = 10000 };
#define BODY_MOST ((uint64_t)2 << 30) // more than the largest message that the schema allows

struct pull {
    struct disk_job job;
    struct bodies *bodies;
    struct want *want;
    char node[64];       // "": from the peer
    int64_t deadline_ms; // of the peer's answer
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
    for (unsigned i = 0; i < PULLS_MOST; i++)
        if (bodies->pulled[i] == want)
            bodies->pulled[i] = NULL;
    if (want->dropped)
        want_done(bodies, want);
    else
        want_wait(bodies, want);
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
    bodies_pull_more(bodies);
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
    if (error && *self->node && strcmp(error, body_missing) == 0)
        self->want->missing = !self->want->missing; // the peer's turn, then its again
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

static void ask_peer(struct pull *self)
{
    struct master *master = self->bodies->master;
    Postern__BodyRequest request = POSTERN__BODY_REQUEST__INIT;
    request.id = (ProtobufCBinaryData){ULID_SIZE, self->want->body.id.bytes};
    request.offset = self->at;
    self->deadline_ms = loop_now_ms(master->loop) + PIECE_TIMEOUT_MS;
    if (self->want->dropped || !master->commands ||
        peer_ask(master->peer, CONTROL_PEER_BODY, &request.base) < 0)
        give_up(self);
}

void bodies_answered(struct bodies *self, const Postern__BodyChunk *chunk)
{
    struct ulid id;
    if (chunk->id.len != ULID_SIZE)
        return;
    memcpy(id.bytes, chunk->id.data, ULID_SIZE);
    struct want *want = want_of(self, &id);
    struct pull *pull = want ? want->pull : NULL;
    if (!pull || *pull->node || !pull->deadline_ms || pull->at != chunk->offset)
        return; // answered too late
    pull->deadline_ms = 0;
    if (chunk->missing)
        want->missing = 0; // the worker's turn again
    fetched(pull, chunk->data.data, chunk->data.len, chunk->total,
            chunk->missing ? "the peer does not have it" : NULL);
}

void pulls_second(struct bodies *self)
{
    for (unsigned i = 0; i < PULLS_MOST; i++) {
        struct pull *pull = self->pulled[i] ? self->pulled[i]->pull : NULL;
        if (!pull || !pull->deadline_ms || pull->deadline_ms > loop_now_ms(self->master->loop))
            continue;
        pull->deadline_ms = 0;
        give_up(pull);
    }
}

static void fetch_next(struct pull *self)
{
    struct master *master = self->bodies->master;
    if (!*self->node) {
        ask_peer(self);
        return;
    }
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
    if (member)
        memcpy(pull->node, member->name, sizeof(pull->node));
    want->pull = pull;
    unsigned at = 0;
    while (self->pulled[at])
        at++;
    self->pulled[at] = want;
    self->pulling++;
    fetch_next(pull);
}
