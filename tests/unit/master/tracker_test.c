// SPDX-License-Identifier: Apache-2.0
#include "master/tracker.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct tracker_marks unmarked = {0};

enum { EPOCH = 5 };

// A tracker that has taken 1 to 10 of EPOCH is offered a frame.
static const struct {
    uint64_t epoch, first, count;
    enum tracker_advice advice;
    uint64_t skip;
} offers[] = {
    {EPOCH, 11, 1, TRACKER_TAKE, 0},
    {EPOCH, 11, 100, TRACKER_TAKE, 0},
    {EPOCH, 1, 11, TRACKER_TAKE, 10},
    {EPOCH, 10, 3, TRACKER_TAKE, 1},
    {EPOCH, 12, 1, TRACKER_HOLD, 0},
    {EPOCH, 1, 10, TRACKER_DROP, 0},
    {EPOCH, 10, 1, TRACKER_DROP, 0},
    {EPOCH, 11, 0, TRACKER_DROP, 0},
    {EPOCH, 0, 11, TRACKER_DROP, 0},
    {EPOCH, UINT64_MAX, 2, TRACKER_DROP, 0},
    {EPOCH, 11, UINT64_MAX, TRACKER_DROP, 0},
    {EPOCH + 1, 11, 1, TRACKER_DROP, 0},
    {0, 11, 1, TRACKER_DROP, 0},
};

static struct tracker *begun(void)
{
    struct tracker *self = allocate(sizeof(*self));
    tracker_begin(self, EPOCH, 1);
    tracker_took(self, 10, 10, 0, 0);
    return self;
}

static void test_frames_are_taken_held_or_dropped(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(offers); i++) {
        struct tracker *self = begun();
        uint64_t skip = 0;
        enum tracker_advice advice = tracker_offer(self, offers[i].epoch, offers[i].first,
                                                   offers[i].count, &unmarked, &skip);
        if (advice != offers[i].advice || skip != offers[i].skip)
            fail_msg("offer %zu: advice %d, skip %llu", i, (int)advice, (unsigned long long)skip);
        free(self);
    }
}

static void test_held_frames_come_back_in_order(void **state)
{
    (void)state;
    struct tracker *self = begun();
    static const uint64_t firsts[] = {15, 13, 19, 17};
    char items[ARRAY_LENGTH(firsts)];
    for (size_t i = 0; i < ARRAY_LENGTH(firsts); i++)
        assert_int_equal(tracker_hold(self, firsts[i], 2, &items[i]), 0);
    assert_int_equal(tracker_hold(self, 13, 2, &items[0]), -1);
    assert_null(tracker_unhold(self));
    tracker_took(self, 12, 2, 1, 0);
    assert_ptr_equal(tracker_unhold(self), &items[1]);
    assert_null(tracker_unhold(self)); // 15 follows on 14, which is not taken yet
    tracker_took(self, 14, 2, 0, 0);
    assert_ptr_equal(tracker_unhold(self), &items[0]);
    tracker_took(self, 18, 2, 0, 0);
    assert_ptr_equal(tracker_unhold(self), &items[3]);
    assert_ptr_equal(tracker_unhold(self), &items[2]);
    assert_null(tracker_unhold_any(self));
    free(self);
}

static void test_only_so_many_frames_are_held(void **state)
{
    (void)state;
    struct tracker *self = begun();
    for (uint64_t i = 0; i < TRACKER_HELD_MOST; i++)
        assert_int_equal(tracker_hold(self, 20 + i, 1, self), 0);
    assert_int_equal(tracker_hold(self, 12, 1, self), -1);
    free(self);
}

static void test_a_gap_is_asked_for_once_until_it_stalls(void **state)
{
    (void)state;
    struct tracker *self = begun();
    uint64_t from = 0, to = 0;
    assert_int_equal(tracker_wants(self, 1000, &from, &to), 0);
    tracker_heard(self, 30);
    assert_int_equal(tracker_wants(self, 1000, &from, &to), 1);
    assert_true(from == 11 && to == 30);
    assert_int_equal(tracker_wants(self, 2900, &from, &to), 0);
    tracker_replay_came(self, 2900);
    assert_int_equal(tracker_wants(self, 4800, &from, &to), 0);
    assert_int_equal(tracker_wants(self, 4900, &from, &to), 1); // 2 s without progress
    tracker_took(self, 30, 20, 1, 0);
    assert_int_equal(tracker_wants(self, 9000, &from, &to), 0);
    free(self);
}

static void test_the_next_is_asked_for_when_the_credit_is_used(void **state)
{
    (void)state;
    struct tracker *self = begun();
    uint64_t from = 0, to = 0;
    tracker_heard(self, 10000);
    assert_int_equal(tracker_wants(self, 1000, &from, &to), 1);
    for (int i = 0; i < TRACKER_CREDIT; i++) {
        assert_int_equal(tracker_wants(self, 1001, &from, &to), 0);
        tracker_replay_came(self, 1001);
    }
    tracker_took(self, 500, 490, 1, 0);
    assert_int_equal(tracker_wants(self, 1002, &from, &to), 1);
    assert_true(from == 501 && to == 10000);
    free(self);
}

static void test_only_the_gap_is_asked_for(void **state)
{
    (void)state;
    struct tracker *self = begun();
    uint64_t from = 0, to = 0;
    tracker_heard(self, 30);
    assert_int_equal(tracker_hold(self, 15, 16, self), 0);
    assert_int_equal(tracker_wants(self, 1000, &from, &to), 1);
    assert_true(from == 11 && to == 14);
    free(self);
}

static void test_a_failed_commit_brings_everything_again(void **state)
{
    (void)state;
    struct tracker *self = begun();
    uint64_t from = 0, to = 0;
    tracker_committed(self, EPOCH, 4, 0);
    tracker_committed(self, EPOCH + 1, 9, 0);
    tracker_committed(self, EPOCH, 3, 0);
    assert_true(self->committed == 4);
    tracker_heard(self, 10);
    tracker_failed(self);
    assert_int_equal(tracker_wants(self, 1000, &from, &to), 1);
    assert_true(from == 5 && to == 10);
    free(self);
}

// A node that lacks what was taken had its disk rolled back. It hears of that from what is durable.
static void test_a_node_that_is_behind_is_answered_after_the_commit(void **state)
{
    (void)state;
    struct tracker *self = begun();
    tracker_heard(self, 20);
    tracker_committed(self, EPOCH, 6, 0);
    assert_int_equal(tracker_hello(self, EPOCH, 20), 0);
    assert_int_equal(tracker_hello(self, EPOCH, 12), 0); // nothing that was taken
    assert_true(self->last == 12);
    assert_int_equal(tracker_hello(self, EPOCH, 8), -1);
    assert_true(self->last == 10);
    assert_false(tracker_pays_hello(self));
    tracker_committed(self, EPOCH, 10, 0);
    assert_true(tracker_pays_hello(self));
    assert_false(tracker_pays_hello(self));
    assert_int_equal(tracker_hello(self, EPOCH, 8), 0); // it is all committed
    assert_int_equal(tracker_hello(self, EPOCH + 1, 1), 0);
    free(self);
}

static void test_an_acknowledgement_that_the_store_lacks_tells_of_its_loss(void **state)
{
    static const struct {
        uint64_t epoch, acknowledged, upto;
        int lost;
    } cases[] = {
        {EPOCH, EPOCH, 6, 0},         {EPOCH, EPOCH, 7, 1},     {EPOCH, 0, 0, 0},
        {EPOCH + 1, EPOCH, 6, 0},     {EPOCH + 1, EPOCH, 9, 0}, // an epoch that has ended
        {EPOCH + 1, EPOCH + 1, 1, 1},                           // one that we know nothing of
        {EPOCH + 1, EPOCH + 1, 0, 0},
    };
    (void)state;
    struct tracker *self = begun();
    tracker_committed(self, EPOCH, 6, 0);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        assert_int_equal(tracker_lost(self, cases[i].epoch, cases[i].acknowledged, cases[i].upto),
                         cases[i].lost);
    free(self);
}

// What comes next in number must follow on what we have, by the marks of the outbox's records.
static void test_a_frame_that_follows_on_others_is_a_fork(void **state)
{
    (void)state;
    static const struct {
        uint64_t first, count;
        struct tracker_marks marks;
        enum tracker_advice advice;
    } frames[] = {
        {11, 2, {11, 800, 700}, TRACKER_TAKE}, {11, 2, {11, 800, 0}, TRACKER_TAKE},
        {11, 2, {9, 700, 600}, TRACKER_TAKE},  {9, 4, {9, 700, 600}, TRACKER_TAKE},
        {11, 2, {11, 800, 701}, TRACKER_FORK}, {11, 2, {9, 701, 600}, TRACKER_FORK},
        {9, 4, {9, 701, 600}, TRACKER_FORK},   {13, 2, {13, 900, 1}, TRACKER_HOLD},
        {1, 10, {1, 1, 0}, TRACKER_DROP},
    };
    struct tracker tracker = {0};
    uint64_t skip;
    tracker_begin(&tracker, EPOCH, 1);
    tracker_took(&tracker, 10, 10, 0, 700);
    for (size_t i = 0; i < ARRAY_LENGTH(frames); i++)
        assert_int_equal(tracker_offer(&tracker, EPOCH, frames[i].first, frames[i].count,
                                       &frames[i].marks, &skip),
                         frames[i].advice);
    assert_int_equal(tracker_forked(&tracker), -1); // nothing of it is committed
    tracker_committed(&tracker, EPOCH, 10, 700);
    assert_true(tracker_pays_hello(&tracker) && tracker.committed_mark == 700);
    assert_int_equal(tracker_forked(&tracker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_are_taken_held_or_dropped),
        cmocka_unit_test(test_held_frames_come_back_in_order),
        cmocka_unit_test(test_only_so_many_frames_are_held),
        cmocka_unit_test(test_a_gap_is_asked_for_once_until_it_stalls),
        cmocka_unit_test(test_the_next_is_asked_for_when_the_credit_is_used),
        cmocka_unit_test(test_only_the_gap_is_asked_for),
        cmocka_unit_test(test_a_failed_commit_brings_everything_again),
        cmocka_unit_test(test_a_node_that_is_behind_is_answered_after_the_commit),
        cmocka_unit_test(test_an_acknowledgement_that_the_store_lacks_tells_of_its_loss),
        cmocka_unit_test(test_a_frame_that_follows_on_others_is_a_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
