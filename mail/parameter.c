// SPDX-License-Identifier: Apache-2.0
#include "mail/parameter.h"

#include "core/base/buffer.h"
#include "mail/charset.h"
#include "mail/header.h"
#include "mail/word.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

static int is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

// The end of the comment that begins at `offset`, or the text's end.
static size_t skip_comment(struct span text, size_t offset)
{
    size_t depth = 0;
    for (; offset < text.size; offset++) {
        char c = text.data[offset];
        if (c == '\\')
            offset++;
        else if (c == '(')
            depth++;
        else if (c == ')' && --depth == 0)
            return offset + 1;
    }
    return text.size;
}

size_t skip_cfws(struct span text, size_t offset, int *ret_commented)
{
    while (offset < text.size) {
        if (text.data[offset] == '(') {
            offset = skip_comment(text, offset);
            if (ret_commented != NULL)
                *ret_commented = 1;
        } else if (is_white(text.data[offset])) {
            offset++;
        } else {
            break;
        }
    }
    return offset;
}

static int ends_token(char c)
{
    return is_white(c) || c == ';' || c == '=' || c == '"' || c == '(' || c == ')' || c == '/';
}

static struct span take_token(struct span text, size_t *offset)
{
    size_t start = *offset;
    while (*offset < text.size && !ends_token(text.data[*offset]))
        (*offset)++;
    return (struct span){text.data + start, *offset - start};
}

// A bare value: real ones hold characters that the grammar wants quoted, so it ends at ';', white
// space or a comment only.
static struct span take_bare(struct span text, size_t *offset, int *broken)
{
    size_t start = *offset;
    for (; *offset < text.size; (*offset)++) {
        char c = text.data[*offset];
        if (is_white(c) || c == ';' || c == '(')
            break;
        if (c == '"' || c == '\\' || c == ',')
            *broken = 1;
    }
    return (struct span){text.data + start, *offset - start};
}

static struct span take_quoted(struct span text, size_t *offset, int *broken)
{
    size_t start = ++*offset;
    while (*offset < text.size && text.data[*offset] != '"')
        *offset += text.data[*offset] == '\\' ? 2 : 1;
    if (*offset >= text.size) {
        *broken = 1;
        *offset = text.size;
        return (struct span){text.data + start, text.size - start};
    }
    (*offset)++;
    return (struct span){text.data + start, *offset - 1 - start};
}

// name, name*, name*N, name*N*
static void read_marks(struct parameter *self)
{
    self->section = -1;
    struct span *name = &self->name;
    if (name->size > 1 && name->data[name->size - 1] == '*') {
        self->extended = 1;
        name->size--;
    }
    size_t digits = name->size;
    while (digits > 0 && isdigit((unsigned char)name->data[digits - 1]))
        digits--;
    if (digits == name->size || digits < 2 || name->data[digits - 1] != '*' ||
        name->size - digits > 3)
        return;
    self->section = 0;
    for (size_t i = digits; i < name->size; i++)
        self->section = self->section * 10 + (name->data[i] - '0');
    name->size = digits - 1;
}

static void take_parameter(struct parameter_list *self, struct span text, size_t *offset)
{
    struct parameter item = {.name = take_token(text, offset)};
    *offset = skip_cfws(text, *offset, &self->commented);
    if (item.name.size == 0 || *offset >= text.size || text.data[*offset] != '=') {
        self->broken = 1;
        return;
    }
    *offset = skip_cfws(text, *offset + 1, &self->commented);
    item.quoted = *offset < text.size && text.data[*offset] == '"';
    item.value = item.quoted ? take_quoted(text, offset, &self->broken)
                             : take_bare(text, offset, &self->broken);
    read_marks(&item);
    if (self->count < PARAMETERS_MOST)
        self->items[self->count++] = item;
    else
        self->overflow = 1;
}

void parameters_read(struct parameter_list *ret, struct span value)
{
    ret->count = 0;
    ret->broken = ret->commented = ret->overflow = 0;
    size_t offset = skip_cfws(value, 0, &ret->commented);
    ret->type = take_token(value, &offset);
    ret->subtype = (struct span){value.data, 0};
    offset = skip_cfws(value, offset, &ret->commented);
    if (offset < value.size && value.data[offset] == '/') {
        offset = skip_cfws(value, offset + 1, &ret->commented);
        ret->subtype = take_token(value, &offset);
    }
    while ((offset = skip_cfws(value, offset, &ret->commented)) < value.size) {
        if (value.data[offset] != ';') {
            // Something stands where a ';' should: programs skip to the next one.
            ret->broken = 1;
            const char *next = memchr(value.data + offset, ';', value.size - offset);
            if (next == NULL)
                return;
            offset = (size_t)(next - value.data);
        }
        offset = skip_cfws(value, offset + 1, &ret->commented);
        if (offset < value.size && value.data[offset] != ';')
            take_parameter(ret, value, &offset);
    }
}

const struct parameter *parameter_find(const struct parameter_list *self, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < self->count; i++) {
        const struct parameter *item = &self->items[i];
        if (item->name.size == size && !item->extended && item->section < 0 &&
            strncasecmp(item->name.data, name, size) == 0)
            return item;
    }
    return NULL;
}

void parameter_unescape(struct span value, struct buffer *out)
{
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] == '\\' && i + 1 < value.size)
            i++;
        if (value.data[i] != '\r' && value.data[i] != '\n')
            buffer_add(out, value.data + i, 1);
    }
}

static int hexadecimal(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void add_percent_decoded(struct span text, struct buffer *out)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        int high = i + 2 < text.size && c == '%' ? hexadecimal(text.data[i + 1]) : -1;
        int low = high >= 0 ? hexadecimal(text.data[i + 2]) : -1;
        if (low >= 0) {
            c = (char)(high * 16 + low);
            i += 2;
        }
        buffer_add(out, &c, 1);
    }
}

// charset'language'text
static struct span take_charset(struct span value, struct span *ret_charset)
{
    const char *first = memchr(value.data, '\'', value.size);
    if (first == NULL)
        return value;
    const char *end = value.data + value.size;
    const char *second = memchr(first + 1, '\'', (size_t)(end - first - 1));
    if (second == NULL)
        return value;
    *ret_charset = (struct span){value.data, (size_t)(first - value.data)};
    return (struct span){second + 1, (size_t)(end - second - 1)};
}

static const struct parameter *find_section(const struct parameter_list *self, const char *name,
                                            int section)
{
    for (size_t i = 0; i < self->count; i++) {
        const struct parameter *item = &self->items[i];
        int fits =
            item->section == section || (section == 0 && item->section < 0 && item->extended);
        if (fits && item->name.size == strlen(name) &&
            strncasecmp(item->name.data, name, item->name.size) == 0)
            return item;
    }
    return NULL;
}

static void add_section(const struct parameter *item, struct span text, struct buffer *out)
{
    if (item->extended)
        add_percent_decoded(text, out);
    else if (item->quoted)
        parameter_unescape(text, out);
    else
        buffer_add(out, text.data, text.size);
}

int parameter_text(const struct parameter_list *self, const char *name, struct buffer *out)
{
    const struct parameter *item = find_section(self, name, 0);
    if (item == NULL) {
        item = parameter_find(self, name);
        if (item == NULL)
            return 0;
        struct buffer plain;
        buffer_init(&plain);
        add_section(item, item->value, &plain);
        words_decode((struct span){buffer_bytes(&plain), buffer_size(&plain)}, out);
        buffer_free(&plain);
        return 1;
    }
    struct span charset = {NULL, 0};
    struct buffer joined;
    buffer_init(&joined);
    add_section(item, item->extended ? take_charset(item->value, &charset) : item->value, &joined);
    for (int section = 1; item->section >= 0 && section < PARAMETERS_MOST; section++) {
        const struct parameter *more = find_section(self, name, section);
        if (more == NULL)
            break;
        add_section(more, more->value, &joined);
    }
    charset_to_utf8(charset, (struct span){buffer_bytes(&joined), buffer_size(&joined)}, out);
    buffer_free(&joined);
    return 1;
}
