// SPDX-License-Identifier: Apache-2.0
#include "delivery/heap.h"

#include "delivery/queued.h"

static int64_t key_of(const struct queued *mail, enum heap_order order)
{
    return order == HEAP_DUE ? mail->next_ms : mail->envelope->received_ms;
}

static int before(const struct queued *a, const struct queued *b, enum heap_order order)
{
    return key_of(a, order) < key_of(b, order);
}

// Places are counted from 1; the children of `at` are 2 * at and 2 * at + 1.
static struct queued *at_place(const struct queue *self, enum heap_order order, size_t at)
{
    return self->heaps[order].mails[at - 1];
}

static void put(struct queue *self, enum heap_order order, struct queued *mail, size_t at)
{
    self->heaps[order].mails[at - 1] = mail;
    mail->heap_at[order] = at;
}

static void rise(struct queue *self, enum heap_order order, struct queued *mail, size_t at)
{
    for (; at > 1 && before(mail, at_place(self, order, at / 2), order); at /= 2)
        put(self, order, at_place(self, order, at / 2), at);
    put(self, order, mail, at);
}

static void sink(struct queue *self, enum heap_order order, struct queued *mail, size_t at)
{
    size_t count = self->heaps[order].count;
    for (size_t child = 2 * at; child <= count; child = 2 * at) {
        if (child < count &&
            before(at_place(self, order, child + 1), at_place(self, order, child), order))
            child++;
        if (!before(at_place(self, order, child), mail, order))
            break;
        put(self, order, at_place(self, order, child), at);
        at = child;
    }
    put(self, order, mail, at);
}

void heap_add(struct queue *self, enum heap_order order, struct queued *mail)
{
    struct heap *heap = &self->heaps[order];
    if (heap->count == heap->room) {
        heap->room = heap->room ? heap->room * 2 : 64;
        heap->mails = reallocate(heap->mails, heap->room * sizeof(struct queued *));
    }
    rise(self, order, mail, ++heap->count);
}

void heap_remove(struct queue *self, enum heap_order order, struct queued *mail)
{
    size_t at = mail->heap_at[order];
    if (at == 0)
        return;
    mail->heap_at[order] = 0;
    struct queued *last = at_place(self, order, self->heaps[order].count--);
    if (last == mail)
        return;
    rise(self, order, last, at);
    sink(self, order, last, last->heap_at[order]);
}

struct queued *heap_first(const struct queue *self, enum heap_order order)
{
    return self->heaps[order].count > 0 ? at_place(self, order, 1) : NULL;
}
