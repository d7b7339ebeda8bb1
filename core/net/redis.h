// SPDX-License-Identifier: Apache-2.0
#pragma once

// A Redis client on the loop: one connection, requests pipelined, each answered within a deadline
// or not at all. It is only for state that may be lost (DESIGN 8): whoever asks has an answer of
// his own for when Redis has none.
//
// Breaker: while Redis fails (no connection, three late answers within 10 s, a replica or a loading
// server instead of a primary) redis_ask says no at once; after a pause one connection that asks
// for the server's ROLE finds out whether it is back. The first failures cost a short pause, from
// the third in a row on it is 5 s, or until a Sentinel names another primary.
#include "core/net/sentinel.h"

struct redis;
struct redis_question;
struct redisReply; // hiredis/hiredis.h: type, integer, str, element

// All borrowed.
struct redis_options {
    struct loop *loop;
    const char *address; // "unix:/PATH", or an IP address with port: "192.0.2.1:6379"
    struct redis_login login;
    // Its Sentinels, instead of the address; of their options the loop is not looked at.
    const struct sentinel_options *sentinels;
    unsigned deadline_ms; // for an answer; 0: 250
};

// Begins to connect. NULL with errno (EINVAL: an address).
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
void redis_forget(struct redis_question *question);    // its `fn` is not called any more
int redis_answers(const struct redis *self);           // 1 while the breaker is closed
int64_t redis_late_ms(const struct redis *self);       // when a question asked now is late
int64_t redis_round_trip_us(const struct redis *self); // of late, smoothed; 0: not known yet
