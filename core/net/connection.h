// SPDX-License-Identifier: Apache-2.0
#pragma once

// A byte stream on the loop: TCP or Unix socket, either side, made secure with TLS at any time.
// Buffers exist only while bytes are in them; timers are lazy; epoll interest changes only when it
// must. SIGPIPE is to be ignored by the process.
#include "core/base/buffer.h"
#include <sys/socket.h>

struct loop;
struct tls;
struct connection;

enum connection_event {
    CONNECTION_OPEN,   // connect() succeeded
    CONNECTION_SECURE, // the TLS handshake that connection_secure began is done
    CONNECTION_DATA,   // connection_input grew
    CONNECTION_SENT,   // output that had to wait has left
    CONNECTION_END,    // the peer sends no more; writing may still work. Told once
    CONNECTION_FAILED, // connection_error says why; only connection_destroy is left to do
    CONNECTION_LATE,   // the deadline passed; it is cleared
};

// May destroy or close the connection.
typedef void connection_fn(void *context, enum connection_event event);

// Takes an accepted descriptor. Never NULL.
struct connection *connection_accepted(struct loop *loop, int fd, connection_fn *fn, void *context);
// Begins to connect; `from` may be NULL. OPEN or FAILED comes later, never within the call. NULL
// with errno.
struct connection *connection_connect(struct loop *loop, const struct sockaddr *to,
                                      socklen_t to_size, const struct sockaddr *from,
                                      socklen_t from_size, connection_fn *fn, void *context);
// Closes at once; unsent output is lost.
void connection_destroy(struct connection **self);
// Takes it: sends what is queued, says goodbye (TLS close_notify, FIN), then goes away by itself;
// `fn` is not called any more. `linger`: unread input may exist, so read and drop it for up to 5 s,
// lest a reset overtake the last reply.
void connection_close(struct connection **self, int linger);

// What has arrived and was not yet taken: take from its front with buffer_take. At most about
// `most` bytes are held (64 KiB unless set); reading then rests until some are taken and
// connection_reading(1) is called.
struct buffer *connection_input(struct connection *self);
void connection_input_most(struct connection *self, size_t most);
// Stops and resumes reading. Bytes that TLS holds already are told in a later turn, never within
// the call.
void connection_reading(struct connection *self, int on);

// Queue bytes here, then flush once: what the socket takes leaves at once, the rest by itself.
// Before OPEN and during a handshake they wait.
struct buffer *connection_output(struct connection *self);
void connection_flush(struct connection *self);
size_t connection_unsent(const struct connection *self);

// Begins the handshake with queued output sent before: as a server with a server's `tls`, else as a
// client that names `host` (SNI; may be NULL) and, with `verify`, checks the certificate against
// it. Input already held is discarded: it came in the clear (STARTTLS injection). SECURE or FAILED
// follows. `tls` outlives the connection by reference count.
void connection_secure(struct connection *self, struct tls *tls, const char *host, int verify);
const char *
connection_tls(const struct connection *self); // "TLSv1.3 TLS_AES_256_GCM_SHA384", or "" without

// CONNECTION_LATE comes when loop_now_ms() passes `at_ms` (0: never). Cheap to move: the timer is
// armed anew only when it fires early.
void connection_deadline(struct connection *self, int64_t at_ms);

const char *connection_error(const struct connection *self); // valid as long as the connection
int connection_error_number(const struct connection *self);  // errno; EPROTO for TLS
