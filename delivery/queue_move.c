// SPDX-License-Identifier: Apache-2.0
// Long-lived mail: after a quarter of an hour its bytes move to deferred/<name>, and its small
// record is copied forward when it stands in the oldest segments, so that segments can go.
#include "core/base/log.h"
#include "core/journal/record.h"
#include "delivery/heap.h"
#include "delivery/pieces_file.h"
#include "delivery/quarantine.h"
#include "delivery/queued.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MOVE_AFTER_MS = 15 * 60 * 1000,
    MOVE_EVERY_MS = 30 * 1000,
    LOOKED_AT_ONCE = 1000,
    MOVED_AT_ONCE = 50,
    SEGMENTS_BEHIND = 4, // a record so far back is copied forward
};

struct moving {
    struct queued *mail;
    char *folder;
    char name[HELD_NAME_SIZE];
    struct position old;
    struct position *ends;
    size_t end_count;
};

static void moving_free(struct moving *moving)
{
    free(moving->folder);
    free(moving->ends);
    free(moving);
}

// The old record is void: it may go, and what said so goes after it.
static void voided(void *context, struct position where)
{
    struct moving *moving = context;
    struct queued *mail = moving->mail;
    const struct queue_ops *ops = mail->queue->ops;
    ops->release_ended(mail->queue->io, moving->old, where);
    for (size_t i = 0; i < moving->end_count; i++)
        ops->release(mail->queue->io, moving->ends[i]);
    mail->moving = 0;
    mail->writing--;
    moving_free(moving);
    if (mail->open > 0)
        queued_schedule(mail, mail->next_ms);
    queued_settle(mail);
}

static void moved(void *context, struct position where)
{
    struct moving *moving = context;
    struct queued *mail = moving->mail;
    struct keeping *keeping = mail->keeping;
    moving->old = keeping->base;
    moving->ends = keeping->ends;
    moving->end_count = keeping->end_count;
    keeping->base = where;
    keeping->ends = NULL;
    keeping->end_count = 0;
    if (!keeping->file)
        keeping->file = duplicate(moving->name);
    queue_void(mail->queue, mail, voided, moving);
    mail->head->generation++;
}

// The mail's record anew, with only the recipients that are still open.
static void write_moved(struct moving *moving)
{
    struct queued *mail = moving->mail;
    Postern__Held head = *mail->head;
    uint32_t *recipients = allocate((mail->count + 1) * sizeof(*recipients));
    ProtobufCBinaryData *replies = allocate((mail->count + 1) * sizeof(*replies));
    head.n_recipients = 0;
    for (size_t i = 0; i < mail->count; i++) {
        const char *reply = mail->recipients[i].reply;
        if (mail->recipients[i].state == QUEUED_ENDED)
            continue;
        replies[head.n_recipients] =
            (ProtobufCBinaryData){reply ? strlen(reply) : 0, (uint8_t *)(uintptr_t)reply};
        recipients[head.n_recipients++] = mail->recipients[i].index;
    }
    head.recipients = recipients;
    head.replies = replies;
    head.n_replies = head.n_recipients;
    head.attempts = mail->attempts;
    head.next_ms = mail->next_ms;
    head.last_ms = mail->last_ms;
    head.frozen = mail->frozen;
    head.generation = mail->head->generation + 1;
    head.file = (ProtobufCBinaryData){strlen(moving->name), (uint8_t *)moving->name};
    size_t size;
    void *packed = pack_head(&head, &size);
    queue_write(mail->queue, RECORD_MOVED, packed, size, NULL, moved, moving);
    free(recipients);
    free(replies);
}

static int write_file(void *context)
{
    struct moving *moving = context;
    const struct queue *self = moving->mail->queue;
    struct position base = moving->mail->keeping->base;
    char *record = self->ops->read(self->io, base);
    if (!record)
        return errno;
    size_t skip = held_head_end(record, base.length);
    struct body body = {0};
    int result = EBADMSG;
    if (skip > 0 && body_make(&body, (struct span){0}, NULL, 0,
                              (struct span){record + skip, base.length - skip}) == 0)
        result = pieces_file_write(moving->folder, moving->name, (struct span){0}, &body);
    body_free(&body);
    free(record);
    return result;
}

static void file_written(void *context, int result)
{
    struct moving *moving = context;
    struct queued *mail = moving->mail;
    mail->queue->working--;
    if (result == 0) {
        write_moved(moving);
        return;
    }
    log_warning("move.failed", "file=%s error=%d", moving->name, result);
    mail->moving = 0;
    mail->writing--;
    queued_schedule(mail, mail->next_ms);
    moving_free(moving);
}

static void move(struct queued *mail)
{
    struct queue *self = mail->queue;
    struct moving *moving = allocate(sizeof(*moving));
    char folder[512];
    moving->mail = mail;
    moving->folder = duplicate(queued_folder(self, "", folder, sizeof(folder)));
    held_file_name(mail->head, moving->name);
    heap_remove(self, HEAP_DUE, mail);
    mail->moving = 1;
    mail->writing++;
    if (mail->keeping->file) {
        write_moved(moving);
        return;
    }
    self->working++;
    if (self->ops->work(self->io, write_file, file_written, moving) < 0)
        file_written(moving, EAGAIN);
}

// Only what every ingress has acknowledged: its outcomes are offered again as long as the first
// record says so.
static int may_move(const struct queued *mail)
{
    return mail->head && !mail->moving && !mail->loading && mail->out == 0 && mail->writing == 0 &&
           mail->open > 0 && mail->keeping->waits == 1 && mail->head->tells.len == 0;
}

void queued_move(struct queued *mail)
{
    if (may_move(mail))
        move(mail);
}

static int should_move(const struct queued *mail, int64_t now, uint64_t oldest)
{
    if (!may_move(mail))
        return 0;
    int behind = mail->keeping->base.segment == oldest &&
                 mail->queue->newest_segment >= oldest + SEGMENTS_BEHIND;
    int long_held = !mail->keeping->file && now - mail->envelope->received_ms > MOVE_AFTER_MS;
    return behind || long_held;
}

// Some mails each second, until all were looked at: a long queue is not walked in one turn.
static void look_at_some(struct queue *self, int64_t now, uint64_t oldest)
{
    unsigned moved = 0;
    struct queued *mail = self->move_next;
    for (unsigned i = 0; mail && i < LOOKED_AT_ONCE && moved < MOVED_AT_ONCE; i++) {
        self->move_next = mail->next;
        if (should_move(mail, now, oldest)) {
            move(mail);
            moved++;
        }
        mail = self->move_next;
    }
}

void queue_move_old(struct queue *self)
{
    int64_t now = self->ops->now_ms(self->io);
    uint64_t oldest = self->ops->oldest(self->io);
    int begins = now - self->moved_ms >= MOVE_EVERY_MS || now < self->moved_ms;
    if (begins && !self->move_next) {
        self->moved_ms = now;
        self->move_next = self->all;
        if (self->newest_segment >= oldest + SEGMENTS_BEHIND)
            quarantine_copy(self, oldest);
    }
    look_at_some(self, now, oldest);
}

static int named(const struct queue *self, const char *name)
{
    for (const struct queued *mail = self->all; mail; mail = mail->next)
        if (mail->head && mail->keeping->file && strcmp(mail->keeping->file, name) == 0)
            return 1;
    return 0;
}

void queue_sweep(struct queue *self)
{
    char path[512];
    DIR *folder = opendir(queued_folder(self, "", path, sizeof(path)));
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            named(self, entry->d_name))
            continue;
        if (unlinkat(dirfd(folder), entry->d_name, 0) < 0)
            log_warning("deferred-file.stays", "file=%s error=%d", entry->d_name, errno);
    }
    if (folder)
        closedir(folder);
}
