// SPDX-License-Identifier: Apache-2.0
#pragma once

// Shared by command.c and command_quarantine.c.
#include "core/base/ulid.h"
#include "delivery/command.h"
#include <jansson.h>

struct command {
    struct queue *const *queues;
    size_t count;
    json_t *body;
    struct ulid id;
    int has_id;
    const char *error;
};

// A reply has at most 1 MiB: a list comes page by page.
enum { COMMAND_PAGE = 100 };

json_t *command_text(const void *data, size_t size); // foreign bytes as a JSON string, cut
json_t *command_quarantine_list(struct command *self);
json_t *command_quarantine_show(struct command *self);
json_t *command_quarantine_order(struct command *self);
