// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where Redis's primary is, by the word of its Sentinels. They are asked one after the other until
// one knows; that one is listened to for +switch-master, and left for the next when it falls
// silent. A Sentinel's word may be old (it was cut off from the others): whoever connects asks the
// server itself for its role, and comes back with sentinel_ask when it is no primary.
#include "core/net/redis_link.h"

struct loop;
struct sentinel;

enum { SENTINELS_MOST = 16 };

struct sentinel_options {
    struct loop *loop;
    const char *const
        *addresses; // "192.0.2.1:26379", up to SENTINELS_MOST; borrowed, like all here
    size_t address_count;
    const char *master_name;
    struct redis_login login;
};

// The primary, as one of them says; also when it is the same as before. Never within a call. It may
// not destroy the sentinel.
typedef void sentinel_fn(void *context, const struct endpoint *primary);

// Begins to ask. NULL with errno (EINVAL: an address).
struct sentinel *sentinel_new(const struct sentinel_options *options, sentinel_fn *fn,
                              void *context);
void sentinel_destroy(struct sentinel **self);
// What it said is of no use: asks the next one.
void sentinel_ask(struct sentinel *self);
