// SPDX-License-Identifier: Apache-2.0
#pragma once

// One SMTP session, sans-I/O: bytes and time go in, reply bytes and a want come out. No sockets, no
// timers.
#include "core/base/buffer.h"

struct settings;
struct spool;
struct limits;
struct greylist;
struct reputation;
struct metric;
struct session;

// What all sessions of a process share; the listener owns it. Settings may be replaced at any time:
// count `generation` up.
struct session_shared {
    struct settings *settings;
    unsigned generation;
    const char *hostname;
    struct spool *spool;
    struct limits *limits;
    struct greylist *greylist;
    struct reputation *reputation;
    int tls;      // STARTTLS can be offered
    int draining; // no new transactions
    void (*refused)(void *context, const char *client, const char *helo, struct span sender,
                    struct span recipient, const char *reply); // may be NULL
    void *refused_context;
    struct metric *accepted, *rejected, *deferred, *recipients_refused;
};

void session_shared_init(struct session_shared *self); // clears it and finds the metrics

enum session_want {
    SESSION_INPUT,  // more bytes, or first that the replies leave
    SESSION_ANSWER, // nothing: the spool's or the greylist's answer is due, `wake` will be called
    SESSION_TLS,    // replies out, then a handshake, then session_secured
    SESSION_CLOSE,  // replies out, then the end
};

struct session_options {
    struct session_shared *shared;
    const char *client; // textual address of the peer
    const char *tls;    // cipher when the connection began with TLS, else ""
    struct buffer *out; // replies are added here
    // Something happened outside of session_feed: replies may be there, and session_feed is to be
    // called again.
    void (*wake)(void *context);
    void *context;
    int64_t now_ms; // monotonic, like every now_ms here
};

struct session *session_new(const struct session_options *options);
// A message that waits for its answer stays in custody; one that is still arriving is dropped.
void session_destroy(struct session **self);

// Says hello. `early`: bytes arrived before the banner, so the client is turned away.
void session_greet(struct session *self, int early);
// Takes what it can from the front of `input`.
enum session_want session_feed(struct session *self, struct buffer *input, int64_t now_ms);
enum session_want session_wants(const struct session *self);
int session_said_goodbye(const struct session *self); // it closes because of QUIT
void session_secured(struct session *self, const char *cipher);
// When session_late is due (0: never).
int64_t session_deadline(const struct session *self);
void session_late(struct session *self);
// 421 for a session without a transaction; others end after theirs.
void session_drain(struct session *self);
void session_log_end(const struct session *self, const char *why); // one line
