// SPDX-License-Identifier: Apache-2.0
#include "core/stream/cursors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void a_cursor_is_kept_per_journal(void **state)
{
    (void)state;
    static struct cursors cursors;
    assert_null(cursors_get(&cursors, 1));
    assert_true(cursor_is_before(NULL, 0, 0));
    cursors_set(&cursors, (struct cursor){1, 5, 100});
    cursors_set(&cursors, (struct cursor){2, 1, 1});
    cursors_set(&cursors, (struct cursor){1, 6, 50});
    assert_int_equal(cursors.count, 2);
    const struct cursor *found = cursors_get(&cursors, 1);
    assert_int_equal(found->segment, 6);
    assert_false(cursor_is_before(found, 5, 4000));
    assert_false(cursor_is_before(found, 6, 50));
    assert_true(cursor_is_before(found, 6, 51));
    assert_true(cursor_is_before(found, 7, 0));
}

static void the_longest_unused_one_is_forgotten_first(void **state)
{
    (void)state;
    static struct cursors cursors;
    for (uint64_t i = 1; i <= CURSORS_MOST; i++)
        cursors_set(&cursors, (struct cursor){i, i, 0});
    cursors_set(&cursors, (struct cursor){1, 9, 9}); // used again
    cursors_set(&cursors, (struct cursor){1000, 1, 1});
    assert_int_equal(cursors.count, CURSORS_MOST);
    assert_non_null(cursors_get(&cursors, 1));
    assert_null(cursors_get(&cursors, 2));
    assert_non_null(cursors_get(&cursors, 3));
    assert_non_null(cursors_get(&cursors, 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cursor_is_kept_per_journal),
        cmocka_unit_test(the_longest_unused_one_is_forgotten_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
