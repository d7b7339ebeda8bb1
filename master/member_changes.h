// SPDX-License-Identifier: Apache-2.0
#pragma once

// What an administrator may do to a member, as changes of documents. The arguments are in the
// change: `name`, and what else stands beside each.
#include "master/change.h"

change_make_fn member_add;    // key, role
change_make_fn member_remove; // its key is revoked
change_make_fn member_revoke; // the same, but its document stays: `node list` shows it
change_make_fn member_drain, member_undrain;
change_make_fn member_rename; // to
change_make_fn member_rekey;  // key: the one before is good for a day beside it
// A node that proved a token: key, role, `says` (a master's addresses); `name` is what it would
// like to be called, numbered if taken. Sets `given`. Asked again by the same key it changes
// nothing.
change_make_fn member_join;
