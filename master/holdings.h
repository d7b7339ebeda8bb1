// SPDX-License-Identifier: Apache-2.0
#pragma once

// What this master holds, as an answer to a master that compares: to the peer, and to ourselves.
#include "core/bus/control.h"
#include "master/store/store.h"
#include "proto/peer.pb-c.h"

enum {
    HOLDINGS_STREAMS = 4096,     // the newest, in one comparison
    HOLDINGS_RANGES = 4096,      // in one answer
    HOLDINGS_BYTES = 256 * 1024, // of events in one answer
    HOLDINGS_NODE = 64,          // a node's name with its 0
};

// For CONTROL_PEER_SUMMARY, _RANGES, _ROWS and _EVENTS; on the writer's thread. NULL: the question
// makes no sense, or the store cannot be read (logged). The caller frees.
Postern__PeerAnswer *holdings_answer(struct store *store, enum control_type type,
                                     const Postern__PeerAsk *ask);
// A node's name from a message; -1: it is none.
NODISCARD int holdings_name(const ProtobufCBinaryData *data, char ret[HOLDINGS_NODE]);
