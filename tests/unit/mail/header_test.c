// SPDX-License-Identifier: Apache-2.0
#include "mail/header.h"

#include "mail/anomaly.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define BIT(name) ANOMALY_BIT(ANOMALY_HEADER_##name)

static const struct header_limits limits = {.fields = 5, .bytes = 200};

// What is read of a block: "name=value|name=value", where its body begins, what is odd.
static const struct {
    const char *bytes, *fields;
    size_t body, early;
    uint64_t anomalies;
} blocks[] = {
    {"A: 1\r\nB: 2\r\n\r\nbody", "A= 1|B= 2", 14, 14, 0},
    {"A: 1\nB: 2\n\nbody", "A= 1|B= 2", 11, 11, 0},
    {"A:1\r\n 2\r\n\t3\r\n\r\n", "A=1\r\n 2\r\n\t3", 15, 15, 0},
    {"\r\nbody", "", 2, 2, 0},
    {"", "", 0, 0, BIT(OPEN)},
    {"A: 1", "A= 1", 4, 4, BIT(OPEN)},
    {"A: 1\r\n", "A= 1", 6, 6, BIT(OPEN)},
    {"hello\r\nworld\r\n", "", 0, 0, BIT(OPEN) | BIT(JUNK)},
    // Programs end the header at the junk, or go on behind it.
    {"A: 1\r\njunk\r\nB: 2\r\n\r\nbody", "A= 1|B= 2", 20, 6, BIT(JUNK)},
    {"A: 1\r\n \t\r\nB: 2\r\n\r\n", "A= 1\r\n \t|B= 2", 18, 10, BIT(BLANKS)},
    {" folded\r\nA: 1\r\n\r\n", "A= 1", 17, 0, BIT(JUNK)},
    {"A : 1\r\n\r\n", "A= 1", 9, 9, BIT(SPACE)},
    {"A\t \t:1\r\n\r\n", "A=1", 10, 10, BIT(SPACE)},
    {": 1\r\nB: 2\r\n\r\n", "B= 2", 13, 0, BIT(JUNK)},
    {"A B: 1\r\nC: 2\r\n\r\n", "C= 2", 16, 0, BIT(JUNK)},
    {"A: 1\rB: 2\r\n\r\n", "A= 1\rB: 2", 13, 13, BIT(CR)},
    {"From a@b Mon Jan 12\r\nA: 1\r\n\r\n", "A= 1", 29, 29, 0},
    {"A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: 6\r\n\r\nbody", "A= 1|B= 2|C= 3|D= 4|E= 5", 38, 38,
     ANOMALY_BIT(ANOMALY_LIMIT_HEADERS)},
};

static void blocks_are_read(void **state)
{
    struct header_block block = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(blocks); i++) {
        char fields[256] = "";
        header_read(&block, span_of(blocks[i].bytes), &limits);
        for (size_t k = 0; k < block.count; k++) {
            if (k > 0)
                strcat(fields, "|");
            strncat(fields, block.fields[k].name.data, block.fields[k].name.size);
            strcat(fields, "=");
            strncat(fields, block.fields[k].value.data, block.fields[k].value.size);
        }
        assert_string_equal(fields, blocks[i].fields);
        assert_int_equal(block.body, blocks[i].body);
        assert_int_equal(block.early, blocks[i].early);
        assert_int_equal(block.anomalies, blocks[i].anomalies);
    }
    header_free(&block);
}

// Taking a field out by its offset and size leaves the others whole.
static void fields_stand_side_by_side(void **state)
{
    static const char bytes[] = "A: 1\r\nBee: 2\r\n 3\r\nC: 4\r\n\r\n";
    struct header_block block = {0};
    size_t at = 0;
    (void)state;
    header_read(&block, span_of(bytes), &limits);
    for (size_t i = 0; i < block.count; i++) {
        assert_int_equal(block.fields[i].offset, at);
        at += block.fields[i].size;
    }
    assert_int_equal(at, block.size);
    header_free(&block);
}

static void a_header_without_measure_is_cut(void **state)
{
    char bytes[400] = "A: ";
    struct header_block block = {0};
    (void)state;
    memset(bytes + 3, 'x', 300);
    strcpy(bytes + 303, "\r\nB: 1\r\n\r\nbody");
    header_read(&block, span_of(bytes), &limits);
    assert_int_equal(block.count, 0);
    assert_int_equal(block.anomalies, ANOMALY_BIT(ANOMALY_LIMIT_HEADER_BYTES));
    assert_string_equal(bytes + block.body, "body");
    header_free(&block);
}

static void fields_are_found_whatever_their_case(void **state)
{
    struct header_block block = {0};
    (void)state;
    header_read(&block, span_of("To: 1\r\nTO: 2\r\nTomorrow: 3\r\nto: 4\r\n\r\n"), &limits);
    const char *wanted = "124";
    for (const struct header_field *field = NULL; (field = header_find(&block, "to", field));)
        assert_int_equal(span_trim(field->value).data[0], *wanted++);
    assert_int_equal(*wanted, 0);
    assert_null(header_find(&block, "T", NULL));
    header_free(&block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_read),
        cmocka_unit_test(fields_stand_side_by_side),
        cmocka_unit_test(a_header_without_measure_is_cut),
        cmocka_unit_test(fields_are_found_whatever_their_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
