// SPDX-License-Identifier: Apache-2.0
#pragma once

// A listener's inside, for listener.c and client.c.
#include "ingress/listener.h"
#include "ingress/session.h"

struct client;
struct tls;

struct port {
    struct listener *listener;
    struct watch *watch;
    int fd;
    int tls; // from the first byte on
};

struct listener {
    struct loop *loop;
    struct session_shared shared;
    struct sharing *sharing;
    struct tls *tls; // NULL: none offered
    struct port ports[LISTENER_FDS_MOST];
    unsigned port_count;
    struct client *first; // open connections
    unsigned count;
    const char *node;   // its name
    unsigned most;      // as descriptors allow; settings may say fewer
    struct timer *rest; // after descriptors ran out
    int paused, starved;
    void (*drained)(void *context);
    void *drained_context;
    struct metric *opened, *open, *refused;
};

void listener_check_drained(struct listener *self); // a client has gone
