// SPDX-License-Identifier: Apache-2.0
#include "core/bus/monitor.h"
#include "core/base/random.h"
#include "core/bus/pump.h"
#include "core/bus/socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REFUSALS = ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL,
    EVENTS = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | REFUSALS,
};

struct monitor {
    void *watched;
    void *socket; // PAIR that libzmq tells the events to
    struct pump *pump;
    monitor_fn *fn;
    void *context;
};

// First part: the event (16 bits) and its value (32 bits); second: the address.
static void on_event(void *context, zmq_msg_t *parts, size_t count)
{
    struct monitor *self = context;
    uint16_t event;
    if (count != 2 || zmq_msg_size(&parts[0]) < sizeof(event))
        return;
    memcpy(&event, zmq_msg_data(&parts[0]), sizeof(event));
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
        self->fn(self->context, MONITOR_CONNECTED);
    else if (event == ZMQ_EVENT_DISCONNECTED)
        self->fn(self->context, MONITOR_LOST);
    else if (event & REFUSALS)
        self->fn(self->context, MONITOR_REFUSED);
}

struct monitor *monitor_new(struct loop *loop, void *socket, monitor_fn *fn, void *context)
{
    char endpoint[64];
    // Not from the socket's address: the name of a closed monitor lives on for a moment.
    snprintf(endpoint, sizeof(endpoint), "inproc://monitor-%llx", (unsigned long long)random_u64());
    if (zmq_socket_monitor(socket, endpoint, EVENTS) < 0)
        return NULL;
    struct socket_options options = {
        .kind = SOCKET_MONITOR, .endpoint = endpoint, .message_most = 4096, .high_water = 1000};
    void *pair = make_socket(&options);
    if (!pair || attach_socket(pair, &options) < 0) {
        int failure = errno;
        close_socket(&pair);
        zmq_socket_monitor(socket, NULL, 0);
        errno = failure;
        return NULL;
    }
    struct monitor *self = allocate(sizeof(*self));
    self->watched = socket;
    self->socket = pair;
    self->fn = fn;
    self->context = context;
    self->pump = pump_new(loop, pair, on_event, NULL, self);
    return self;
}

void monitor_destroy(struct monitor **self)
{
    struct monitor *monitor = *self;
    if (!monitor)
        return;
    zmq_socket_monitor(monitor->watched, NULL, 0);
    pump_destroy(&monitor->pump);
    close_socket(&monitor->socket);
    free(monitor);
    *self = NULL;
}
