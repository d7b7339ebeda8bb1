// SPDX-License-Identifier: Apache-2.0
#include "ingress/spool.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/ulid.h"
#include "ingress/big.h"
#include "ingress/custody.h"
#include "ingress/received.h"
#include "ingress/spool_owner.h"
#include "mail/heading.h"
#include "mail/mime.h"
#include "mail/spooled.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CUSTODY_MOST = 200000 }; // messages in custody before new mail is put off

struct spool {
    struct custody *custody;
    struct journal *journal;
    struct settings *settings;
    const char *hostname;
    const char *big_folder;
    uint64_t memory; // bytes in all intakes
};

struct intake {
    struct spool *spool;
    struct buffer bytes;
    uint64_t counted; // of the budget
    uint64_t written; // bytes already handed to the big file
    struct ulid id;
    struct big_file *big;       // NULL while it fits in memory
    Postern__Envelope *heading; // of a big one, whose front leaves the memory first
};

struct ticket {
    struct spool *spool;
    struct mail *mail;
    answer_fn *answer; // NULL: forgotten
    void *context;
    Postern__Envelope *envelope; // while the big file is being synced
    int committing;              // within spool_commit
    int answered;
};

struct spool *spool_new(struct custody *custody, struct journal *journal, struct settings *settings,
                        const char *hostname, const char *big_folder)
{
    struct spool *self = allocate(sizeof(*self));
    self->custody = custody;
    self->journal = journal;
    self->settings = settings_retain(settings);
    self->hostname = hostname;
    self->big_folder = big_folder;
    return self;
}

void spool_destroy(struct spool **self)
{
    if (!*self)
        return;
    settings_release(&(*self)->settings);
    free(*self);
    *self = NULL;
}

void spool_settings(struct spool *self, struct settings *settings)
{
    settings_release(&self->settings);
    self->settings = settings_retain(settings);
}

int spool_room(struct spool *self, uint64_t size)
{
    errno = 0;
    if (!journal_accepts(self->journal))
        errno = ENOSPC;
    else if (self->memory + (size < self->settings->big_from ? size : self->settings->big_from) >
             self->settings->memory_max)
        errno = ENOMEM;
    else if (custody_count(self->custody) >= CUSTODY_MOST)
        errno = EAGAIN;
    return errno ? -1 : 0;
}

struct intake *spool_begin(struct spool *self)
{
    struct intake *intake = allocate(sizeof(*intake));
    intake->spool = self;
    intake->id = ulid_new(clock_wall_ms());
    buffer_init(&intake->bytes);
    return intake;
}

struct buffer *intake_buffer(struct intake *self)
{
    return &self->bytes;
}

uint64_t intake_size(const struct intake *self)
{
    return self->written + buffer_size(&self->bytes);
}

void intake_id(const struct intake *self, char ret_text[ULID_TEXT])
{
    ulid_format(&self->id, ret_text);
}

static void count_memory(struct intake *self)
{
    self->spool->memory += buffer_size(&self->bytes) - self->counted;
    self->counted = buffer_size(&self->bytes);
}

static void read_heading(const struct intake *self, Postern__Envelope *ret)
{
    const struct settings *settings = self->spool->settings;
    struct header_limits limits = {settings->headers_max, settings->header_bytes_max};
    struct span bytes = {buffer_bytes(&self->bytes), buffer_size(&self->bytes)};
    heading_read(ret, bytes, &limits);
}

// Beyond `big_from` the bytes go to a file as they arrive. What the disk thread does not take at
// once stays in memory, where the budget bounds it.
static int spill(struct intake *self)
{
    struct spool *spool = self->spool;
    if (!self->big) {
        char name[ULID_TEXT];
        ulid_format(&self->id, name);
        self->heading = allocate(sizeof(*self->heading));
        postern__envelope__init(self->heading);
        read_heading(self, self->heading);
        self->big = big_file_new(spool->journal, spool->big_folder, name);
    }
    if (big_file_failed(self->big)) {
        errno = big_file_failed(self->big);
        return -1;
    }
    uint64_t size = buffer_size(&self->bytes);
    if (big_file_write(self->big, &self->bytes) == 0)
        self->written += size;
    return 0;
}

int intake_added(struct intake *self)
{
    const struct settings *settings = self->spool->settings;
    count_memory(self);
    if (intake_size(self) > settings->message_max) {
        errno = EFBIG;
        return -1;
    }
    if (self->spool->memory > settings->memory_max) {
        errno = ENOMEM;
        return -1;
    }
    if (buffer_size(&self->bytes) >= settings->big_from ||
        (self->big && buffer_size(&self->bytes) >= BIG_CHUNK)) {
        if (spill(self) < 0)
            return -1;
        count_memory(self);
    }
    return 0;
}

static void intake_free(struct intake *self)
{
    self->spool->memory -= self->counted;
    buffer_free(&self->bytes);
    if (self->heading)
        postern__envelope__free_unpacked(self->heading, NULL);
    free(self);
}

void intake_cancel(struct intake **self)
{
    if (!*self)
        return;
    if ((*self)->big)
        big_file_remove(&(*self)->big);
    intake_free(*self);
    *self = NULL;
}

// -- commit

static void ticket_answered(void *context, enum answer answer, const char *text)
{
    struct ticket *self = context;
    answer_fn *fn = self->answer;
    void *fn_context = self->context;
    self->answered = 1;
    if (!self->committing)
        free(self);
    if (fn)
        fn(fn_context, answer, text);
}

static void set_bytes(ProtobufCBinaryData *ret, const void *data, size_t size)
{
    ret->data = duplicate_bytes(data, size);
    ret->len = size;
}

static void move_heading(Postern__Envelope *from, Postern__Envelope *to)
{
    to->message_id = from->message_id;
    to->subject = from->subject;
    to->from = from->from;
    from->message_id = from->subject = from->from = (ProtobufCBinaryData){0, NULL};
}

static void complete_envelope(struct intake *intake, Postern__Envelope *envelope)
{
    char id[ULID_TEXT];
    ulid_format(&intake->id, id);
    set_bytes(&envelope->id, intake->id.bytes, ULID_SIZE);
    envelope->size = intake_size(intake);
    if (intake->big) {
        set_bytes(&envelope->big, id, strlen(id));
        move_heading(intake->heading, envelope);
    } else {
        read_heading(intake, envelope);
    }
    struct buffer field;
    buffer_init(&field);
    received_field_build(&field, envelope, intake->spool->hostname, id);
    set_bytes(&envelope->received_field, buffer_bytes(&field), buffer_size(&field));
    buffer_free(&field);
}

static void hand_over(struct ticket *ticket, Postern__Envelope *envelope,
                      const struct buffer *bytes)
{
    size_t head_size;
    void *head = spooled_head(envelope, &head_size);
    struct iovec pieces[2] = {{head, head_size}, {NULL, 0}};
    if (bytes)
        pieces[1] = (struct iovec){(void *)buffer_bytes(bytes), buffer_size(bytes)};
    ticket->mail = custody_accept(ticket->spool->custody, envelope, pieces, bytes ? 2 : 1,
                                  ticket_answered, ticket);
    free(head);
}

static void big_synced(void *context, int error)
{
    struct ticket *ticket = context;
    Postern__Envelope *envelope = ticket->envelope;
    ticket->envelope = NULL;
    if (error == 0) {
        ticket->committing = 1;
        hand_over(ticket, envelope, NULL);
        ticket->committing = 0;
        if (ticket->answered)
            free(ticket);
        return;
    }
    log_error("big.failed", "errno=%d", error);
    postern__envelope__free_unpacked(envelope, NULL);
    ticket_answered(ticket, error == ENOSPC ? ANSWER_NO_SPACE : ANSWER_TRY_AGAIN,
                    "the spool cannot take the message now");
}

struct ticket *spool_commit(struct spool *self, struct intake **intake, Postern__Envelope *envelope,
                            answer_fn *fn, void *context)
{
    struct intake *taken = *intake;
    *intake = NULL;
    struct ticket *ticket = allocate(sizeof(*ticket));
    *ticket = (struct ticket){.spool = self, .answer = fn, .context = context, .committing = 1};
    complete_envelope(taken, envelope);
    if (taken->big) {
        ticket->envelope = envelope;
        big_file_finish(&taken->big, &taken->bytes, big_synced, ticket);
    } else {
        hand_over(ticket, envelope, &taken->bytes);
    }
    intake_free(taken);
    ticket->committing = 0;
    if (!ticket->answered)
        return ticket;
    free(ticket);
    return NULL;
}

void ticket_forget(struct ticket *self)
{
    self->answer = NULL;
    if (!self->mail)
        return; // its big file is being synced: freed with the answer
    custody_forget(self->mail);
    free(self);
}
