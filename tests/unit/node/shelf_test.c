// SPDX-License-Identifier: Apache-2.0
#include "node/shelf.h"
#include "node/shelving.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct ulid id_of(unsigned number)
{
    struct ulid id = {{0}};
    id.bytes[ULID_SIZE - 1] = (uint8_t)number;
    return id;
}

static const char *const days[] = {"2026-11-20", "2026-11-21", "2026-11-22"};

// Body n lies in days[n].
static struct shelf *three(unsigned masters)
{
    struct shelf *shelf = shelf_new(masters);
    for (unsigned i = 0; i < 3; i++) {
        struct ulid id = id_of(i);
        shelf_add(shelf, &id, days[i], 100);
        shelf_add(shelf, &id, days[i], 100); // told twice
    }
    return shelf;
}

static void hold(struct shelf *shelf, unsigned master, unsigned number)
{
    struct ulid id = id_of(number);
    shelf_held(shelf, master, &id);
}

// The numbers of the bodies that may go, as a string.
static const char *may_go(const struct shelf *shelf, int pressed)
{
    static char text[8];
    struct shelf_item items[8];
    size_t count = shelf_may_go(shelf, "2026-11-22", pressed, items, 8);
    for (size_t i = 0; i < count; i++) {
        text[i] = (char)('0' + items[i].id.bytes[ULID_SIZE - 1]);
        assert_string_equal(items[i].day, days[items[i].id.bytes[ULID_SIZE - 1]]);
    }
    text[count] = 0;
    return text;
}

static void a_body_goes_after_yesterday_once_every_master_holds_it(void **state)
{
    (void)state;
    struct shelf *shelf = three(2);
    assert_string_equal(may_go(shelf, 0), "");
    for (unsigned i = 0; i < 3; i++)
        hold(shelf, 0, i);
    assert_string_equal(may_go(shelf, 0), "");
    hold(shelf, 1, 1);
    hold(shelf, 1, 2);
    assert_string_equal(may_go(shelf, 0), "1"); // 2 is of a day that stays
    hold(shelf, 1, 0);
    assert_string_equal(may_go(shelf, 0), "01");
    shelf_destroy(&shelf);
}

static void a_short_disk_is_content_with_one_master_never_with_none(void **state)
{
    (void)state;
    struct shelf *shelf = three(2);
    assert_string_equal(may_go(shelf, 1), "");
    hold(shelf, 1, 1);
    assert_string_equal(may_go(shelf, 1), "1");
    shelf_destroy(&shelf);
}

static void a_worker_without_masters_keeps_everything(void **state)
{
    (void)state;
    struct shelf *shelf = three(0);
    hold(shelf, 0, 0);
    assert_string_equal(may_go(shelf, 1), "");
    assert_int_equal(shelf_custody(shelf), 3);
    shelf_destroy(&shelf);
}

static void what_no_master_holds_is_custody(void **state)
{
    (void)state;
    struct shelf *shelf = three(2);
    struct ulid one = id_of(1);
    assert_int_equal(shelf_custody_bytes(shelf), 300);
    hold(shelf, 0, 0);
    hold(shelf, 1, 0);
    hold(shelf, 1, 1);
    assert_int_equal(shelf_custody(shelf), 1);
    assert_int_equal(shelf_custody_bytes(shelf), 100);
    shelf_session(shelf, 1); // it may have been put back
    assert_int_equal(shelf_custody(shelf), 2);
    shelf_remove(shelf, &one);
    assert_int_equal(shelf_custody(shelf), 1);
    assert_int_equal(shelf_bytes(shelf), 200);
    assert_null(shelf_day(shelf, &one));
    shelf_destroy(&shelf);
}

static void a_master_is_asked_for_what_it_lacks(void **state)
{
    (void)state;
    struct shelf *shelf = three(2);
    size_t count;
    hold(shelf, 0, 0);
    hold(shelf, 1, 2);
    struct ulid *ids = shelf_lacking(shelf, 0, &count);
    assert_int_equal(count, 2);
    free(ids);
    shelf_session(shelf, 0);
    ids = shelf_lacking(shelf, 0, &count);
    assert_int_equal(count, 3);
    free(ids);
    shelf_destroy(&shelf);
}

static void files_go_and_the_days_that_are_empty_then(void **state)
{
    (void)state;
    char folder[] = "/tmp/postern-shelf-XXXXXX", path[160], name[ULID_TEXT], command[64];
    struct shelf_item items[2] = {{id_of(1), "2026-11-20"}, {id_of(2), "2026-11-21"}};
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, items[i].day);
        assert_int_equal(mkdir(path, 0750), 0);
        ulid_format(&items[i].id, name);
        snprintf(path, sizeof(path), "%s/%s/%s", folder, items[i].day, name);
        fclose(fopen(path, "w"));
        snprintf(path, sizeof(path), "%s/%s/.%s.0011", folder, items[i].day, name);
        fclose(fopen(path, "w")); // left by a delivery that died
    }
    snprintf(path, sizeof(path), "%s/2026-11-21/another", folder);
    fclose(fopen(path, "w"));
    assert_int_equal(shelving_remove(folder, items, 2), 2);
    snprintf(path, sizeof(path), "%s/2026-11-20", folder);
    assert_int_not_equal(access(path, F_OK), 0);
    snprintf(path, sizeof(path), "%s/2026-11-21/another", folder);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(shelving_remove(folder, items, 2), 2); // gone already is as good
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_goes_after_yesterday_once_every_master_holds_it),
        cmocka_unit_test(a_short_disk_is_content_with_one_master_never_with_none),
        cmocka_unit_test(a_worker_without_masters_keeps_everything),
        cmocka_unit_test(what_no_master_holds_is_custody),
        cmocka_unit_test(a_master_is_asked_for_what_it_lacks),
        cmocka_unit_test(files_go_and_the_days_that_are_empty_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
