// SPDX-License-Identifier: Apache-2.0
#pragma once

// Our Received field (RFC 5321 4.4, protocol names of RFC 3848 and RFC 6531).
#include "core/base/buffer.h"
#include "proto/envelope.pb-c.h"

// Adds the field to `out`, CRLF ended. `hostname` is ours, `id` is text. The recipient stands in it
// when there is but one.
void received_field_build(struct buffer *out, const Postern__Envelope *envelope,
                          const char *hostname, const char *id);
