// SPDX-License-Identifier: Apache-2.0
#include "ingress/mail.h"

#include "core/base/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void mail_list_add(struct mail_list *list, struct mail *mail)
{
    struct mail_link *link = &mail->links[list->purpose];
    assert(!link->list);
    link->list = list;
    link->next = NULL;
    link->previous = list->last;
    if (list->last)
        list->last->links[list->purpose].next = mail;
    else
        list->first = mail;
    list->last = mail;
    list->count++;
}

void mail_list_remove(struct mail *mail, enum mail_purpose purpose)
{
    struct mail_link *link = &mail->links[purpose];
    struct mail_list *list = link->list;
    if (!list)
        return;
    if (link->previous)
        link->previous->links[purpose].next = link->next;
    else
        list->first = link->next;
    if (link->next)
        link->next->links[purpose].previous = link->previous;
    else
        list->last = link->previous;
    list->count--;
    *link = (struct mail_link){0};
}

struct mail *mail_find(const struct custody *self, const ProtobufCBinaryData *id)
{
    return id->len == ULID_SIZE ? table_get(self->mails, id->data, id->len) : NULL;
}

struct mail *mail_new(struct custody *self, Postern__Envelope *envelope, const struct ulid *id)
{
    struct mail *mail = allocate(sizeof(*mail));
    mail->custody = self;
    mail->id = *id;
    mail->envelope = envelope;
    mail->unattended_from = self->unattended_ms;
    mail->open = (unsigned)envelope->n_recipients;
    mail->states = allocate(envelope->n_recipients + 1);
    table_put(self->mails, id->bytes, ULID_SIZE, mail);
    return mail;
}

void mail_free(struct mail *mail)
{
    while (mail->jobs)
        job_end(mail->jobs);
    mail_list_remove(mail, FOR_WORK);
    mail_list_remove(mail, FOR_CLIENT);
    table_remove(mail->custody->mails, mail->id.bytes, ULID_SIZE);
    postern__envelope__free_unpacked(mail->envelope, NULL);
    if (mail->verdict)
        postern__verdict__free_unpacked(mail->verdict, NULL);
    free(mail->ends);
    free(mail->states);
    free(mail);
}

void mail_keep_end(struct mail *mail, struct position where)
{
    mail->ends = reallocate(mail->ends, (mail->end_count + 1) * sizeof(mail->ends[0]));
    mail->ends[mail->end_count++] = where;
}

void mail_ended(struct mail *mail)
{
    struct custody *self = mail->custody;
    for (size_t i = 0; i + 1 < mail->end_count; i++)
        self->ops->release_after(self->io, mail->place, mail->ends[i]);
    self->ops->release_ended(self->io, mail->place, mail->ends[mail->end_count - 1]);
    self->ops->ended(self->io, mail->envelope);
    mail_free(mail);
}

void mail_answer(struct mail *mail, enum answer answer, const char *text)
{
    answer_fn *fn = mail->answer;
    mail->answer = NULL;
    mail_list_remove(mail, FOR_CLIENT);
    if (fn)
        fn(mail->answer_context, answer, text);
}
