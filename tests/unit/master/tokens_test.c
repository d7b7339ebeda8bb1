// SPDX-License-Identifier: Apache-2.0
// Tokens as rules: who gets in with what, and how long (attack 36).
#include "master/throttle.h"
#include "master/tokens.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NOW = 1000, LATER = 4600 };

struct world {
    struct tokens tokens;
    uint8_t id[TOKEN_ID_BYTES], secret[TOKEN_SECRET_BYTES];
};

static int start(void **state)
{
    struct world *self = allocate(sizeof(*self));
    const struct token *made =
        tokens_make(&self->tokens, ROLE_WORKER, "w", NOW, LATER, self->secret);
    memcpy(self->id, made->id, sizeof(self->id));
    *state = self;
    return 0;
}

static int stop(void **state)
{
    free(*state);
    return 0;
}

static enum token_result prove(struct world *self, const char *key, int64_t now_s)
{
    const struct token *token;
    return tokens_prove(&self->tokens, (struct span){(const char *)self->id, TOKEN_ID_BYTES},
                        (struct span){(const char *)self->secret, TOKEN_SECRET_BYTES}, key, now_s,
                        &token);
}

static enum token_result guess(struct world *self, const char *secret, size_t size)
{
    const struct token *token;
    return tokens_prove(&self->tokens, (struct span){(const char *)self->id, TOKEN_ID_BYTES},
                        (struct span){secret, size}, "stranger", NOW, &token);
}

static void test_the_first_key_has_it_and_may_ask_again(void **state)
{
    struct world *self = *state;
    assert_int_equal(prove(self, "key-1", NOW), TOKEN_GOOD);
    assert_int_equal(prove(self, "key-2", NOW), TOKEN_SPENT);
    assert_int_equal(prove(self, "key-1", LATER - 1), TOKEN_GOOD);
    assert_int_equal(prove(self, "key-1", LATER), TOKEN_UNKNOWN);
}

static void test_what_was_not_given_is_free_again(void **state)
{
    struct world *self = *state;
    assert_int_equal(prove(self, "key-1", NOW), TOKEN_GOOD);
    tokens_unbind(&self->tokens, "key-1");
    assert_int_equal(prove(self, "key-2", NOW), TOKEN_GOOD);
}

static void test_the_fifth_wrong_secret_burns_it(void **state)
{
    struct world *self = *state;
    for (int i = 0; i < TOKEN_WRONG_MOST - 1; i++)
        assert_int_equal(guess(self, "01234567890123456789", TOKEN_SECRET_BYTES), TOKEN_WRONG);
    assert_int_equal(prove(self, "key-1", NOW), TOKEN_GOOD); // four do no harm
    assert_int_equal(guess(self, "", 0), TOKEN_WRONG);
    assert_int_equal(prove(self, "key-1", NOW), TOKEN_UNKNOWN);
    assert_int_equal(tokens_alive(&self->tokens, NOW), 0);
}

static void test_a_strange_id_is_unknown(void **state)
{
    struct world *self = *state;
    const struct token *token;
    struct span secret = {(const char *)self->secret, TOKEN_SECRET_BYTES};
    for (size_t size = 0; size <= TOKEN_ID_BYTES; size++)
        assert_int_equal(tokens_prove(&self->tokens, (struct span){"\0\0\0\0\0\0\0\0", size},
                                      secret, "key", NOW, &token),
                         TOKEN_UNKNOWN);
    assert_int_equal(prove(self, "key-1", NOW), TOKEN_GOOD);
}

static void test_the_door_is_open_while_one_can_be_spent(void **state)
{
    struct world *self = *state;
    assert_int_equal(tokens_alive(&self->tokens, NOW), 1);
    assert_int_equal(prove(self, "key-1", NOW), TOKEN_GOOD);
    assert_int_equal(tokens_alive(&self->tokens, NOW + TOKEN_LINGER_S - 1), 1);
    assert_int_equal(tokens_alive(&self->tokens, NOW + TOKEN_LINGER_S), 0);
    assert_int_equal(tokens_alive(&self->tokens, LATER), 0);
    assert_int_equal(self->tokens.count, 0);
}

static void test_only_so_many_live_at_once(void **state)
{
    struct world *self = *state;
    uint8_t secret[TOKEN_SECRET_BYTES];
    for (int i = 1; i < TOKENS_MOST; i++)
        assert_non_null(tokens_make(&self->tokens, ROLE_WORKER, "", NOW, LATER, secret));
    assert_null(tokens_make(&self->tokens, ROLE_WORKER, "", NOW, LATER, secret));
    assert_non_null(tokens_make(&self->tokens, ROLE_WORKER, "", LATER, LATER + 1, secret));
}

static void test_an_address_may_try_so_often(void **state)
{
    (void)state;
    struct throttle *throttle = allocate(sizeof(*throttle));
    int taken = 0;
    for (int i = 0; i < 100; i++)
        taken += throttle_may(throttle, "192.0.2.1", NOW);
    assert_int_equal(taken, THROTTLE_BURST);
    assert_int_equal(throttle_may(throttle, "::ffff:192.0.2.1", NOW), 0); // the same
    assert_int_equal(throttle_may(throttle, "192.0.2.2", NOW), 1);
    assert_int_equal(throttle_may(throttle, "192.0.2.1", NOW + THROTTLE_REFILL_MS), 1);
    assert_int_equal(throttle_may(throttle, "192.0.2.1", NOW + THROTTLE_REFILL_MS), 0);
    for (int i = 0; i < THROTTLE_BURST; i++)
        assert_int_equal(throttle_may(throttle, "2001:db8:1:2::1", NOW), 1);
    assert_int_equal(throttle_may(throttle, "2001:db8:1:2:ffff::9", NOW), 0); // its /64
    assert_int_equal(throttle_may(throttle, "2001:db8:1:3::1", NOW), 1);
    free(throttle);
}

static void test_many_addresses_push_out_the_quiet_ones(void **state)
{
    (void)state;
    struct throttle *throttle = allocate(sizeof(*throttle));
    char address[32];
    for (int i = 0; i < 10 * THROTTLE_ENTRIES; i++) {
        snprintf(address, sizeof(address), "10.1.%d.%d", i / 256, i % 256);
        assert_int_equal(throttle_may(throttle, address, NOW + i), 1);
    }
    free(throttle);
}

#define TOKEN_TEST(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOKEN_TEST(test_the_first_key_has_it_and_may_ask_again),
        TOKEN_TEST(test_what_was_not_given_is_free_again),
        TOKEN_TEST(test_the_fifth_wrong_secret_burns_it),
        TOKEN_TEST(test_a_strange_id_is_unknown),
        TOKEN_TEST(test_the_door_is_open_while_one_can_be_spent),
        TOKEN_TEST(test_only_so_many_live_at_once),
        cmocka_unit_test(test_an_address_may_try_so_often),
        cmocka_unit_test(test_many_addresses_push_out_the_quiet_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
