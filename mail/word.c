// SPDX-License-Identifier: Apache-2.0
#include "mail/word.h"

#include "core/base/buffer.h"
#include "mail/charset.h"
#include "mail/decode.h"
#include <string.h>

// "=?charset?B?text?=" taken apart.
struct word {
    struct span charset, text;
    char encoding;
    size_t size;
};

enum { WORD_MOST = 1024 }; // RFC 2047 allows 75; programs read longer ones

static int take_word(struct span text, struct word *ret)
{
    if (text.size < 8 || text.data[0] != '=' || text.data[1] != '?')
        return 0;
    const char *end = text.data + (text.size < WORD_MOST ? text.size : WORD_MOST);
    const char *charset = text.data + 2;
    const char *encoding = memchr(charset, '?', (size_t)(end - charset));
    if (encoding == NULL || end - encoding < 5 || encoding[2] != '?')
        return 0;
    const char *content = encoding + 3;
    const char *close = memmem(content, (size_t)(end - content), "?=", 2);
    if (close == NULL)
        return 0;
    const char *language = memchr(charset, '*', (size_t)(encoding - charset)); // RFC 2231 section 5
    ret->charset =
        (struct span){charset, (size_t)((language != NULL ? language : encoding) - charset)};
    ret->encoding = encoding[1];
    ret->text = (struct span){content, (size_t)(close - content)};
    ret->size = (size_t)(close + 2 - text.data);
    return strchr("bBqQ", ret->encoding) != NULL;
}

static void decode_word(const struct word *word, struct buffer *out)
{
    struct buffer raw;
    buffer_init(&raw);
    if (word->encoding == 'b' || word->encoding == 'B')
        decode_base64(word->text, BASE64_SKIP, &raw);
    else
        decode_q_word(word->text, &raw);
    charset_to_utf8(word->charset, (struct span){buffer_bytes(&raw), buffer_size(&raw)}, out);
    buffer_free(&raw);
}

static size_t white(struct span text, size_t offset)
{
    while (offset < text.size && strchr(" \t\r\n", text.data[offset]) != NULL &&
           text.data[offset] != 0)
        offset++;
    return offset;
}

// Bytes outside any encoded word: unfolded, and without control characters.
static void add_plain(struct span text, struct buffer *out)
{
    struct buffer clean;
    buffer_init(&clean);
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '\r' || c == '\n')
            continue;
        char shown = c < 32 || c == 127 ? ' ' : (char)c;
        buffer_add(&clean, &shown, 1);
    }
    charset_to_utf8((struct span){NULL, 0},
                    (struct span){buffer_bytes(&clean), buffer_size(&clean)}, out);
    buffer_free(&clean);
}

void words_decode(struct span text, struct buffer *out)
{
    size_t plain = 0, offset = 0;
    int after_word = 0;
    while (offset < text.size) {
        const char *mark = memchr(text.data + offset, '=', text.size - offset);
        if (mark == NULL)
            break;
        offset = (size_t)(mark - text.data);
        struct word word;
        if (!take_word((struct span){text.data + offset, text.size - offset}, &word)) {
            offset++;
            continue;
        }
        if (!after_word || white(text, plain) != offset)
            add_plain((struct span){text.data + plain, offset - plain}, out);
        decode_word(&word, out);
        offset += word.size;
        plain = offset;
        after_word = 1;
    }
    if (plain < text.size)
        add_plain((struct span){text.data + plain, text.size - plain}, out);
}
