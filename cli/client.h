// SPDX-License-Identifier: Apache-2.0
#pragma once

// Speaks /api/v1 over the master's Unix socket.
#include "core/base/base.h"
#include <jansson.h>
#include <stdio.h>

struct client {
    const char *socket;
};

// The answer's JSON; NULL: the error was printed. `body` (borrowed) may be NULL.
json_t *client_ask(const struct client *self, const char *method, const char *path,
                   const json_t *body);
// As client_ask; ret_refusal: what the master refused with, whole (the caller's, NULL: nothing).
json_t *client_ask_for(const struct client *self, const char *method, const char *path,
                       const json_t *body, json_t **ret_refusal);
// The answer's bytes, from malloc; NULL: the error was printed.
char *client_fetch(const struct client *self, const char *path, size_t *ret_size);
// Writes the answer as it comes, however long it is. 0, or -1: the error was printed.
NODISCARD int client_copy(const struct client *self, const char *path, FILE *out);
// Gives the lines of an endless answer as they come, until `fn` returns non-zero or the master ends
// it. 0, or -1: the error was printed.
typedef int client_line_fn(void *context, const char *line);
NODISCARD int client_follow(const struct client *self, const char *path, client_line_fn *fn,
                            void *context);
// Adds "?name=value" or "&name=value", escaped; nothing when value is NULL. For building paths.
struct buffer;
void path_argument(struct buffer *path, const char *name, const char *value);
void path_part(struct buffer *path, const char *part); // "/part", escaped
