// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"
#include "core/base/base.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

// What `print` writes to the standard output; from malloc.
static char *printed(void (*print)(const json_t *value), const json_t *value)
{
    char *text = allocate(65536);
    FILE *file = tmpfile();
    fflush(stdout);
    int kept = dup(STDOUT_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    print(value);
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    rewind(file);
    text[fread(text, 1, 65535, file)] = 0;
    fclose(file);
    return text;
}

static void print_two_columns(const json_t *rows)
{
    static const struct column columns[] = {{"NAME", "name", 8, NULL}, {"COUNT", "count", 0, NULL}};
    print_table(rows, columns, ARRAY_LENGTH(columns));
}

static const struct {
    const char *rows, *table;
} tables[] = {
    {"[]", ""},
    {"[{\"name\": \"a\", \"count\": 7}]", "NAME  COUNT\na     7\n"},
    {"[{\"name\": \"a\"}, {\"count\": null}]", "NAME  COUNT\na     \n      null\n"},
    {"[{\"name\": \"ninechars\", \"count\": 1}]", "NAME      COUNT\nninecha~  1\n"},
    {"[{\"name\": \"\\u00e4\\u00f6\\u00fc\\u00df\", \"count\": 1}]",
     "NAME  COUNT\n\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f  1\n"},
    {"[{\"name\": \"a\\u001b[2J\", \"count\": \"\\u009b\\n\"}]", "NAME   COUNT\na?[2J  ???\n"},
};

static void test_tables_are_aligned_and_harmless(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(tables); i++) {
        json_t *rows = json_loads(tables[i].rows, 0, NULL);
        char *text = printed(print_two_columns, rows);
        assert_string_equal(text, tables[i].table);
        free(text);
        json_decref(rows);
    }
}

static void test_json_can_be_read_again(void **state)
{
    (void)state;
    void (*const prints[])(const json_t *) = {print_json, print_json_rows, print_json_indented};
    json_t *value = json_loads("[{\"a\": \"\\u001b\", \"b\": [1.5, null]}, {}]", 0, NULL);
    for (size_t i = 0; i < ARRAY_LENGTH(prints); i++) {
        char *text = printed(prints[i], value);
        json_t *again = json_loads(text, 0, NULL);
        assert_true(json_equal(value, again));
        assert_null(strchr(text, '\x1b'));
        json_decref(again);
        free(text);
    }
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_are_aligned_and_harmless),
        cmocka_unit_test(test_json_can_be_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
