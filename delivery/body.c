// SPDX-License-Identifier: Apache-2.0
#include "delivery/body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void add_piece(struct body *self, const void *data, size_t size)
{
    if (size == 0)
        return;
    self->pieces[self->count++] = (struct iovec){(void *)(uintptr_t)data, size};
    self->size += size;
}

static int has_eight_bit(const char *data, size_t size)
{
    uint64_t seen = 0, word;
    size_t i = 0;
    for (; i + sizeof(word) <= size; i += sizeof(word)) {
        memcpy(&word, data + i, sizeof(word));
        seen |= word;
    }
    for (; i < size; i++)
        seen |= (unsigned char)data[i];
    return (seen & 0x8080808080808080U) != 0;
}

// What two neighbours must not be: a bare CR, a bare LF, a dot that begins a line.
static int unclean_pair(char before, char after)
{
    return (before == '\r') != (after == '\n') || (before == '\n' && after == '.');
}

static int piece_clean(const char *data, size_t size)
{
    const char *end = data + size;
    for (const char *at = data; (at = memchr(at, '\n', (size_t)(end - at))); at++) {
        if (at > data && at[-1] != '\r')
            return 0;
        if (at + 1 < end && at[1] == '.')
            return 0;
    }
    for (const char *at = data; (at = memchr(at, '\r', (size_t)(end - at))); at++)
        if (at + 1 < end && at[1] != '\n')
            return 0;
    return 1;
}

static void scan(struct body *self)
{
    char last = '\n';
    self->clean = 1;
    for (size_t i = 0; i < self->count; i++) {
        const char *data = self->pieces[i].iov_base;
        size_t size = self->pieces[i].iov_len;
        if (unclean_pair(last, data[0]) || !piece_clean(data, size))
            self->clean = 0;
        if (has_eight_bit(data, size))
            self->eight_bit = 1;
        last = data[size - 1];
    }
    if (last != '\n')
        self->clean = 0;
}

int body_make(struct body *ret, struct span received, Postern__Splice *const *changes,
              size_t change_count, struct span message)
{
    struct body body = {0};
    size_t at = 0;
    body.pieces = allocate((2 * change_count + 2) * sizeof(*body.pieces));
    add_piece(&body, received.data, received.size);
    for (size_t i = 0; i < change_count; i++) {
        const Postern__Splice *change = changes[i];
        if (change->offset < at || change->offset > message.size ||
            change->remove > message.size - change->offset) {
            free(body.pieces);
            errno = EBADMSG;
            return -1;
        }
        add_piece(&body, message.data + at, change->offset - at);
        add_piece(&body, change->insert.data, change->insert.len);
        at = change->offset + change->remove;
    }
    add_piece(&body, message.data + at, message.size - at);
    scan(&body);
    *ret = body;
    return 0;
}

void body_free(struct body *self)
{
    free(self->pieces);
    *self = (struct body){0};
}

int body_header_eight_bit(const struct body *self)
{
    int line = 0; // bytes in the current line, CR not counted
    for (size_t i = 0; i < self->count; i++) {
        const unsigned char *data = self->pieces[i].iov_base;
        for (size_t at = 0; at < self->pieces[i].iov_len; at++) {
            if (data[at] >= 0x80)
                return 1;
            if (data[at] == '\n' && line == 0)
                return 0;
            if (data[at] != '\r')
                line = data[at] != '\n';
        }
    }
    return 0;
}

void body_reader_init(struct body_reader *self, const struct body *body)
{
    *self = (struct body_reader){.body = body, .last = '\n'};
}

static void add_mended(struct body_reader *self, char byte, struct buffer *out)
{
    if (self->last == '\r' && byte != '\n')
        buffer_add(out, "\n", 1); // the CR before was bare
    else if (self->last != '\r' && byte == '\n')
        buffer_add(out, "\r", 1);
    if (byte == '.' && (self->last == '\n' || self->last == '\r'))
        buffer_add(out, ".", 1);
    buffer_add(out, &byte, 1);
    self->last = byte;
}

static size_t next_special(const char *data, size_t size)
{
    size_t at = 0;
    while (at < size && data[at] != '\r' && data[at] != '\n')
        at++;
    return at;
}

static void read_mending(struct body_reader *self, const char *data, size_t size,
                         struct buffer *out)
{
    size_t at = 0;
    while (at < size) {
        size_t run = 0;
        if (self->last != '\r' && self->last != '\n')
            run = next_special(data + at, size - at);
        if (run > 0) {
            buffer_add(out, data + at, run);
            at += run;
            self->last = data[at - 1];
        } else {
            add_mended(self, data[at++], out);
        }
    }
}

static void finish(struct body_reader *self, struct buffer *out)
{
    if (self->last == '\r')
        buffer_add(out, "\n", 1);
    else if (self->last != '\n')
        buffer_add(out, "\r\n", 2);
    self->last = '\n';
}

int body_read(struct body_reader *self, size_t most, struct buffer *out)
{
    const struct body *body = self->body;
    size_t room = most;
    while (self->piece < body->count && room > 0) {
        const struct iovec *piece = &body->pieces[self->piece];
        const char *data = (const char *)piece->iov_base + self->offset;
        size_t size = piece->iov_len - self->offset;
        if (size > room)
            size = room;
        if (body->clean)
            buffer_add(out, data, size);
        else
            read_mending(self, data, size, out);
        room -= size;
        self->offset += size;
        if (self->offset == piece->iov_len) {
            self->piece++;
            self->offset = 0;
        }
    }
    if (self->piece < body->count)
        return 0;
    if (!body->clean)
        finish(self, out);
    return 1;
}
