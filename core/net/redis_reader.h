// SPDX-License-Identifier: Apache-2.0
#pragma once

// hiredis as far as we use it: it writes commands and parses replies; no sockets. Bounded, since
// the other side may be hostile: 1 MiB and 1,000 elements a reply.
#include "core/base/buffer.h"
#include <hiredis/hiredis.h>

struct redis_reader;

struct redis_reader *redis_reader_new(void); // never NULL
void redis_reader_destroy(struct redis_reader **self);
void redis_reader_feed(struct redis_reader *self, const char *data, size_t size);
// The next whole reply, or NULL: more is needed, or it failed. To be given to redis_reader_free.
struct redisReply *redis_reader_next(struct redis_reader *self);
void redis_reader_free(struct redisReply *reply);
int redis_reader_failed(const struct redis_reader *self); // what came is no reply; it stays so

// Adds a command to `out`; its words may hold any bytes.
void redis_reader_format(struct buffer *out, const struct span *words, size_t count);
// Is it an error that begins with `prefix`?
int redis_reader_is_error(const struct redisReply *reply, const char *prefix);
// An error's text, printable, for the log. Returns ret_text.
const char *redis_reader_text(const struct redisReply *reply, char *ret_text, size_t text_size);
