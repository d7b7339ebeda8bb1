// SPDX-License-Identifier: Apache-2.0
#pragma once

// What an administrator may do to a member, as changes of documents. The arguments are in the
// change: `name`, and what else stands beside each.
#include "master/change.h"

change_make_fn member_add;    // key, role
change_make_fn member_remove; // its key is revoked
// For others that make members: a message to refuse with, NULL: the name and the key are free.
const char *member_objection(const json_t *documents, const char *name, const char *key);
