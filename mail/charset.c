// SPDX-License-Identifier: Apache-2.0
#include "mail/charset.h"

#include "core/base/buffer.h"
#include <string.h>
#include <strings.h>
#include <unicode/ucnv.h>

// label in lower case; what ICU opens for it; whether it hides ASCII
static const struct charset {
    const char *label;
    const char *converter; // NULL: UTF-8 or ASCII, needs none
    int hides;
} charsets[] = {
    {"us-ascii", NULL, 0},
    {"ascii", NULL, 0},
    {"ansi_x3.4-1968", NULL, 0},
    {"utf-8", NULL, 0},
    {"utf8", NULL, 0},
    {"iso-8859-1", "windows-1252", 0},
    {"latin1", "windows-1252", 0},
    {"iso8859-1", "windows-1252", 0},
    {"windows-1252", "windows-1252", 0},
    {"cp1252", "windows-1252", 0},
    {"iso-8859-2", "iso-8859-2", 0},
    {"iso-8859-3", "iso-8859-3", 0},
    {"iso-8859-4", "iso-8859-4", 0},
    {"iso-8859-5", "iso-8859-5", 0},
    {"iso-8859-6", "iso-8859-6", 0},
    {"iso-8859-7", "iso-8859-7", 0},
    {"iso-8859-8", "iso-8859-8", 0},
    {"iso-8859-8-i", "iso-8859-8", 0},
    {"iso-8859-9", "windows-1254", 0},
    {"iso-8859-10", "iso-8859-10", 0},
    {"iso-8859-13", "iso-8859-13", 0},
    {"iso-8859-14", "iso-8859-14", 0},
    {"iso-8859-15", "iso-8859-15", 0},
    {"windows-1250", "windows-1250", 0},
    {"windows-1251", "windows-1251", 0},
    {"cp1251", "windows-1251", 0},
    {"windows-1253", "windows-1253", 0},
    {"windows-1254", "windows-1254", 0},
    {"windows-1255", "windows-1255", 0},
    {"windows-1256", "windows-1256", 0},
    {"windows-1257", "windows-1257", 0},
    {"windows-1258", "windows-1258", 0},
    {"windows-874", "windows-874", 0},
    {"tis-620", "windows-874", 0},
    {"ibm437", "ibm-437", 0},
    {"ibm850", "ibm-850", 0},
    {"ibm852", "ibm-852", 0},
    {"ibm866", "ibm-866", 0},
    {"koi8-r", "koi8-r", 0},
    {"koi8-u", "koi8-u", 0},
    {"macintosh", "macintosh", 0},
    {"gb2312", "gbk", 0},
    {"gbk", "gbk", 0},
    {"gb18030", "gb18030", 0},
    {"big5", "big5", 0},
    {"big5-hkscs", "big5-hkscs", 0},
    {"euc-jp", "euc-jp", 0},
    {"shift_jis", "windows-31j", 0},
    {"shift-jis", "windows-31j", 0},
    {"sjis", "windows-31j", 0},
    {"euc-kr", "euc-kr", 0},
    {"ks_c_5601-1987", "windows-949", 0},
    {"iso-2022-jp", "iso-2022-jp", 1},
    {"iso-2022-kr", "iso-2022-kr", 1},
    {"iso-2022-cn", "iso-2022-cn", 1},
    {"hz-gb-2312", "hz", 1},
    {"utf-7", "utf-7", 1},
    {"unicode-1-1-utf-7", "utf-7", 1},
    {"utf-16", "utf-16", 1},
    {"utf-16le", "utf-16le", 1},
    {"utf-16be", "utf-16be", 1},
    {"utf-32", "utf-32", 1},
    {"utf-32le", "utf-32le", 1},
    {"utf-32be", "utf-32be", 1},
};

static const struct charset *find(struct span label)
{
    for (size_t i = 0; i < ARRAY_LENGTH(charsets); i++)
        if (strlen(charsets[i].label) == label.size &&
            strncasecmp(charsets[i].label, label.data, label.size) == 0)
            return &charsets[i];
    return NULL;
}

// Length of the valid UTF-8 sequence at `text`, 0 when there is none (RFC 3629).
static size_t sequence(const unsigned char *text, size_t size)
{
    static const struct {
        unsigned char first, last, second_first, second_last;
        size_t length;
    } forms[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(forms); i++) {
        if (text[0] < forms[i].first || text[0] > forms[i].last || size < forms[i].length)
            continue;
        if (forms[i].length == 1)
            return 1;
        if (text[1] < forms[i].second_first || text[1] > forms[i].second_last)
            return 0;
        for (size_t k = 2; k < forms[i].length; k++)
            if ((text[k] & 0xc0) != 0x80)
                return 0;
        return forms[i].length;
    }
    return 0;
}

static size_t valid_prefix(struct span text)
{
    size_t at = 0;
    while (at < text.size) {
        size_t length = sequence((const unsigned char *)text.data + at, text.size - at);
        if (length == 0)
            break;
        at += length;
    }
    return at;
}

// Adds UTF-8, each byte that is none as U+FFFD.
static void add_repaired(struct span text, struct buffer *out)
{
    while (text.size > 0) {
        size_t good = valid_prefix(text);
        buffer_add(out, text.data, good);
        if (good == text.size)
            return;
        buffer_add_text(out, "\xef\xbf\xbd");
        text.data += good + 1;
        text.size -= good + 1;
    }
}

// Through UTF-16 in bounded steps. 0, or -1 when ICU has no such converter.
static int convert(const char *name, struct span text, struct buffer *out)
{
    UErrorCode status = U_ZERO_ERROR;
    UConverter *from = ucnv_open(name, &status);
    UConverter *to = ucnv_open("utf-8", &status);
    if (U_FAILURE(status)) {
        ucnv_close(from);
        ucnv_close(to);
        return -1;
    }
    UChar pivot[1024];
    UChar *pivot_source = pivot, *pivot_target = pivot;
    const char *source = text.data, *end = text.data + text.size;
    UBool reset = 1;
    do {
        char *room = buffer_reserve(out, 4096);
        char *target = room;
        status = U_ZERO_ERROR;
        ucnv_convertEx(to, from, &target, room + 4096, &source, end, pivot, &pivot_source,
                       &pivot_target, pivot + ARRAY_LENGTH(pivot), reset, 1, &status);
        buffer_added(out, (size_t)(target - room));
        reset = 0;
    } while (status == U_BUFFER_OVERFLOW_ERROR);
    ucnv_close(from);
    ucnv_close(to);
    return 0;
}

int charset_to_utf8(struct span charset, struct span text, struct buffer *out)
{
    const struct charset *known = find(charset);
    if (known != NULL && known->converter != NULL && convert(known->converter, text, out) == 0)
        return 1;
    if (known != NULL || valid_prefix(text) == text.size)
        add_repaired(text, out);
    else if (convert("windows-1252", text, out) < 0)
        add_repaired(text, out);
    return known != NULL;
}

int charset_hides_ascii(struct span charset)
{
    const struct charset *known = find(charset);
    return known != NULL && known->hides;
}
