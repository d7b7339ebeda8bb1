// SPDX-License-Identifier: Apache-2.0
#include "core/bus/token.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static char *make(const char *secret, const char *key)
{
    Postern__JoinToken token = POSTERN__JOIN_TOKEN__INIT;
    Postern__JoinDoor door = POSTERN__JOIN_DOOR__INIT, *doors[] = {&door};
    door.enrol = bytes_of("tcp://192.0.2.1:7700");
    door.control = bytes_of("tcp://192.0.2.1:7701");
    door.key = bytes_of(key);
    token.doors = doors;
    token.n_doors = 1;
    token.cluster = bytes_of("c");
    token.role = bytes_of("worker");
    token.id = bytes_of("12345678");
    token.secret = bytes_of(secret);
    token.expires_s = 7;
    return token_encode(&token);
}

static const char secret[] = "\xff\xfe\xfd secret secret...";
static const char key[] = "DkZ?&oehuM)OX!:5xQ2:8G/J?+0&)}]7uYKm3WlE";

static void test_what_was_encoded_is_decoded(void **state)
{
    (void)state;
    char *text = make(secret, key), framed[TOKEN_TEXT_MOST], error[128];
    assert_int_equal(
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"),
        strlen(text));
    snprintf(framed, sizeof(framed), " \n%s\r\n", text);
    Postern__JoinToken *token = token_decode(framed, error, sizeof(error));
    assert_non_null(token);
    assert_memory_equal(token->secret.data, secret, TOKEN_SECRET_BYTES);
    assert_int_equal(token->expires_s, 7);
    assert_memory_equal(token->doors[0]->enrol.data, "tcp://192.0.2.1:7700", 20);
    token_free(&token);
    assert_null(token);
    free(text);
}

static void assert_no_token(const char *text)
{
    char error[128] = "";
    assert_null(token_decode(text, error, sizeof(error)));
    assert_non_null(strstr(error, "this is no token"));
}

static void test_what_is_no_token(void **state)
{
    (void)state;
    static const char *const bad[] = {"", " ", "-", "=", "abc", "a b", "AAAA", "CgFj", "\xff\xff"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        assert_no_token(bad[i]);
    char *text = make("short", key);
    assert_no_token(text);
    free(text);
    text = make(secret, "no key");
    assert_no_token(text);
    free(text);
    char *long_text = allocate(TOKEN_TEXT_MOST + 10);
    memset(long_text, 'A', TOKEN_TEXT_MOST + 9);
    assert_no_token(long_text);
    free(long_text);
}

// Cut anywhere, or with any letter changed, it is refused or still a whole token.
static void test_spoiled_tokens_do_no_harm(void **state)
{
    (void)state;
    char *text = make(secret, key), error[128];
    size_t size = strlen(text);
    for (size_t cut = 0; cut < size; cut++) {
        char *part = duplicate(text);
        part[cut] = 0;
        Postern__JoinToken *token = token_decode(part, error, sizeof(error));
        token_free(&token);
        part[cut] = text[cut] == 'A' ? '_' : 'A';
        token = token_decode(part, error, sizeof(error));
        if (token)
            assert_true(token->n_doors == 1 && token->secret.len == TOKEN_SECRET_BYTES);
        token_free(&token);
        free(part);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_encoded_is_decoded),
        cmocka_unit_test(test_what_is_no_token),
        cmocka_unit_test(test_spoiled_tokens_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
