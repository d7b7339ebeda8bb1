// SPDX-License-Identifier: Apache-2.0
#include "core/bus/pump.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

// One socket's share of a turn; the other sockets and timers are waiting.
enum { TURN_MESSAGES = 64, TURN_BYTES = 256 * 1024 };

struct pump {
    void *socket;
    pump_fn *received;
    loop_fn *stirred;
    void *context;
    struct watch *watch;
    struct timer *again; // looks once more when the descriptor may stay silent
    int *destroyed;      // told to the loop over messages that is under way
};

// An empty socket is one that said EAGAIN: only then has it taken in all news and will signal the
// next.
static int receive_part(void *socket, zmq_msg_t *part)
{
    int rc;
    zmq_msg_init(part);
    do
        rc = zmq_msg_recv(part, socket, ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        zmq_msg_close(part);
    return rc < 0 ? -1 : 0;
}

// Drops the rest of a message. Returns how many parts that were.
static size_t skip_parts(void *socket)
{
    size_t count = 0;
    zmq_msg_t part;
    for (int more = 1; more; count++) {
        if (receive_part(socket, &part) < 0)
            break;
        more = zmq_msg_more(&part);
        zmq_msg_close(&part);
    }
    return count;
}

// Returns the number of parts of the next message, of which the first PUMP_PARTS are in `ret`; 0:
// none waits.
static size_t receive(void *socket, zmq_msg_t ret[PUMP_PARTS])
{
    size_t count = 0;
    int more = 1;
    while (more && count < PUMP_PARTS && receive_part(socket, &ret[count]) == 0)
        more = zmq_msg_more(&ret[count++]);
    if (more && count == PUMP_PARTS)
        count += skip_parts(socket);
    return count;
}

// Hands one message on. Returns its bytes, -1 when none waits.
static int64_t pump_one(struct pump *self)
{
    zmq_msg_t parts[PUMP_PARTS];
    size_t count = receive(self->socket, parts);
    if (count == 0)
        return -1;
    int64_t bytes = 0;
    size_t held = count < PUMP_PARTS ? count : PUMP_PARTS;
    for (size_t i = 0; i < held; i++)
        bytes += (int64_t)zmq_msg_size(&parts[i]);
    if (count == held)
        self->received(self->context, parts, count);
    for (size_t i = 0; i < held; i++)
        zmq_msg_close(&parts[i]);
    return bytes;
}

static void pump_messages(struct pump *self)
{
    int destroyed = 0;
    int64_t bytes = 0;
    self->destroyed = &destroyed;
    for (int i = 0; i < TURN_MESSAGES && bytes < TURN_BYTES; i++) {
        int64_t size = pump_one(self);
        if (destroyed)
            return;
        if (size < 0) {
            self->destroyed = NULL;
            return;
        }
        bytes += size;
    }
    self->destroyed = NULL;
    timer_start(self->again, 0); // what is left waits behind a descriptor that may say nothing more
}

static void on_news(struct pump *self)
{
    if (self->received) {
        pump_messages(self);
        return;
    }
    pump_writable(self->socket);
    self->stirred(self->context);
}

static void on_readable(void *context, int events)
{
    (void)events;
    on_news(context);
}

static void on_again(void *context)
{
    on_news(context);
}

struct pump *pump_new(struct loop *loop, void *socket, pump_fn *received, loop_fn *stirred,
                      void *context)
{
    int fd;
    size_t size = sizeof(fd);
    int rc = zmq_getsockopt(socket, ZMQ_FD, &fd, &size);
    assert(rc == 0);
    struct pump *self = allocate(sizeof(*self));
    self->socket = socket;
    self->received = received;
    self->stirred = stirred;
    self->context = context;
    self->watch = watch_new(loop, fd, LOOP_READ, on_readable, self);
    self->again = timer_new(loop, on_again, self);
    timer_start(self->again, 0); // messages may have come before the watch
    return self;
}

void pump_destroy(struct pump **self)
{
    struct pump *pump = *self;
    if (!pump)
        return;
    if (pump->destroyed)
        *pump->destroyed = 1;
    watch_destroy(&pump->watch);
    timer_destroy(&pump->again);
    free(pump);
    *self = NULL;
}

void pump_sent(struct pump *self)
{
    if (self->received && !timer_active(self->again))
        timer_start(self->again, 0);
}

int pump_writable(void *socket)
{
    int events = 0;
    size_t size = sizeof(events);
    return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLOUT);
}
