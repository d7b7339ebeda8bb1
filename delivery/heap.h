// SPDX-License-Identifier: Apache-2.0
#pragma once

// The held mails of a queue by the time of their next try: a binary heap.
#include "delivery/queue.h"

void heap_add(struct queue *self, struct queued *mail);    // by its next_ms
void heap_remove(struct queue *self, struct queued *mail); // nothing when it is not in it
struct queued *heap_first(const struct queue *self);       // NULL when empty
