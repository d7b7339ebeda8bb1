// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { WORDS_MOST = 8 };

// Words of a command that knows --limit N and --json, and what is made of them.
static const struct {
    const char *words[WORDS_MOST];
    const char *rest[WORDS_MOST];
    const char *limit;
    int json;
    const char *error; // NULL: it is right
} rows[] = {
    {{NULL}, {NULL}, NULL, 0, NULL},
    {{"a", "b"}, {"a", "b"}, NULL, 0, NULL},
    {{"--json"}, {NULL}, NULL, 1, NULL},
    {{"--limit", "5"}, {NULL}, "5", 0, NULL},
    {{"--limit=5"}, {NULL}, "5", 0, NULL},
    {{"--limit="}, {NULL}, "", 0, NULL},
    {{"--limit", "--json"}, {NULL}, "--json", 0, NULL},
    {{"a", "--limit", "5", "b", "--json", "c"}, {"a", "b", "c"}, "5", 1, NULL},
    {{"--limit", "5", "--limit", "6"}, {NULL}, "6", 0, NULL},
    {{"--", "--json", "-"}, {"--json", "-"}, NULL, 0, NULL},
    {{"-"}, {"-"}, NULL, 0, NULL},
    {{"-x"}, {"-x"}, NULL, 0, NULL},
    {{"--limit"}, {NULL}, NULL, 0, "--limit: it needs a value"},
    {{"--json=1"}, {NULL}, NULL, 0, "--json=1: it takes no value"},
    {{"--jso"}, {NULL}, NULL, 0, "--jso: there is no such option"},
    {{"--jsonx"}, {NULL}, NULL, 0, "--jsonx: there is no such option"},
    {{"--=x"}, {NULL}, NULL, 0, "--=x: there is no such option"},
};

static void test_options_are_taken_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char *argv[WORDS_MOST + 1] = {NULL}, error[160] = "";
        const char *limit = NULL;
        int argc = 0, json = 0;
        const struct option_row options[] = {{"limit", &limit, NULL}, {"json", NULL, &json}};
        for (; argc < WORDS_MOST && rows[i].words[argc]; argc++)
            argv[argc] = (char *)(uintptr_t)rows[i].words[argc];
        int rc = options_take(options, ARRAY_LENGTH(options), &argc, argv, error, sizeof(error));
        if (rc != (rows[i].error ? -1 : 0) || strcmp(error, rows[i].error ? rows[i].error : ""))
            fail_msg("row %zu: %d %s", i, rc, error);
        if (rc < 0)
            continue;
        assert_int_equal(json, rows[i].json);
        assert_int_equal(!limit, !rows[i].limit);
        assert_string_equal(limit ? limit : "", rows[i].limit ? rows[i].limit : "");
        for (int k = 0; k < argc; k++)
            assert_string_equal(argv[k], rows[i].rest[k]);
        assert_null(rows[i].rest[argc]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_options_are_taken_out)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
