// SPDX-License-Identifier: Apache-2.0
#pragma once

// The held mails of a queue in binary heaps: by the time of their next try, and by their age.
#include "delivery/queue.h"

enum heap_order { HEAP_DUE, HEAP_AGE, HEAP_ORDERS }; // next_ms; when it was received

struct heap {
    struct queued **mails;
    size_t count, room;
};

void heap_add(struct queue *self, enum heap_order order, struct queued *mail);
// Nothing when it is not in it.
void heap_remove(struct queue *self, enum heap_order order, struct queued *mail);
struct queued *heap_first(const struct queue *self, enum heap_order order); // NULL when empty
