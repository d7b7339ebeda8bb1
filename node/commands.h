// SPDX-License-Identifier: Apache-2.0
#pragma once

// Commands of the masters about this worker's queue and quarantine: each goes to every delivery,
// and their answers become one.
#include "core/bus/bus.h"
#include "proto/control.pb-c.h"
#include "proto/local.pb-c.h"
#include <jansson.h>

struct loop;
struct commands;

struct commands_ops {
    uint64_t (*deliveries)(void *context); // those that are connected, a bit per slot
    int (*send)(void *context, unsigned slot, const Postern__StageCommand *command);
    // -1 with EMSGSIZE: too long for the master.
    int (*reply)(void *context, unsigned master, const Postern__CommandReply *reply);
    void *context;
};

struct commands *commands_new(struct loop *loop, const struct commands_ops *ops);
void commands_destroy(struct commands **self);
void commands_run(struct commands *self, unsigned master, const Postern__Command *command);
void commands_reply(struct commands *self, const Postern__StageReply *reply);
void commands_second(struct commands *self); // asks again, gives up

// What several deliveries answered, as one: rows of "queue" together, newest first, at most `limit`
// (0: all); "count" as the sum; of several "outcome" the one of the delivery that holds the mail.
// Errors stand under "errors". Borrows `replies`, an array of {"slot", "body"} or {"slot",
// "error"}. `ret_failed`: nobody did it, or nobody can tell.
json_t *commands_merge(const json_t *replies, size_t limit, int *ret_failed);
