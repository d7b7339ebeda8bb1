// SPDX-License-Identifier: Apache-2.0
#pragma once

// A growing run of bytes, taken from the front and added at the end.
//   data[0 .. start)  already taken      data[start .. end)  held      data[end .. capacity)  room
#include "core/base/base.h"

struct buffer {
    char *data;
    size_t start, end, capacity;
};

void buffer_init(struct buffer *self);
void buffer_free(struct buffer *self);
size_t buffer_size(const struct buffer *self);
const char *buffer_bytes(const struct buffer *self);
char *buffer_reserve(struct buffer *self, size_t room); // at least `room` bytes at the end
void buffer_added(struct buffer *self, size_t size);    // after writing into the reserved room
void buffer_add(struct buffer *self, const void *data, size_t size);
void buffer_add_text(struct buffer *self, const char *text);
void buffer_printf(struct buffer *self, const char *format, ...) PRINTF(2, 3);
void buffer_take(struct buffer *self, size_t size); // drops from the front
void buffer_clear(struct buffer *self);             // keeps the memory
