// SPDX-License-Identifier: Apache-2.0
#include "core/base/buffer.h"
#include "mail/mime_parse.h"
#include "mail/readings.h"
#include <string.h>

struct visit {
    struct mime *mime;
    int index;
    struct buffer *scratch;
    content_view_fn *fn;
    void *context;
    int shown; // views so far
};

int readings_has_content(const struct mime_node *node)
{
    return node->kind == MIME_LEAF || (node->kind == MIME_MULTIPART && node->children == 0);
}

static int show(struct visit *self, struct span bytes, enum encoding encoding)
{
    const struct mime_node *node = &self->mime->nodes[self->index];
    struct content_view view = {node, bytes, encoding, node->alternative || self->shown > 0};
    self->shown++;
    return self->fn(self->context, &view);
}

static int show_decoded(struct visit *self, enum encoding encoding)
{
    return show(self, (struct span){buffer_bytes(self->scratch), buffer_size(self->scratch)},
                encoding);
}

static void note(struct visit *self, uint64_t anomalies)
{
    self->mime->anomalies |= anomalies;
    self->mime->nodes[self->index].anomalies |= anomalies;
}

// Bytes that are no text: programs save them with the line ends of their own system.
static int is_binary(const struct mime_node *node)
{
    return node->type.size > 0 && !mime_is(node, "text", NULL) && !mime_is(node, "message", NULL) &&
           !mime_is(node, "multipart", NULL);
}

static int show_identity(struct visit *self, struct span text)
{
    int rc = show(self, text, ENCODING_IDENTITY);
    if (rc != 0 || !is_binary(&self->mime->nodes[self->index]) ||
        memmem(text.data, text.size, "\r\n", 2) == NULL)
        return rc;
    buffer_clear(self->scratch);
    decode_line_ends(text, self->scratch);
    return show_decoded(self, ENCODING_IDENTITY);
}

// `foreign` is everything that makes the ways differ; a missing end does not.
static int show_base64(struct visit *self, struct span text)
{
    buffer_clear(self->scratch);
    uint64_t anomalies = decode_base64(text, BASE64_SKIP, self->scratch);
    note(self, anomalies);
    int rc = show_decoded(self, ENCODING_BASE64);
    if ((anomalies & ~ANOMALY_BIT(ANOMALY_BASE64_TRUNCATED)) == 0)
        return rc;
    for (int way = BASE64_SKIP + 1; rc == 0 && way < BASE64_WAYS; way++) {
        buffer_clear(self->scratch);
        decode_base64(text, (enum base64_way)way, self->scratch);
        rc = show_decoded(self, ENCODING_BASE64);
    }
    return rc;
}

static int show_qp_way(struct visit *self, struct span text, enum qp_way way)
{
    buffer_clear(self->scratch);
    note(self, decode_qp(text, way, self->scratch));
    return show_decoded(self, ENCODING_QP);
}

static int show_qp(struct visit *self, struct span text)
{
    const struct mime_node *node = &self->mime->nodes[self->index];
    int binary = is_binary(node);
    int rc = show_qp_way(self, text, QP_LITERAL);
    if (node->anomalies & ANOMALY_BIT(ANOMALY_QP_BROKEN)) {
        if (binary)
            note(self, ANOMALY_BIT(ANOMALY_QP_ATTACHED));
        for (int way = QP_DROP; rc == 0 && way <= QP_SKIP; way++)
            rc = show_qp_way(self, text, (enum qp_way)way);
    }
    if (rc == 0 && binary)
        rc = show_qp_way(self, text, QP_UNIX);
    return rc;
}

static int show_uu(struct visit *self, struct span text)
{
    buffer_clear(self->scratch);
    note(self, decode_uu(text, self->scratch));
    return show_decoded(self, ENCODING_UU);
}

static int show_yenc(struct visit *self, struct span text)
{
    buffer_clear(self->scratch);
    decode_yenc(text, self->scratch);
    return show_decoded(self, ENCODING_YENC);
}

static int show_as(struct visit *self, struct span text, enum encoding encoding)
{
    switch (encoding) {
    case ENCODING_IDENTITY:
        return show_identity(self, text);
    case ENCODING_BASE64:
        return show_base64(self, text);
    case ENCODING_QP:
        return show_qp(self, text);
    case ENCODING_UU:
        return show_uu(self, text);
    case ENCODING_YENC:
        return show_yenc(self, text);
    case ENCODING_COUNT:
        break;
    }
    return 0;
}

static int show_all(struct visit *self, struct span text, enum encoding declared,
                    unsigned encodings)
{
    int rc = show_as(self, text, declared);
    for (unsigned i = 0; rc == 0 && i < ENCODING_COUNT; i++)
        if (i != declared && encodings & (1U << i))
            rc = show_as(self, text, (enum encoding)i);
    return rc;
}

int readings_each(struct mime *mime, int index, struct buffer *scratch, content_view_fn *fn,
                  void *context)
{
    const struct mime_node node = mime->nodes[index];
    struct visit visit = {mime, index, scratch, fn, context, 0};
    struct span body = mime_body(mime, &node);
    unsigned encodings = node.encodings;
    if (encodings & (1U << ENCODING_IDENTITY) && decode_has_uu(body)) {
        encodings |= 1U << ENCODING_UU;
        mime_note(mime, index, ANOMALY_UU_INLINE);
    }
    if (mime_spend(mime, index, body.size * 2) < 0)
        return 0;
    int rc = show_all(&visit, body, node.encoding, encodings);
    if (rc == 0 && node.early < node.body)
        rc = show_all(&visit, mime_bytes(mime, (struct range){node.source, node.early, node.end}),
                      node.encoding, encodings);
    return rc;
}
