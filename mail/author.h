// SPDX-License-Identifier: Apache-2.0
#pragma once

// Addresses in header fields (RFC 5322 3.4), read as tolerantly as mail programs do.
#include "core/base/base.h"

struct buffer;

// Adds the address of the first mailbox in a From field's value: comments and display names aside,
// groups entered. At most 320 bytes; nothing when there is none.
void author_address(struct span value, struct buffer *out);
