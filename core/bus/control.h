// SPDX-License-Identifier: Apache-2.0
#pragma once

// The sockets between node and masters: DEALER/ROUTER control, PUB/SUB. Frames carry one type byte,
// then packed protobuf. The peer's identity is its User-Id (CURVE key), never a routing id.
#include "core/base/base.h"
#include <protobuf-c/protobuf-c.h>

struct loop;
struct curve_keys;
struct control;

enum control_type {
    CONTROL_NODE_HELLO = 1,
    CONTROL_MASTER_HELLO = 2,
    CONTROL_ACK = 3,
    CONTROL_REPLAY = 4,
    CONTROL_REPLAYED = 5, // Publication
    CONTROL_CONFIG_REQUEST = 6,
    CONTROL_CONFIG = 7,
    CONTROL_CONFIG_REPORT = 8,
    CONTROL_COMMAND = 9,
    CONTROL_REPLY = 10,
    CONTROL_BODY_REQUEST = 11,
    CONTROL_BODY = 12,
    CONTROL_CONFIG_WANTED = 16,   // ConfigRequest: a master lacks what the node holds
    CONTROL_CONFIG_RETURNED = 17, // ConfigRevisions
    CONTROL_BODIES_QUESTION = 18, // proto/quarantine.proto
    CONTROL_BODIES_HELD = 19,
    CONTROL_BODY_GIVEN = 20,
    CONTROL_PUBLICATION = 32, // 32 to 39 on PUB/SUB only
    CONTROL_HEARTBEAT = 33,
    CONTROL_ANNOUNCE = 34,   // carries a ConfigReport{revision}
    CONTROL_PEER_HELLO = 40, // 40 to 49 between masters
    CONTROL_PEER_SUMMARY = 41,
    CONTROL_PEER_RANGES = 42,
    CONTROL_PEER_ROWS = 43,
    CONTROL_PEER_EVENTS = 44,
    CONTROL_PEER_ORDERS = 50, // OrdersGiven, answered by OrdersKept
    CONTROL_PEER_BODY = 51,   // BodyRequest, answered by a BodyChunk
    CONTROL_JOIN_PROOF = 64, // on port 7700 only
    CONTROL_JOIN_ANSWER = 65,
    CONTROL_JOIN_KNOCK = 66,
    CONTROL_PEER_CONFIG = 46, // ConfigRequest, answered by ConfigRevisions
};

// Server side (master): `key` is the peer's CURVE key. Client side (node): `key` is the server's.
typedef void control_fn(void *context, const char *key, enum control_type type, const uint8_t *data,
                        size_t size);

// ROUTER at `endpoint`, zap domain "control". NULL with errno.
struct control *control_serve(struct loop *loop, const char *endpoint,
                              const struct curve_keys *keys, control_fn *fn, void *context);
// ROUTER for those who would join: zap domain "enrol", messages of at most 4 KiB.
struct control *control_serve_joins(struct loop *loop, const char *endpoint,
                                    const struct curve_keys *keys, control_fn *fn, void *context);
// During a server's callback: from which address the message came. "": it is not known.
const char *control_address(const struct control *self);
// DEALER to a master; reconnects for ever; re-creates the socket when the monitor says that a
// handshake failed for good.
struct control *control_connect(struct loop *loop, const char *endpoint,
                                const struct curve_keys *keys, const char *server_key,
                                control_fn *fn, void *context);
void control_destroy(struct control **self);
// Client: `fn` runs at each new session with the master: the time to say Hello.
void control_on_session(struct control *self, void (*fn)(void *context), void *context);
// `key` names the peer for a server (the last connection of that key), NULL for a client. -1 with
// EAGAIN: no session or no room; EMSGSIZE: more than a server (1 MiB) or a client (16 MiB) takes.
NODISCARD int control_send(struct control *self, const char *key, enum control_type type,
                           const ProtobufCMessage *message);
// Cuts a peer's session: closes and binds the socket anew (revocation; server only). The
// peers reconnect by themselves; a port not yet free again is tried until it is.
NODISCARD int control_rebind(struct control *self);

// Zap domains of bound sockets: ZAP_EVENTS for SUB, ZAP_CONFIG for PUB. Messages over 1 MiB are
// dropped. PUB (connect for a node's events; bind for a master's configuration) and SUB (bind for a
// master; connect for a node).
struct stream;
struct stream *stream_publish(struct loop *loop, int bind, const char *endpoint,
                              const struct curve_keys *keys, const char *server_key);
struct stream *stream_subscribe(struct loop *loop, int bind, const char *endpoint,
                                const struct curve_keys *keys, const char *server_key,
                                const char *const *topics, control_fn *fn,
                                void *context); // key: the publisher's where we bind
// Cuts the sessions of a bound one, like control_rebind.
NODISCARD int stream_rebind(struct stream *self);
void stream_destroy(struct stream **self);
// Never blocks; a full pipe drops (that is what PUB does). Frames: topic, type byte + packed.
void stream_send(struct stream *self, const char *topic, enum control_type type,
                 const ProtobufCMessage *message);
