// SPDX-License-Identifier: Apache-2.0
#include "ingress/aging.h"
#include "ingress/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *a, *b;
    int same;
} clients[] = {
    {"192.0.2.1", "192.0.2.2", 0},
    {"192.0.2.1", "::ffff:192.0.2.1", 1},
    {"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", 1},
    {"2001:db8:1:2::1", "2001:db8:1:3::1", 0},
    {"unknown", "nonsense", 1},
};

static void an_ipv6_client_is_its_64(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(clients); i++) {
        uint8_t a[CLIENT_KEY_MOST], b[CLIENT_KEY_MOST];
        size_t a_size = client_key(clients[i].a, a), b_size = client_key(clients[i].b, b);
        assert_int_equal(a_size == b_size && !memcmp(a, b, a_size), clients[i].same);
    }
}

static void connections_are_counted_per_client(void **state)
{
    (void)state;
    struct limits *limits = limits_new();
    assert_true(limits_open(limits, "2001:db8::1", 2));
    assert_true(limits_open(limits, "2001:db8::2", 2));
    assert_false(limits_open(limits, "2001:db8::3", 2));
    assert_true(limits_open(limits, "192.0.2.1", 2));
    limits_close(limits, "2001:db8::2");
    assert_true(limits_open(limits, "2001:db8::3", 2));
    limits_destroy(&limits);
    assert_null(limits);
}

static void a_rate_lets_a_minutes_worth_through_at_once(void **state)
{
    (void)state;
    struct limits *limits = limits_new();
    for (int i = 0; i < 6; i++)
        assert_true(limits_message(limits, "192.0.2.1", 6, 1000));
    assert_false(limits_message(limits, "192.0.2.1", 6, 1000));
    assert_true(limits_message(limits, "192.0.2.2", 6, 1000));
    assert_false(limits_message(limits, "192.0.2.1", 6, 1000 + 9999));
    assert_true(limits_message(limits, "192.0.2.1", 6, 1000 + 10000));
    assert_false(limits_message(limits, "192.0.2.1", 6, 1000 + 10000));
    assert_true(limits_message(limits, "192.0.2.1", 0, 1000));
    limits_destroy(&limits);
}

static void aging_is_bounded_and_keeps_what_is_used(void **state)
{
    (void)state;
    struct aging *aging = aging_new(100);
    aging_get(aging, "used", 4)->first = 7;
    for (int i = 0; i < 10000; i++) {
        aging_get(aging, &i, sizeof(i))->first = i + 1;
        assert_int_equal(aging_get(aging, "used", 4)->first, 7);
        assert_true(aging_count(aging) <= 100);
    }
    assert_int_equal(aging_get(aging, &(int){5}, sizeof(int))->first, 0);
    aging_destroy(&aging);
}

static void workers_know_what_a_client_spent_elsewhere(void **state)
{
    (void)state;
    struct limits *here = limits_new();
    struct limits_spent spent[4];
    assert_int_equal(limits_spent(here, spent, 4), 0);
    for (int i = 0; i < 3; i++)
        assert_true(limits_message(here, "192.0.2.1", 6, 1000));
    assert_true(limits_message(here, "192.0.2.2", 6, 1000));
    assert_int_equal(limits_spent(here, spent, 1), 1);
    assert_int_equal(limits_spent(here, spent + 1, 3), 1);
    assert_int_equal(limits_spent(here, spent, 4), 0); // told once
    assert_int_equal(spent[0].spent_us + spent[1].spent_us, 40 * 1000 * 1000);
    // Elsewhere it spent two, so five of six are gone; one more here, meanwhile, makes six.
    assert_true(limits_message(here, "192.0.2.1", 6, 1000));
    struct limits_spent all = {.key = {192, 0, 2, 1}, .key_size = 4, .spent_us = 50 * 1000 * 1000};
    limits_learn(here, &all, 1000);
    assert_false(limits_message(here, "192.0.2.1", 6, 1000));
    assert_true(limits_message(here, "192.0.2.1", 6, 11000));
    limits_destroy(&here);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ipv6_client_is_its_64),
        cmocka_unit_test(connections_are_counted_per_client),
        cmocka_unit_test(a_rate_lets_a_minutes_worth_through_at_once),
        cmocka_unit_test(aging_is_bounded_and_keeps_what_is_used),
        cmocka_unit_test(workers_know_what_a_client_spent_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
