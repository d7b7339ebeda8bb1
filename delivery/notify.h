// SPDX-License-Identifier: Apache-2.0
#pragma once

// Notifications (RFC 3464) as mails of the queue's own.
#include "delivery/dsn.h"
#include "delivery/queued.h"

// Notifies the sender of these recipients' fate, where it is wanted (RFC 3461); `tells` is copied:
// the event that the notification commits. 1 when `fn` will be called once it is durable, after
// which it waits for notice_told; 0 when nobody wants it. Without `fn` it leaves as soon as it is
// durable.
int notify(struct queued *mail, enum dsn_kind kind, const unsigned *at, size_t count,
           const void *tells, size_t tells_size, notice_fn *fn, void *context);
// The event that it tells is durable (in records that `keeping` keeps): records that, sends the
// notification.
void notice_told(struct queued *notice, struct keeping *keeping);
void notice_forget(struct queued *notice); // replay: it is recorded already
