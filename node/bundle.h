// SPDX-License-Identifier: Apache-2.0
#pragma once

// Events that become one record of the outbox, and how far they bring the cursors.
#include "core/base/buffer.h"
#include "core/stream/cursors.h"
#include "core/stream/producer.h"
#include "proto/stream.pb-c.h"

enum { BUNDLE_FULL = 240 * 1024 }; // bytes of events; a frame of a replay is one bundle

enum topic { TOPIC_RESULT, TOPIC_QUARANTINE, TOPIC_NODE };

struct bundle_event {
    size_t offset; // in `bytes`
    uint32_t size;
    enum topic topic;
};

struct bundle {
    struct bundle *next;
    struct buffer bytes;
    struct bundle_event *events;
    size_t count, capacity;
    struct cursors changes;
    uint32_t time_s;       // set when it is packed, as are
    uint64_t mark, before; // its own, and that of the record before it
};

struct bundle *bundle_new(void);
void bundle_destroy(struct bundle **self);
void bundle_add(struct bundle *self, int kind, const void *event, size_t size);
int bundle_full(const struct bundle *self);

// The OutboxRecord, in `ret`. `committed` are the cursors before this bundle. Draws its mark.
void bundle_pack(struct bundle *self, const struct producer *producer,
                 const struct cursors *committed, struct buffer *ret);

// Calls `fn` with a Publication for each run of events that have one topic.
typedef void bundle_publish_fn(void *context, enum topic topic,
                               const Postern__Publication *publication);
void bundle_publish(const struct bundle *self, const char *node, uint64_t epoch, uint64_t first,
                    bundle_publish_fn *fn, void *context);
