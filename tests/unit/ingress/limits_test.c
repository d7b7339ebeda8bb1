// SPDX-License-Identifier: Apache-2.0
#include "ingress/aging.h"
#include "ingress/greylist.h"
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

static const int64_t day = 24 * 3600 * 1000;

static void a_triple_must_come_back(void **state)
{
    (void)state;
    struct greylist *list = greylist_new(100);
    struct span sender = span_of("a@client.example"), recipient = span_of("b@example.org");
    assert_false(greylist_passes(list, "192.0.2.1", sender, recipient, 60, 1000));
    assert_false(greylist_passes(list, "192.0.2.1", sender, recipient, 60, 60999));
    assert_false(greylist_passes(list, "192.0.2.1", sender, span_of("c@example.org"), 60, 61000));
    assert_false(greylist_passes(list, "198.51.100.1", sender, recipient, 60, 61000));
    assert_true(greylist_passes(list, "192.0.2.200", sender, span_of("B@Example.org"), 60, 61000));
    assert_true(greylist_passes(list, "192.0.2.1", sender, recipient, 60, 61000 + 35 * day));
    assert_true(greylist_passes(list, "192.0.2.1", sender, recipient, 60, 61000 + 70 * day));
    assert_false(greylist_passes(list, "192.0.2.1", sender, recipient, 60, 61000 + 107 * day));
    greylist_destroy(&list);
}

static void a_triple_that_came_too_late_begins_anew(void **state)
{
    (void)state;
    struct greylist *list = greylist_new(100);
    struct span none = {"", 0}, recipient = span_of("b@example.org");
    assert_false(greylist_passes(list, "192.0.2.1", none, recipient, 60, 1000));
    assert_false(greylist_passes(list, "192.0.2.1", none, recipient, 60, 2000 + day));
    assert_true(greylist_passes(list, "192.0.2.1", none, recipient, 60, 62000 + day));
    greylist_destroy(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ipv6_client_is_its_64),
        cmocka_unit_test(connections_are_counted_per_client),
        cmocka_unit_test(a_rate_lets_a_minutes_worth_through_at_once),
        cmocka_unit_test(aging_is_bounded_and_keeps_what_is_used),
        cmocka_unit_test(a_triple_must_come_back),
        cmocka_unit_test(a_triple_that_came_too_late_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
