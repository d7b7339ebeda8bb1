// SPDX-License-Identifier: Apache-2.0
#include "core/base/base.h"
#include "core/stream/lag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void it_grows_while_nothing_is_taken(void **state)
{
    (void)state;
    struct lag lag = {0};
    static const struct {
        uint64_t epoch, last, have;
        int64_t now_ms, lag_ms;
    } seconds[] = {
        {1, 0, 0, 1000, 0},      {1, 10, 10, 2000, 0},    {1, 20, 10, 3000, 0},
        {1, 30, 10, 4000, 1000}, {1, 40, 19, 5000, 2000}, // 20 was there at 3000
        {1, 50, 20, 6000, 0},    {1, 60, 49, 7000, 1000}, // 50 was there at 6000
        {1, 60, 60, 8000, 0},    {1, 70, 60, 9000, 0}, {2, 5, 0, 10000, 0}, // a new epoch
        {2, 5, 0, 11000, 1000},  {2, 5, 5, 12000, 0},     {2, 3, 3, 13000, 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(seconds); i++)
        assert_int_equal(
            lag_look(&lag, seconds[i].epoch, seconds[i].last, seconds[i].have, seconds[i].now_ms),
            seconds[i].lag_ms);
}

static void a_steady_delay_is_no_growing_lag(void **state)
{
    (void)state;
    struct lag lag = {0};
    for (uint64_t second = 1; second < 100; second++)
        assert_in_range(
            lag_look(&lag, 1, second * 1000, second * 1000 - 500, (int64_t)second * 1000), 0, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_grows_while_nothing_is_taken),
        cmocka_unit_test(a_steady_delay_is_no_growing_lag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
