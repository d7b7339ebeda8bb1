// SPDX-License-Identifier: Apache-2.0
// Messages: parts, readings, names and decoded content stay within the bytes and the limits.
#include "core/base/buffer.h"
#include "mail/author.h"
#include "mail/readings.h"
#include "mail/word.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mime_limits limits = {
    .depth = 20, .parts = 100, .headers = 100, .readings = 16, .header_bytes = 16 << 10};

static int look(void *context, const struct content_view *view)
{
    size_t *bytes = context;
    *bytes += view->bytes.size;
    return 0;
}

static void check_node(struct mime *mime, int index, struct buffer *scratch)
{
    const struct mime_node *node = &mime->nodes[index];
    const struct mime_source *source = &mime->sources[node->source];
    size_t bytes = 0;
    assert(node->source < mime->source_count && node->parent < index);
    assert(node->start <= node->early && node->early <= node->body && node->body <= node->end);
    assert(node->end <= source->bytes.size && node->depth <= limits.depth);
    buffer_clear(scratch);
    mime_filename(node, scratch);
    mime_path(mime, node, scratch);
    if (readings_has_content(node))
        readings_each(mime, index, scratch, look, &bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mime *mime;
    static struct buffer scratch;
    if (mime == NULL) {
        mime = mime_new(&limits);
        buffer_init(&scratch);
    }
    mime_read(mime, (struct span){(const char *)data, size});
    assert(mime->count > 0 && mime->count <= limits.parts && mime->readings <= limits.readings);
    for (int i = 0; i < (int)mime->count; i++)
        check_node(mime, i, &scratch);
    for (size_t i = 0; i < mime->header.count; i++) {
        buffer_clear(&scratch);
        words_decode(mime->header.fields[i].value, &scratch);
        author_address(mime->header.fields[i].value, &scratch);
    }
    return 0;
}
