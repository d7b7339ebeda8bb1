// SPDX-License-Identifier: Apache-2.0
#pragma once

// The only place where a ZeroMQ socket is made: sets every option that the defaults get wrong,
// before bind or connect.
#include "core/base/base.h"

struct curve_keys; // core/bus/keys.h

enum socket_kind {
    SOCKET_PIPE_IN,
    SOCKET_PIPE_OUT,
    SOCKET_PUB,
    SOCKET_SUB,
    SOCKET_DEALER,
    SOCKET_ROUTER,
    SOCKET_ZAP,
    SOCKET_MONITOR, // within the process
};

struct socket_options {
    enum socket_kind kind;
    int bind;                      // 1 bind, 0 connect
    const char *endpoint;          // ipc://..., tcp://...
    const struct curve_keys *keys; // own; NULL: ipc without CURVE. tcp without keys is refused
    const char *server_key; // Z85; NULL: this side is the CURVE server (then zap_domain is a must)
    const char *zap_domain;
    int64_t message_most;      // bytes
    int high_water;            // messages
    const char *const *topics; // SOCKET_SUB: what to subscribe to, NULL at the end
};

void *socket_context(void); // one per process, made at first use (one I/O thread)
void socket_context_end(void);
// Neither bound nor connected. NULL with errno: ENOKEY: tcp without keys; EKEYREJECTED: the
// published test keys of zmq_curve(7); EINVAL: a CURVE server that connects or has no zap domain, a
// client that binds.
void *make_socket(const struct socket_options *options);
// Binds or connects it, with the options that made it. 0, or -1 with errno.
NODISCARD int attach_socket(void *self, const struct socket_options *options);
void close_socket(void **self); // drops what is queued; an ipc path stays
