// SPDX-License-Identifier: Apache-2.0
#pragma once

// Configuration revisions between this master and everybody else: nodes and the other master are
// given what they lack, and give what is lacking here. And which edits the other master holds.
#include "core/bus/control.h"
#include "core/config/transfer.h"
#include "master/master.h"

struct replicate;

struct replicate *replicate_new(struct master *master);
void replicate_destroy(struct replicate **self); // edits that wait are answered: unreplicated
void replicate_tick(struct replicate *self);     // a few times a second

// A new tree is in force here.
void replicate_follow(struct replicate *self, const json_t *tree);
const struct names *replicate_holds(const struct replicate *self);

// Somebody asks for what he lacks; the answer goes to that key as messages of the type.
void replicate_asked(struct replicate *self, const char *key, enum control_type type,
                     const Postern__ConfigRequest *request);
// A node tells what it holds: what is lacking here is asked for.
void replicate_node_holds(struct replicate *self, const struct member *member,
                          Postern__ConfigNames *const *holds, size_t count);
void replicate_returned(struct replicate *self, const Postern__ConfigRevisions *message);

// The other master tells what it holds, and by which key it signs.
void replicate_peer_holds(struct replicate *self, Postern__ConfigNames *const *holds, size_t count,
                          const ProtobufCBinaryData *sign);
void replicate_peer_gave(struct replicate *self, const Postern__ConfigRevisions *message);
int replicate_peer_has(const struct replicate *self, const char *revision);
// Revisions of ours that the other master lacks, as far as is known; 0 without one.
unsigned replicate_lacking(const struct replicate *self);

// Calls back once the other master holds the revision, or 2 s have passed without that, or at once
// where there is no other.
enum replicated { REPLICATED_ALONE, REPLICATED_BOTH, REPLICATED_NOT };
typedef void replicated_fn(void *context, enum replicated replicated);
void replicate_wait(struct replicate *self, const char *revision, replicated_fn *fn, void *context);
