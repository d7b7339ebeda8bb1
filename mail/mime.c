// SPDX-License-Identifier: Apache-2.0
#include "mail/mime.h"

#include "core/base/buffer.h"
#include "mail/mime_parse.h"
#include "mail/parameter.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { WORK_FACTOR = 64, WORK_LEAST = 1 << 20, SOURCES_MOST = 64 };

struct mime *mime_new(const struct mime_limits *limits)
{
    struct mime *self = allocate(sizeof(*self));
    self->limits = *limits;
    if (self->limits.depth > MIME_DEPTH_MOST)
        self->limits.depth = MIME_DEPTH_MOST;
    return self;
}

static void forget(struct mime *self)
{
    for (size_t i = 0; i < self->source_count; i++)
        free(self->sources[i].owned);
    for (size_t i = 0; i < self->kept_count; i++)
        free(self->kept[i]);
    self->source_count = self->kept_count = self->count = 0;
}

void mime_destroy(struct mime **self)
{
    if (*self == NULL)
        return;
    forget(*self);
    header_free(&(*self)->header);
    header_free(&(*self)->scratch);
    free((*self)->nodes);
    free((*self)->sources);
    free((*self)->kept);
    free(*self);
    *self = NULL;
}

struct span mime_bytes(const struct mime *self, struct range range)
{
    return (struct span){self->sources[range.source].bytes.data + range.start,
                         range.end - range.start};
}

struct span mime_body(const struct mime *self, const struct mime_node *node)
{
    return mime_bytes(self, (struct range){node->source, node->body, node->end});
}

void mime_note(struct mime *self, int index, enum anomaly anomaly)
{
    self->anomalies |= ANOMALY_BIT(anomaly);
    if (index != MIME_NONE)
        self->nodes[index].anomalies |= ANOMALY_BIT(anomaly);
}

int mime_spend(struct mime *self, int index, size_t size)
{
    if (size > self->work) {
        mime_note(self, index, ANOMALY_LIMIT_READINGS);
        return -1;
    }
    self->work -= size;
    return 0;
}

int mime_another_reading(struct mime *self, int index)
{
    if (self->readings >= self->limits.readings) {
        mime_note(self, index, ANOMALY_LIMIT_READINGS);
        return -1;
    }
    self->readings++;
    return 0;
}

struct span mime_keep(struct mime *self, const struct buffer *text)
{
    if (self->kept_count == self->kept_capacity) {
        self->kept_capacity = self->kept_capacity > 0 ? self->kept_capacity * 2 : 8;
        self->kept = reallocate(self->kept, self->kept_capacity * sizeof(*self->kept));
    }
    char *copy = duplicate_bytes(buffer_bytes(text), buffer_size(text));
    self->kept[self->kept_count++] = copy;
    return (struct span){copy, buffer_size(text)};
}

static unsigned add_source(struct mime *self, struct span bytes, char *owned)
{
    if (self->source_count == self->source_capacity) {
        self->source_capacity = self->source_capacity > 0 ? self->source_capacity * 2 : 4;
        self->sources = reallocate(self->sources, self->source_capacity * sizeof(*self->sources));
    }
    self->sources[self->source_count] = (struct mime_source){bytes, owned};
    return (unsigned)self->source_count++;
}

unsigned mime_add_source(struct mime *self, struct buffer *decoded)
{
    struct span bytes = {buffer_bytes(decoded), buffer_size(decoded)};
    unsigned source = add_source(self, bytes, decoded->data);
    buffer_init(decoded);
    return source;
}

// A node within the limits, hung into the tree.
static int add_node(struct mime *self, struct range range, struct place_in_tree place)
{
    unsigned depth = place.parent == MIME_NONE ? 0 : self->nodes[place.parent].depth + 1;
    if (depth > self->limits.depth || self->count >= self->limits.parts) {
        mime_note(self, place.parent,
                  depth > self->limits.depth ? ANOMALY_LIMIT_DEPTH : ANOMALY_LIMIT_PARTS);
        return MIME_NONE;
    }
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 16;
        self->nodes = reallocate(self->nodes, self->capacity * sizeof(*self->nodes));
    }
    int index = (int)self->count++;
    self->nodes[index] = (struct mime_node){
        .source = range.source,
        .start = range.start,
        .end = range.end,
        .parent = place.parent,
        .first = MIME_NONE,
        .last = MIME_NONE,
        .next = MIME_NONE,
        .depth = depth,
        .number = 1,
        .alternative = place.alternative,
        .suspicious = place.suspicious,
    };
    if (place.parent == MIME_NONE)
        return index;
    struct mime_node *parent = &self->nodes[place.parent];
    if (parent->last == MIME_NONE)
        parent->first = index;
    else
        self->nodes[parent->last].next = index;
    parent->last = index;
    self->nodes[index].number = ++parent->children;
    return index;
}

// MIME fields that stand behind an empty line: an alternative entity begins there.
static void read_late_header(struct mime *self, int index, size_t fields)
{
    const struct mime_node *node = &self->nodes[index];
    struct span body = mime_body(self, node);
    if (fields > 0 || node->parent == MIME_NONE || body.size < 8 ||
        strncasecmp(body.data, "content-", 8) != 0)
        return;
    mime_note(self, index, ANOMALY_HEADER_LATE);
    if (mime_another_reading(self, index) == 0)
        mime_entity(self, (struct range){node->source, node->body, node->end},
                    (struct place_in_tree){.parent = index, .alternative = 1, .suspicious = 1});
}

static void read_message(struct mime *self, int index)
{
    const struct mime_node node = self->nodes[index];
    if (node.encoding != ENCODING_IDENTITY && readings_encoded(self, index))
        return;
    mime_entity(self, (struct range){node.source, node.body, node.end},
                (struct place_in_tree){.parent = index,
                                       .alternative = node.alternative,
                                       .suspicious = node.suspicious});
}

int mime_entity(struct mime *self, struct range range, struct place_in_tree place)
{
    int index = add_node(self, range, place);
    if (index == MIME_NONE)
        return MIME_NONE;
    struct header_block *header = index == 0 ? &self->header : &self->scratch;
    struct header_limits limits = {self->limits.headers, self->limits.header_bytes};
    header_read(header, mime_bytes(self, range), &limits);
    struct mime_node *node = &self->nodes[index];
    node->body = range.start + header->body;
    node->early = range.start + header->early;
    mime_describe(self, index, header, place.digest);
    size_t fields = header->count;
    switch (self->nodes[index].kind) {
    case MIME_MULTIPART:
        multipart_split(self, index);
        break;
    case MIME_MESSAGE:
        read_message(self, index);
        break;
    case MIME_LEAF:
        readings_leaf(self, index);
        break;
    }
    read_late_header(self, index, fields);
    return index;
}

// Bytes that no line of a message may hold (RFC 5322 2.3).
static void note_body_bytes(struct mime *self, struct span body)
{
    if (memchr(body.data, 0, body.size) != NULL)
        mime_note(self, 0, ANOMALY_BODY_NUL);
    const char *end = body.data + body.size;
    const char *at = body.data;
    const char *found;
    while ((found = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        size_t line = (size_t)(found - at);
        if (line == 0 || found[-1] != '\r' || (line > 1 && memchr(at, '\r', line - 1) != NULL)) {
            mime_note(self, 0, ANOMALY_BODY_BARE);
            return;
        }
        at = found + 1;
    }
}

void mime_read(struct mime *self, struct span bytes)
{
    forget(self);
    self->anomalies = 0;
    self->readings = 1;
    self->work = bytes.size < SIZE_MAX / WORK_FACTOR - WORK_LEAST
                     ? bytes.size * WORK_FACTOR + WORK_LEAST
                     : SIZE_MAX;
    add_source(self, bytes, NULL);
    mime_entity(self, (struct range){0, 0, bytes.size},
                (struct place_in_tree){.parent = MIME_NONE});
    note_body_bytes(self, mime_body(self, &self->nodes[0]));
}

int mime_is(const struct mime_node *node, const char *type, const char *subtype)
{
    struct span plain = {"text", 4}, text = {"plain", 5};
    struct span has_type = node->type.size > 0 ? node->type : plain;
    struct span has_subtype = node->type.size > 0 ? node->subtype : text;
    return span_equal_nocase(has_type, span_of(type)) &&
           (subtype == NULL || span_equal_nocase(has_subtype, span_of(subtype)));
}

static int named(struct span value, const char *name, struct buffer *out)
{
    if (value.data == NULL)
        return 0;
    struct parameter_list list;
    parameters_read(&list, value);
    return parameter_text(&list, name, out);
}

int mime_filename(const struct mime_node *node, struct buffer *out)
{
    return named(node->disposition, "filename", out) || named(node->content_type, "name", out);
}

void mime_path(const struct mime *self, const struct mime_node *node, struct buffer *out)
{
    const struct mime_node *chain[MIME_DEPTH_MOST + 2];
    size_t length = 0;
    for (; node->parent != MIME_NONE && length < ARRAY_LENGTH(chain);
         node = &self->nodes[node->parent])
        chain[length++] = node;
    buffer_add_text(out, "0");
    while (length-- > 0) {
        const struct mime_node *parent = &self->nodes[chain[length]->parent];
        if (parent->kind == MIME_MESSAGE && chain[length]->number == 1)
            buffer_add_text(out, ".m0");
        else
            buffer_printf(out, ".%u", chain[length]->number);
    }
}
