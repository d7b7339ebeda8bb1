// SPDX-License-Identifier: Apache-2.0
#pragma once

// The link to the other master. A DEALER of ours stands at its port 7701, one of its own at ours;
// each side pulls by requests of its own, and an answer comes back where its request went out.
// One table for each direction (peer.c): a type, its message, its handler; core/bus/roles has a row
// for each type.
#include "core/bus/control.h"
#include "master/master.h"

struct peer;

// Nobody is asked until peer_follow has named the other master; whoever is a member with the role
// `master` is answered.
struct peer *peer_new(struct master *master);
void peer_destroy(struct peer **self);
// Who the other master is, as the configuration says; NULL: there is none.
void peer_follow(struct peer *self, const struct master_address *address);
void peer_tick(struct peer *self);  // a few times a second
void peer_hello(struct peer *self); // at once: something about us changed

// A message of a member with role `master` on our ROUTER, of a type that it may send.
void peer_asked(struct peer *self, struct member *member, enum control_type type,
                const uint8_t *data, size_t size);
// A request to the peer. -1: EAGAIN, there is no session or no room.
NODISCARD int peer_ask(struct peer *self, enum control_type type, const ProtobufCMessage *message);

int peer_known(const struct peer *self);              // there is one
const char *peer_name(const struct peer *self);       // empty: there is none
int peer_connected(const struct peer *self);          // it answers
int64_t peer_clock_ahead_ms(const struct peer *self); // its clock before ours, as it last said
// Events that the peer holds and we lack, as far as the watermarks tell.
uint64_t peer_lag(const struct peer *self);
json_t *peer_status(const struct peer *self); // for `status`; null when there is no peer
