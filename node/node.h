// SPDX-License-Identifier: Apache-2.0
#pragma once

// The parts of postern-node, and the words that pass between them.
#include "core/base/process.h"
#include "core/bus/bus.h"
#include "core/bus/keys.h"
#include "node/api.h"
#include "node/apply.h"
#include "node/bodies.h"
#include "node/commands.h"
#include "node/outbox.h"
#include "node/probes.h"
#include "node/replay.h"
#include "node/shelving.h"
#include "node/rotate.h"
#include "node/sockets.h"
#include "node/stages.h"
#include "node/supervise.h"
#include "node/uplink.h"
#include "node/watch.h"

struct loop;

struct node {
    struct process process;
    struct loop *loop;
    struct curve_keys keys;
    struct slot slot;
    struct sockets sockets;
    struct bus *bus;
    struct stages stages;
    struct outbox *outbox;
    struct replay *replay;
    struct uplink *uplink;
    struct apply *apply;
    struct supervise *supervise;
    struct commands *commands;
    struct bodies *bodies;
    struct shelving *shelving;
    struct api *api;
    struct rotate *rotate;
    struct probes *probes;
    struct watch_of_node watch;
    struct timer *second, *beat, *flush;
    unsigned brisk; // heartbeats that follow each other closely, after something changed
    int64_t flush_until_ms;
    char outbox_folder[128];
};

// Opens what `node` (process, loop, keys, slot and sockets are set) is made of. 0; or -1 with a
// message.
NODISCARD int node_open(struct node *self, char *ret_error, size_t error_size);
void node_close(struct node *self);
void node_drain(struct node *self); // stops the loop once all has ended
