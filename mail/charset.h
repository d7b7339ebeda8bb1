// SPDX-License-Identifier: Apache-2.0
#pragma once

// Charsets by name (as labels in mail), converted to UTF-8 by ICU. Only charsets of a list are
// opened: converters of attacker's choice are a needless surface.
#include "core/base/base.h"

struct buffer;

// Adds `text` to `out` as UTF-8. An unknown or empty charset is taken for UTF-8 where it is valid,
// else for windows-1252. 1 when the charset was known, else 0.
int charset_to_utf8(struct span charset, struct span text, struct buffer *out);
// May bytes 0..127 mean something else than ASCII in it (UTF-16, UTF-7, ISO-2022 ...)? Then
// searching needs conversion.
int charset_hides_ascii(struct span charset);
