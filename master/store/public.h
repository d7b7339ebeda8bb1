// SPDX-License-Identifier: Apache-2.0
#pragma once

// Events as monitoring tools see them (proto/public.proto), and as JSON.
#include "master/store/store.h"
#include "proto/public.pb-c.h"

struct ulid;
// Appends the event, packed, without its commit number. `id` is the message's or NULL; `message_id`
// is what the store knows when the event does not say it.
void public_pack(const struct store_event *at, const struct ulid *id, const char *message_id,
                 struct buffer *out);
// Reads it back. NULL: it is none. To be freed by postern__public_event__free_unpacked.
Postern__PublicEvent *public_read(const void *packed, size_t size, uint64_t commit);
// Appends it as one line of JSON, with a line feed.
void public_json(const Postern__PublicEvent *event, struct buffer *out);

// What a reader wants to see; NULL: anything. Texts are compared without regard to case; an address
// may be "@domain".
struct public_filter {
    const char *kind, *node, *sender, *recipient;
};
int public_matches(const Postern__PublicEvent *event, const struct public_filter *filter);
