// SPDX-License-Identifier: Apache-2.0
#include "analyzer/trace.h"

#include "core/base/buffer.h"
#include "core/base/ulid.h"
#include "mail/parameter.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LINE_MOST = 76 };

static void add_splice(struct trace *self, uint64_t offset, uint64_t size, struct buffer *insert)
{
    Postern__Splice *splice = allocate(sizeof(*splice));
    postern__splice__init(splice);
    splice->offset = offset;
    splice->remove = size;
    if (insert != NULL && buffer_size(insert) > 0) {
        splice->insert.len = buffer_size(insert);
        splice->insert.data = duplicate_bytes(buffer_bytes(insert), buffer_size(insert));
    }
    self->splices = reallocate(self->splices, (self->count + 1) * sizeof(*self->splices));
    self->splices[self->count++] = splice;
}

void trace_free(struct trace *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free(self->splices[i]->insert.data);
        free(self->splices[i]);
    }
    free(self->splices);
    *self = (struct trace){0};
}

// One folded field of name(score) tokens.
static void add_findings(struct buffer *out, const struct examination *examination,
                         size_t recipient)
{
    buffer_add_text(out, "X-Postern-Findings:");
    size_t line = strlen("X-Postern-Findings:");
    unsigned count = 0;
    for (size_t i = 0; i < examination->finding_count; i++) {
        const struct finding *finding = &examination->findings[i];
        if (finding->recipient != ALL_RECIPIENTS && (size_t)finding->recipient != recipient)
            continue;
        size_t before = buffer_size(out);
        size_t width = strlen(finding->name) + 10;
        if (line + width > LINE_MOST) {
            buffer_add_text(out, "\r\n");
            line = 0;
        }
        buffer_printf(out, " %s(%.1f)", finding->name, finding->score);
        line += buffer_size(out) - before;
        count++;
    }
    buffer_add_text(out, count > 0 ? "\r\n" : " none\r\n");
}

static void add_trace(struct buffer *out, const struct examination *examination,
                      const struct decision *decision, size_t recipient, const char *host)
{
    char id[ULID_TEXT] = "";
    struct ulid ulid;
    if (examination->envelope->id.len == ULID_SIZE) {
        memcpy(ulid.bytes, examination->envelope->id.data, ULID_SIZE);
        ulid_format(&ulid, id);
    }
    buffer_printf(out, "Authentication-Results: %s; none\r\n", host);
    buffer_printf(out, "X-Postern-Id: %s\r\n", id);
    buffer_printf(out, "X-Postern-Verdict: %s; score=%.1f\r\n", action_name(decision->action),
                  decision->score);
    add_findings(out, examination, recipient);
}

// Somebody else's field in our name (RFC 8601 section 5).
static int is_forged(const struct header_field *field, const char *host)
{
    if (field->name.size > 10 && strncasecmp(field->name.data, "X-Postern-", 10) == 0)
        return 1;
    if (!span_equal_nocase(field->name, (struct span){"Authentication-Results", 22}))
        return 0;
    size_t at = skip_cfws(field->value, 0, NULL);
    size_t size = strlen(host);
    struct span rest = {field->value.data + at, field->value.size - at};
    if (rest.size > 0 && rest.data[0] == '"') {
        rest.data++;
        rest.size--;
    }
    if (rest.size < size || strncasecmp(rest.data, host, size) != 0)
        return 0;
    return rest.size == size || strchr("; \t\r\n\"(/", rest.data[size]) != NULL;
}

// Fields that stand together go as one.
static void remove_field(struct trace *self, const struct header_field *field)
{
    Postern__Splice *last = self->splices[self->count - 1];
    if (last->remove > 0 && last->offset + last->remove == field->offset)
        last->remove += field->size;
    else
        add_splice(self, field->offset, field->size, NULL);
}

static int is_tagged(const struct header_field *field, const struct decision *decision)
{
    return decision->action == POSTERN__ACTION__ACTION_TAG &&
           decision->policy->tag_prefix != NULL && decision->policy->tag_prefix[0] != 0 &&
           span_equal_nocase(field->name, (struct span){"Subject", 7});
}

static void tag_subject(struct trace *self, const struct examination *examination,
                        const struct header_field *field, const char *prefix)
{
    struct buffer text;
    buffer_init(&text);
    buffer_printf(&text, " %s", prefix);
    add_splice(self, (uint64_t)(field->value.data - examination->message.data), 0, &text);
    buffer_free(&text);
}

static int begins_with_empty_line(struct span message)
{
    size_t next;
    return message.size > 0 && header_line(message, 0, &next).size == 0;
}

void trace_make(struct trace *ret, const struct examination *examination,
                const struct decision *decision, size_t recipient, const char *host)
{
    *ret = (struct trace){0};
    struct buffer front;
    buffer_init(&front);
    add_trace(&front, examination, decision, recipient, host);
    const char *prefix = decision->policy->tag_prefix;
    const struct header_block *header = &examination->mime->header;
    if (decision->action == POSTERN__ACTION__ACTION_TAG && prefix != NULL && prefix[0] != 0 &&
        header_find(header, "Subject", NULL) == NULL)
        buffer_printf(&front, "Subject: %s\r\n", prefix);
    // What has no header begins with its body: our fields end with the empty line that it lacks.
    if (header->count == 0 && !begins_with_empty_line(examination->message))
        buffer_add_text(&front, "\r\n");
    add_splice(ret, 0, 0, &front);
    buffer_free(&front);
    for (size_t i = 0; i < header->count; i++) {
        const struct header_field *field = &header->fields[i];
        if (is_forged(field, host))
            remove_field(ret, field);
        else if (is_tagged(field, decision))
            tag_subject(ret, examination, field, prefix);
    }
}
