// SPDX-License-Identifier: Apache-2.0
#include "core/stream/kind.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void the_kind_is_found_and_broken_bytes_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct span bytes;
        int kind;
    } cases[] = {
        {{"", 0}, 0},
        {{"\x08\x05", 2}, 5},
        {{"\x08\x01\x10\x96\x01", 5}, 1},
        {{"\x1a\x03\x08\x07\x00\x08\x02", 7}, 2}, // a kind within bytes does not count
        {{"\x61xxxxxxxx\x08\x03", 11}, 3},
        {{"\x65xxxx", 5}, 0},
        {{"\x08", 1}, -1},
        {{"\x08\x80\x80", 3}, -1},
        {{"\x08\xff\xff\x7f", 4}, -1}, // no kind has such a number
        {{"\x1a\x05xx", 4}, -1},
        {{"\x61xx", 3}, -1},
        {{"\x0b\x00", 2}, -1}, // groups
        {{"\x00\x00", 2}, -1}, // field 0
        {{"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, -1},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        assert_int_equal(event_kind(cases[i].bytes.data, cases[i].bytes.size), cases[i].kind);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kind_is_found_and_broken_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
