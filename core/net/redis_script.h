// SPDX-License-Identifier: Apache-2.0
#pragma once

// Lua scripts in Redis: what reads and writes several things at once. A script is named by its
// hash; a server that does not know it is sent its text, within the same patience.
#include "core/net/redis.h"

struct redis_script;
struct redis_call;

// `text` lives as long as the script. Never NULL.
struct redis_script *redis_script_new(const char *text);
void redis_script_destroy(struct redis_script **self);

// As redis_ask: `words` are `key_count` keys, then arguments. The answer may also come after the
// script was destroyed. NULL: not now.
struct redis_call *redis_script_call(const struct redis_script *self, struct redis *redis,
                                     size_t key_count, const struct span *words, size_t count,
                                     redis_fn *fn, void *context);
void redis_script_forget(struct redis_call *call); // its `fn` is not called any more
