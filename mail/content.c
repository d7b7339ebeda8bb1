// SPDX-License-Identifier: Apache-2.0
#include "core/base/buffer.h"
#include "mail/mime_parse.h"
#include "mail/readings.h"

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

static int show_qp(struct visit *self, struct span text)
{
    int rc = 0;
    uint64_t anomalies = 0;
    for (int way = QP_LITERAL; rc == 0 && way < QP_WAYS && (way == QP_LITERAL || anomalies != 0);
         way++) {
        buffer_clear(self->scratch);
        anomalies = decode_qp(text, (enum qp_way)way, self->scratch);
        rc = show_decoded(self, ENCODING_QP);
    }
    note(self, anomalies);
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
        return show(self, text, ENCODING_IDENTITY);
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
