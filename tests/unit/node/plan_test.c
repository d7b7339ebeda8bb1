// SPDX-License-Identifier: Apache-2.0
#include "node/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// A letter per slot: . free, w waiting, l living and ours, m living and started by hand, a adopted,
// s ours and stopping.
static void read_slots(const char *text, struct plan_slot *ret)
{
    memset(ret, 0, SLOT_MOST * sizeof(*ret));
    for (unsigned i = 0; text[i]; i++) {
        ret[i].state = text[i] == '.'   ? PLAN_FREE
                       : text[i] == 'w' ? PLAN_WAITING
                       : text[i] == 'a' ? PLAN_ADOPTED
                                        : PLAN_LIVING;
        ret[i].ours = strchr("wls", text[i]) != NULL;
        ret[i].stopping = text[i] == 's';
    }
}

static const struct {
    const char *about, *slots;
    unsigned wanted;
    uint64_t start, stop;
} cases[] = {
    {"nothing runs", "....", 2, 0x3, 0},
    {"all run", "ll", 2, 0, 0},
    {"one ended and waits", "lw", 2, 0, 0},
    {"one may start again", "l.", 2, 0x2, 0},
    {"none is wanted", "....", 0, 0, 0},
    {"fewer are wanted: the highest goes", "lll", 1, 0, 0x6},
    {"one that waits goes, too", "lw", 1, 0, 0x2},
    {"one is ending already", "lls", 2, 0, 0},
    {"one of ours ends, its slot is not taken twice", "ls", 2, 0x4, 0},
    {"started by hand in a wanted slot", "m.", 2, 0x2, 0},
    {"started by hand beyond them is left alone", "lm", 1, 0, 0},
    {"started by hand is never stopped", "mm", 1, 0, 0},
    {"an adopted slot is replaced by the next", "la.", 2, 0x4, 0},
    {"an adopted slot beyond the wanted is nobody's affair", "lla", 2, 0, 0},
    {"the slot comes back: its replacement goes", "lll", 2, 0, 0x4},
};

static void every_case_is_planned(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct plan_slot slots[SLOT_MOST];
        read_slots(cases[i].slots, slots);
        struct plan plan = plan_stage(slots, cases[i].wanted);
        if (plan.start != cases[i].start || plan.stop != cases[i].stop)
            fail_msg("%s: start %llx stop %llx", cases[i].about, (unsigned long long)plan.start,
                     (unsigned long long)plan.stop);
    }
}

static void all_slots_can_be_wanted(void **state)
{
    (void)state;
    struct plan_slot slots[SLOT_MOST] = {0};
    assert_true(plan_stage(slots, SLOT_MOST).start == UINT64_MAX);
    assert_true(plan_stage(slots, SLOT_MOST + 1).start == UINT64_MAX);
}

static void a_process_that_keeps_dying_waits_longer_each_time(void **state)
{
    (void)state;
    static const int64_t delays[] = {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000, 10000};
    struct backoff backoff = {0};
    for (size_t i = 0; i < ARRAY_LENGTH(delays); i++)
        assert_int_equal(backoff_next(&backoff, 50), delays[i]);
    assert_int_equal(backoff_next(&backoff, BACKOFF_FORGIVEN_MS - 1), 10000);
    assert_int_equal(backoff_next(&backoff, BACKOFF_FORGIVEN_MS), 100);
    assert_int_equal(backoff_next(&backoff, 50), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_planned),
        cmocka_unit_test(all_slots_can_be_wanted),
        cmocka_unit_test(a_process_that_keeps_dying_waits_longer_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
