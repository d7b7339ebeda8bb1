// SPDX-License-Identifier: Apache-2.0
#pragma once

// A spool for sessions without disk and analyzers: keeps the last message, answers as told. To be
// included by one file of a program, whose definitions then stand in for ingress/spool.c.
#include "ingress/received.h"
#include "ingress/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct spool {
    int room_error; // what spool_room says
    uint64_t message_max;
    int late; // answers come by fake_spool_answer, not within spool_commit
    enum answer answer;
    const char *text;
    unsigned committed, open; // messages; intakes not yet ended
    unsigned forgotten;
    struct buffer message; // the last one
    Postern__Envelope *envelope;
    answer_fn *fn;
    void *context;
};

struct intake {
    struct spool *spool;
    struct buffer bytes;
};

struct ticket {
    struct spool *spool;
};

static struct ticket the_ticket;

int spool_room(struct spool *self, uint64_t size)
{
    (void)size;
    errno = self->room_error;
    return errno ? -1 : 0;
}

struct intake *spool_begin(struct spool *self)
{
    struct intake *intake = allocate(sizeof(*intake));
    intake->spool = self;
    self->open++;
    return intake;
}

struct buffer *intake_buffer(struct intake *self)
{
    return &self->bytes;
}

int intake_added(struct intake *self)
{
    errno = EFBIG;
    return buffer_size(&self->bytes) > self->spool->message_max ? -1 : 0;
}

uint64_t intake_size(const struct intake *self)
{
    return buffer_size(&self->bytes);
}

void intake_id(const struct intake *self, char ret_text[ULID_TEXT])
{
    (void)self;
    memcpy(ret_text, "01HF7YAT31J4ZZ8PWVD3Q0T5XS", ULID_TEXT);
}

void intake_cancel(struct intake **self)
{
    if (!*self)
        return;
    (*self)->spool->open--;
    buffer_free(&(*self)->bytes);
    free(*self);
    *self = NULL;
}

static void fake_spool_forget(struct spool *self)
{
    buffer_free(&self->message);
    if (self->envelope)
        postern__envelope__free_unpacked(self->envelope, NULL);
    self->envelope = NULL;
}

struct ticket *spool_commit(struct spool *self, struct intake **intake, Postern__Envelope *envelope,
                            answer_fn *fn, void *context)
{
    fake_spool_forget(self);
    self->message = (*intake)->bytes;
    self->envelope = envelope;
    self->committed++;
    self->open--;
    free(*intake);
    *intake = NULL;
    if (!self->late) {
        fn(context, self->answer, self->text);
        return NULL;
    }
    self->fn = fn;
    self->context = context;
    the_ticket.spool = self;
    return &the_ticket;
}

void ticket_forget(struct ticket *self)
{
    self->spool->fn = NULL;
    self->spool->forgotten++;
}
