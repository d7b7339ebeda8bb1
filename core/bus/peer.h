// SPDX-License-Identifier: Apache-2.0
#pragma once

// One receiver's pipe: a PUSH of its own, and the records gathered for it until they leave as one
// frame.
#include "core/bus/bus.h"

struct peer;

// `fn` hears when the pipe connects or breaks. NULL with errno.
struct peer *peer_new(struct loop *loop, const char *run, enum stage stage, unsigned slot,
                      bus_peer_fn *fn, void *context);
void peer_destroy(struct peer **self); // does not tell `fn`
// Somebody bound the path anew: drops what was meant for the one before, and connects again.
void peer_renew(struct peer *self);
int peer_connected(const struct peer *self);
// Gathers a record. 0, or -1 with EAGAIN or EMSGSIZE as bus_send.
NODISCARD int peer_add(struct peer *self, enum bus_type type, const ProtobufCMessage *message);
// Sends what is gathered, or keeps it until the pipe has room.
void peer_flush(struct peer *self);
