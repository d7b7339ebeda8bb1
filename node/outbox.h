// SPDX-License-Identifier: Apache-2.0
#pragma once

// The worker's outbox: takes event records from the stages exactly once, numbers them, keeps them
// until every master has them. Events are published only once they are durable; the cursors of the
// stages' journals stand in the same records (DESIGN 6).
#include "core/stream/producer.h"
#include "node/bundle.h"
#include "proto/control.pb-c.h"
#include "proto/event.pb-c.h"
#include "proto/stream.pb-c.h"

struct loop;
struct outbox;

struct outbox_ops {
    bundle_publish_fn *publish;
    void (*taken)(void *context, unsigned stage, unsigned slot, const Postern__Taken *taken);
    void (*epoch_changed)(void *context); // say hello anew
    void *context;
};

// Opens `folder` (blocks: before the loop runs). `master_keys` are the member masters. `node` is
// borrowed. NULL with errno.
struct outbox *outbox_new(struct loop *loop, const char *folder, const char *node,
                          const char *const *master_keys, unsigned master_count,
                          const struct outbox_ops *ops);
void outbox_destroy(struct outbox **self);

// The member masters are these from now on.
void outbox_masters(struct outbox *self, const char *const *master_keys, unsigned master_count);
void outbox_take(struct outbox *self, const Postern__Taking *taking);
void outbox_note(struct outbox *self, const Postern__Event *event); // node's own
// A word with a master: who it is and what it has; what it has acknowledged.
void outbox_hello(struct outbox *self, unsigned master, const Postern__MasterHello *hello);
void outbox_acknowledge(struct outbox *self, unsigned master, const Postern__Ack *ack);
// With nobody listening there is no hurry, and fewer, fuller records are written.
void outbox_hurry(struct outbox *self, int listening);

const struct producer *outbox_producer(const struct outbox *self);
struct journal *outbox_journal(const struct outbox *self);
// The epoch is durable and may be told. A master that heard of a new one, which a crash then took
// back, would no more see that the disk was rolled back.
int outbox_settled(const struct outbox *self);
unsigned outbox_percent(const struct outbox *self); // of the disk that it may take
int outbox_quiet(const struct outbox *self);        // everything taken is durable
