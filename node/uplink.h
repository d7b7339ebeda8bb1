// SPDX-License-Identifier: Apache-2.0
#pragma once

// The worker's doors to its masters: for each a DEALER for talk, a PUB for events, a SUB for
// announcements. Says Hello at each new session and until it is answered.
#include "core/base/nodeconf.h"
#include "core/bus/control.h"
#include "core/bus/keys.h"
#include "node/outbox.h"
#include "proto/control.pb-c.h"
#include "proto/quarantine.pb-c.h"

struct loop;
struct uplink;

// A message from a master, unpacked; each valid during the call.
struct uplink_ops {
    void (*replay)(void *context, unsigned master, const Postern__ReplayRequest *request);
    // What it holds of the configuration; with its Hello the key it signs with, else empty.
    void (*holds)(void *context, unsigned master, Postern__ConfigNames *const *holds, size_t count,
                  struct span sign);
    void (*config)(void *context, unsigned master, const Postern__ConfigRevisions *message);
    void (*wanted)(void *context, unsigned master, const Postern__ConfigRequest *request);
    void (*command)(void *context, unsigned master, const Postern__Command *command);
    void (*body)(void *context, unsigned master, const Postern__BodyRequest *request);
    void (*given)(void *context, unsigned master, const Postern__BodyGiven *given);
    void (*held)(void *context, unsigned master, const Postern__BodiesHeld *held);
    void (*session)(void *context, unsigned master); // it has answered our Hello
    // revision, tree and holds, each until the next change; the caller frees the packed holds
    void (*running)(void *context, Postern__ConfigReport *ret);
    void *context;
};

// Borrows conf and outbox. NULL with errno.
struct uplink *uplink_new(struct loop *loop, const struct nodeconf *conf,
                          const struct curve_keys *keys, struct outbox *outbox,
                          const struct uplink_ops *ops);
void uplink_destroy(struct uplink **self);
// conf's masters have changed: opens the doors that are new, closes those that are gone.
void uplink_follow(struct uplink *self);

// New keys for this node: all doors are opened anew.
void uplink_rekey(struct uplink *self, const struct curve_keys *keys);
void uplink_publish(struct uplink *self, enum topic topic, const Postern__Publication *publication);
void uplink_heartbeat(struct uplink *self, const char *status); // JSON
void uplink_hello(struct uplink *self); // to all: something about us changed
// 0, or -1 with EAGAIN.
NODISCARD int uplink_send(struct uplink *self, unsigned master, enum control_type type,
                          const ProtobufCMessage *message);
int uplink_heard(const struct uplink *self, unsigned master); // within the last 10 s
unsigned uplink_count(const struct uplink *self);
