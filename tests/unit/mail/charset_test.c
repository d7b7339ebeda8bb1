// SPDX-License-Identifier: Apache-2.0
#include "mail/charset.h"

#include "core/base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *charset, *text;
    size_t size;
    const char *wanted;
    int known;
} texts[] = {
    {"us-ascii", "hello", 5, "hello", 1},
    {"UTF-8", "h\303\244", 3, "h\303\244", 1},
    {"iso-8859-1", "h\344\200", 3, "h\303\244\342\202\254", 1}, // as browsers: windows-1252
    {"iso-8859-15", "\244", 1, "\342\202\254", 1},
    {"windows-1251", "\317\360\350", 3, "\320\237\321\200\320\270", 1},
    {"koi8-r", "\360\322\311", 3, "\320\237\321\200\320\270", 1},
    {"shift_jis", "\223\372", 2, "\346\227\245", 1},
    {"iso-2022-jp", "\033$BF|\033(B", 8, "\346\227\245", 1},
    {"gb2312", "\310\325", 2, "\346\227\245", 1},
    {"utf-16le", "h\0i\0", 4, "hi", 1},
    {"utf-16", "\376\377\0h\0i", 6, "hi", 1},
    {"utf-7", "+AGgAaQ-!", 9, "hi!", 1},
    // What is not known is UTF-8 where it can be.
    {"no-such", "h\303\244", 3, "h\303\244", 0},
    {"no-such", "h\344", 2, "h\303\244", 0},
    {"", "hi", 2, "hi", 0},
    // Broken UTF-8: overlong, surrogate, cut off.
    {"utf-8", "a\300\200b", 4, "a\357\277\275\357\277\275b", 1},
    {"utf-8", "\355\240\200", 3, "\357\277\275\357\277\275\357\277\275", 1},
    {"utf-8", "a\342\202", 3, "a\357\277\275\357\277\275", 1},
    {"utf-8", "", 0, "", 1},
};

static void texts_become_utf8(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        struct buffer out;
        buffer_init(&out);
        int known = charset_to_utf8(span_of(texts[i].charset),
                                    (struct span){texts[i].text, texts[i].size}, &out);
        struct span made = {buffer_bytes(&out), buffer_size(&out)};
        if (!span_equal(made, span_of(texts[i].wanted)))
            fail_msg("%s: %.*s", texts[i].charset, (int)made.size, made.data);
        assert_int_equal(known, texts[i].known);
        buffer_free(&out);
    }
}

static void some_charsets_hide_ascii(void **state)
{
    (void)state;
    assert_true(charset_hides_ascii(span_of("UTF-16LE")));
    assert_true(charset_hides_ascii(span_of("utf-7")));
    assert_true(charset_hides_ascii(span_of("iso-2022-jp")));
    assert_false(charset_hides_ascii(span_of("utf-8")));
    assert_false(charset_hides_ascii(span_of("no-such")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_become_utf8),
        cmocka_unit_test(some_charsets_hide_ascii),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
