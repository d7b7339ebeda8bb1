// SPDX-License-Identifier: Apache-2.0
#include "core/config/names.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct revision_origin a = {"a", 0x1f}, b = {"b.example", 1};

static void a_name_reads_as_it_was_written(void **state)
{
    (void)state;
    char text[REVISION_NAME_SIZE];
    struct revision_origin origin;
    uint64_t number;
    name_format(&b, 18, text);
    assert_string_equal(text, "b.example.1.18");
    assert_int_equal(name_parse(text, &origin, &number), 0);
    assert_int_equal(origin_compare(&origin, &b), 0);
    assert_int_equal(number, 18);
}

static void what_is_no_name_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",      "a",      "a.1",     ".1.2",    "a..2", "a.1.",
                                        "a.g.2", "a.1.-2", "a.1.0x2", "a.1f.2 ", "17"};
    struct revision_origin origin;
    uint64_t number;
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        assert_int_equal(name_parse(texts[i], &origin, &number), -1);
}

// Numbers added one by one, in any order, and the ranges that must come of it.
static void ranges_join_where_they_touch(void **state)
{
    (void)state;
    static const struct {
        uint64_t numbers[8];
        size_t count, ranges;
    } rows[] = {
        {{1, 2, 3}, 3, 1},          {{3, 2, 1}, 3, 1},
        {{1, 3, 2}, 3, 1},          {{1, 3}, 2, 2},
        {{1, 3, 5, 7, 2, 6}, 6, 2}, {{5, 5, 5}, 3, 1},
        {{0, UINT64_MAX}, 2, 2},    {{UINT64_MAX, UINT64_MAX - 1}, 2, 1},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct names names = {0};
        for (size_t k = 0; k < rows[i].count; k++)
            names_add(&names, &a, rows[i].numbers[k], rows[i].numbers[k]);
        assert_int_equal(names.origins[0].count, rows[i].ranges);
        for (size_t k = 0; k < rows[i].count; k++)
            assert_true(names_hold(&names, &a, rows[i].numbers[k]));
        assert_false(names_hold(&names, &b, rows[i].numbers[0]));
        names_free(&names);
    }
}

// Against a plain table of bits.
static void sets_agree_with_a_table_of_bits(void **state)
{
    (void)state;
    unsigned seed = 7;
    for (int round = 0; round < 200; round++) {
        unsigned char held[64] = {0};
        struct names names = {0}, other = {0};
        for (int i = 0; i < 12; i++) {
            uint64_t from = (unsigned)rand_r(&seed) % 60, to = from + (unsigned)rand_r(&seed) % 4;
            names_add(i % 2 ? &names : &other, &a, from, to);
            memset(held + from, 1, to - from + 1);
        }
        names_unite(&names, &other);
        for (uint64_t i = 0; i < 64; i++)
            assert_int_equal(names_hold(&names, &a, i), held[i]);
        assert_true(names_hold_all(&names, &other));
        assert_int_equal(names_equal(&names, &other), names_hold_all(&other, &names));
        for (size_t i = 1; i < names.origins[0].count; i++)
            assert_true(names.origins[0].ranges[i].from > names.origins[0].ranges[i - 1].to + 1);
        names_free(&names);
        names_free(&other);
    }
}

static void a_set_survives_the_wire_and_disorder_is_refused(void **state)
{
    (void)state;
    struct names names = {0}, again;
    names_add(&names, &b, 4, 9);
    names_add(&names, &a, 1, 2);
    names_add(&names, &a, 5, 5);
    Postern__ConfigNames **list = names_pack(&names);
    assert_int_equal(names_unpack(list, names.count, &again), 0);
    assert_true(names_equal(&names, &again));
    names_free(&again);
    Postern__ConfigNames *swapped[] = {list[1], list[0]};
    assert_int_equal(names_unpack(swapped, 2, &again), -1);
    list[0]->ranges[2] = 1;
    assert_int_equal(names_unpack(list, names.count, &again), -1);
    assert_int_equal(again.count, 0);
    names_packed_free(&list, names.count);
    names_free(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_reads_as_it_was_written),
        cmocka_unit_test(what_is_no_name_is_refused),
        cmocka_unit_test(ranges_join_where_they_touch),
        cmocka_unit_test(sets_agree_with_a_table_of_bits),
        cmocka_unit_test(a_set_survives_the_wire_and_disorder_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
