// SPDX-License-Identifier: Apache-2.0
#include "core/stream/producer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { EPOCH = 77, LIFE = 9, A = 0, B = 1 };

static struct position at(uint32_t offset)
{
    return (struct position){1, offset, 10};
}

static void make(struct producer *self)
{
    producer_init(self);
    producer_add_master(self, "key of a");
    producer_add_master(self, "key of b");
    producer_begin(self, EPOCH);
    producer_hello(self, A, &(struct producer_word){1, LIFE, 0, 0, 0});
    producer_hello(self, B, &(struct producer_word){2, LIFE, 0, 0, 0});
    for (uint32_t i = 0; i < 5; i++)
        producer_durable(self, 10, 1000 + i, 500 + i, at(i)); // 1..10, 11..20, ... 41..50
}

static void a_record_goes_when_every_master_has_it(void **state)
{
    (void)state;
    struct producer producer;
    struct position gone;
    make(&producer);
    assert_int_equal(producer.last, 50);
    producer_acknowledge(&producer, A, &(struct producer_word){1, LIFE, EPOCH, 50, 0});
    assert_false(producer_trim(&producer, &gone));
    producer_acknowledge(&producer, B, &(struct producer_word){2, LIFE, EPOCH, 19, 0});
    assert_true(producer_trim(&producer, &gone));
    assert_int_equal(gone.offset, 0);
    assert_false(producer_trim(&producer, &gone)); // 11..20 is not whole
    assert_int_equal(producer_first_kept(&producer), 11);
    producer_free(&producer);
}

static void the_newest_record_stays_for_its_cursors(void **state)
{
    (void)state;
    struct producer producer;
    struct position gone;
    struct producer_record cut;
    make(&producer);
    producer_acknowledge(&producer, A, &(struct producer_word){1, LIFE, EPOCH, 50, 0});
    producer_acknowledge(&producer, B, &(struct producer_word){2, LIFE, EPOCH, 50, 0});
    int trimmed = 0;
    while (producer_trim(&producer, &gone))
        trimmed++;
    assert_int_equal(trimmed, 4);
    assert_false(producer_cut(&producer, &cut));
    assert_int_equal(producer_first_kept(&producer), 41);
    producer_free(&producer);
}

static void acknowledgements_of_another_incarnation_or_epoch_are_void(void **state)
{
    (void)state;
    static const struct {
        uint64_t incarnation, epoch, upto, expected;
    } cases[] = {
        {9, EPOCH, 50, 0},         {1, 5, 50, 0},      {1, EPOCH, 51, 0},
        {1, EPOCH, UINT64_MAX, 0}, {1, EPOCH, 30, 30},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct producer producer;
        make(&producer);
        producer_acknowledge(&producer, B, &(struct producer_word){2, LIFE, EPOCH, 50, 0});
        producer_acknowledge(
            &producer, A,
            &(struct producer_word){cases[i].incarnation, LIFE, cases[i].epoch, cases[i].upto, 0});
        assert_int_equal(producer_acknowledged(&producer), cases[i].expected);
        producer_free(&producer);
    }
}

static void acknowledgements_from_before_a_masters_start_are_void(void **state)
{
    (void)state;
    struct producer producer;
    struct position gone;
    make(&producer);
    producer_acknowledge(&producer, B, &(struct producer_word){2, LIFE, EPOCH, 50, 0});
    producer_acknowledge(&producer, A, &(struct producer_word){1, LIFE + 1, EPOCH, 50, 0});
    assert_false(producer_trim(&producer, &gone));
    producer_acknowledge(&producer, A, &(struct producer_word){1, LIFE, EPOCH, 50, 0});
    assert_true(producer_trim(&producer, &gone));
    producer_free(&producer);
}

// It took frames that were under way when our disk was put back.
static void an_acknowledgement_of_other_events_means_a_new_epoch(void **state)
{
    (void)state;
    struct producer producer;
    struct position gone;
    make(&producer);
    producer_acknowledge(&producer, B, &(struct producer_word){2, LIFE, EPOCH, 50, 0});
    const struct producer_word other = {1, LIFE, EPOCH, 20, 77}, ours = {1, LIFE, EPOCH, 20, 501};
    assert_int_equal(producer_acknowledge(&producer, A, &other), PRODUCER_BEHIND);
    assert_false(producer_trim(&producer, &gone));
    assert_int_equal(producer_acknowledge(&producer, A, &ours), PRODUCER_AGREED);
    assert_true(producer_trim(&producer, &gone));
    producer_free(&producer);
}

static void a_master_that_lost_its_store_voids_what_it_had_acknowledged(void **state)
{
    (void)state;
    struct producer producer;
    struct position gone;
    make(&producer);
    producer_acknowledge(&producer, A, &(struct producer_word){1, LIFE, EPOCH, 50, 0});
    producer_acknowledge(&producer, B, &(struct producer_word){2, LIFE, EPOCH, 50, 0});
    assert_int_equal(producer_hello(&producer, B, &(struct producer_word){3, LIFE, EPOCH, 5, 0}),
                     PRODUCER_AGREED);
    assert_false(producer_trim(&producer, &gone));
    producer_acknowledge(&producer, B,
                         &(struct producer_word){2, LIFE, EPOCH, 50, 0}); // a late one
    assert_false(producer_trim(&producer, &gone));
    producer_acknowledge(&producer, B, &(struct producer_word){3, LIFE, EPOCH, 10, 0});
    assert_true(producer_trim(&producer, &gone));
    producer_free(&producer);
}

static void a_master_ahead_of_us_means_a_new_epoch(void **state)
{
    (void)state;
    struct producer producer;
    struct position gone;
    make(&producer);
    assert_int_equal(producer_hello(&producer, A, &(struct producer_word){1, LIFE, EPOCH, 50, 504}),
                     PRODUCER_AGREED);
    assert_int_equal(
        producer_hello(&producer, A, &(struct producer_word){1, LIFE, EPOCH + 1, 90, 9}),
        PRODUCER_AGREED); // another epoch says nothing
    assert_int_equal(producer_hello(&producer, A, &(struct producer_word){1, LIFE, EPOCH, 51, 504}),
                     PRODUCER_BEHIND);
    producer_begin(&producer, 88);
    assert_int_equal(producer_first_kept(&producer), 1);
    assert_int_equal(producer_acknowledged(&producer), 0);
    producer_durable(&producer, 1, 2000, 509, at(9));
    assert_int_equal(producer.last, 1);
    int trimmed = 0;
    while (producer_trim(&producer, &gone))
        trimmed++;
    assert_int_equal(trimmed, 5); // all of the old epoch
    assert_int_equal(producer_first_kept(&producer), 1);
    producer_free(&producer);
}

// Its disk was put back and its numbers were used anew: it is not behind, but they mean others.
static void a_master_with_other_events_under_our_numbers_means_a_new_epoch(void **state)
{
    (void)state;
    static const struct {
        uint64_t watermark, mark;
        enum producer_hello said;
    } hellos[] = {
        {50, 504, PRODUCER_AGREED}, {20, 501, PRODUCER_AGREED}, {15, 501, PRODUCER_AGREED},
        {15, 0, PRODUCER_AGREED},   {0, 77, PRODUCER_AGREED},   {50, 503, PRODUCER_BEHIND},
        {15, 500, PRODUCER_BEHIND}, {1, 77, PRODUCER_BEHIND},
    };
    struct producer producer;
    make(&producer);
    for (size_t i = 0; i < ARRAY_LENGTH(hellos); i++)
        assert_int_equal(producer_hello(&producer, A,
                                        &(struct producer_word){1, LIFE, EPOCH, hellos[i].watermark,
                                                                hellos[i].mark}),
                         hellos[i].said);
    producer_durable(&producer, 0, 2000, 600, at(5)); // no event, only cursors
    assert_true(producer.mark == 504);
    producer_free(&producer);
}

static void a_replay_starts_in_the_record_that_holds_the_sequence(void **state)
{
    (void)state;
    struct producer producer;
    struct producer_record cut;
    size_t count;
    make(&producer);
    assert_int_equal(producer_find(&producer, 1, &count)->first, 1);
    assert_int_equal(count, 5);
    assert_int_equal(producer_find(&producer, 20, &count)->first, 11);
    assert_int_equal(producer_find(&producer, 21, &count)->first, 21);
    assert_int_equal(count, 3);
    assert_null(producer_find(&producer, 51, &count));
    assert_true(producer_cut(&producer, &cut));
    assert_int_equal(cut.first, 1);
    assert_int_equal(producer_find(&producer, 1, &count)->first, 11);
    producer_free(&producer);
}

static void a_restart_finds_its_place_and_drops_what_was_appended_twice(void **state)
{
    (void)state;
    static const struct {
        uint64_t epoch;
        struct producer_record record;
        int kept;
    } found[] = {
        {11, {5, {1, 0, 1}, 5, 0, 7}, 0},    {11, {10, {1, 1, 1}, 5, 0, 7}, 0},
        {11, {10, {1, 2, 1}, 5, 0, 7}, -1},  {EPOCH, {1, {1, 3, 1}, 3, 0, 7}, 0},
        {EPOCH, {4, {1, 4, 1}, 2, 0, 7}, 0},
    };
    struct producer producer;
    producer_init(&producer);
    producer_add_master(&producer, "key of a");
    for (size_t i = 0; i < ARRAY_LENGTH(found); i++)
        assert_int_equal(producer_found(&producer, found[i].epoch, &found[i].record),
                         found[i].kept);
    const struct producer_master remembered = {"key of a", 4, EPOCH, 3, 0, 0},
                                 stranger = {"other", 4, EPOCH, 5, 0, 0};
    producer_remember(&producer, &remembered);
    producer_remember(&producer, &stranger);
    assert_int_equal(producer.epoch, EPOCH);
    assert_int_equal(producer.last, 5);
    assert_int_equal(producer.masters[0].upto, 3);         // to be told to the master
    assert_int_equal(producer_acknowledged(&producer), 0); // which may be another by now
    producer_hello(&producer, 0, &(struct producer_word){4, LIFE, EPOCH, 3, 0});
    assert_int_equal(producer_acknowledged(&producer), 3);
    struct position gone;
    int trimmed = 0;
    while (producer_trim(&producer, &gone))
        trimmed++;
    assert_int_equal(trimmed, 3); // the old epoch, and what was acknowledged
    producer_free(&producer);
}

static void many_records_are_kept_and_trimmed_in_order(void **state)
{
    (void)state;
    struct producer producer;
    struct position gone;
    uint32_t next = 0;
    producer_init(&producer);
    producer_add_master(&producer, "key of a");
    producer_begin(&producer, EPOCH);
    producer_hello(&producer, A, &(struct producer_word){1, LIFE, 0, 0, 0});
    for (uint32_t i = 0; i < 10000; i++) {
        producer_durable(&producer, 1, i, 500 + i, at(i));
        if (i % 3 == 0)
            producer_acknowledge(&producer, A, &(struct producer_word){1, LIFE, EPOCH, i / 2, 0});
        while (producer_trim(&producer, &gone))
            assert_int_equal(gone.offset, next++);
    }
    assert_int_equal(producer_first_kept(&producer), next + 1);
    producer_free(&producer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_goes_when_every_master_has_it),
        cmocka_unit_test(the_newest_record_stays_for_its_cursors),
        cmocka_unit_test(acknowledgements_of_another_incarnation_or_epoch_are_void),
        cmocka_unit_test(acknowledgements_from_before_a_masters_start_are_void),
        cmocka_unit_test(an_acknowledgement_of_other_events_means_a_new_epoch),
        cmocka_unit_test(a_master_that_lost_its_store_voids_what_it_had_acknowledged),
        cmocka_unit_test(a_master_ahead_of_us_means_a_new_epoch),
        cmocka_unit_test(a_master_with_other_events_under_our_numbers_means_a_new_epoch),
        cmocka_unit_test(a_replay_starts_in_the_record_that_holds_the_sequence),
        cmocka_unit_test(a_restart_finds_its_place_and_drops_what_was_appended_twice),
        cmocka_unit_test(many_records_are_kept_and_trimmed_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
