// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a message says of itself, for records and lists: read once, when it is taken.
#include "core/base/base.h"
#include "proto/envelope.pb-c.h"

struct header_limits;

// Sets message_id, subject (decoded, at most 256 bytes of UTF-8) and from (the address of the first
// author) from the header at the front of `bytes`; the envelope owns them. What is not there stays
// empty.
void heading_read(Postern__Envelope *envelope, struct span bytes,
                  const struct header_limits *limits);
