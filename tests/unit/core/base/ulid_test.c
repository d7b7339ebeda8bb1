// SPDX-License-Identifier: Apache-2.0
#include "core/base/ulid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void names_sort_by_time_and_within_a_millisecond(void **state)
{
    (void)state;
    const int64_t times[] = {1000, 1000, 1000, 1001, 900, 1001, 1700000000000, 1700000000000};
    struct ulid before = {{0}};
    for (size_t i = 0; i < ARRAY_LENGTH(times); i++) {
        struct ulid now = ulid_new(times[i]);
        assert_true(memcmp(now.bytes, before.bytes, ULID_SIZE) >
                    0); // also when the clock steps back
        before = now;
    }
    assert_int_equal(ulid_time_ms(&before), 1700000000000);
}

static void text_and_bytes_are_the_same_name(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[ULID_SIZE];
        const char *text;
    } cases[] = {
        {{0}, "00000000000000000000000000"},
        {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32}, "00000000000000000000000010"},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff},
         "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"},
        {{0x01, 0x56, 0x3e, 0x3a, 0xb5, 0xd3, 0xd6, 0x76, 0x4c, 0x61, 0xef, 0xb9, 0x93, 0x02, 0xbd,
          0x5b},
         "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, // the example of the ULID specification
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct ulid name, parsed;
        char text[ULID_TEXT];
        memcpy(name.bytes, cases[i].bytes, ULID_SIZE);
        ulid_format(&name, text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(ulid_parse(text, strlen(text), &parsed), 0);
        assert_memory_equal(parsed.bytes, name.bytes, ULID_SIZE);
    }
}

static void what_is_no_name_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "0",
        "0000000000000000000000000",
        "000000000000000000000000000",
        "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", // more than 128 bits
        "0000000000000000000000000U",
        "0000000000000000000000000I",
        "../../../../../../etc/pass",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct ulid parsed;
        assert_int_equal(ulid_parse(cases[i], strlen(cases[i]), &parsed), -1);
    }
    struct ulid parsed;
    assert_int_equal(ulid_parse("0000000000000\0000000000000", 26, &parsed), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_sort_by_time_and_within_a_millisecond),
        cmocka_unit_test(text_and_bytes_are_the_same_name),
        cmocka_unit_test(what_is_no_name_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
