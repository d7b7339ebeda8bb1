// SPDX-License-Identifier: Apache-2.0
#include "core/base/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

// RFC 3720, appendix B.4, and the usual check value.
static void known_vectors(void **state)
{
    (void)state;
    char zeros[32] = {0}, ones[32], up[32], down[32];
    memset(ones, 0xff, sizeof(ones));
    for (int i = 0; i < 32; i++) {
        up[i] = (char)i;
        down[i] = (char)(31 - i);
    }
    const struct {
        struct span input;
        uint32_t expected;
    } cases[] = {
        {{"", 0}, 0},
        {{"123456789", 9}, 0xe3069283},
        {{zeros, 32}, 0x8a9136aa},
        {{ones, 32}, 0x62a8ab43},
        {{up, 32}, 0x46dd794e},
        {{down, 32}, 0x113fdb5c},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        assert_int_equal(crc32c(0, cases[i].input.data, cases[i].input.size), cases[i].expected);
}

static void a_sum_can_be_continued_anywhere(void **state)
{
    (void)state;
    char bytes[67];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7 + 3);
    uint32_t whole = crc32c(0, bytes, sizeof(bytes));
    for (size_t cut = 0; cut <= sizeof(bytes); cut++)
        assert_int_equal(crc32c(crc32c(0, bytes, cut), bytes + cut, sizeof(bytes) - cut), whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_vectors),
        cmocka_unit_test(a_sum_can_be_continued_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
