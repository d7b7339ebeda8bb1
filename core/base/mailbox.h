// SPDX-License-Identifier: Apache-2.0
#pragma once

// A bounded queue from other threads to a loop (or from a loop to a thread), woken by an eventfd.
#include "core/base/base.h"

struct loop;
struct mailbox;

// `fn` runs on the loop for each item, in order.
typedef void mailbox_fn(void *context, void *item);
struct mailbox *mailbox_new(size_t most);
void mailbox_destroy(struct mailbox **self); // items left in it are the caller's loss: drain first
NODISCARD int mailbox_put(struct mailbox *self, void *item);           // -1 when full (EAGAIN) or closed (EPIPE), never blocks
void mailbox_attach(struct mailbox *self, struct loop *loop, mailbox_fn *fn, void *context);
void mailbox_detach(struct mailbox *self); // the loop hears no more; what is in it can be waited for
void *mailbox_wait(struct mailbox *self, int64_t timeout_ms);          // for threads: NULL at timeout (negative: never), or when closed and empty
void mailbox_close(struct mailbox *self);                              // wakes the waiting thread
