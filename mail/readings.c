// SPDX-License-Identifier: Apache-2.0
#include "mail/readings.h"

#include "core/base/buffer.h"
#include "mail/mime_parse.h"
#include <string.h>
#include <strings.h>

enum { SNIFF_SIZE = 512 };

static struct span skip_blanks(struct span line)
{
    while (line.size > 0 && (line.data[0] == ' ' || line.data[0] == '\t')) {
        line.data++;
        line.size--;
    }
    return line;
}

// The armour of PGP and PEM (RFC 4880 6.2, RFC 7468) has fields behind its dashes, too.
static int is_armour(struct span line)
{
    return line.size >= 11 && memcmp(line.data, "-----BEGIN ", 11) == 0;
}

static int begins_part(struct span dashes, struct span line, int liberal)
{
    line = skip_blanks(line);
    if (line.size >= 8 && strncasecmp(line.data, "content-", 8) == 0)
        return 1;
    return liberal && !is_armour(dashes) && header_looks_like_field(line);
}

static size_t next_dashes(struct span bytes, size_t offset)
{
    if (offset + 2 <= bytes.size && memcmp(bytes.data + offset, "--", 2) == 0)
        return offset;
    const char *found = memmem(bytes.data + offset, bytes.size - offset, "\n--", 3);
    return found != NULL ? (size_t)(found - bytes.data) + 1 : bytes.size;
}

// Is the line one of a multipart around `index` and something behind it?
static int prolongs_boundary(const struct mime *self, int index, struct span line)
{
    for (; index != MIME_NONE; index = self->nodes[index].parent) {
        struct span boundary = self->nodes[index].boundary;
        if (boundary.size > 0 && line.size >= boundary.size + 2 &&
            memcmp(line.data + 2, boundary.data, boundary.size) == 0)
            return 1;
    }
    return 0;
}

unsigned readings_scan(struct mime *self, int index, struct range range, int liberal)
{
    struct span bytes = mime_bytes(self, range);
    unsigned found = 0;
    size_t offset = 0;
    while ((offset = next_dashes(bytes, offset)) < bytes.size) {
        size_t header, next;
        struct span dashes = header_line(bytes, offset, &header);
        offset = header;
        if (header >= bytes.size ||
            !begins_part(dashes, header_line(bytes, header, &next), liberal))
            continue;
        if (found++ == 0 && mime_another_reading(self, index) < 0)
            return found;
        if (prolongs_boundary(self, index, dashes))
            mime_note(self, index, ANOMALY_BOUNDARY_PREFIX);
        offset = next_dashes(bytes, next);
        struct range part = {range.source, range.start + header, range.start + offset};
        if (mime_entity(self, part, (struct place_in_tree){.parent = index, .alternative = 1}) ==
            MIME_NONE)
            return found;
    }
    return found;
}

// Does the text begin like a message: fields that mail has, one after the other?
static int looks_like_message(struct span text)
{
    static const char *const names[] = {
        "received:", "return-path:", "from:", "mime-version:", "message-id:",
        "subject:",  "date:",        "to:",   "delivered-to:", "content-type:"};
    size_t next;
    struct span line = header_line(text, 0, &next);
    if (next >= text.size || !header_looks_like_field(line))
        return 0;
    struct span second = header_line(text, next, &next);
    if (second.size == 0 ||
        !(header_looks_like_field(second) || second.data[0] == ' ' || second.data[0] == '\t'))
        return 0;
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        if (line.size > strlen(names[i]) && strncasecmp(line.data, names[i], strlen(names[i])) == 0)
            return 1;
    return 0;
}

static void decode_plainly(const struct mime_node *node, struct span text, struct buffer *out)
{
    if (node->encoding == ENCODING_BASE64)
        decode_base64(text, BASE64_SKIP, out);
    else if (node->encoding == ENCODING_QP)
        decode_qp(text, QP_LITERAL, out);
    else if (node->encoding == ENCODING_UU)
        decode_uu(text, out);
    else if (node->encoding == ENCODING_YENC)
        decode_yenc(text, out);
}

// The decoded body as a further source, and the entity or parts in it.
int readings_encoded(struct mime *self, int index)
{
    const struct mime_node node = self->nodes[index];
    struct span body = mime_body(self, &node);
    if (mime_spend(self, index, body.size) < 0)
        return 0;
    struct buffer decoded;
    buffer_init(&decoded);
    decode_plainly(&node, body, &decoded);
    size_t size = buffer_size(&decoded);
    if (size == 0) {
        buffer_free(&decoded);
        return 0;
    }
    unsigned source = mime_add_source(self, &decoded);
    struct range range = {source, 0, size};
    if (node.kind == MIME_MULTIPART)
        return readings_scan(self, index, range, 1) > 0;
    return mime_entity(self, range,
                       (struct place_in_tree){.parent = index, .alternative = node.alternative}) !=
           MIME_NONE;
}

// A message in an attachment that does not say so.
static void sniff_message(struct mime *self, int index)
{
    const struct mime_node node = self->nodes[index];
    struct span body = mime_body(self, &node);
    if (node.encoding == ENCODING_IDENTITY) {
        if (looks_like_message(body) && mime_another_reading(self, index) == 0)
            mime_entity(self, (struct range){node.source, node.body, node.end},
                        (struct place_in_tree){.parent = index, .alternative = 1});
        return;
    }
    char room[SNIFF_SIZE];
    struct buffer head = {.data = room, .capacity = sizeof(room)};
    decode_plainly(
        &node, (struct span){body.data, body.size < SNIFF_SIZE / 2 ? body.size : SNIFF_SIZE / 2},
        &head);
    if (looks_like_message((struct span){room, buffer_size(&head)}) &&
        mime_another_reading(self, index) == 0)
        readings_encoded(self, index);
}

void readings_leaf(struct mime *self, int index)
{
    const struct mime_node node = self->nodes[index];
    struct span body = mime_bytes(self, (struct range){node.source, node.early, node.end});
    if (mime_spend(self, index, body.size) < 0)
        return;
    // Parts that readings found end at the next such line, so there is nothing to find in them.
    int found = node.alternative && node.boundary.size == 0
                    ? 0
                    : readings_scan(self, index, (struct range){node.source, node.early, node.end},
                                    node.suspicious) > 0;
    if (found)
        mime_note(self, index, node.suspicious ? ANOMALY_TYPE_HIDDEN : ANOMALY_PARTS_IN_LEAF);
    int is_text =
        node.type.size == 0 || mime_is(&node, "text", NULL) || mime_is(&node, "message", NULL);
    if (!found && !is_text && node.parent != MIME_NONE)
        sniff_message(self, index);
}
