// SPDX-License-Identifier: Apache-2.0
#include "mail/author.h"

#include "core/base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *value, *wanted;
} authors[] = {
    {" a@b.example", "a@b.example"},
    {"Ann <a@b.example>", "a@b.example"},
    {"\"Ann <x@y>\" <a@b.example>", "a@b.example"},
    {"(c <x@y>) a@b.example (d)", "a@b.example"},
    {"<@r.example,@s.example:a@b.example>", "a@b.example"},
    {"friends: a@b.example, c@d.example;", "a@b.example"},
    {"a@b.example, c@d.example", "a@b.example"},
    {"a\r\n @b.example", "a@b.example"},
    {"<a@b.example", "a@b.example"},
    {"nobody", ""},
    {"<>", ""},
    {"", ""},
};

static void the_first_author_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(authors); i++) {
        struct buffer out;
        buffer_init(&out);
        author_address(span_of(authors[i].value), &out);
        struct span made = {buffer_bytes(&out), buffer_size(&out)};
        if (!span_equal(made, span_of(authors[i].wanted)))
            fail_msg("%s: %.*s", authors[i].value, (int)made.size, made.data);
        buffer_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_author_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
