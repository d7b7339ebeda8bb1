// SPDX-License-Identifier: Apache-2.0
#pragma once

// One connection to a Redis server or a Sentinel: TCP or Unix socket, TLS, AUTH, then commands out
// and replies in, in order. No deadlines: whoever has it knows how long it may take.
#include "core/base/base.h"
#include "core/net/endpoint.h"

struct loop;
struct redis_link;
struct redisReply;
struct tls;

// Who we are there, and how it proves who it is. Borrowed by redis_link_new only.
struct redis_login {
    const char *user, *password; // NULL: none
    struct tls *tls;             // NULL: in the clear; retained
    const char *host;            // whom the certificate must name; NULL: the IP address
};

// Each may destroy the link.
struct redis_link_ops {
    void (*opened)(void *context); // commands may be put
    void (*reply)(void *context, const struct redisReply *reply);
    void (*failed)(void *context, const char *why); // only redis_link_destroy is left to do
};

// Begins to connect; nothing is told within the call. NULL with errno.
struct redis_link *redis_link_new(struct loop *loop, const struct endpoint *to,
                                  const struct redis_login *login, const struct redis_link_ops *ops,
                                  void *context);
void redis_link_destroy(struct redis_link **self);
// Leaves with this turn of the loop.
void redis_link_put(struct redis_link *self, const struct span *words, size_t count);
size_t redis_link_unsent(const struct redis_link *self);
