// SPDX-License-Identifier: Apache-2.0
#include "node/rates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void see(struct rates *rates, int64_t accepted)
{
    const int64_t now[RATE_COUNT] = {[RATE_ACCEPTED] = accepted};
    rates_second(rates, now);
}

static void a_minute_is_what_its_seconds_brought(void **state)
{
    (void)state;
    struct rates rates = {0};
    see(&rates, 1000); // of long ago
    assert_int_equal(rates_minute(&rates, RATE_ACCEPTED), 0);
    for (int i = 1; i <= 30; i++)
        see(&rates, 1000 + i * 2);
    assert_int_equal(rates_minute(&rates, RATE_ACCEPTED), 60);
    assert_int_equal(rates_minute(&rates, RATE_REJECTED), 0);
    for (int i = 0; i < 60; i++)
        see(&rates, 1060);
    assert_int_equal(rates_minute(&rates, RATE_ACCEPTED), 0);
}

static void a_process_that_begins_anew_takes_nothing_away(void **state)
{
    (void)state;
    struct rates rates = {0};
    see(&rates, 0);
    see(&rates, 50);
    see(&rates, 3);
    see(&rates, 5);
    assert_int_equal(rates_minute(&rates, RATE_ACCEPTED), 52);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minute_is_what_its_seconds_brought),
        cmocka_unit_test(a_process_that_begins_anew_takes_nothing_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
