// SPDX-License-Identifier: Apache-2.0
// mail-parser's vectors for header fields, when POSTERN_SUITES names the folder of the suites.
#include "core/base/buffer.h"
#include "mail/author.h"
#include "mail/header.h"
#include "mail/parameter.h"
#include "mail/word.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

typedef int same_fn(struct span value, const json_t *expected, struct buffer *scratch);

static int equals(const struct buffer *made, const char *wanted)
{
    return span_equal(span_trim((struct span){buffer_bytes(made), buffer_size(made)}),
                      span_of(wanted));
}

// How many of the file's cases come out alike.
static unsigned count_same(const char *name, same_fn *same, size_t *ret_cases)
{
    const char *folder = getenv("POSTERN_SUITES");
    char path[512];
    snprintf(path, sizeof(path), "%s/mime/header-fields/%s.json", folder ? folder : "", name);
    json_t *cases = folder ? json_load_file(path, 0, NULL) : NULL, *one;
    if (!cases)
        skip();
    size_t index;
    unsigned count = 0;
    json_array_foreach(cases, index, one)
    {
        struct buffer scratch;
        const json_t *header = json_object_get(one, "header");
        struct span value = {json_string_value(header), json_string_length(header)};
        buffer_init(&scratch);
        int alike = same(span_trim(value), json_object_get(one, "expected"), &scratch);
        if (!alike)
            print_message("%s: %.*s\n", name, (int)value.size, value.data);
        count += (unsigned)alike;
        buffer_free(&scratch);
    }
    *ret_cases = json_array_size(cases);
    json_decref(cases);
    return count;
}

static int same_parameters(const struct parameter_list *list, const json_t *wanted,
                           struct buffer *scratch)
{
    size_t index;
    json_t *pair;
    json_array_foreach((json_t *)(uintptr_t)wanted, index, pair)
    {
        const char *name = json_string_value(json_array_get(pair, 0));
        buffer_clear(scratch);
        if (!parameter_text(list, name, scratch) ||
            !equals(scratch, json_string_value(json_array_get(pair, 1))))
            return 0;
    }
    return 1;
}

static int same_type(struct span value, const json_t *expected, struct buffer *scratch)
{
    struct parameter_list list;
    parameters_read(&list, value);
    const char *type = json_string_value(json_object_get(expected, "c_type"));
    const char *subtype = json_string_value(json_object_get(expected, "c_subtype"));
    return span_equal_nocase(list.type, span_of(type ? type : "")) &&
           span_equal_nocase(list.subtype, span_of(subtype ? subtype : "")) &&
           same_parameters(&list, json_object_get(expected, "attributes"), scratch);
}

static int same_text(struct span value, const json_t *expected, struct buffer *scratch)
{
    const char *wanted = json_string_value(expected);
    words_decode(value, scratch);
    return equals(scratch, wanted ? wanted : "");
}

static const char *first_address(const json_t *expected)
{
    const json_t *list = json_object_get(expected, "List");
    if (!list)
        list = json_object_get(json_array_get(json_object_get(expected, "Group"), 0), "addresses");
    const char *address = json_string_value(json_object_get(json_array_get(list, 0), "address"));
    return address ? address : "";
}

static int same_author(struct span value, const json_t *expected, struct buffer *scratch)
{
    author_address(value, scratch);
    return equals(scratch, first_address(expected));
}

static void fields_are_read_as_mail_parser_does(void **state)
{
    static const struct {
        const char *name;
        same_fn *same;
        unsigned other; // printed: blanks kept where mail-parser joins them, broken grammar
    } files[] = {
        {"content_type", same_type, 13},
        {"unstructured", same_text, 5},
        {"address", same_author, 4},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
        size_t cases;
        unsigned same = count_same(files[i].name, files[i].same, &cases);
        assert_int_equal(same + files[i].other, cases);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fields_are_read_as_mail_parser_does)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
