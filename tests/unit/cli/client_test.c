// SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"
#include "core/base/buffer.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *part, *name, *value, *path;
} rows[] = {
    {"01M85", NULL, NULL, "/x/01M85"},
    {"a b?c=d&e#f", NULL, NULL, "/x/a%20b%3Fc%3Dd%26e%23f"},
    {"domain/a.org", NULL, NULL, "/x/domain/a.org"},
    {"\xc3\xbc%", NULL, NULL, "/x/%C3%BC%25"},
    {NULL, "sender", "a+b@c", "/x?sender=a%2Bb%40c"},
    {NULL, "sender", "", "/x?sender="},
    {NULL, "sender", NULL, "/x"},
    {"id", "message_id", "<a@b>", "/x/id?message_id=%3Ca%40b%3E"},
};

static void test_paths_are_escaped(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct buffer path;
        buffer_init(&path);
        buffer_add_text(&path, "/x");
        if (rows[i].part)
            path_part(&path, rows[i].part);
        if (rows[i].name)
            path_argument(&path, rows[i].name, rows[i].value);
        buffer_add(&path, "", 1);
        assert_string_equal(buffer_bytes(&path), rows[i].path);
        buffer_free(&path);
    }
}

static void test_a_second_argument_follows_the_first(void **state)
{
    (void)state;
    struct buffer path;
    buffer_init(&path);
    buffer_add_text(&path, "/x");
    path_argument(&path, "a", "1");
    path_argument(&path, "b", NULL);
    path_argument(&path, "c", "?");
    buffer_add(&path, "", 1);
    assert_string_equal(buffer_bytes(&path), "/x?a=1&c=%3F");
    buffer_free(&path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_are_escaped),
        cmocka_unit_test(test_a_second_argument_follows_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
