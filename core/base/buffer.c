// SPDX-License-Identifier: Apache-2.0
#include "core/base/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_LEAST = 256 };

void buffer_init(struct buffer *self)
{
    *self = (struct buffer){0};
}

void buffer_free(struct buffer *self)
{
    free(self->data);
    buffer_init(self);
}

size_t buffer_size(const struct buffer *self)
{
    return self->end - self->start;
}

const char *buffer_bytes(const struct buffer *self)
{
    return self->data ? self->data + self->start : "";
}

static void grow(struct buffer *self, size_t needed)
{
    size_t capacity = self->capacity ? self->capacity : CAPACITY_LEAST;
    while (capacity < needed)
        capacity *= 2;
    self->data = reallocate(self->data, capacity);
    self->capacity = capacity;
}

char *buffer_reserve(struct buffer *self, size_t room)
{
    assert(room < SIZE_MAX / 4);
    if (self->data && self->capacity - self->end >= room)
        return self->data + self->end;
    // Moving down is worth it only when it frees at least as much as it copies: otherwise a long
    // run that is taken in small pieces would be moved again and again.
    size_t held = buffer_size(self);
    if (self->start && self->start >= held) {
        memmove(self->data, self->data + self->start, held);
        self->start = 0;
        self->end = held;
    }
    if (!self->data || self->capacity - self->end < room)
        grow(self, self->end + room);
    return self->data + self->end;
}

void buffer_added(struct buffer *self, size_t size)
{
    assert(size <= self->capacity - self->end);
    self->end += size;
}

void buffer_add(struct buffer *self, const void *data, size_t size)
{
    if (!size)
        return;
    memcpy(buffer_reserve(self, size), data, size);
    self->end += size;
}

void buffer_add_text(struct buffer *self, const char *text)
{
    buffer_add(self, text, strlen(text));
}

void buffer_printf(struct buffer *self, const char *format, ...)
{
    va_list arguments;
    char *room = buffer_reserve(self, CAPACITY_LEAST);
    size_t size = self->capacity - self->end;
    va_start(arguments, format);
    int length = vsnprintf(room, size, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    if ((size_t)length >= size) {
        room = buffer_reserve(self, (size_t)length + 1);
        va_start(arguments, format);
        vsnprintf(room, (size_t)length + 1, format, arguments);
        va_end(arguments);
    }
    self->end += (size_t)length;
}

void buffer_take(struct buffer *self, size_t size)
{
    assert(size <= buffer_size(self));
    self->start += size;
    if (self->start == self->end)
        self->start = self->end = 0;
}

void buffer_clear(struct buffer *self)
{
    self->start = self->end = 0;
}
