// SPDX-License-Identifier: Apache-2.0
#pragma once

// Accepts SMTP connections and drives their sessions: bytes from the socket to the session, its
// replies back, handshakes, deadlines, the end.
#include "core/base/base.h"

struct loop;
struct listener;
struct settings;
struct spool;

enum { LISTENER_FDS_MOST = 16 };

struct listener_options {
    struct loop *loop;
    struct settings *settings; // retained
    const char *node;          // its name; lives as long as the listener
    const char *hostname;      // banner and Received; lives as long as the listener
    struct spool *spool;       // ingress/spool.h; lives as long as the listener
    const int *fds;            // listening sockets, plain; borrowed, made non-blocking
    unsigned fd_count;
    const int *tls_fds; // the same for implicit TLS
    unsigned tls_fd_count;
    // Told of each connection and recipient that was turned away; may be NULL. `reply` is what the
    // client saw.
    void (*refused)(void *context, const char *client, const char *helo, struct span sender,
                    struct span recipient, const char *reply);
    void *refused_context;
};

// Begins to accept. NULL with a sentence in ret_error (a certificate that cannot be used).
struct listener *listener_new(const struct listener_options *options, char *ret_error,
                              size_t error_size);
void listener_destroy(struct listener **self); // cuts what is left; the descriptors stay open

// Stops accepting, and starts again: connections wait in the kernel's queue or go to another
// instance.
void listener_pause(struct listener *self, int paused);
// Stops accepting for good, tells idle sessions 421 4.3.2, lets running transactions end first.
// `done` is called when no connection is left (at once if there is none).
void listener_drain(struct listener *self, void (*done)(void *context), void *context);
// New settings for all sessions from their next command on. -1 with a sentence when the certificate
// cannot be used: the old one stays, the rest is taken.
NODISCARD int listener_settings(struct listener *self, struct settings *settings, char *ret_error,
                                size_t error_size);
// What an analyzer thought of a mail of that client.
void listener_judged(struct listener *self, const char *client, int bad);
unsigned listener_count(const struct listener *self); // open connections
