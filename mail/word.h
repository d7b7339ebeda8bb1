// SPDX-License-Identifier: Apache-2.0
#pragma once

// Encoded words in header fields (RFC 2047), decoded to UTF-8.
#include "core/base/base.h"

struct buffer;

// Adds the text to `out`, unfolded, encoded words decoded (the blanks between two of them dropped),
// control characters as blanks.
void words_decode(struct span text, struct buffer *out);
