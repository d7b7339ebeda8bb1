// SPDX-License-Identifier: Apache-2.0
#include "delivery/quarantine_days.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/postern-days-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static void add(const char *day, int files)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/%s", folder, day);
    assert_int_equal(mkdir(path, 0750), 0);
    for (int i = 0; i < files; i++) {
        snprintf(path, sizeof(path), "%s/%s/%d", folder, day, i);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fclose(file);
    }
}

static int there(const char *name)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void old_days_go_whole_and_others_stay(void **state)
{
    (void)state;
    add("2026-11-20", 3);
    add("2026-11-21", 0);
    add("2026-11-22", 2);
    add("notes-of-11", 1);
    assert_int_equal(quarantine_days_remove(folder, "2026-11-22", 100), 3);
    assert_false(there("2026-11-20"));
    assert_false(there("2026-11-21"));
    assert_true(there("2026-11-22/1"));
    assert_true(there("notes-of-11/0"));
}

static void a_step_removes_no_more_than_it_may(void **state)
{
    (void)state;
    add("2026-11-20", 5);
    add("2026-11-21", 5);
    assert_int_equal(quarantine_days_remove(folder, "2026-11-22", 4), 4);
    assert_int_equal(quarantine_days_remove(folder, "2026-11-22", 4), 4);
    assert_int_equal(quarantine_days_remove(folder, "2026-11-22", 4), 2);
    assert_false(there("2026-11-20"));
    assert_false(there("2026-11-21"));
}

static void what_cannot_be_removed_is_told(void **state)
{
    (void)state;
    add("2026-11-20", 0);
    add("2026-11-20/inside", 0);
    assert_int_equal(quarantine_days_remove(folder, "2026-11-22", 100), -1);
    assert_int_not_equal(errno, 0);
    assert_int_equal(quarantine_days_remove("/nowhere/at/all", "2026-11-22", 100), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(old_days_go_whole_and_others_stay, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_step_removes_no_more_than_it_may, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(what_cannot_be_removed_is_told, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
