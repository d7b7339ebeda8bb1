// SPDX-License-Identifier: Apache-2.0
#pragma once

// The ZAP handler (RFC 27/ZAP) of a process that binds: an allow-list per domain. Unknown keys get
// 300 (try again), revoked ones 400. The CURVE public key (Z85) becomes the connection's User-Id.
#include "core/base/base.h"

// The domains of the cluster's sockets: which list of keys a bound socket asks for.
#define ZAP_CONTROL "control" // ROUTER of control_serve
#define ZAP_EVENTS "events"   // SUB of stream_subscribe, bound
#define ZAP_CONFIG "config"   // PUB of stream_publish, bound
#define ZAP_PUBLIC "public"   // PUB of public_socket_bind
#define ZAP_ENROL "enrol"     // ROUTER of control_serve_joins: any key may connect

struct loop;
struct zap;
struct zap *zap_new(struct loop *loop); // binds inproc://zeromq.zap.01 in socket_context()
void zap_destroy(struct zap **self);
void zap_ready(struct zap *self); // before: 300 for everybody but the revoked
void zap_allow(struct zap *self, const char *domain, const char *key);
// Final, in every domain but ZAP_ENROL. Sessions that live go on until their socket is bound anew.
void zap_revoke(struct zap *self, const char *key);
void zap_clear(struct zap *self); // forgets all that was allowed; revoked keys stay
// How many handshakes were not answered 200.
uint64_t zap_refused(const struct zap *self);
