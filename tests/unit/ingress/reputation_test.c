// SPDX-License-Identifier: Apache-2.0
#include "ingress/reputation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void standing_needs_enough_mail(void **state)
{
    (void)state;
    static const struct {
        int64_t good, bad;
        enum standing standing;
    } cases[] = {
        {0, 0, STANDING_UNKNOWN},  {9, 0, STANDING_UNKNOWN},     {10, 0, STANDING_GOOD},
        {19, 1, STANDING_UNKNOWN}, {20, 1, STANDING_GOOD},       {0, 9, STANDING_UNKNOWN},
        {0, 10, STANDING_BAD},     {10, 10, STANDING_UNKNOWN},   {10, 11, STANDING_BAD},
        {1000, 50, STANDING_GOOD}, {1000, 51, STANDING_UNKNOWN},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        assert_int_equal(standing_of(cases[i].good, cases[i].bad), cases[i].standing);
}

static void note(struct reputation *self, const char *client, int bad, int times)
{
    while (times--)
        reputation_note(self, client, bad);
}

static void a_client_is_an_address_or_a_network(void **state)
{
    (void)state;
    struct reputation *self = reputation_new(100);
    note(self, "192.0.2.1", 0, 10);
    assert_int_equal(reputation_of(self, "192.0.2.1"), STANDING_GOOD);
    assert_int_equal(reputation_of(self, "::ffff:192.0.2.1"), STANDING_GOOD);
    assert_int_equal(reputation_of(self, "192.0.2.2"), STANDING_UNKNOWN);
    note(self, "2001:db8::1", 1, 5);
    note(self, "2001:db8::2", 1, 5);
    assert_int_equal(reputation_of(self, "2001:db8::3"), STANDING_BAD);
    assert_int_equal(reputation_of(self, "2001:db8:0:1::1"), STANDING_UNKNOWN);
    reputation_destroy(&self);
}

static void old_mail_weighs_less_and_less(void **state)
{
    (void)state;
    struct reputation *self = reputation_new(100);
    note(self, "192.0.2.1", 1, 900);
    note(self, "192.0.2.1", 0, 900);
    assert_int_equal(reputation_of(self, "192.0.2.1"), STANDING_UNKNOWN);
    note(self, "192.0.2.1", 0, 3000);
    assert_int_equal(reputation_of(self, "192.0.2.1"), STANDING_GOOD);
    reputation_destroy(&self);
}

static void news_are_taken_once_and_totals_add_to_them(void **state)
{
    (void)state;
    struct reputation *self = reputation_new(100);
    struct reputation_counts rows[2];
    note(self, "192.0.2.1", 0, 3);
    note(self, "192.0.2.1", 1, 1);
    note(self, "192.0.2.2", 1, 1);
    note(self, "192.0.2.3", 1, 1);
    assert_int_equal(reputation_news(self, rows, 2), 2);
    assert_int_equal(reputation_news(self, rows + 1, 1), 1);
    assert_int_equal(reputation_news(self, rows + 1, 1), 0);
    struct reputation_counts all = {{192, 0, 2, 1}, 4, 9, 0};
    note(self, "192.0.2.1", 0, 1); // since the question
    reputation_learn(self, &all);
    assert_int_equal(reputation_of(self, "192.0.2.1"), STANDING_GOOD); // 9 + 1
    assert_int_equal(reputation_news(self, rows, 2), 1);
    assert_int_equal(rows[0].good, 1);
    assert_int_equal(rows[0].bad, 0);
    reputation_destroy(&self);
}

static void a_flood_of_clients_is_forgotten_not_kept(void **state)
{
    (void)state;
    struct reputation *self = reputation_new(100);
    struct reputation_counts row;
    char client[40];
    size_t told = 0;
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(client, sizeof(client), "10.%u.%u.1", i >> 8 & 255, i & 255);
        reputation_note(self, client, 1);
    }
    while (reputation_news(self, &row, 1))
        told++;
    assert_int_equal(told, 10000);
    assert_int_equal(reputation_of(self, "10.0.0.1"), STANDING_UNKNOWN);
    reputation_destroy(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standing_needs_enough_mail),
        cmocka_unit_test(a_client_is_an_address_or_a_network),
        cmocka_unit_test(old_mail_weighs_less_and_less),
        cmocka_unit_test(news_are_taken_once_and_totals_add_to_them),
        cmocka_unit_test(a_flood_of_clients_is_forgotten_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
