// SPDX-License-Identifier: Apache-2.0
#include "core/base/z85.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

// The server key of zmq_curve(7) and its bytes in ZeroMQ RFC 32's code.
static const struct {
    const char *z85, *hex;
} pairs[] = {
    {"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7",
     "54fcba24e93249969316fb617c872bb0c1d1ff14800427c594cbfacf1bc2d652"},
    {"0000000000000000000000000000000000000000",
     "0000000000000000000000000000000000000000000000000000000000000000"},
    {"%nSc0%nSc0%nSc0%nSc0%nSc0%nSc0%nSc0%nSc0",
     "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"},
};

static void test_both_ways(void **state)
{
    (void)state;
    char hex[CURVE_KEY_HEX + 1], z85[CURVE_KEY_Z85 + 1];
    for (size_t i = 0; i < ARRAY_LENGTH(pairs); i++) {
        assert_int_equal(z85_to_hex(pairs[i].z85, hex), 0);
        assert_string_equal(hex, pairs[i].hex);
        assert_int_equal(z85_from_hex(pairs[i].hex, z85), 0);
        assert_string_equal(z85, pairs[i].z85);
    }
}

static void test_what_is_no_key(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "short",
        "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf 7",
        "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]y\"7", // no letter of the code
        "#####rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]y",  // more than four bytes hold
    };
    char hex[CURVE_KEY_HEX + 1] = "", z85[CURVE_KEY_Z85 + 1] = "";
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        assert_int_equal(z85_to_hex(bad[i], hex), -1);
    assert_int_equal(
        z85_from_hex("54FCBA24E93249969316fb617c872bb0c1d1ff14800427c594cbfacf1bc2d652", z85), -1);
    assert_int_equal(z85_from_hex("54", z85), -1);
    assert_string_equal(hex, "");
    assert_string_equal(z85, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_what_is_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
