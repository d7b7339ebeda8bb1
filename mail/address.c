// SPDX-License-Identifier: Apache-2.0
#include "mail/address.h"

#include <arpa/inet.h>
#include <string.h>
#include <unicode/uidna.h>

enum {
    LOCAL_MOST = 128, // RFC 5321 asks for 64 at least; VERP and SRS need more
    DOMAIN_MOST = 255,
    LABEL_MOST = 63,
    ROUTE_MOST = 512,
};

enum { SYNTAX = -1, NEEDS_UTF8 = -2 };

// What is still to be read, and whether non-ASCII was met.
struct reader {
    const char *at, *end;
    int utf8;
};

// Length of the UTF-8 sequence at the front; 0 when it is none. Table 3-7 of the Unicode standard.
static size_t sequence(const unsigned char *at, size_t size)
{
    if (at[0] < 0x80)
        return 1;
    size_t length = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4 || size < length)
        return 0;
    unsigned char least = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char most = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < least || at[1] > most)
        return 0;
    for (size_t i = 2; i < length; i++)
        if (at[i] < 0x80 || at[i] > 0xbf)
            return 0;
    return length;
}

int utf8_valid(const char *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t length = sequence((const unsigned char *)data + at, size - at);
        if (!length)
            return 0;
        at += length;
    }
    return 1;
}

static int peek(const struct reader *reader)
{
    return reader->at < reader->end ? (unsigned char)*reader->at : -1;
}

static int take(struct reader *reader, char byte)
{
    if (peek(reader) != (unsigned char)byte)
        return 0;
    reader->at++;
    return 1;
}

static int is_alnum(int byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z');
}

static int is_atext(int byte)
{
    return is_alnum(byte) || (byte > 0 && byte < 0x80 && strchr("!#$%&'*+-/=?^_`{|}~", byte));
}

// Takes one non-ASCII character. 0 when there is none or it is broken.
static int take_utf8(struct reader *reader)
{
    if (peek(reader) < 0x80)
        return 0;
    size_t length = sequence((const unsigned char *)reader->at, (size_t)(reader->end - reader->at));
    reader->at += length;
    reader->utf8 = 1;
    return length != 0;
}

static int take_atom_byte(struct reader *reader)
{
    if (!is_atext(peek(reader)))
        return take_utf8(reader);
    reader->at++;
    return 1;
}

static int take_dot_string(struct reader *reader)
{
    do {
        const char *start = reader->at;
        while (take_atom_byte(reader))
            ;
        if (reader->at == start)
            return 0;
    } while (take(reader, '.'));
    return 1;
}

static int take_quoted_string(struct reader *reader)
{
    reader->at++; // the quote
    while (peek(reader) >= 0 && peek(reader) != '"') {
        if (take_utf8(reader))
            continue;
        (void)take(reader, '\\');
        int byte = peek(reader);
        if (byte < 0x20 || byte > 0x7e)
            return 0;
        reader->at++;
    }
    return take(reader, '"');
}

static int take_label(struct reader *reader)
{
    const char *start = reader->at;
    for (;;) {
        int byte = peek(reader);
        if (is_alnum(byte) || byte == '-')
            reader->at++;
        else if (!take_utf8(reader))
            break;
    }
    size_t length = (size_t)(reader->at - start);
    return length && length <= LABEL_MOST && start[0] != '-' && reader->at[-1] != '-';
}

static int take_domain(struct reader *reader, struct span *ret)
{
    const char *start = reader->at;
    do {
        if (!take_label(reader))
            return 0;
    } while (take(reader, '.'));
    *ret = (struct span){start, (size_t)(reader->at - start)};
    return ret->size <= DOMAIN_MOST;
}

static int take_literal(struct reader *reader, struct span *ret)
{
    static const char tag[] = "IPv6:";
    char text[INET6_ADDRSTRLEN];
    unsigned char address[16];
    const char *start = ++reader->at;
    const char *close = memchr(start, ']', (size_t)(reader->end - start));
    if (!close)
        return 0;
    struct span inner = {start, (size_t)(close - start)};
    size_t skip = sizeof(tag) - 1;
    int v6 = inner.size > skip &&
             span_equal_nocase((struct span){start, skip}, (struct span){tag, skip});
    struct span number = {start + (v6 ? skip : 0), inner.size - (v6 ? skip : 0)};
    if (number.size >= sizeof(text) || memchr(number.data, 0, number.size))
        return 0;
    memcpy(text, number.data, number.size);
    text[number.size] = 0;
    if (inet_pton(v6 ? AF_INET6 : AF_INET, text, address) != 1)
        return 0;
    *ret = inner;
    reader->at = close + 1;
    return 1;
}

static int take_mailbox(struct reader *reader, struct address *ret)
{
    const char *start = reader->at;
    if (!(peek(reader) == '"' ? take_quoted_string(reader) : take_dot_string(reader)))
        return 0;
    ret->local = (struct span){start, (size_t)(reader->at - start)};
    if (ret->local.size > LOCAL_MOST || !take(reader, '@'))
        return 0;
    ret->literal = peek(reader) == '[';
    return ret->literal ? take_literal(reader, &ret->domain) : take_domain(reader, &ret->domain);
}

// "@one,@two:" in front of a mailbox: accepted and ignored (RFC 5321, appendix C).
static int take_route(struct reader *reader)
{
    const char *start = reader->at;
    struct span domain;
    if (peek(reader) != '@')
        return 1;
    do {
        if (!take(reader, '@') || !take_domain(reader, &domain))
            return 0;
    } while (take(reader, ','));
    return take(reader, ':') && reader->at - start <= ROUTE_MOST;
}

static int take_postmaster(struct reader *reader, struct address *ret)
{
    static const char name[] = "postmaster>";
    struct span front = {reader->at, sizeof(name) - 1};
    if ((size_t)(reader->end - reader->at) < front.size || !span_equal_nocase(front, span_of(name)))
        return 0;
    ret->local = (struct span){reader->at, front.size - 1};
    reader->at += ret->local.size;
    return 1;
}

static int take_path(struct reader *reader, int allow, struct address *ret)
{
    if (!take(reader, '<'))
        return 0;
    if (peek(reader) == '>' && allow & ADDRESS_NULL)
        return take(reader, '>');
    if (allow & ADDRESS_POSTMASTER && take_postmaster(reader, ret))
        return take(reader, '>');
    return take_route(reader) && take_mailbox(reader, ret) && take(reader, '>');
}

int address_parse_path(struct span text, int allow, int utf8, struct address *ret, size_t *ret_used)
{
    struct reader reader = {text.data, text.data + text.size, 0};
    struct address address = {{"", 0}, {"", 0}, 0, 0};
    if (!take_path(&reader, allow, &address))
        return SYNTAX;
    address.utf8 = reader.utf8;
    if (address.utf8 && !utf8)
        return NEEDS_UTF8;
    *ret = address;
    *ret_used = (size_t)(reader.at - text.data);
    return 0;
}

struct span address_mailbox(const struct address *address, struct span path)
{
    if (!address->local.size)
        return (struct span){"", 0};
    const char *end = path.data + path.size - 1;
    return (struct span){address->local.data, (size_t)(end - address->local.data)};
}

int address_parse(struct span text, int utf8, struct address *ret)
{
    struct reader reader = {text.data, text.data + text.size, 0};
    struct address address = {{"", 0}, {"", 0}, 0, 0};
    if (!take_mailbox(&reader, &address) || reader.at != reader.end)
        return SYNTAX;
    address.utf8 = reader.utf8;
    if (address.utf8 && !utf8)
        return NEEDS_UTF8;
    *ret = address;
    return 0;
}

static int lower(struct span domain, char *ret_text)
{
    int ascii = 1;
    for (size_t i = 0; i < domain.size; i++) {
        char byte = domain.data[i];
        ascii &= (unsigned char)byte < 0x80;
        ret_text[i] = byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
    }
    ret_text[domain.size] = 0;
    return ascii;
}

int address_domain_ascii(struct span domain, char *ret_text, size_t text_size)
{
    UErrorCode status = U_ZERO_ERROR;
    UIDNAInfo info = UIDNA_INFO_INITIALIZER;
    if (domain.size >= text_size)
        return SYNTAX;
    if (lower(domain, ret_text))
        return 0;
    UIDNA *idna = uidna_openUTS46(
        UIDNA_CHECK_BIDI | UIDNA_CHECK_CONTEXTJ | UIDNA_NONTRANSITIONAL_TO_ASCII, &status);
    if (U_FAILURE(status))
        return SYNTAX;
    int32_t size = uidna_nameToASCII_UTF8(idna, domain.data, (int32_t)domain.size, ret_text,
                                          (int32_t)text_size - 1, &info, &status);
    uidna_close(idna);
    if (U_FAILURE(status) || info.errors || size < 0 || (size_t)size >= text_size)
        return SYNTAX;
    ret_text[size] = 0;
    return 0;
}
