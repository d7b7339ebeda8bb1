// SPDX-License-Identifier: Apache-2.0
#pragma once

// A socket with its pump that can be made anew: when libzmq has given up a connection for good, and
// to cut the sessions of a bound one.
#include "core/bus/pump.h"
#include "core/bus/socket.h"

struct link;

typedef void link_state_fn(void *context, int connected);

struct link_handlers {
    pump_fn *received;    // NULL: this socket only sends
    loop_fn *stirred;     // of a socket that only sends: there may be room again; may be NULL
    link_state_fn *state; // a connecting socket's session began or ended; may be NULL
    void *context;
};

// Copies the options. NULL with errno; a connecting link that lacks descriptors or memory is made
// all the same, and tries again. A handler may destroy the link.
struct link *link_new(struct loop *loop, const struct socket_options *options,
                      const struct link_handlers *handlers);
void link_destroy(struct link **self);
// Closes the socket, with all that is queued, and makes it anew: at once, or as soon as the port is
// free again.
void link_reopen(struct link *self);
// Never blocks. 0: the message is taken; -1 with EAGAIN (no session, or no room) or EHOSTUNREACH (a
// ROUTER's peer is gone): it stays the caller's. A part with `more` set must be followed by the
// next.
NODISCARD int link_send(struct link *self, zmq_msg_t *message, int more);
