// SPDX-License-Identifier: Apache-2.0
#include "delivery/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

static const struct schedule usual = {.first_ms = 5 * MINUTE,
                                      .factor = 1.5,
                                      .most_ms = 4 * HOUR,
                                      .expire_ms = (int64_t)5 * DAY,
                                      .notice_ms = 4 * HOUR};
static const uint64_t middle = UINT64_MAX / 2; // no jitter to speak of

static void test_pauses_grow_up_to_the_most(void **state)
{
    (void)state;
    static const struct {
        unsigned attempts;
        int64_t pause_ms;
    } rows[] = {{1, 5 * MINUTE},
                {2, 7.5 * MINUTE},
                {3, 11.25 * MINUTE},
                {20, 4 * HOUR},
                {1000000, 4 * HOUR}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        int64_t next = schedule_next_ms(&usual, rows[i].attempts, 0, 1000, middle);
        assert_in_range(next, 1000 + rows[i].pause_ms - 2, 1000 + rows[i].pause_ms + 2);
    }
}

static void test_jitter_stays_within_a_tenth(void **state)
{
    (void)state;
    assert_in_range(schedule_next_ms(&usual, 1, 0, 0, 0), 4.5 * MINUTE, 4.5 * MINUTE + 1);
    assert_in_range(schedule_next_ms(&usual, 1, 0, 0, UINT64_MAX), 5.5 * MINUTE - 1, 5.5 * MINUTE);
}

static void test_the_last_try_is_at_the_expiry(void **state)
{
    (void)state;
    int64_t expiry = usual.expire_ms;
    assert_int_equal(schedule_next_ms(&usual, 50, 0, expiry - HOUR, middle), expiry);
    assert_true(schedule_next_ms(&usual, 50, 0, expiry + 1, middle) >
                expiry); // the clock leapt: still later than now
    assert_false(schedule_expired(&usual, 0, expiry - 1));
    assert_true(schedule_expired(&usual, 0, expiry));
}

static void test_notice_is_due_once(void **state)
{
    (void)state;
    static const struct {
        int64_t last_ms, now_ms;
        int due;
    } rows[] = {{1 * HOUR, 3 * HOUR, 0},
                {3 * HOUR, 4 * HOUR, 1},
                {3 * HOUR, 9 * HOUR, 1},
                {4 * HOUR, 5 * HOUR, 0}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        assert_int_equal(schedule_notice_due(&usual, 0, rows[i].last_ms, rows[i].now_ms),
                         rows[i].due);
    struct schedule never = usual;
    never.notice_ms = 0;
    assert_false(schedule_notice_due(&never, 0, 0, DAY));
}

static void test_rest_doubles_up_to_five_minutes(void **state)
{
    (void)state;
    assert_int_equal(schedule_rest_ms(1), 5000);
    assert_int_equal(schedule_rest_ms(2), 10000);
    assert_int_equal(schedule_rest_ms(100), 5 * MINUTE);
}

// Over its life a mail is tried often at first, then every four hours, and never after its expiry.
static void test_a_whole_life(void **state)
{
    (void)state;
    int64_t now = 0, last = 0;
    unsigned attempts = 0;
    while (!schedule_expired(&usual, 0, now)) {
        last = now;
        now = schedule_next_ms(&usual, ++attempts, 0, now, middle);
        assert_true(now > last);
        assert_true(attempts < 100);
    }
    assert_int_equal(now, usual.expire_ms);
    assert_in_range(attempts, 30, 45);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pauses_grow_up_to_the_most),
        cmocka_unit_test(test_jitter_stays_within_a_tenth),
        cmocka_unit_test(test_the_last_try_is_at_the_expiry),
        cmocka_unit_test(test_notice_is_due_once),
        cmocka_unit_test(test_rest_doubles_up_to_five_minutes),
        cmocka_unit_test(test_a_whole_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
