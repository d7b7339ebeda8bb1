// SPDX-License-Identifier: Apache-2.0
#include "mail/smtp_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *bytes;
    enum smtp_reply_result result;
    int code;
    const char *enhanced;
    size_t lines, used;
    const char *text;
} replies[] = {
    {"250 2.1.0 Ok\r\n", SMTP_REPLY_WHOLE, 250, "2.1.0", 1, 14, "250 2.1.0 Ok"},
    {"250\r\n", SMTP_REPLY_WHOLE, 250, "", 1, 5, "250"},
    {"250 \r\n", SMTP_REPLY_WHOLE, 250, "", 1, 6, "250"},
    {"250-a\r\n250 b\r\n354 x\r\n", SMTP_REPLY_WHOLE, 250, "", 2, 14, "250 a b"},
    {"550-5.1.1 no\r\n550 5.1.1 such\r\n", SMTP_REPLY_WHOLE, 550, "5.1.1", 2, 30,
     "550 5.1.1 no such"},
    {"550 4.1.1 odd\r\n", SMTP_REPLY_WHOLE, 550, "", 1, 15, "550 4.1.1 odd"},
    {"550 5.1.1\r\n", SMTP_REPLY_WHOLE, 550, "5.1.1", 1, 11, "550 5.1.1"},
    {"550 5.1.1234 x\r\n", SMTP_REPLY_WHOLE, 550, "", 1, 16, "550 5.1.1234 x"},
    {"250-a\r\n", SMTP_REPLY_MORE, 0, "", 0, 0, NULL},
    {"25", SMTP_REPLY_MORE, 0, "", 0, 0, NULL},
    {"250-a\r\n251 b\r\n", SMTP_REPLY_BAD, 0, "", 0, 0, NULL},
    {"250 a\n", SMTP_REPLY_BAD, 0, "", 0, 0, NULL},
    {"199 a\r\n", SMTP_REPLY_BAD, 0, "", 0, 0, NULL},
    {"600 a\r\n", SMTP_REPLY_BAD, 0, "", 0, 0, NULL},
    {"250x\r\n", SMTP_REPLY_BAD, 0, "", 0, 0, NULL},
    {"hello\r\n", SMTP_REPLY_BAD, 0, "", 0, 0, NULL},
    {"250 a\x01\x80"
     "b\r\n",
     SMTP_REPLY_WHOLE, 250, "", 1, 10, "250 a??b"},
};

static void replies_are_parsed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(replies); i++) {
        struct smtp_reply reply = {0};
        char text[64];
        if (smtp_reply(span_of(replies[i].bytes), &reply) != replies[i].result)
            fail_msg("%s", replies[i].bytes);
        if (replies[i].result != SMTP_REPLY_WHOLE)
            continue;
        assert_int_equal(reply.code, replies[i].code);
        assert_string_equal(reply.enhanced, replies[i].enhanced);
        assert_int_equal(reply.lines, replies[i].lines);
        assert_int_equal(reply.bytes.size, replies[i].used);
        assert_string_equal(smtp_reply_text(&reply, text, sizeof(text)), replies[i].text);
    }
}

static void a_reply_has_a_limit(void **state)
{
    (void)state;
    static char many[SMTP_REPLY_MOST + 64];
    struct smtp_reply reply;
    for (size_t at = 0; at + 8 <= sizeof(many); at += 8)
        memcpy(many + at, "250-ab\r\n", 8);
    assert_int_equal(smtp_reply((struct span){many, sizeof(many)}, &reply), SMTP_REPLY_BAD);
    memset(many, '2', sizeof(many));
    assert_int_equal(smtp_reply((struct span){many, sizeof(many)}, &reply), SMTP_REPLY_BAD);
}

static void lines_are_given_one_by_one(void **state)
{
    (void)state;
    struct smtp_reply reply;
    struct span text;
    size_t position = 0;
    assert_int_equal(smtp_reply(span_of("250-mx\r\n250-SIZE 10\r\n250\r\n"), &reply),
                     SMTP_REPLY_WHOLE);
    assert_int_equal(smtp_reply_line(&reply, &position, &text), 1);
    assert_true(span_equal(text, span_of("mx")));
    assert_int_equal(smtp_reply_line(&reply, &position, &text), 1);
    assert_true(span_equal(text, span_of("SIZE 10")));
    assert_int_equal(smtp_reply_line(&reply, &position, &text), 1);
    assert_int_equal(text.size, 0);
    assert_int_equal(smtp_reply_line(&reply, &position, &text), 0);
}

static void text_is_cut_at_the_size(void **state)
{
    (void)state;
    struct smtp_reply reply;
    char text[8];
    assert_int_equal(smtp_reply(span_of("550 5.1.1 no such user\r\n"), &reply), SMTP_REPLY_WHOLE);
    assert_string_equal(smtp_reply_text(&reply, text, sizeof(text)), "550 5.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_parsed),
        cmocka_unit_test(a_reply_has_a_limit),
        cmocka_unit_test(lines_are_given_one_by_one),
        cmocka_unit_test(text_is_cut_at_the_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
