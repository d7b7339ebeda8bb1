// SPDX-License-Identifier: Apache-2.0
#include "ingress/grammar.h"
#include "mail/address.h"

#include <string.h>

static int is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static int is_alnum(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z');
}

static void advance(struct span *text, size_t size)
{
    text->data += size;
    text->size -= size;
}

static void skip_blanks(struct span *text)
{
    while (text->size && is_blank(text->data[0]))
        advance(text, 1);
}

struct span grammar_trim(struct span text)
{
    skip_blanks(&text);
    while (text.size && is_blank(text.data[text.size - 1]))
        text.size--;
    return text;
}

struct span grammar_verb(struct span line, struct span *ret_argument)
{
    size_t size = 0;
    while (size < line.size && !is_blank(line.data[size]))
        size++;
    *ret_argument = grammar_trim((struct span){line.data + size, line.size - size});
    return (struct span){line.data, size};
}

int grammar_keyword(struct span *text, const char *keyword)
{
    struct span front = {text->data, strlen(keyword)};
    if (text->size < front.size || !span_equal_nocase(front, span_of(keyword)))
        return 0;
    advance(text, front.size);
    skip_blanks(text);
    return 1;
}

static size_t name_length(struct span text)
{
    size_t size = 0;
    while (size < text.size && (is_alnum(text.data[size]) || (size && text.data[size] == '-')))
        size++;
    return size;
}

static size_t value_length(struct span text)
{
    size_t size = 0;
    while (size < text.size && text.data[size] != ' ' && text.data[size] != '=' &&
           (unsigned char)text.data[size] > 0x20 && text.data[size] != 0x7f)
        size++;
    return size;
}

int grammar_parameter(struct span *text, struct parameter *ret)
{
    *ret = (struct parameter){0};
    if (!text->size)
        return 0;
    if (!is_blank(text->data[0]))
        return -1;
    skip_blanks(text);
    ret->name = (struct span){text->data, name_length(*text)};
    if (!ret->name.size)
        return -1;
    advance(text, ret->name.size);
    if (text->size && text->data[0] == '=') {
        advance(text, 1);
        ret->has_value = 1;
        ret->value = (struct span){text->data, value_length(*text)};
        if (!ret->value.size)
            return -1;
        advance(text, ret->value.size);
    }
    return !text->size || is_blank(text->data[0]) ? 1 : -1;
}

int grammar_is(struct span text, const char *word)
{
    return span_equal_nocase(text, span_of(word));
}

int grammar_number(struct span text, uint64_t *ret)
{
    uint64_t number = 0;
    if (!text.size || text.size > 20)
        return -1;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)(text.data[i] - '0');
        if (digit > 9 || number > (UINT64_MAX - digit) / 10)
            return -1;
        number = number * 10 + digit;
    }
    *ret = number;
    return 0;
}

static int hex(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1; // RFC 3461: upper case only
}

// One character of xtext at the front: its length, or 0.
static size_t xchar(struct span text, unsigned char *ret)
{
    unsigned char byte = (unsigned char)text.data[0];
    if (byte == '+') {
        if (text.size < 3 || hex(text.data[1]) < 0 || hex(text.data[2]) < 0)
            return 0;
        *ret = (unsigned char)(hex(text.data[1]) << 4 | hex(text.data[2]));
        return 3;
    }
    *ret = byte;
    return byte > 0x20 && byte < 0x7f && byte != '=';
}

int grammar_xtext(struct span text, int utf8)
{
    unsigned char byte;
    if (utf8 && !utf8_valid(text.data, text.size))
        return 0;
    while (text.size) {
        size_t size = utf8 && (unsigned char)text.data[0] >= 0x80 ? 1 : xchar(text, &byte);
        if (!size)
            return 0;
        advance(&text, size);
    }
    return 1;
}

int grammar_xtext_decode(struct span text, char *ret_text, size_t text_size)
{
    size_t at = 0;
    while (text.size) {
        unsigned char byte;
        size_t size = xchar(text, &byte);
        if (!size || byte < 0x20 || byte == 0x7f || at + 1 >= text_size)
            return -1;
        ret_text[at++] = (char)byte;
        advance(&text, size);
    }
    ret_text[at] = 0;
    return 0;
}

int grammar_host(struct span text)
{
    if (!text.size || text.size > 255)
        return 0;
    for (size_t i = 0; i < text.size; i++)
        if (!is_alnum(text.data[i]) && (!text.data[i] || !strchr("-._:[]", text.data[i])))
            return 0;
    return 1;
}
