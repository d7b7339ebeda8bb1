// SPDX-License-Identifier: Apache-2.0
#include "core/base/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
enum { MANY = 5000 };

static int values[MANY];

static void what_was_put_is_found_until_it_is_removed(void **state)
{
    (void)state;
    struct table *table = table_new();
    for (int i = 0; i < MANY; i++)
        assert_null(table_put(table, &i, sizeof(i), &values[i]));
    assert_int_equal(table_count(table), MANY);
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(table_get(table, &i, sizeof(i)), &values[i]);
    for (int i = 0; i < MANY; i += 2)
        assert_ptr_equal(table_remove(table, &i, sizeof(i)), &values[i]);
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(table_get(table, &i, sizeof(i)), i % 2 ? &values[i] : NULL);
    assert_int_equal(table_count(table), MANY / 2);
    table_destroy(&table);
    assert_null(table);
}

static void keys_are_bytes_and_a_second_put_returns_the_first_value(void **state)
{
    (void)state;
    struct table *table = table_new();
    assert_null(table_put(table, "a\0b", 3, &values[1]));
    assert_null(table_put(table, "a\0c", 3, &values[2]));
    assert_null(table_put(table, "", 0, &values[3]));
    assert_ptr_equal(table_get(table, "a\0b", 3), &values[1]);
    assert_null(table_get(table, "a", 1));
    assert_ptr_equal(table_get(table, NULL, 0), &values[3]);
    assert_ptr_equal(table_put(table, "a\0b", 3, &values[4]), &values[1]);
    assert_int_equal(table_count(table), 3);
    assert_null(table_remove(table, "x", 1));
    table_destroy(&table);
}

static int remove_it(const void *key, size_t size, void *value, void *context)
{
    struct table *table = context;
    return table_remove(table, key, size) == value ? 0 : 1;
}

static int stop_at_once(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    (void)value;
    ++*(int *)context;
    return 7;
}

static void the_current_item_may_be_removed_during_a_visit(void **state)
{
    (void)state;
    struct table *table = table_new();
    for (int i = 0; i < 100; i++)
        table_put(table, &i, sizeof(i), &values[i]);
    int calls = 0;
    assert_int_equal(table_each(table, stop_at_once, &calls), 7);
    assert_int_equal(calls, 1);
    assert_int_equal(table_each(table, remove_it, table), 0);
    assert_int_equal(table_count(table), 0);
    table_destroy(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_found_until_it_is_removed),
        cmocka_unit_test(keys_are_bytes_and_a_second_put_returns_the_first_value),
        cmocka_unit_test(the_current_item_may_be_removed_during_a_visit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
