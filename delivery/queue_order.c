// SPDX-License-Identifier: Apache-2.0
// What an operator may do with held mail.
#include "delivery/heap.h"
#include "delivery/queued.h"

#include <stdlib.h>
#include <string.h>

static int chosen(const struct queued *mail, const struct ulid *id)
{
    return mail->head && mail->open > 0 &&
           (!id || memcmp(mail->id.bytes, id->bytes, ULID_SIZE) == 0);
}

size_t queue_each(struct queue *self, const struct ulid *id, size_t most, queue_each_fn *fn,
                  void *context)
{
    size_t count = 0;
    for (const struct queued *mail = self->all; mail && count < most; mail = mail->next) {
        if (!chosen(mail, id))
            continue;
        fn(context, mail);
        count++;
    }
    return count;
}

size_t queue_retry(struct queue *self, const struct ulid *id)
{
    size_t count = 0;
    for (struct queued *mail = self->all; mail; mail = mail->next) {
        if (!chosen(mail, id))
            continue;
        mail->frozen = 0;
        count++;
        if (mail->out == 0 && !mail->loading && !mail->moving)
            queued_schedule(mail, self->ops->now_ms(self->io));
    }
    return count;
}

size_t queue_freeze(struct queue *self, const struct ulid *id)
{
    size_t count = 0;
    for (struct queued *mail = self->all; mail; mail = mail->next) {
        if (!chosen(mail, id))
            continue;
        mail->frozen = 1;
        heap_remove(self, HEAP_DUE, mail);
        queued_move(mail); // its new record says so after a restart, too
        count++;
    }
    return count;
}

// Who is being tried at this moment is out of reach.
static size_t discard_one(struct queued *mail)
{
    unsigned *at = allocate((mail->count + 1) * sizeof(*at));
    size_t count = 0;
    for (unsigned i = 0; i < mail->count; i++)
        if (mail->recipients[i].state == QUEUED_OPEN)
            at[count++] = i;
    if (mail->out > 0 || mail->loading || mail->moving)
        count = 0;
    if (count > 0) {
        heap_remove(mail->queue, HEAP_DUE, mail);
        queued_discarded(mail, at, count);
    }
    free(at);
    return count > 0;
}

size_t queue_discard(struct queue *self, const struct ulid *id)
{
    size_t count = 0;
    struct queued *next;
    for (struct queued *mail = self->all; mail; mail = next) {
        next = mail->next;
        if (chosen(mail, id))
            count += discard_one(mail);
    }
    return count;
}
