// SPDX-License-Identifier: Apache-2.0
#include "mail/parameter.h"

#include "core/base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { BROKEN = 1, COMMENTED = 2 };

// A field's value, its type, and what a program makes of its parameter "name".
static const struct {
    const char *value, *type, *subtype, *name;
    int flags;
} values[] = {
    {"text/plain", "text", "plain", NULL, 0},
    {" text/plain; name=a.txt", "text", "plain", "a.txt", 0},
    {"text/plain;name=\"a \\\"b\\\" c\"", "text", "plain", "a \"b\" c", 0},
    {"text / plain ; NAME = a", "text", "plain", "a", 0},
    {"text/plain (c (o) m) ; name = (x) a (y)", "text", "plain", "a", COMMENTED},
    {"attachment; name=a", "attachment", "", "a", 0},
    {"text/plain; name=a;; x=1;", "text", "plain", "a", 0},
    {"text/plain; other=1", "text", "plain", NULL, 0},
    {"", "", "", NULL, 0},
    // What breaks the grammar is read as most programs would.
    {"text/plain name=a; name=b", "text", "plain", "b", BROKEN},
    {"text/plain; name=\"open", "text", "plain", "open", BROKEN},
    {"text/plain; name", "text", "plain", NULL, BROKEN},
    {"text/plain; name=a/b@c", "text", "plain", "a/b@c", 0},
    {"text/plain; name=a\"b", "text", "plain", "a\"b", BROKEN},
    // RFC 2231.
    {"x/y; name*=utf-8'en'%c3%a4.txt", "x", "y", "\303\244.txt", 0},
    {"x/y; name*=iso-8859-1''%e4", "x", "y", "\303\244", 0},
    {"x/y; name*0=eic; name*1=ar.; name*2=com", "x", "y", "eicar.com", 0},
    {"x/y; name*1=b; name*0=a", "x", "y", "ab", 0},
    {"x/y; name*0*=utf-8''%41; name*1=%42; name*2*=%43", "x", "y", "A%42C", 0},
    {"x/y; name=plain; name*=utf-8''ext", "x", "y", "ext", 0},
    {"x/y; name*0=a; name*2=c", "x", "y", "a", 0},
    {"x/y; name*=bad'%41", "x", "y", "bad'A", 0},
    // RFC 2047 where it does not belong, but where programs decode it.
    {"x/y; name=\"=?utf-8?q?=C3=A4?=\"", "x", "y", "\303\244", 0},
};

static void values_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
        struct parameter_list list;
        struct buffer text;
        buffer_init(&text);
        parameters_read(&list, span_of(values[i].value));
        assert_true(span_equal(list.type, span_of(values[i].type)));
        assert_true(span_equal(list.subtype, span_of(values[i].subtype)));
        assert_int_equal(list.broken * BROKEN | list.commented * COMMENTED, values[i].flags);
        assert_int_equal(parameter_text(&list, "name", &text), values[i].name != NULL);
        struct span made = {buffer_bytes(&text), buffer_size(&text)};
        if (!span_equal(made, span_of(values[i].name ? values[i].name : "")))
            fail_msg("%s: %.*s", values[i].value, (int)made.size, made.data);
        buffer_free(&text);
    }
}

static void more_parameters_than_are_kept_are_told(void **state)
{
    char value[4096] = "text/plain";
    struct parameter_list list;
    (void)state;
    for (int i = 0; i < PARAMETERS_MOST + 1; i++)
        strcat(value, "; a=b");
    parameters_read(&list, span_of(value));
    assert_int_equal(list.count, PARAMETERS_MOST);
    assert_true(list.overflow);
}

static void comments_may_be_nested_without_end(void **state)
{
    static char value[200000];
    int commented = 0;
    (void)state;
    memset(value, '(', sizeof(value) - 1);
    assert_int_equal(skip_cfws(span_of(value), 0, &commented), sizeof(value) - 1);
    memset(value + sizeof(value) / 2, ')', sizeof(value) / 2 - 1);
    value[sizeof(value) - 2] = 'x';
    assert_int_equal(skip_cfws(span_of(value), 0, &commented), sizeof(value) - 1);
    assert_true(commented);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read),
        cmocka_unit_test(more_parameters_than_are_kept_are_told),
        cmocka_unit_test(comments_may_be_nested_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
