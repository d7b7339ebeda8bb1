// SPDX-License-Identifier: Apache-2.0
#include "ingress/grammar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *text;
    const char *seen; // "NAME=value|NAME|", then "!" after a syntax error
} parameters[] = {
    {"", ""},
    {" SIZE=10 SMTPUTF8", "SIZE=10|SMTPUTF8|"},
    {"  A-1=x;y  B", "A-1=x;y|B|"},
    {"SIZE=10", "!"},
    {" SIZE=", "!"},
    {" =10", "!"},
    {" -A=1", "!"},
    {" A=1=2", "!"},
    {" A=\x7f", "!"},
    {" A>", "!"},
};

static void parameters_are_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(parameters); i++) {
        struct span text = span_of(parameters[i].text);
        struct parameter parameter;
        char seen[128] = "";
        size_t at = 0;
        int more;
        while ((more = grammar_parameter(&text, &parameter)) > 0)
            at += (size_t)snprintf(seen + at, sizeof(seen) - at, "%.*s%s%.*s|",
                                   (int)parameter.name.size, parameter.name.data,
                                   parameter.has_value ? "=" : "", (int)parameter.value.size,
                                   parameter.has_value ? parameter.value.data : "");
        if (more < 0)
            snprintf(seen + at, sizeof(seen) - at, "!");
        assert_string_equal(seen, parameters[i].seen);
    }
}

static const struct {
    const char *text;
    int result;
    uint64_t number;
} numbers[] = {
    {"0", 0, 0},   {"00012", 0, 12}, {"18446744073709551615", 0, UINT64_MAX},
    {"", -1, 0},   {"-1", -1, 0},    {"18446744073709551616", -1, 0},
    {"1x", -1, 0}, {" 1", -1, 0},    {"000000000000000000001", -1, 0},
};

static void numbers_fit_or_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
        uint64_t number = 0;
        assert_int_equal(grammar_number(span_of(numbers[i].text), &number), numbers[i].result);
        assert_int_equal(number, numbers[i].number);
    }
}

static const struct {
    const char *text;
    int ascii, utf8;
    const char *decoded; // NULL: refused
} xtexts[] = {
    {"plain", 1, 1, "plain"}, {"a+2Bb+3D", 1, 1, "a+b="}, {"a+2b", 0, 0, NULL},
    {"a+2", 0, 0, NULL},      {"a=b", 0, 0, NULL},        {"a b", 0, 0, NULL},
    {"a+0Ab", 1, 1, NULL},    {"\xc3\xa9", 0, 1, NULL},   {"\xc3", 0, 0, NULL},
    {"+00", 1, 1, NULL},
};

static void xtext_is_strict(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(xtexts); i++) {
        char text[32];
        struct span in = span_of(xtexts[i].text);
        assert_int_equal(grammar_xtext(in, 0), xtexts[i].ascii);
        assert_int_equal(grammar_xtext(in, 1), xtexts[i].utf8);
        int result = grammar_xtext_decode(in, text, sizeof(text));
        assert_int_equal(result, xtexts[i].decoded ? 0 : -1);
        if (xtexts[i].decoded)
            assert_string_equal(text, xtexts[i].decoded);
    }
    char small[4];
    assert_int_equal(grammar_xtext_decode(span_of("abc"), small, sizeof(small)), 0);
    assert_int_equal(grammar_xtext_decode(span_of("abcd"), small, sizeof(small)), -1);
}

static void a_line_is_verb_and_argument(void **state)
{
    (void)state;
    struct span argument;
    assert_true(span_equal(grammar_verb(span_of("MAIL  FROM:<> \t"), &argument), span_of("MAIL")));
    assert_true(span_equal(argument, span_of("FROM:<>")));
    assert_int_equal(grammar_keyword(&argument, "from:"), 1);
    assert_true(span_equal(argument, span_of("<>")));
    assert_int_equal(grammar_keyword(&argument, "TO:"), 0);
    assert_true(span_equal(grammar_verb(span_of("QUIT"), &argument), span_of("QUIT")));
    assert_int_equal(argument.size, 0);
    assert_int_equal(grammar_verb(span_of(" QUIT"), &argument).size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_split),
        cmocka_unit_test(numbers_fit_or_fail),
        cmocka_unit_test(xtext_is_strict),
        cmocka_unit_test(a_line_is_verb_and_argument),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
