// SPDX-License-Identifier: Apache-2.0
#include "delivery/heap.h"

#include "delivery/queued.h"

// Places are counted from 1; the children of `at` are 2 * at and 2 * at + 1.
static struct queued *at_place(const struct queue *self, size_t at)
{
    return self->heap[at - 1];
}

static void put(struct queue *self, struct queued *mail, size_t at)
{
    self->heap[at - 1] = mail;
    mail->heap_at = at;
}

static void rise(struct queue *self, struct queued *mail, size_t at)
{
    for (; at > 1 && mail->next_ms < at_place(self, at / 2)->next_ms; at /= 2)
        put(self, at_place(self, at / 2), at);
    put(self, mail, at);
}

static void sink(struct queue *self, struct queued *mail, size_t at)
{
    for (size_t child = 2 * at; child <= self->heap_count; child = 2 * at) {
        if (child < self->heap_count &&
            at_place(self, child + 1)->next_ms < at_place(self, child)->next_ms)
            child++;
        if (mail->next_ms <= at_place(self, child)->next_ms)
            break;
        put(self, at_place(self, child), at);
        at = child;
    }
    put(self, mail, at);
}

void heap_add(struct queue *self, struct queued *mail)
{
    if (self->heap_count == self->heap_room) {
        self->heap_room = self->heap_room ? self->heap_room * 2 : 64;
        self->heap = reallocate(self->heap, self->heap_room * sizeof(struct queued *));
    }
    rise(self, mail, ++self->heap_count);
}

void heap_remove(struct queue *self, struct queued *mail)
{
    size_t at = mail->heap_at;
    if (at == 0)
        return;
    mail->heap_at = 0;
    struct queued *last = at_place(self, self->heap_count--);
    if (last == mail)
        return;
    rise(self, last, at);
    sink(self, last, last->heap_at);
}

struct queued *heap_first(const struct queue *self)
{
    return self->heap_count > 0 ? at_place(self, 1) : NULL;
}
