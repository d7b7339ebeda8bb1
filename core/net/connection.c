// SPDX-License-Identifier: Apache-2.0
#include "core/net/connection.h"
#include "core/base/loop.h"
#include "core/net/tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_SIZE = 16 * 1024,
    INPUT_MOST = 64 * 1024,
    OUTPUT_KEPT = 4 * 1024, // a larger output buffer is freed when it runs empty
    LINGER_MS = 5000,
};

enum phase { PHASE_CONNECTING, PHASE_HANDSHAKE, PHASE_OPEN, PHASE_CLOSING };

struct connection {
    struct loop *loop;
    struct watch *watch;
    struct timer *timer; // made when a deadline is first set
    struct timer *again; // made when TLS holds bytes that no event of the descriptor will tell
    struct tls_stream *tls;
    connection_fn *fn;
    void *context;
    struct buffer input, output;
    size_t input_most;
    int64_t deadline_ms, armed_ms;
    int fd;
    int error;
    enum phase phase;
    int events;          // what the watch waits for
    int handshake_wants; // LOOP_READ or LOOP_WRITE
    unsigned reading : 1;
    unsigned ended : 1;   // END was told
    unsigned failed : 1;  // FAILED was told
    unsigned blocked : 1; // the socket took less than there was
    unsigned linger : 1;
    unsigned said_goodbye : 1;
    unsigned broken : 1; // an error is noted and not yet told
    unsigned destroyed : 1;
    unsigned dispatching;
};

static void on_ready(void *context, int events);
static void on_again(void *context);

static void free_now(struct connection *self)
{
    buffer_free(&self->input);
    buffer_free(&self->output);
    free(self);
}

void connection_destroy(struct connection **self)
{
    struct connection *connection = *self;
    *self = NULL;
    if (!connection || connection->destroyed)
        return;
    connection->destroyed = 1;
    watch_destroy(&connection->watch);
    timer_destroy(&connection->timer);
    timer_destroy(&connection->again);
    tls_stream_destroy(&connection->tls);
    close(connection->fd);
    if (!connection->dispatching)
        free_now(connection);
}

// While an owner's callback runs, or our own steps that may lead to one, the memory stays.
static void enter(struct connection *self)
{
    self->dispatching++;
}

static void leave(struct connection *self)
{
    if (--self->dispatching == 0 && self->destroyed)
        free_now(self);
}

static void tell(struct connection *self, enum connection_event event)
{
    if (self->destroyed || self->phase == PHASE_CLOSING)
        return;
    enter(self);
    self->fn(self->context, event);
    leave(self);
}

static void update_events(struct connection *self)
{
    int events = 0;
    if (self->destroyed)
        return;
    if (self->phase == PHASE_CONNECTING)
        events = LOOP_WRITE;
    else if (self->phase == PHASE_HANDSHAKE)
        events = self->handshake_wants;
    else if (!self->failed)
        events = (self->reading && !self->ended ? LOOP_READ : 0) | (self->blocked ? LOOP_WRITE : 0);
    if (events == self->events)
        return;
    self->events = events;
    watch_events(self->watch, events);
}

// What no event of the descriptor will tell: bytes that OpenSSL holds already, a noted error.
static void come_again(struct connection *self)
{
    if (self->destroyed || self->failed)
        return;
    if (!self->broken && (!self->tls || !self->reading || !tls_stream_pending(self->tls)))
        return;
    if (!self->again)
        self->again = timer_new(self->loop, on_again, self);
    if (!timer_active(self->again))
        timer_start(self->again, 0);
}

static void fail(struct connection *self, int error)
{
    if (self->failed || self->destroyed)
        return;
    self->failed = 1;
    self->error = error;
    self->blocked = 0;
    if (self->phase == PHASE_CLOSING) {
        connection_destroy(&(struct connection *){self});
        return;
    }
    update_events(self);
    tell(self, CONNECTION_FAILED);
}

// For the public calls: the owner is told in a turn of its own, not while it holds on to us.
static void fail_later(struct connection *self)
{
    buffer_clear(&self->output);
    self->broken = 1;
    come_again(self);
}

static struct connection *connection_new(struct loop *loop, int fd, enum phase phase,
                                         connection_fn *fn, void *context)
{
    struct connection *self = allocate(sizeof(*self));
    self->loop = loop;
    self->fd = fd;
    self->fn = fn;
    self->context = context;
    self->phase = phase;
    self->input_most = INPUT_MOST;
    self->reading = 1;
    self->events = phase == PHASE_CONNECTING ? LOOP_WRITE : LOOP_READ;
    self->watch = watch_new(loop, fd, self->events, on_ready, self);
    return self;
}

struct connection *connection_accepted(struct loop *loop, int fd, connection_fn *fn, void *context)
{
    return connection_new(loop, fd, PHASE_OPEN, fn, context);
}

struct connection *connection_connect(struct loop *loop, const struct sockaddr *to,
                                      socklen_t to_size, const struct sockaddr *from,
                                      socklen_t from_size, connection_fn *fn, void *context)
{
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    if (to->sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if ((from && bind(fd, from, from_size) < 0) ||
        (connect(fd, to, to_size) < 0 && errno != EINPROGRESS)) {
        int error = errno;
        close(fd);
        errno = error;
        return NULL;
    }
    return connection_new(loop, fd, PHASE_CONNECTING, fn, context);
}

// -- writing

// How much of the output the transport took; -1 with errno.
static ssize_t write_some(struct connection *self)
{
    const char *data = buffer_bytes(&self->output);
    size_t size = buffer_size(&self->output), sent = 0;
    if (!self->tls)
        return send(self->fd, data, size, MSG_NOSIGNAL);
    switch (tls_stream_write(self->tls, data, size, &sent)) {
    case TLS_DONE:
        return (ssize_t)sent;
    case TLS_WANTS_READ:
    case TLS_WANTS_WRITE:
        errno = EAGAIN;
        return -1;
    case TLS_END:
    case TLS_FAILED:
        break;
    }
    errno = EPROTO;
    return -1;
}

// Sends what the transport takes. 0; or -1 with self->error when it is broken.
static int write_output(struct connection *self)
{
    struct buffer *output = &self->output;
    self->blocked = 0;
    while (buffer_size(output) && !self->blocked) {
        ssize_t sent = write_some(self);
        if (sent >= 0) {
            buffer_take(output, (size_t)sent);
        } else if (errno == EAGAIN) {
            self->blocked = 1;
        } else if (errno != EINTR) {
            self->error = errno;
            return -1;
        }
    }
    if (!buffer_size(output) && output->capacity > OUTPUT_KEPT)
        buffer_free(output);
    return 0;
}

static int may_write(const struct connection *self)
{
    return self->phase == PHASE_OPEN && !self->failed && !self->broken;
}

void connection_flush(struct connection *self)
{
    if (self->destroyed || !may_write(self) || self->blocked)
        return;
    if (write_output(self) < 0)
        fail_later(self);
    update_events(self);
}

struct buffer *connection_output(struct connection *self)
{
    return &self->output;
}

size_t connection_unsent(const struct connection *self)
{
    return buffer_size(&self->output);
}

// -- reading

enum receive_result { RECEIVED, RECEIVED_ALL, RECEIVE_LATER, RECEIVE_END, RECEIVE_FAILED };

static enum receive_result receive_plain(struct connection *self, char *data, size_t room,
                                         size_t *ret_size)
{
    ssize_t size = recv(self->fd, data, room, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return RECEIVE_LATER;
    if (size < 0) {
        self->error = errno;
        return RECEIVE_FAILED;
    }
    *ret_size = (size_t)size;
    if (size == 0)
        return RECEIVE_END;
    return (size_t)size == room ? RECEIVED : RECEIVED_ALL;
}

static enum receive_result receive_tls(struct connection *self, char *data, size_t room,
                                       size_t *ret_size)
{
    switch (tls_stream_read(self->tls, data, room, ret_size)) {
    case TLS_DONE: // what is left in the socket, epoll will tell
        return tls_stream_pending(self->tls) ? RECEIVED : RECEIVED_ALL;
    case TLS_WANTS_READ:
    case TLS_WANTS_WRITE: // with renegotiation off only while output waits, which is watched
        return RECEIVE_LATER;
    case TLS_END:
        return RECEIVE_END;
    case TLS_FAILED:
        break;
    }
    self->error = EPROTO;
    return RECEIVE_FAILED;
}

// Reads until the socket has no more or enough is held.
static enum receive_result fill_input(struct connection *self)
{
    struct buffer *input = &self->input;
    enum receive_result result = RECEIVED;
    while (result == RECEIVED && buffer_size(input) < self->input_most) {
        size_t size = 0;
        char *data = buffer_reserve(input, READ_SIZE);
        size_t room = input->capacity - input->end;
        result = self->tls ? receive_tls(self, data, room, &size)
                           : receive_plain(self, data, room, &size);
        buffer_added(input, size);
    }
    return result;
}

static void on_readable(struct connection *self)
{
    size_t before = buffer_size(&self->input);
    enum receive_result result = fill_input(self);
    if (buffer_size(&self->input) > before)
        tell(self, CONNECTION_DATA);
    if (self->destroyed)
        return;
    if (self->phase == PHASE_CLOSING)
        buffer_clear(&self->input);
    if (!buffer_size(&self->input))
        buffer_free(&self->input); // an idle connection holds no buffer
    else if (buffer_size(&self->input) >= self->input_most)
        self->reading = 0;
    if (result == RECEIVE_FAILED) {
        fail(self, self->error);
    } else if (result == RECEIVE_END && !self->ended) {
        self->ended = 1;
        update_events(self);
        tell(self, CONNECTION_END);
    } else if (result != RECEIVE_LATER) {
        come_again(self);
    }
}

static void on_again(void *context)
{
    struct connection *self = context;
    enter(self);
    if (self->broken)
        fail(self, self->error);
    else if (self->phase == PHASE_OPEN && self->reading && !self->ended && !self->failed)
        on_readable(self);
    if (!self->destroyed)
        update_events(self);
    leave(self);
}

struct buffer *connection_input(struct connection *self)
{
    return &self->input;
}

void connection_input_most(struct connection *self, size_t most)
{
    self->input_most = most;
}

void connection_reading(struct connection *self, int on)
{
    if (self->destroyed || self->reading == (on != 0))
        return;
    self->reading = on != 0;
    update_events(self);
    come_again(self);
}

// -- opening

static void on_connected(struct connection *self)
{
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(self->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error) {
        fail(self, error);
        return;
    }
    self->phase = PHASE_OPEN;
    update_events(self);
    connection_flush(self);
    tell(self, CONNECTION_OPEN);
}

static void step_handshake(struct connection *self)
{
    switch (tls_stream_handshake(self->tls)) {
    case TLS_WANTS_READ:
        self->handshake_wants = LOOP_READ;
        update_events(self);
        return;
    case TLS_WANTS_WRITE:
        self->handshake_wants = LOOP_WRITE;
        update_events(self);
        return;
    case TLS_END:
    case TLS_FAILED:
        fail(self, EPROTO);
        return;
    case TLS_DONE:
        break;
    }
    self->phase = PHASE_OPEN;
    update_events(self);
    tell(self, CONNECTION_SECURE);
    if (self->destroyed)
        return;
    connection_flush(self);
    come_again(self);
}

void connection_secure(struct connection *self, struct tls *tls, const char *host, int verify)
{
    connection_flush(self);
    if (self->destroyed || self->failed || self->broken)
        return;
    buffer_free(&self->input);
    self->tls = tls_stream_new(tls, self->fd, host, verify);
    self->phase = PHASE_HANDSHAKE;
    self->handshake_wants = LOOP_READ | LOOP_WRITE; // the first step finds out
    update_events(self);
    if (!self->tls) {
        self->error = EINVAL;
        fail_later(self);
    }
}

const char *connection_tls(const struct connection *self)
{
    return self->tls && self->phase == PHASE_OPEN ? tls_stream_cipher(self->tls) : "";
}

// -- the loop's calls

static void on_closing(struct connection *self, int events)
{
    int broken = events & LOOP_WRITE && write_output(self) < 0;
    if (events & LOOP_READ && !broken)
        on_readable(self);
    if (broken)
        connection_destroy(&(struct connection *){self});
    if (self->destroyed)
        return;
    if (!buffer_size(&self->output) && !self->said_goodbye) {
        self->said_goodbye = 1;
        if (self->tls)
            tls_stream_goodbye(self->tls);
        if (self->linger)
            shutdown(self->fd, SHUT_WR);
    }
    if (self->said_goodbye && (self->ended || !self->linger))
        connection_destroy(&(struct connection *){self});
    else
        update_events(self);
}

static void on_open(struct connection *self, int events)
{
    if (events & LOOP_WRITE) {
        if (write_output(self) < 0) {
            fail(self, self->error);
            return;
        }
        update_events(self);
        if (!self->blocked)
            tell(self, CONNECTION_SENT);
    }
    if (events & LOOP_READ && !self->destroyed && self->phase == PHASE_OPEN && self->reading &&
        !self->ended && !self->failed)
        on_readable(self);
    if (!self->destroyed)
        update_events(self);
}

static void on_ready(void *context, int events)
{
    struct connection *self = context;
    enter(self);
    switch (self->phase) {
    case PHASE_CONNECTING:
        on_connected(self);
        break;
    case PHASE_HANDSHAKE:
        if (self->tls)
            step_handshake(self);
        break;
    case PHASE_OPEN:
        on_open(self, events);
        break;
    case PHASE_CLOSING:
        on_closing(self, events);
        break;
    }
    leave(self);
}

// -- time and end

static void on_time(void *context)
{
    struct connection *self = context;
    int64_t now = loop_now_ms(self->loop);
    self->armed_ms = 0;
    if (!self->deadline_ms)
        return;
    if (now < self->deadline_ms) {
        self->armed_ms = self->deadline_ms;
        timer_start(self->timer, self->deadline_ms - now);
        return;
    }
    self->deadline_ms = 0;
    if (self->phase == PHASE_CLOSING)
        connection_destroy(&(struct connection *){self});
    else
        tell(self, CONNECTION_LATE);
}

void connection_deadline(struct connection *self, int64_t at_ms)
{
    self->deadline_ms = at_ms;
    if (!at_ms || self->destroyed || (self->armed_ms && self->armed_ms <= at_ms))
        return;
    if (!self->timer)
        self->timer = timer_new(self->loop, on_time, self);
    self->armed_ms = at_ms;
    timer_start(self->timer, at_ms - loop_now_ms(self->loop));
}

void connection_close(struct connection **self, int linger)
{
    struct connection *connection = *self;
    *self = NULL;
    if (!connection || connection->destroyed)
        return;
    if (connection->phase == PHASE_CONNECTING || connection->phase == PHASE_HANDSHAKE ||
        connection->failed || connection->broken) {
        connection_destroy(&connection);
        return;
    }
    connection->phase = PHASE_CLOSING;
    connection->linger = linger != 0;
    connection->reading = 1;
    buffer_free(&connection->input);
    connection_deadline(connection, loop_now_ms(connection->loop) + LINGER_MS);
    enter(connection);
    on_closing(connection, connection->blocked ? 0 : LOOP_WRITE);
    leave(connection);
}

const char *connection_error(const struct connection *self)
{
    if (self->tls && self->error == EPROTO)
        return tls_stream_error(self->tls);
    return strerror(self->error);
}

int connection_error_number(const struct connection *self)
{
    return self->error;
}
