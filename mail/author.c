// SPDX-License-Identifier: Apache-2.0
#include "mail/author.h"

#include "core/base/buffer.h"
#include "mail/parameter.h"
#include <string.h>

enum { ADDRESS_MOST = 320 };

// The end of the quoted string that begins at `offset`.
static size_t skip_quoted(struct span text, size_t offset)
{
    for (offset++; offset < text.size && text.data[offset] != '"'; offset++)
        if (text.data[offset] == '\\')
            offset++;
    return offset < text.size ? offset + 1 : text.size;
}

static void add_visible(struct span text, struct buffer *out)
{
    for (size_t i = 0; i < text.size && i < ADDRESS_MOST; i++)
        if ((unsigned char)text.data[i] > 32 && text.data[i] != 127)
            buffer_add(out, text.data + i, 1);
}

// <route:address>
static void add_angled(struct span value, size_t start, struct buffer *out)
{
    const char *open = value.data + start + 1;
    size_t room = value.size - start - 1;
    const char *close = memchr(open, '>', room);
    struct span inside = {open, close != NULL ? (size_t)(close - open) : room};
    const char *route =
        inside.size > 0 && inside.data[0] == '@' ? memchr(inside.data, ':', inside.size) : NULL;
    if (route != NULL) {
        inside.size -= (size_t)(route + 1 - inside.data);
        inside.data = route + 1;
    }
    add_visible(inside, out);
}

void author_address(struct span value, struct buffer *out)
{
    size_t start = skip_cfws(value, 0, NULL);
    size_t end = start; // of the last word, for an address without angle brackets
    size_t offset = start;
    while (offset < value.size) {
        char c = value.data[offset];
        if (c == '<') {
            add_angled(value, offset, out);
            return;
        }
        if (c == ',' || c == ';')
            break;
        if (c == ':') { // what stood before was a group's name
            start = end = offset = skip_cfws(value, offset + 1, NULL);
            continue;
        }
        size_t next = c == '"' ? skip_quoted(value, offset) : skip_cfws(value, offset, NULL);
        if (c == '"' || next == offset)
            end = next = next > offset ? next : offset + 1;
        offset = next;
    }
    struct span bare = {value.data + start, end > start ? end - start : 0};
    if (memchr(bare.data, '@', bare.size) != NULL)
        add_visible(bare, out);
}
