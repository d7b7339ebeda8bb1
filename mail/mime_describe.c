// SPDX-License-Identifier: Apache-2.0
#include "core/base/buffer.h"
#include "mail/mime_parse.h"
#include "mail/parameter.h"
#include <string.h>
#include <strings.h>

static struct span joined(const struct mime *self, const struct mime_node *node)
{
    return mime_bytes(self, (struct range){node->source, node->start, node->body});
}

// The first field of that name; notes when another says something else.
static struct span single_field(struct mime *self, int index, const struct header_block *header,
                                const char *name, enum anomaly repeated)
{
    const struct header_field *first = header_find(header, name, NULL);
    if (first == NULL)
        return (struct span){NULL, 0};
    const struct header_field *other = first;
    while ((other = header_find(header, name, other)) != NULL) {
        if (!span_equal_nocase(span_trim(first->value), span_trim(other->value))) {
            mime_note(self, index, repeated);
            self->nodes[index].suspicious = 1;
        }
    }
    return first->value;
}

static const struct {
    const char *mark;
    unsigned bits;
} encoding_marks[] = {
    {"64", 1U << ENCODING_BASE64}, {"quoted", 1U << ENCODING_QP}, {"printable", 1U << ENCODING_QP},
    {"qp", 1U << ENCODING_QP},     {"uu", 1U << ENCODING_UU},     {"yenc", 1U << ENCODING_YENC},
};

static unsigned marked_encodings(struct span text)
{
    unsigned bits = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(encoding_marks); i++)
        if (span_holds_nocase(text, encoding_marks[i].mark))
            bits |= encoding_marks[i].bits;
    return bits;
}

// The same in a header block as it stands, wherever an encoding is spoken of: a field that is
// hidden by junk is none of ours.
static unsigned hidden_encodings(struct span block)
{
    enum { REACH = 100 };
    static const char name[] = "transfer-encoding";
    unsigned bits = 0;
    const char *at = block.data, *end = block.data + block.size;
    while ((at = memchr(at, '-', (size_t)(end - at))) != NULL) {
        at++;
        struct span rest = {at, (size_t)(end - at)};
        if (rest.size < sizeof(name) || strncasecmp(at, name, sizeof(name) - 1) != 0)
            continue;
        rest.data += sizeof(name);
        rest.size -= sizeof(name);
        rest.size = rest.size < REACH ? rest.size : REACH;
        bits |= marked_encodings(rest);
    }
    return bits;
}

static int encoding_exact(struct span value, enum encoding *ret)
{
    static const struct {
        const char *name;
        enum encoding encoding;
    } names[] = {
        {"7bit", ENCODING_IDENTITY},
        {"8bit", ENCODING_IDENTITY},
        {"binary", ENCODING_IDENTITY},
        {"base64", ENCODING_BASE64},
        {"quoted-printable", ENCODING_QP},
        {"x-uuencode", ENCODING_UU},
        {"uuencode", ENCODING_UU},
        {"x-uue", ENCODING_UU},
        {"x-yenc", ENCODING_YENC},
        {"x-uu", ENCODING_UU},
        {"uue", ENCODING_UU},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (span_equal_nocase(value, span_of(names[i].name))) {
            *ret = names[i].encoding;
            return 1;
        }
    }
    return 0;
}

// The plain word of a value with comments, a ';' or quotes around it: nearly all programs agree on
// these.
static struct span encoding_word(struct span value)
{
    size_t offset = skip_cfws(value, 0, NULL);
    value = span_trim((struct span){value.data + offset, value.size - offset});
    if (value.size > 0 && value.data[value.size - 1] == ';')
        value = span_trim((struct span){value.data, value.size - 1});
    const char *comment = memchr(value.data, '(', value.size);
    if (comment != NULL)
        value = span_trim((struct span){value.data, (size_t)(comment - value.data)});
    return value;
}

// Words that do not name an encoding to undo, however odd.
static int means_identity(struct span word)
{
    static const char *const harmless[] = {"7",    "8",        "binary", "plain", "text",
                                           "none", "us-ascii", "ascii",  "utf-8", "iso-"};
    if (word.size > 0 && word.data[0] == '"')
        word = (struct span){word.data + 1, word.size - 1};
    for (size_t i = 0; i < ARRAY_LENGTH(harmless); i++) {
        size_t size = strlen(harmless[i]);
        if (word.size >= size && strncasecmp(word.data, harmless[i], size) == 0)
            return 1;
    }
    return word.size == 0;
}

static void describe_encoding(struct mime *self, int index, const struct header_block *header)
{
    struct span value =
        single_field(self, index, header, "Content-Transfer-Encoding", ANOMALY_ENCODING_REPEATED);
    struct mime_node *node = &self->nodes[index];
    node->transfer = value;
    node->encoding = ENCODING_IDENTITY;
    node->encodings = 1U << ENCODING_IDENTITY;
    if (value.data != NULL) {
        struct span word = encoding_word(value);
        if (!encoding_exact(word, &node->encoding)) {
            unsigned marked = marked_encodings(value);
            if (marked != 0)
                mime_note(self, index, ANOMALY_ENCODING_ODD);
            else if (!means_identity(word))
                mime_note(self, index, ANOMALY_ENCODING_UNKNOWN);
            for (unsigned i = 0; i < ENCODING_COUNT && node->encoding == ENCODING_IDENTITY; i++)
                node->encoding = marked & (1U << i) ? (enum encoding)i : ENCODING_IDENTITY;
            node->encodings |= marked;
        }
        if (node->encoding != ENCODING_IDENTITY && (node->encodings & ~1U) == 0)
            node->encodings = 1U << node->encoding;
        if (node->encoding == ENCODING_UU || node->encoding == ENCODING_YENC)
            mime_note(self, index, ANOMALY_ENCODING_UNKNOWN); // no standard has them
    }
    // A header that can be misread may hold an encoding that only others see.
    if (node->suspicious && header->count > 0) {
        unsigned all = 0;
        const struct header_field *field = NULL;
        while ((field = header_find(header, "Content-Transfer-Encoding", field)) != NULL)
            all |= marked_encodings(field->value);
        if (node->anomalies &
            (ANOMALY_BIT(ANOMALY_HEADER_JUNK) | ANOMALY_BIT(ANOMALY_HEADER_BLANKS) |
             ANOMALY_BIT(ANOMALY_HEADER_CR) | ANOMALY_BIT(ANOMALY_HEADER_NUL)))
            all |= node->parent != MIME_NONE ? hidden_encodings(joined(self, node)) : 0;
        if (all & ~node->encodings & ~(1U << ENCODING_UU)) {
            node->encodings |= all | 1U << ENCODING_IDENTITY;
            mime_note(self, index, ANOMALY_ENCODING_HIDDEN);
        }
    }
}

// Something a program may understand in another way than we do.
static int is_tricky(struct span value)
{
    return value.size == 0 || memchr(value.data, '\\', value.size) != NULL ||
           memchr(value.data, '\r', value.size) != NULL ||
           memchr(value.data, '(', value.size) != NULL ||
           memchr(value.data, '=', value.size) == value.data || span_trim(value).size != value.size;
}

static void describe_boundary(struct mime *self, int index, const struct parameter_list *list)
{
    struct mime_node *node = &self->nodes[index];
    const struct parameter *plain = parameter_find(list, "boundary");
    unsigned seen = 0, differing = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct parameter *item = &list->items[i];
        if (!span_equal_nocase(item->name, span_of("boundary")))
            continue;
        seen++;
        differing += plain != NULL && !span_equal(item->value, plain->value);
        node->suspicious |= item->extended || item->section >= 0 || is_tricky(item->value);
    }
    if (differing > 0)
        mime_note(self, index, ANOMALY_BOUNDARY_REPEATED);
    node->suspicious |= seen > 1;
    struct buffer text;
    buffer_init(&text);
    if (plain != NULL && memchr(plain->value.data, '\\', plain->value.size) == NULL &&
        memchr(plain->value.data, '\n', plain->value.size) == NULL) {
        node->boundary = plain->value;
    } else if (plain != NULL) {
        parameter_unescape(plain->value, &text);
        node->boundary = mime_keep(self, &text);
    } else if (parameter_text(list, "boundary", &text)) {
        node->boundary = mime_keep(self, &text);
    }
    buffer_free(&text);
    while (node->boundary.size > 0 &&
           strchr(" \t\r", node->boundary.data[node->boundary.size - 1]) != NULL)
        node->boundary.size--;
}

static int is_message_type(const struct mime_node *node)
{
    return mime_is(node, "message", "rfc822") || mime_is(node, "message", "global") ||
           mime_is(node, "message", "rfc2822") || mime_is(node, "message", "news");
}

static void describe_type(struct mime *self, int index, const struct header_block *header,
                          int digest)
{
    struct span value = single_field(self, index, header, "Content-Type", ANOMALY_TYPE_REPEATED);
    struct mime_node *node = &self->nodes[index];
    node->content_type = value;
    if (value.data == NULL) {
        node->kind = digest && header->count == 0 ? MIME_MESSAGE : MIME_LEAF;
        return;
    }
    struct parameter_list list;
    parameters_read(&list, value);
    node->type = list.type;
    node->subtype = list.subtype;
    if (list.broken)
        mime_note(self, index, ANOMALY_TYPE_BROKEN);
    if (list.overflow)
        mime_note(self, index, ANOMALY_LIMIT_PARAMETERS);
    if (mime_is(node, "multipart", NULL)) {
        node->kind = MIME_MULTIPART;
        node->suspicious |= list.broken || list.commented;
        describe_boundary(self, index, &list);
    } else if (is_message_type(node)) {
        node->kind = MIME_MESSAGE;
    } else if (span_holds_nocase(value, "multipart") || span_holds_nocase(value, "boundary")) {
        node->suspicious = 1;
    }
}

void mime_describe(struct mime *self, int index, const struct header_block *header, int digest)
{
    struct mime_node *node = &self->nodes[index];
    node->anomalies |= header->anomalies;
    self->anomalies |= header->anomalies;
    uint64_t misread = ANOMALY_BIT(ANOMALY_HEADER_JUNK) | ANOMALY_BIT(ANOMALY_HEADER_BLANKS) |
                       ANOMALY_BIT(ANOMALY_HEADER_CR) | ANOMALY_BIT(ANOMALY_HEADER_NUL) |
                       ANOMALY_BIT(ANOMALY_HEADER_SPACE);
    node->suspicious |= (header->anomalies & misread) != 0;
    describe_type(self, index, header, digest);
    describe_encoding(self, index, header);
    node = &self->nodes[index];
    const struct header_field *disposition = header_find(header, "Content-Disposition", NULL);
    node->disposition = disposition != NULL ? disposition->value : (struct span){NULL, 0};
    if (index == 0 && (node->content_type.data != NULL || node->transfer.data != NULL) &&
        header_find(header, "MIME-Version", NULL) == NULL)
        mime_note(self, index, ANOMALY_VERSION_MISSING);
}
