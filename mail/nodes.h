// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who belongs to the cluster, as the documents node/<name> and revoked/<key> say.
#include "mail/settings.h"
#include <jansson.h>

// The members, by name. A document without a key makes none; of two that name one key the first by
// name counts; who holds a revoked key is left out unless `revoked_too` (then is_revoked tells).
struct settings_node *nodes_read(const json_t *documents, int revoked_too, size_t *ret_count);
void nodes_free(struct settings_node *nodes, size_t count);
int nodes_revoked(const json_t *documents, const char *key); // is there a document for the key?
// All revoked keys in hexadecimal, sorted; the texts and the list from malloc.
char **nodes_revoked_keys(const json_t *documents, size_t *ret_count);
