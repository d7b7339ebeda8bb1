// SPDX-License-Identifier: Apache-2.0
#pragma once

// A Redis client on the loop: one connection, requests pipelined, each answered within a deadline
// or not at all. It is only for state that may be lost (DESIGN 8): whoever asks has an answer of
// his own for when Redis has none.
//
// Breaker: while Redis fails (no connection, late answers, a replica or a loading server instead of
// a primary) redis_ask says no at once; after a pause, longer each time, one connection with a PING
// finds out whether it is back.
#include "core/base/base.h"

struct loop;
struct redis;
struct redis_question;
struct redisReply; // hiredis/hiredis.h: type, integer, str, element
struct tls;

struct redis_options {
    struct loop *loop;
    const char *address;         // "unix:/PATH", or an IP address with port: "192.0.2.1:6379"
    const char *user, *password; // NULL: none
    struct tls *tls;             // NULL: in the clear; retained
    const char *host;            // whom the certificate must name; NULL: the IP address
    unsigned deadline_ms;        // for an answer; 0: 250
};

// Begins to connect. NULL with errno (EINVAL: the address).
struct redis *redis_new(const struct redis_options *options);
// Open questions are answered with NULL. Not to be called by an answer.
void redis_destroy(struct redis **self);

// `reply` is NULL when none came in time, or an error (REDIS_REPLY_ERROR) of that command alone.
// Valid during the call.
typedef void redis_fn(void *context, const struct redisReply *reply);

// Asks; leaves with this turn of the loop. The answer comes later, never within the call, at
// `late_ms` (of loop_now_ms; 0: after deadline_ms) at the latest. `fn` may be NULL: nobody wants to
// know. NULL: not now (breaker open, too much waits); nothing was asked.
struct redis_question *redis_ask(struct redis *self, const struct span *words, size_t count,
                                 int64_t late_ms, redis_fn *fn, void *context);
void redis_forget(struct redis_question *question); // its `fn` is not called any more
int redis_answers(const struct redis *self);        // 1 while the breaker is closed
int64_t redis_late_ms(const struct redis *self);    // when a question asked now is late
