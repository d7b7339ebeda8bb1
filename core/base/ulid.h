// SPDX-License-Identifier: Apache-2.0
#pragma once

// Names that sort by time and never repeat: 48 bits of Unix milliseconds, 80 random bits
// (a fresh random start per process, counted up within a millisecond).
#include "core/base/base.h"

enum { ULID_SIZE = 16, ULID_TEXT = 27 }; // text is 26 characters of Crockford's base 32 and a 0

struct ulid {
    uint8_t bytes[ULID_SIZE];
};

struct ulid ulid_new(int64_t wall_ms);
void ulid_format(const struct ulid *self, char ret_text[ULID_TEXT]);
NODISCARD int ulid_parse(const char *text, size_t size, struct ulid *ret); // 0, or -1
int64_t ulid_time_ms(const struct ulid *self);
