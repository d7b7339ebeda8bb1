// SPDX-License-Identifier: Apache-2.0
// Taking custody: a record with the mail's bytes, or with the name of a file that holds them.
#include "core/base/log.h"
#include "core/base/unpack.h"
#include "core/journal/record.h"
#include "delivery/notify.h"
#include "delivery/pieces_file.h"
#include "delivery/queued.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_BODY_MOST = 1024 * 1024 };

// A mail on its way into custody.
struct taking {
    struct taking *next; // of those whose file could not be written yet
    struct queue *queue;
    Postern__Held *head; // becomes the held mail's
    const struct body *body;
    char *folder;
    notice_fn *fn;
    void *context;
};

static void held_written(void *context, struct position where)
{
    struct taking *taking = context;
    struct queued *mail = queued_of_head(taking->queue, taking->head);
    mail->keeping = keeping_new(taking->queue);
    mail->keeping->has_base = 1;
    mail->keeping->base = where;
    if (taking->head->file.len > 0)
        mail->keeping->file = duplicate_bytes(taking->head->file.data, taking->head->file.len);
    taking->fn(taking->context, mail);
    free(taking->folder);
    free(taking);
}

static void write_held(struct taking *taking)
{
    size_t size;
    void *packed = pack_head(taking->head, &size);
    const struct body *rest = taking->head->file.len > 0 ? NULL : taking->body;
    queue_write(taking->queue, RECORD_HELD, packed, size, rest, held_written, taking);
}

static int write_file(void *context)
{
    struct taking *taking = context;
    return pieces_file_write(taking->folder, (const char *)taking->head->file.data,
                             (struct span){0}, taking->body);
}

static void file_written(void *context, int result)
{
    struct taking *taking = context;
    struct queue *self = taking->queue;
    if (result == 0) {
        write_held(taking);
        return;
    }
    log_error("deferred-file.failed", "file=%s error=%d", (const char *)taking->head->file.data,
              result);
    taking->next = self->untaken;
    self->untaken = taking;
}

static void write_to_file(struct taking *taking)
{
    if (taking->queue->ops->work(taking->queue->io, write_file, file_written, taking) < 0)
        file_written(taking, EAGAIN);
}

void queue_take_again(struct queue *self)
{
    struct taking *taking = self->untaken;
    self->untaken = NULL;
    while (taking) {
        struct taking *next = taking->next;
        write_to_file(taking);
        taking = next;
    }
}

void queue_untaken_free(struct queue *self)
{
    while (self->untaken) {
        struct taking *gone = self->untaken;
        self->untaken = gone->next;
        postern__held__free_unpacked(gone->head, NULL);
        free(gone->folder);
        free(gone);
    }
}

void held_file_name(const Postern__Held *head, char ret_name[HELD_NAME_SIZE])
{
    struct ulid id;
    char text[ULID_TEXT];
    memcpy(id.bytes, head->envelope->id.data, ULID_SIZE);
    ulid_format(&id, text);
    // Groups of one mail share its id, never a recipient.
    snprintf(ret_name, HELD_NAME_SIZE, "%s-%u", text, head->group);
}

static Postern__Held *copy_head(const Postern__Held *head)
{
    size_t size;
    uint8_t *packed = pack(&head->base, &size);
    Postern__Held *copy = postern__held__unpack(&unpack_allocator, size, packed);
    free(packed);
    return copy;
}

void queue_take(struct queue *self, const Postern__Held *head, const struct body *body,
                notice_fn *fn, void *context)
{
    struct taking *taking = allocate(sizeof(*taking));
    char folder[512], name[HELD_NAME_SIZE];
    *taking = (struct taking){.queue = self, .body = body, .fn = fn, .context = context};
    taking->head = copy_head(head);
    if (body->size <= RECORD_BODY_MOST) {
        write_held(taking);
        return;
    }
    held_file_name(taking->head, name);
    taking->head->file.data = (uint8_t *)duplicate(name);
    taking->head->file.len = strlen(name);
    taking->folder = duplicate(queued_folder(self, "", folder, sizeof(folder)));
    write_to_file(taking);
}

// -- a job that is deferred

struct deferral {
    struct queued *job;
    size_t count;
    unsigned at[];
};

static void replies_of(const struct queued *mail, const unsigned *at, size_t count,
                       Postern__Held *head)
{
    head->recipients = allocate((count + 1) * sizeof(*head->recipients));
    head->replies = allocate((count + 1) * sizeof(*head->replies));
    head->n_recipients = head->n_replies = count;
    for (size_t i = 0; i < count; i++) {
        const struct queued_recipient *recipient = &mail->recipients[at[i]];
        head->recipients[i] = recipient->index;
        head->replies[i].data = (uint8_t *)recipient->reply;
        head->replies[i].len = strlen(recipient->reply);
    }
}

// Custody is ours: ingress may end its own.
static void job_held(void *context, struct queued *mail)
{
    struct deferral *deferral = context;
    struct queued *job = deferral->job;
    for (size_t i = 0; i < deferral->count; i++) {
        const struct queued_recipient *recipient = &job->recipients[deferral->at[i]];
        mail->recipients[i].hop = recipient->hop ? duplicate(recipient->hop) : NULL;
        claim_outcome(job->queue, job->job->ingress, &job->id, recipient->index,
                      POSTERN__DISPOSITION__DISPOSITION_DEFERRED, recipient->reply, recipient->hop,
                      mail->keeping);
        queued_ended(job, deferral->at[i]);
    }
    queued_write_tried(mail);
    queued_schedule(mail, mail->next_ms);
    job->writing--;
    free(deferral);
    queued_settle(job);
}

void queued_hold(struct queued *mail, const unsigned *at, size_t count)
{
    struct queue *self = mail->queue;
    struct deferral *deferral = allocate(sizeof(*deferral) + count * sizeof(*at));
    deferral->job = mail;
    deferral->count = count;
    memcpy(deferral->at, at, count * sizeof(*at));
    for (size_t i = 0; i < count; i++) {
        mail->recipients[at[i]].state = QUEUED_ENDING;
        queued_log(mail, "deferred", at[i]);
    }
    Postern__Held head = POSTERN__HELD__INIT;
    Postern__Envelope envelope = *mail->envelope;
    envelope.received_field = envelope.big =
        (ProtobufCBinaryData){0, NULL}; // they stand in the bytes now
    envelope.id = (ProtobufCBinaryData){ULID_SIZE, mail->id.bytes};
    envelope.size = mail->body.size;
    head.envelope = &envelope;
    head.ingress = mail->job->ingress;
    head.group = mail->recipients[at[0]].index;
    head.attempts = 1;
    head.last_ms = self->ops->now_ms(self->io);
    head.next_ms = schedule_next_ms(&self->schedule, 1, envelope.received_ms, head.last_ms,
                                    self->ops->random(self->io));
    head.message_id = mail->job->message_id;
    head.subject = mail->job->subject;
    head.from = mail->job->from;
    replies_of(mail, at, count, &head);
    mail->writing++;
    queue_take(self, &head, &mail->body, job_held, deferral);
    free(head.recipients);
    free(head.replies);
}

// -- a mail born here

struct birth {
    struct buffer message;
    struct body body;
    notice_fn *fn;
    void *context;
};

static void born(void *context, struct queued *mail)
{
    struct birth *birth = context;
    buffer_free(&birth->message);
    body_free(&birth->body);
    if (birth->fn)
        birth->fn(birth->context, mail);
    else
        queued_schedule(mail, mail->next_ms);
    free(birth);
}

void queue_own(struct queue *self, const Postern__Held *head, struct buffer *message, notice_fn *fn,
               void *context)
{
    struct birth *birth = allocate(sizeof(*birth));
    birth->message = *message;
    buffer_init(message);
    birth->fn = fn;
    birth->context = context;
    struct span bytes = {buffer_bytes(&birth->message), buffer_size(&birth->message)};
    int rc = body_make(&birth->body, (struct span){0}, NULL, 0, bytes);
    assert(rc == 0); // nothing to splice
    queue_take(self, head, &birth->body, born, birth);
}
