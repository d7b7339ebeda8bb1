// SPDX-License-Identifier: Apache-2.0
#pragma once

// How much one client may do: connections at a time, messages a minute. A client is an IPv4 address
// or an IPv6 /64.
#include "core/base/base.h"

enum { CLIENT_KEY_MOST = 8, CLIENT_NAME_SIZE = 48 };

// The client's key. Returns its size.
size_t client_key(const char *address, uint8_t ret_key[CLIENT_KEY_MOST]);
// Its name in Redis: a short prefix, then the key in hexadecimal.
void client_name(const char *prefix, const uint8_t *key, size_t size,
                 char ret_name[CLIENT_NAME_SIZE]);

struct limits;
struct limits *limits_new(void);
void limits_destroy(struct limits **self);

// Counts a connection in, if the client has fewer than `most`. 1, or 0 (then it is not counted).
int limits_open(struct limits *self, const char *address, unsigned most);
void limits_close(struct limits *self, const char *address);
// Counts a message, if the client sent fewer than `per_minute` (0: no limit) in the last minute. 1
// or 0.
int limits_message(struct limits *self, const char *address, unsigned per_minute, int64_t now_ms);

// For the workers together: what a client spent of its minute here, and what all say it has spent.
struct limits_spent {
    uint8_t key[CLIENT_KEY_MOST];
    uint8_t key_size;
    int64_t spent_us;
};
// Up to `most` clients that spent something since they were last asked for; they count anew then.
size_t limits_spent(struct limits *self, struct limits_spent *ret, size_t most);
// All workers' word: so much of its minute the client has spent by now.
void limits_learn(struct limits *self, const struct limits_spent *client, int64_t now_ms);
