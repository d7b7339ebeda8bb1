// SPDX-License-Identifier: Apache-2.0
#include "node/alarms.h"

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
        cmocka_unit_test(every_alarm_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
