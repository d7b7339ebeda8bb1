// SPDX-License-Identifier: Apache-2.0
#include "ingress/ledger.h"

#include "ingress/mail.h"

#include <stdlib.h>
#include <string.h>

struct job *job_new(struct peer *peer, struct mail *mail, const uint32_t *recipients, size_t count,
                    int64_t now_ms)
{
    struct job *self = allocate(sizeof(*self) + count * sizeof(self->recipients[0]));
    self->peer = peer;
    self->mail = mail;
    self->incarnation = peer->incarnation;
    self->round = peer->round;
    self->sent_ms = now_ms;
    self->recipient_count = count;
    if (count > 0)
        memcpy(self->recipients, recipients, count * sizeof(recipients[0]));
    self->next = peer->jobs;
    if (self->next)
        self->next->previous = self;
    peer->jobs = self;
    peer->job_count++;
    peer->bytes += mail->place.length;
    self->mail_next = mail->jobs;
    mail->jobs = self;
    return self;
}

void job_end(struct job *self)
{
    struct job **at = &self->mail->jobs;
    while (*at != self)
        at = &(*at)->mail_next;
    *at = self->mail_next;

    if (self->peer->walk.next == self)
        self->peer->walk.next = self->next;
    if (self->next)
        self->next->previous = self->previous;
    if (self->previous)
        self->previous->next = self->next;
    else
        self->peer->jobs = self->next;
    self->peer->job_count--;
    self->peer->bytes -= self->mail->place.length;
    free(self);
}

int job_holds(const struct job *self, uint32_t recipient)
{
    for (size_t i = 0; i < self->recipient_count; i++)
        if (self->recipients[i] == recipient)
            return 1;
    return 0;
}

void job_drop(struct job *self, uint32_t recipient)
{
    for (size_t i = 0; i < self->recipient_count; i++)
        if (self->recipients[i] == recipient) {
            self->recipients[i] = self->recipients[--self->recipient_count];
            return;
        }
}
