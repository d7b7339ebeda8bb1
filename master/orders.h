// SPDX-License-Identifier: Apache-2.0
#pragma once

// Orders about quarantined mail that have no outcome yet: given to the owner node again and again
// until its event tells one. They are durable in cluster.db before they come here. On the loop.
#include "master/cluster.h"
#include "master/master.h"
#include "proto/quarantine.pb-c.h"

struct orders *orders_new(struct master *master);
void orders_destroy(struct orders **self);
void orders_add(struct orders *self, const struct order *order); // known ones stay as they are
// writer_outcome_fn's part: the order has its outcome.
void orders_ended(struct orders *self, const char *key);
void orders_node_is_back(struct orders *self, const struct member *member);
void orders_hurry(struct orders *self, const char *node); // there is news of who carries them out
size_t orders_open_of(const struct orders *self, const char *node);
// The peer: it was away, it gives orders of its own, it keeps ours.
void orders_peer_is_back(struct orders *self);
void orders_given(struct orders *self, const char *route, const Postern__OrdersGiven *given);
void orders_kept(struct orders *self, const Postern__OrdersKept *kept);
void orders_tick(struct orders *self);
size_t orders_open(const struct orders *self);
