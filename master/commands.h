// SPDX-License-Identifier: Apache-2.0
#pragma once

// Questions to nodes: commands and pieces of quarantined bodies, each answered once or given up at
// its deadline. On the loop.
#include "core/base/ulid.h"
#include "master/master.h"

struct commands *commands_new(struct master *master);
void commands_destroy(struct commands **self);
void commands_tick(struct commands *self); // gives up what is over its deadline

// `reply` is borrowed; NULL with `error` when the node failed, said nothing in time, or is away.
typedef void command_fn(void *context, const struct member *member, json_t *reply,
                        const char *error);
// Sends {"command": ...}; `fn` is called once, maybe within the call.
void commands_send(struct commands *self, const struct member *member, const json_t *body,
                   int64_t timeout_ms, command_fn *fn, void *context);

// A piece of a quarantined body; `data` NULL with an error.
typedef void body_fn(void *context, const void *data, size_t size, uint64_t total,
                     const char *error);
extern const char body_missing[]; // that error: the node does not have it
void commands_fetch(struct commands *self, const struct member *member, const char *id,
                    const char *day, uint64_t offset, int64_t timeout_ms, body_fn *fn,
                    void *context);

// A piece for the node to keep; `fn` hears, without data, that it is written.
struct body_place {
    const struct ulid *id;
    const char *day;
    uint64_t offset, total;
};
void commands_give(struct commands *self, const struct member *member,
                   const struct body_place *place, struct span data, int64_t timeout_ms,
                   body_fn *fn, void *context);

// What came from a node.
void commands_reply(struct commands *self, const struct member *member, const uint8_t *data,
                    size_t size);
void commands_body(struct commands *self, const struct member *member, const uint8_t *data,
                   size_t size);
