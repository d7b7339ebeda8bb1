// SPDX-License-Identifier: Apache-2.0
#include "mail/word.h"

#include "core/base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

// RFC 2047 section 8 and what is sent in its name.
static const struct {
    const char *text, *wanted;
} words[] = {
    {"plain", "plain"},
    {"=?iso-8859-1?q?a?=", "a"},
    {"=?iso-8859-1?Q?a?= b", "a b"},
    {"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"},
    {"=?ISO-8859-1?Q?a?=\r\n =?ISO-8859-1?Q?b?=", "ab"},
    {"=?ISO-8859-1?Q?a_b?=", "a b"},
    {"=?utf-8?b?aMOk?=", "h\303\244"},
    {"=?utf-8*en?b?aMOk?=", "h\303\244"},
    {"x=?utf-8?b?aMOk?=y", "xh\303\244y"},
    {"=?utf-8?x?abc?=", "=?utf-8?x?abc?="},
    {"=?utf-8?b?abc", "=?utf-8?b?abc"},
    {"=?", "=?"},
    {"a\r\n b\tc\x01", "a b c "},
    {"raw \344", "raw \303\244"},
};

static void encoded_words_are_decoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
        struct buffer out;
        buffer_init(&out);
        words_decode(span_of(words[i].text), &out);
        struct span made = {buffer_bytes(&out), buffer_size(&out)};
        if (!span_equal(made, span_of(words[i].wanted)))
            fail_msg("%s: %.*s", words[i].text, (int)made.size, made.data);
        buffer_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoded_words_are_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
