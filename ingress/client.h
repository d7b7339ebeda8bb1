// SPDX-License-Identifier: Apache-2.0
#pragma once

// One accepted connection and its session.
struct listener;
struct connection;
struct session;

struct client {
    struct client *next, *previous; // in the listener
    struct listener *listener;
    struct connection *connection;
    struct session *session; // NULL until a first handshake is done
    int ended;               // the client sends no more
    int limited;             // counted in the limits
    char address[46];
};

// Takes the descriptor. The client may be gone when it returns.
void client_new(struct listener *listener, int fd, const char *address, int limited, int tls);
void client_end(struct client *self, const char *why, int linger); // frees it
void client_drain(struct client *self);                            // may free it
