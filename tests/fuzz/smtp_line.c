// SPDX-License-Identifier: Apache-2.0
// Command lines and replies: what is found lies within the bytes, and a whole line is clean.
#include "mail/smtp_line.h"
#include "mail/smtp_reply.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = {(const char *)data, size}, text;
    struct smtp_reply reply;
    size_t length = 0, position = 0;
    char line[256];
    if (smtp_line(bytes, 512, &length) == SMTP_LINE_WHOLE) {
        assert(length >= 2 && length <= size && length <= 512);
        assert(!memchr(data, 0, length) && memchr(data, '\r', length) == data + length - 2);
    }
    if (smtp_reply(bytes, &reply) == SMTP_REPLY_WHOLE) {
        assert(reply.bytes.size <= size && reply.lines);
        while (smtp_reply_line(&reply, &position, &text))
            assert(text.data + text.size <= bytes.data + size);
        assert(strlen(smtp_reply_text(&reply, line, sizeof(line))) < sizeof(line));
    }
    return 0;
}
