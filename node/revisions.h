// SPDX-License-Identifier: Apache-2.0
#pragma once

// The configuration revisions that this node holds, merged as every node merges them, and durable
// in state/config/revisions. Belongs to the disk thread once the loop runs.
#include "core/config/transfer.h"

struct revisions;

// Reads the file; a record that is torn or rotten is left out and comes again from the masters.
// NULL with errno.
struct revisions *revisions_open(const char *folder);
void revisions_close(struct revisions **self);

// A master whose key CURVE has proven says that it signs with this one.
void revisions_trust(struct revisions *self, const uint8_t key[SIGN_PUBLIC]);
// Takes what is new and signed by a master: durable, then merged. How many; -1 with errno: they
// could not be written, and will be asked for again.
int revisions_take(struct revisions *self, const struct batch *batch, unsigned *ret_refused);

const struct config *revisions_set(const struct revisions *self);
// {"revision": name of the newest, "documents": {...}} as text, the caller's; the name; the hash of
// the tree in hexadecimal.
char *revisions_tree(struct revisions *self, size_t *ret_size, char ret_name[REVISION_NAME_SIZE],
                     char ret_hash[2 * TREE_HASH + 1]);
