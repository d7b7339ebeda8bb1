// SPDX-License-Identifier: Apache-2.0
#pragma once

// What becomes of a socket's connections.
#include "core/base/base.h"

struct loop;
struct monitor;

enum monitor_event {
    MONITOR_CONNECTED, // the handshake succeeded
    MONITOR_LOST,      // a connection ended; libzmq makes the next by itself
    MONITOR_REFUSED,   // the handshake failed in a way after which libzmq never tries again
};

// May destroy the monitor.
typedef void monitor_fn(void *context, enum monitor_event event);

// NULL with errno. The socket must outlive the monitor. What happened before is not
// told: to be made before the socket connects.
struct monitor *monitor_new(struct loop *loop, void *socket, monitor_fn *fn, void *context);
void monitor_destroy(struct monitor **self);
