// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where a destination's mail may be sent: addresses in order of priority, found out by DNS where
// they are names.
#include "mail/settings.h"
#include <sys/socket.h>

struct loop;
struct resolver;

enum { TARGETS_MOST = 32 };

struct target {
    char host[256]; // for TLS and the records
    char name[320]; // host[address]:port
    struct sockaddr_storage address;
    socklen_t address_size;
    unsigned priority;      // lower first
    int64_t dead_until_ms;  // it did not answer
    int64_t plain_until_ms; // its TLS is broken: without, where the policy allows it
};

struct targets {
    struct target list[TARGETS_MOST];
    size_t count;
    // Without any: why, as a reply with its codes; `permanent`: no use in trying again.
    char error[256];
    char status[12];
    int permanent;
};

// `targets` is valid during the call.
typedef void targets_fn(void *context, const struct targets *targets);

// Sorts what fits into one list: by priority, mixed at random within one (RFC 5321 5.1).
void targets_add(struct targets *self, const char *host, unsigned priority,
                 const struct sockaddr *address, socklen_t address_size, uint16_t port);
// "192.0.2.1", "[192.0.2.1]", "::1", "[::1]", "[IPv6:::1]", "localhost". 0; or -1 when it is a
// name.
int target_literal(const char *host, struct sockaddr_storage *ret, socklen_t *ret_size);
