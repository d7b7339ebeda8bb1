// SPDX-License-Identifier: Apache-2.0
#include "mail/heading.h"

#include "core/base/buffer.h"
#include "mail/author.h"
#include "mail/header.h"
#include "mail/word.h"
#include <stdlib.h>

enum { SUBJECT_MOST = 256, MESSAGE_ID_MOST = 512 };

static void add_message_id(struct span value, struct buffer *out)
{
    value = span_trim(value);
    for (size_t i = 0; i < value.size && i < MESSAGE_ID_MOST; i++)
        if (value.data[i] > 32 && value.data[i] < 127)
            buffer_add(out, value.data + i, 1);
}

static void add_subject(struct span value, struct buffer *out)
{
    value = span_trim(value);
    if (value.size > 4 * SUBJECT_MOST)
        value.size = 4 * SUBJECT_MOST;
    words_decode(value, out);
    if (buffer_size(out) <= SUBJECT_MOST)
        return;
    // Not in the middle of a UTF-8 sequence.
    size_t cut = SUBJECT_MOST;
    while (cut > 0 && (buffer_bytes(out)[cut] & 0xc0) == 0x80)
        cut--;
    out->end -= buffer_size(out) - cut;
}

static ProtobufCBinaryData field(const struct header_block *block, const char *name,
                                 void (*add)(struct span value, struct buffer *out),
                                 struct buffer *scratch)
{
    const struct header_field *found = header_find(block, name, NULL);
    buffer_clear(scratch);
    if (found)
        add(found->value, scratch);
    size_t size = buffer_size(scratch);
    return (ProtobufCBinaryData){size, size ? duplicate_bytes(buffer_bytes(scratch), size) : NULL};
}

void heading_read(Postern__Envelope *envelope, struct span bytes,
                  const struct header_limits *limits)
{
    struct header_block block = {0};
    struct buffer scratch;
    buffer_init(&scratch);
    header_read(&block, bytes, limits);
    envelope->message_id = field(&block, "Message-ID", add_message_id, &scratch);
    envelope->subject = field(&block, "Subject", add_subject, &scratch);
    envelope->from = field(&block, "From", author_address, &scratch);
    header_free(&block);
    buffer_free(&scratch);
}
