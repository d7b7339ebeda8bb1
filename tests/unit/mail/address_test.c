// SPDX-License-Identifier: Apache-2.0
#include "mail/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct path_case {
    const char *text;
    int allow, utf8;
    int result; // 0, -1, -2
    const char *local, *domain;
    const char *rest;
};

#define LONG_LABEL "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff123"
#define LONG_LOCAL LONG_LABEL LONG_LABEL "12"

static const struct path_case paths[] = {
    {"<user@example.org>", 0, 0, 0, "user", "example.org", ""},
    {"<user@example.org> SIZE=1", 0, 0, 0, "user", "example.org", " SIZE=1"},
    {"<a.b+c=d@EXAMPLE.org>", 0, 0, 0, "a.b+c=d", "EXAMPLE.org", ""},
    {"<\"a b\\\"@c\"@example.org>", 0, 0, 0, "\"a b\\\"@c\"", "example.org", ""},
    {"<\"\"@example.org>", 0, 0, 0, "\"\"", "example.org", ""},
    {"<u@[192.0.2.1]>", 0, 0, 0, "u", "192.0.2.1", ""},
    {"<u@[IPv6:2001:db8::1]>", 0, 0, 0, "u", "IPv6:2001:db8::1", ""},
    {"<@a.example,@b.example:u@example.org>", 0, 0, 0, "u", "example.org", ""},
    {"<>", ADDRESS_NULL, 0, 0, "", "", ""},
    {"<Postmaster>", ADDRESS_POSTMASTER, 0, 0, "Postmaster", "", ""},
    {"<postmaster@example.org>", ADDRESS_POSTMASTER, 0, 0, "postmaster", "example.org", ""},
    {"<j\xc3\xb6rg@b\xc3\xbc"
     "cher.example>",
     0, 1, 0, "j\xc3\xb6rg",
     "b\xc3\xbc"
     "cher.example",
     ""},
    {"<j\xc3\xb6rg@example.org>", 0, 0, -2, NULL, NULL, NULL},
    {"<" LONG_LOCAL "@example.org>", 0, 0, 0, LONG_LOCAL, "example.org", ""},
    {"<1" LONG_LOCAL "@example.org>", 0, 0, -1, NULL, NULL, NULL},
    {"<u@" LONG_LABEL ".org>", 0, 0, 0, "u", LONG_LABEL ".org", ""},
    {"<u@4" LONG_LABEL ".org>", 0, 0, -1, NULL, NULL, NULL},
    {"<>", 0, 0, -1, NULL, NULL, NULL},
    {"<postmaster>", 0, 0, -1, NULL, NULL, NULL},
    {"<user>", ADDRESS_POSTMASTER, 0, -1, NULL, NULL, NULL},
    {"user@example.org", 0, 0, -1, NULL, NULL, NULL},
    {"<user@example.org", 0, 0, -1, NULL, NULL, NULL},
    {"< user@example.org>", 0, 0, -1, NULL, NULL, NULL},
    {"<user @example.org>", 0, 0, -1, NULL, NULL, NULL},
    {"<user@>", 0, 0, -1, NULL, NULL, NULL},
    {"<@example.org>", 0, 0, -1, NULL, NULL, NULL},
    {"<a..b@example.org>", 0, 0, -1, NULL, NULL, NULL},
    {"<.a@example.org>", 0, 0, -1, NULL, NULL, NULL},
    {"<a.@example.org>", 0, 0, -1, NULL, NULL, NULL},
    {"<a@b@example.org>", 0, 0, -1, NULL, NULL, NULL},
    {"<a@example..org>", 0, 0, -1, NULL, NULL, NULL},
    {"<a@example.org.>", 0, 0, -1, NULL, NULL, NULL},
    {"<a@-example.org>", 0, 0, -1, NULL, NULL, NULL},
    {"<a@exam_ple.org>", 0, 0, -1, NULL, NULL, NULL},
    {"<a@[192.0.2.256]>", 0, 0, -1, NULL, NULL, NULL},
    {"<a@[2001:db8::1]>", 0, 0, -1, NULL, NULL, NULL},
    {"<a@[192.0.2.1>", 0, 0, -1, NULL, NULL, NULL},
    {"<\"a@example.org>", 0, 0, -1, NULL, NULL, NULL},
    {"<\"a\tb\"@example.org>", 0, 0, -1, NULL, NULL, NULL},
    {"<@a.example:>", 0, 0, -1, NULL, NULL, NULL},
    {"<j\xc3@example.org>", 0, 1, -1, NULL, NULL, NULL},
    {"<\xed\xa0\x80@example.org>", 0, 1, -1, NULL, NULL, NULL},
    {"<\xc0\xaf@example.org>", 0, 1, -1, NULL, NULL, NULL},
    {"", 0, 0, -1, NULL, NULL, NULL},
    {"<", ADDRESS_NULL, 0, -1, NULL, NULL, NULL},
    {"<\"", ADDRESS_NULL, 0, -1, NULL, NULL, NULL},
    {"<\"\\", ADDRESS_NULL, 0, -1, NULL, NULL, NULL},
    {"<a@[", ADDRESS_NULL, 0, -1, NULL, NULL, NULL},
};

static void paths_are_parsed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
        const struct path_case *test = &paths[i];
        struct address address;
        size_t used = 0;
        int result =
            address_parse_path(span_of(test->text), test->allow, test->utf8, &address, &used);
        if (result != test->result)
            fail_msg("%s: %d", test->text, result);
        if (result < 0)
            continue;
        assert_true(span_equal(address.local, span_of(test->local)));
        assert_true(span_equal(address.domain, span_of(test->domain)));
        assert_string_equal(test->text + used, test->rest);
    }
}

static void a_mailbox_stands_alone(void **state)
{
    (void)state;
    struct address address;
    assert_int_equal(address_parse(span_of("a@b.example"), 0, &address), 0);
    assert_int_equal(address_parse(span_of("a@b.example "), 0, &address), -1);
    assert_int_equal(address_parse(span_of("<a@b.example>"), 0, &address), -1);
}

static const struct {
    const char *text;
    int valid;
} texts[] = {
    {"plain", 1},
    {"\xc3\xa9", 1},
    {"\xe2\x82\xac", 1},
    {"\xf0\x9f\x98\x80", 1},
    {"\xc3", 0},
    {"\x80", 0},
    {"\xc1\xbf", 0},
    {"\xe0\x9f\xbf", 0},
    {"\xed\xbf\xbf", 0},
    {"\xf0\x8f\xbf\xbf", 0},
    {"\xf4\x90\x80\x80", 0},
    {"\xf5\x80\x80\x80", 0},
    {"\xff", 0},
    {"a\xe2\x82", 0},
};

static void only_strict_utf8_is_valid(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        assert_int_equal(utf8_valid(texts[i].text, strlen(texts[i].text)), texts[i].valid);
}

static void domains_become_a_labels(void **state)
{
    (void)state;
    char text[256];
    assert_int_equal(address_domain_ascii(span_of("EXAMPLE.Org"), text, sizeof(text)), 0);
    assert_string_equal(text, "example.org");
    assert_int_equal(address_domain_ascii(span_of("B\xc3\x9c"
                                                  "CHER.example"),
                                          text, sizeof(text)),
                     0);
    assert_string_equal(text, "xn--bcher-kva.example");
    assert_int_equal(address_domain_ascii(span_of("a.example"), text, 5), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_parsed),
        cmocka_unit_test(a_mailbox_stands_alone),
        cmocka_unit_test(only_strict_utf8_is_valid),
        cmocka_unit_test(domains_become_a_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
