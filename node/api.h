// SPDX-License-Identifier: Apache-2.0
#pragma once

// The worker's own /api/v1 on run/api.sock: the quarantine that lies here, also with both masters
// gone. Requests come on the HTTP thread; what they ask of the deliveries, and of the disk, the
// loop sets going.
#include "core/base/ulid.h"
#include "core/journal/journal.h"
#include "proto/control.pb-c.h"

struct api;
struct loop;

enum { COMMANDS_LOCAL = 255 }; // stands for a master where the worker's own console asks

struct api_ops {
    void (*command)(void *context, const Postern__Command *command); // answered by api_reply
    const char *(*day)(void *context, const struct ulid *id);        // of a body here, or NULL
    char *(*status)(void *context);                                  // JSON, from malloc
    void *context;
};

// Borrows the journal, whose disk thread reads. NULL with errno.
struct api *api_new(struct loop *loop, struct journal *journal, const char *run, const char *state,
                    const struct api_ops *ops);
void api_destroy(struct api **self); // after the journal
void api_reply(struct api *self, const Postern__CommandReply *reply);
