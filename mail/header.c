// SPDX-License-Identifier: Apache-2.0
#include "mail/header.h"

#include "mail/anomaly.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

struct span span_trim(struct span text)
{
    while (text.size > 0 && is_blank(text.data[0])) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && is_blank(text.data[text.size - 1]))
        text.size--;
    return text;
}

struct span header_line(struct span bytes, size_t offset, size_t *ret_next)
{
    const char *start = bytes.data + offset;
    const char *end = memchr(start, '\n', bytes.size - offset);
    size_t size = end != NULL ? (size_t)(end - start) : bytes.size - offset;
    *ret_next = offset + size + (end != NULL);
    if (size > 0 && start[size - 1] == '\r')
        size--;
    return (struct span){start, size};
}

// The length of a field's name at the front of `line`, 0 when it has none. ret_colon is where its
// colon stands.
static size_t name_size(struct span line, size_t *ret_colon)
{
    size_t size = 0;
    while (size < line.size && line.data[size] > 32 && line.data[size] < 127 &&
           line.data[size] != ':')
        size++;
    size_t colon = size;
    while (colon < line.size && is_blank(line.data[colon]))
        colon++;
    if (size == 0 || colon >= line.size || line.data[colon] != ':')
        return 0;
    *ret_colon = colon;
    return size;
}

int header_looks_like_field(struct span line)
{
    size_t colon;
    return name_size(line, &colon) > 0;
}

int span_holds_nocase(struct span text, const char *needle)
{
    size_t size = strlen(needle);
    if (text.size < size)
        return 0;
    for (size_t i = 0; i + size <= text.size; i++)
        if (tolower((unsigned char)text.data[i]) == needle[0] &&
            strncasecmp(text.data + i, needle, size) == 0)
            return 1;
    return 0;
}

static struct header_field *add_field(struct header_block *self)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 32;
        self->fields = reallocate(self->fields, self->capacity * sizeof(*self->fields));
    }
    return &self->fields[self->count++];
}

// The last field goes on in the line that ends at `end`.
static void extend_field(struct header_block *self, struct span line, size_t next)
{
    struct header_field *field = &self->fields[self->count - 1];
    field->value.size = (size_t)(line.data + line.size - field->value.data);
    field->size = next - field->offset;
}

static void note_bytes(struct header_block *self, struct span line)
{
    if (memchr(line.data, '\r', line.size) != NULL)
        self->anomalies |= ANOMALY_BIT(ANOMALY_HEADER_CR);
    if (memchr(line.data, 0, line.size) != NULL)
        self->anomalies |= ANOMALY_BIT(ANOMALY_HEADER_NUL);
}

static void note_early(struct header_block *self, enum anomaly anomaly, size_t offset)
{
    self->anomalies |= ANOMALY_BIT(anomaly);
    if (self->early == SIZE_MAX)
        self->early = offset;
}

static int is_mbox_line(struct span line, size_t offset)
{
    return offset == 0 && ((line.size >= 5 && memcmp(line.data, "From ", 5) == 0) ||
                           (line.size >= 6 && memcmp(line.data, ">From ", 6) == 0));
}

// Takes one line that is not empty.
static void take_line(struct header_block *self, struct span line, size_t offset, size_t next)
{
    note_bytes(self, line);
    if (line.data[0] == ' ' || line.data[0] == '\t') {
        if (span_trim(line).size == 0)
            note_early(self, ANOMALY_HEADER_BLANKS, next);
        if (self->count > 0)
            extend_field(self, line, next);
        else
            note_early(self, ANOMALY_HEADER_JUNK, offset);
        return;
    }
    size_t colon = 0;
    size_t size = name_size(line, &colon);
    if (size == 0) {
        if (!is_mbox_line(line, offset))
            note_early(self, ANOMALY_HEADER_JUNK, offset);
        return;
    }
    if (colon > size)
        self->anomalies |= ANOMALY_BIT(ANOMALY_HEADER_SPACE);
    struct header_field *field = add_field(self);
    field->name = (struct span){line.data, size};
    field->value = (struct span){line.data + colon + 1, line.size - colon - 1};
    field->offset = offset;
    field->size = next - offset;
}

// Past a limit: finds the empty line without looking at the fields.
static void skip_to_body(struct header_block *self, struct span bytes, size_t offset)
{
    while (offset < bytes.size) {
        size_t next;
        struct span line = header_line(bytes, offset, &next);
        if (line.size == 0) {
            self->size = offset;
            self->body = next;
            return;
        }
        offset = next;
    }
    self->size = self->body = bytes.size;
}

void header_read(struct header_block *self, struct span bytes, const struct header_limits *limits)
{
    self->count = 0;
    self->anomalies = 0;
    self->early = SIZE_MAX;
    size_t offset = 0;
    while (offset < bytes.size) {
        size_t next;
        struct span line = header_line(bytes, offset, &next);
        if (line.size == 0) {
            self->size = offset;
            self->body = next;
            break;
        }
        int too_many = self->count >= limits->fields && !is_blank(line.data[0]);
        if (too_many || next > limits->bytes) {
            self->anomalies |=
                ANOMALY_BIT(too_many ? ANOMALY_LIMIT_HEADERS : ANOMALY_LIMIT_HEADER_BYTES);
            skip_to_body(self, bytes, offset);
            break;
        }
        take_line(self, line, offset, next);
        offset = next;
    }
    if (offset >= bytes.size) {
        // Without an empty line the first junk is the likeliest start of the body.
        self->anomalies |= ANOMALY_BIT(ANOMALY_HEADER_OPEN);
        self->size = self->body = self->early < bytes.size ? self->early : bytes.size;
    }
    if (self->early > self->body)
        self->early = self->body;
}

void header_free(struct header_block *self)
{
    free(self->fields);
    *self = (struct header_block){0};
}

const struct header_field *header_find(const struct header_block *self, const char *name,
                                       const struct header_field *after)
{
    size_t size = strlen(name);
    for (size_t i = after != NULL ? (size_t)(after - self->fields) + 1 : 0; i < self->count; i++)
        if (self->fields[i].name.size == size &&
            strncasecmp(self->fields[i].name.data, name, size) == 0)
            return &self->fields[i];
    return NULL;
}
