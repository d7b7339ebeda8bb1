// SPDX-License-Identifier: Apache-2.0
#include "mail/mime_parse.h"
#include <string.h>
#include <strings.h>

enum delimiter { DELIMITER_NONE, DELIMITER_OPEN, DELIMITER_CLOSE, DELIMITER_LONGER };

static int only_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
        at++;
    return at == end;
}

// What the line ("--" at its front is known) is to that boundary (RFC 2046 5.1.1).
static enum delimiter judge(struct span line, struct span boundary)
{
    if (line.size < boundary.size + 2 || memcmp(line.data + 2, boundary.data, boundary.size) != 0)
        return DELIMITER_NONE;
    const char *at = line.data + 2 + boundary.size, *end = line.data + line.size;
    if (only_blanks(at, end))
        return DELIMITER_OPEN;
    if (end - at >= 2 && at[0] == '-' && at[1] == '-' && only_blanks(at + 2, end))
        return DELIMITER_CLOSE;
    return DELIMITER_LONGER;
}

// The next line at or behind `offset` (the start of a line) that begins with "--"; bytes.size when
// there is none.
static size_t next_dashes(struct span bytes, size_t offset)
{
    if (offset + 2 <= bytes.size && memcmp(bytes.data + offset, "--", 2) == 0)
        return offset;
    const char *found = memmem(bytes.data + offset, bytes.size - offset, "\n--", 3);
    return found != NULL ? (size_t)(found - bytes.data) + 1 : bytes.size;
}

struct delimiter_line {
    enum delimiter kind;
    size_t start, next; // the line, and the one behind it
};

// The next delimiter of `boundary`; DELIMITER_NONE at the end.
static struct delimiter_line find_delimiter(struct span bytes, size_t offset, struct span boundary,
                                            int *longer)
{
    while ((offset = next_dashes(bytes, offset)) < bytes.size) {
        struct delimiter_line found = {.start = offset};
        found.kind = judge(header_line(bytes, offset, &found.next), boundary);
        if (found.kind == DELIMITER_OPEN || found.kind == DELIMITER_CLOSE)
            return found;
        *longer |= found.kind == DELIMITER_LONGER;
        offset = found.next;
    }
    return (struct delimiter_line){DELIMITER_NONE, bytes.size, bytes.size};
}

// The line end before a delimiter belongs to the delimiter.
static size_t without_line_end(struct span bytes, size_t start, size_t end)
{
    if (end > start && bytes.data[end - 1] == '\n')
        end--;
    if (end > start && bytes.data[end - 1] == '\r')
        end--;
    return end;
}

static int has_delimiter(struct span bytes, struct span boundary)
{
    int longer = 0;
    return find_delimiter(bytes, 0, boundary, &longer).kind != DELIMITER_NONE;
}

// An inner multipart that was cut by our boundary but goes on behind it: for a program that looks
// for the inner boundary first, it reaches to our end.
static void look_behind_cut(struct mime *self, int index, int child, size_t cut)
{
    const struct mime_node inner = self->nodes[child];
    const struct mime_node outer = self->nodes[index];
    if (inner.kind != MIME_MULTIPART || inner.closed || inner.boundary.size == 0)
        return;
    if (span_equal(inner.boundary, outer.boundary)) {
        mime_note(self, index, ANOMALY_BOUNDARY_SHARED);
        return;
    }
    struct span rest = mime_bytes(self, (struct range){outer.source, cut, outer.end});
    if (mime_spend(self, index, rest.size) < 0 || !has_delimiter(rest, inner.boundary))
        return;
    mime_note(self, index, ANOMALY_BOUNDARY_CROSSED);
    if (mime_another_reading(self, index) == 0)
        mime_entity(self, (struct range){outer.source, inner.start, outer.end},
                    (struct place_in_tree){.parent = index, .alternative = 1, .suspicious = 1});
}

// Behind the closing boundary: programs that go on there show these parts, too.
static void read_epilogue(struct mime *self, int index, struct range range)
{
    struct span bytes = mime_bytes(self, range);
    if (span_trim(bytes).size == 0 || mime_spend(self, index, bytes.size) < 0)
        return;
    if (readings_scan(self, index, range, 0) > 0)
        mime_note(self, index, ANOMALY_PARTS_AFTER_CLOSE);
}

static void read_preamble(struct mime *self, int index, struct range range)
{
    struct span bytes = mime_bytes(self, range);
    if (span_trim(bytes).size > 0 && mime_spend(self, index, bytes.size) == 0 &&
        readings_scan(self, index, range, 0) > 0)
        mime_note(self, index, ANOMALY_PARTS_BEFORE_FIRST);
}

// Adds the parts between the delimiters, from the first one on. The end of what was read.
static size_t read_parts(struct mime *self, int index, struct delimiter_line open)
{
    const struct mime_node node = self->nodes[index];
    struct span body = mime_body(self, &node);
    int longer = 0;
    while (open.kind == DELIMITER_OPEN) {
        struct delimiter_line next = find_delimiter(body, open.next, node.boundary, &longer);
        size_t end =
            next.kind == DELIMITER_NONE ? body.size : without_line_end(body, open.next, next.start);
        int child =
            mime_entity(self, (struct range){node.source, node.body + open.next, node.body + end},
                        (struct place_in_tree){.parent = index,
                                               .alternative = node.alternative,
                                               .suspicious = self->nodes[index].suspicious,
                                               .digest = mime_is(&node, "multipart", "digest")});
        if (child == MIME_NONE)
            return body.size;
        if (next.kind != DELIMITER_NONE)
            look_behind_cut(self, index, child, node.body + next.start);
        open = next;
    }
    self->nodes[index].closed = open.kind == DELIMITER_CLOSE;
    return open.next;
}

// No delimiter: whatever looks like parts is read, and what is encoded is decoded first.
static void read_unbounded(struct mime *self, int index)
{
    const struct mime_node node = self->nodes[index];
    if (node.encoding != ENCODING_IDENTITY && readings_encoded(self, index)) {
        mime_note(self, index, ANOMALY_ENCODING_COMPOSITE);
        return;
    }
    mime_note(self, index, ANOMALY_BOUNDARY_UNUSED);
    if (readings_scan(self, index, (struct range){node.source, node.early, node.end}, 1) > 0)
        mime_note(self, index,
                  node.boundary.size > 0 ? ANOMALY_BOUNDARY_FOREIGN : ANOMALY_BOUNDARY_MISSING);
    else if (node.encoding != ENCODING_IDENTITY)
        mime_note(self, index, ANOMALY_ENCODING_COMPOSITE);
}

void multipart_split(struct mime *self, int index)
{
    const struct mime_node node = self->nodes[index];
    struct span body = mime_body(self, &node);
    if (mime_spend(self, index, body.size) < 0)
        return;
    int longer = 0;
    struct delimiter_line first = {DELIMITER_NONE, body.size, body.size};
    if (node.boundary.size > 0)
        first = find_delimiter(body, 0, node.boundary, &longer);
    if (first.kind == DELIMITER_NONE) {
        read_unbounded(self, index);
        return;
    }
    read_preamble(self, index, (struct range){node.source, node.early, node.body + first.start});
    size_t end = read_parts(self, index, first);
    if (self->nodes[index].closed || first.kind == DELIMITER_CLOSE)
        read_epilogue(self, index, (struct range){node.source, node.body + end, node.end});
    else
        mime_note(self, index, ANOMALY_CLOSE_MISSING);
}
