// SPDX-License-Identifier: Apache-2.0
#include "node/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct heard {
    unsigned raised, cleared;
    const char *name;
};

static void hear(void *context, const char *name, const char *detail, int clear)
{
    struct heard *heard = context;
    assert_non_null(detail);
    heard->name = name;
    *(clear ? &heard->cleared : &heard->raised) += 1;
}

static void an_alarm_is_raised_once_and_cleared_once(void **state)
{
    (void)state;
    struct alarms alarms = {0};
    struct heard heard = {0};
    for (int i = 0; i < 5; i++)
        alarms_see(&alarms, ALARM_ANALYSIS_WAITS, 1, hear, &heard);
    assert_int_equal(heard.raised, 1);
    assert_string_equal(heard.name, "analysis-waits");
    for (int i = 0; i < 5; i++)
        alarms_see(&alarms, ALARM_ANALYSIS_WAITS, 0, hear, &heard);
    assert_int_equal(heard.cleared, 1);
}

static void what_is_so_for_a_moment_only_is_no_alarm(void **state)
{
    (void)state;
    struct alarms alarms = {0};
    struct heard heard = {0};
    for (int i = 0; i < 100; i++)
        alarms_see(&alarms, ALARM_STAGE_MISSING, i % 10 != 9, hear, &heard);
    assert_int_equal(heard.raised + heard.cleared, 0);
    for (int i = 0; i < 16; i++)
        alarms_see(&alarms, ALARM_STAGE_MISSING, 1, hear, &heard);
    assert_int_equal(heard.raised, 1);
}

static void each_of_them_begins_in_its_time_and_ends_at_once(void **state)
{
    (void)state;
    static const struct {
        enum alarm alarm;
        const char *name;
        unsigned after_s;
    } cases[] = {
        {ALARM_ANALYSIS_WAITS, "analysis-waits", 0},
        {ALARM_STAGE_MISSING, "stage-missing", 15},
        {ALARM_DISK_LOW, "disk-low", 10},
        {ALARM_EVENTS_WAIT, "events-wait", 300},
        {ALARM_SINGLE_COPY, "single-copy", 0},
        {ALARM_OUTBOX_FULL, "outbox-full", 0},
        {ALARM_REDIS_AWAY, "redis-away", 5},
        {ALARM_CERTIFICATE, "certificate-expiry", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct alarms alarms = {0};
        struct heard heard = {0};
        for (unsigned second = 0; second < cases[i].after_s; second++)
            alarms_see(&alarms, cases[i].alarm, 1, hear, &heard);
        assert_int_equal(heard.raised, 0);
        alarms_see(&alarms, cases[i].alarm, 1, hear, &heard);
        assert_int_equal(heard.raised, 1);
        assert_string_equal(heard.name, cases[i].name);
        alarms_see(&alarms, cases[i].alarm, 0, hear, &heard);
        assert_int_equal(heard.cleared, 1);
    }
}

static void a_master_far_behind_another_makes_a_single_copy(void **state)
{
    (void)state;
    static const struct {
        unsigned masters;
        int64_t lag_ms[2];
        int single;
    } cases[] = {
        {2, {0, 0}, 0},     {2, {61000, 0}, 1},     {2, {0, 61000}, 1},
        {2, {59000, 0}, 0}, {2, {61000, 61000}, 0}, {1, {61000, 0}, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct watch_of_node watch = {0};
        memcpy(watch.lag_ms, cases[i].lag_ms, sizeof(cases[i].lag_ms));
        if (watch_is_single_copy(&watch, cases[i].masters) != cases[i].single)
            fail_msg("case %zu", i);
    }
}

static void every_alarm_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < ALARM_COUNT; i++)
        assert_non_null(alarm_name((enum alarm)i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_alarm_is_raised_once_and_cleared_once),
        cmocka_unit_test(what_is_so_for_a_moment_only_is_no_alarm),
        cmocka_unit_test(each_of_them_begins_in_its_time_and_ends_at_once),
        cmocka_unit_test(a_master_far_behind_another_makes_a_single_copy),
        cmocka_unit_test(every_alarm_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
