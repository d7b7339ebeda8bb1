// SPDX-License-Identifier: Apache-2.0
#include "core/journal/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct ledger ledger;

static struct position at(uint64_t segment, uint32_t offset)
{
    return (struct position){segment, offset, 0};
}

static int three_segments(void **state)
{
    (void)state;
    ledger = (struct ledger){.no_events = 1};
    for (uint64_t number = 1; number <= 3; number++)
        ledger_open(&ledger, number, 1000);
    return 0;
}

static int free_it(void **state)
{
    (void)state;
    ledger_free(&ledger);
    return 0;
}

// Which segments leave now, as decimal digits in order.
static uint64_t leaving(uint64_t current, size_t most)
{
    uint64_t numbers[8], digits = 0;
    size_t count = ledger_leaving(&ledger, current, numbers, most);
    for (size_t i = 0; i < count; i++)
        digits = digits * 10 + numbers[i];
    return digits;
}

static void a_segment_leaves_when_nothing_in_it_lives(void **state)
{
    (void)state;
    ledger_add(&ledger, at(1, 64));
    ledger_add(&ledger, at(1, 128));
    ledger_add(&ledger, at(2, 64));
    assert_int_equal(ledger.live, 3);
    assert_int_equal(ledger.bytes, 3000);
    assert_int_equal(leaving(3, 8), 0);
    ledger_release(&ledger, at(2, 64));
    assert_int_equal(leaving(3, 8), 2); // a younger one before an older one
    assert_int_equal(leaving(3, 8), 0); // it is on its way
    ledger_release(&ledger, at(1, 64));
    assert_int_equal(leaving(3, 8), 0);
    ledger_release(&ledger, at(1, 128));
    assert_int_equal(leaving(3, 8), 1);
    ledger_gone(&ledger, 2);
    ledger_gone(&ledger, 1);
    assert_int_equal(ledger.live, 0);
    assert_int_equal(ledger.bytes, 1000);
    assert_null(ledger_find(&ledger, 1));
    assert_non_null(ledger_find(&ledger, 3));
    assert_int_equal(leaving(3, 8), 0); // the current one stays
}

static void one_whose_unlink_failed_is_offered_again(void **state)
{
    (void)state;
    assert_int_equal(leaving(3, 8), 12);
    ledger_stays(&ledger, 1);
    ledger_gone(&ledger, 2);
    assert_int_equal(leaving(3, 8), 1);
    assert_int_equal(ledger.bytes, 2000);
}

static void what_did_not_fit_is_offered_the_next_time(void **state)
{
    (void)state;
    assert_int_equal(leaving(3, 1), 1);
    assert_int_equal(leaving(3, 1), 2);
    assert_int_equal(leaving(3, 1), 0);
}

// A done must stay as long as a crash can call its message back.
static void an_end_lives_until_the_ended_one_is_gone(void **state)
{
    (void)state;
    ledger_add(&ledger, at(1, 64));
    ledger_add(&ledger, at(2, 64));
    ledger_add(&ledger, at(2, 128));
    ledger_release_after(&ledger, at(1, 64), at(2, 64));
    ledger_release_after(&ledger, at(1, 64), at(2, 128));
    ledger_release(&ledger, at(1, 64));
    assert_int_equal(leaving(3, 8), 1);
    assert_int_equal(ledger.live, 2); // being unlinked is not enough
    assert_int_equal(leaving(3, 8), 0);
    ledger_stays(&ledger, 1);
    assert_int_equal(ledger.live, 2);
    assert_int_equal(leaving(3, 8), 1);
    ledger_gone(&ledger, 1);
    assert_int_equal(ledger.live, 0);
    assert_int_equal(leaving(3, 8), 2);
    ledger_gone(&ledger, 2);
}

static void an_end_of_one_that_is_gone_or_beside_it_goes_at_once(void **state)
{
    (void)state;
    ledger_add(&ledger, at(2, 64));
    ledger_add(&ledger, at(2, 128));
    ledger_add(&ledger, at(3, 64));
    ledger_release_after(&ledger, at(2, 64), at(2, 128)); // both go with one unlink
    assert_int_equal(ledger.live, 2);
    assert_int_equal(leaving(3, 8), 1);
    ledger_gone(&ledger, 1);
    ledger_release_after(&ledger, at(1, 64), at(3, 64));
    assert_int_equal(ledger.live, 1);
}

static void a_segment_that_voids_another_outlives_it(void **state)
{
    (void)state;
    ledger_add(&ledger, at(1, 64));
    ledger_pin(&ledger, 1, 2);
    assert_int_equal(leaving(3, 8), 0);
    ledger_release(&ledger, at(1, 64));
    assert_int_equal(leaving(3, 8), 1);
    ledger_gone(&ledger, 1);
    assert_int_equal(leaving(3, 8), 2);
    ledger_pin(&ledger, 1, 3); // what is gone needs no word
    assert_int_equal(ledger_find(&ledger, 3)->pins, 0);
}

static void events_stay_until_they_are_taken(void **state)
{
    (void)state;
    ledger.no_events = 0;
    ledger_event(&ledger, at(1, 64));
    ledger_event(&ledger, at(1, 512));
    ledger_event(&ledger, at(1, 128));
    ledger_event(&ledger, at(9, 128)); // gone meanwhile
    assert_int_equal(leaving(3, 8), 2);
    ledger_taken(&ledger, at(1, 511));
    assert_int_equal(leaving(3, 8), 0);
    ledger_taken(&ledger, at(1, 512));
    assert_int_equal(leaving(3, 8), 1);
    ledger_taken(&ledger, at(1, 0)); // a cursor never goes back
    assert_int_equal(ledger.taken.offset, 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_segment_leaves_when_nothing_in_it_lives, three_segments,
                                        free_it),
        cmocka_unit_test_setup_teardown(one_whose_unlink_failed_is_offered_again, three_segments,
                                        free_it),
        cmocka_unit_test_setup_teardown(what_did_not_fit_is_offered_the_next_time, three_segments,
                                        free_it),
        cmocka_unit_test_setup_teardown(an_end_lives_until_the_ended_one_is_gone, three_segments,
                                        free_it),
        cmocka_unit_test_setup_teardown(an_end_of_one_that_is_gone_or_beside_it_goes_at_once,
                                        three_segments, free_it),
        cmocka_unit_test_setup_teardown(a_segment_that_voids_another_outlives_it, three_segments,
                                        free_it),
        cmocka_unit_test_setup_teardown(events_stay_until_they_are_taken, three_segments, free_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
