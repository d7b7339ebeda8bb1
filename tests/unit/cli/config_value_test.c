// SPDX-License-Identifier: Apache-2.0
#include "cli/config_value.h"
#include "core/base/base.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
    const char *document, *key, *text;
    const char *json; // NULL: it is no text
} rows[] = {
    {"domain/a.org", "route", "next-hop", "\"next-hop\""},
    {"domain/a.org", "route", "12", "\"12\""},
    {"domain/a.org", "route", "\"a\"", "\"\\\"a\\\"\""},
    {"domain/a.org", "description", "[1, 2]", "\"[1, 2]\""},
    {"domain/a.org", "recipients", "anna, bert,,", "[\"anna\", \"bert\"]"},
    {"domain/a.org", "recipients", "[\"anna\"]", "[\"anna\"]"},
    {"domain/a.org", "recipients", "", "[]"},
    {"route/r", "hops", "a:25,[::1]:26", "[\"a:25\", \"[::1]:26\"]"},
    {"route/r", "hops", "[::1]:26", "\"[::1]:26\""}, // begins like JSON: the master will tell
    {"route/r", "hops", "[{\"host\": \"a\"}]", "[{\"host\": \"a\"}]"},
    {"route/r", "tls", "may", "\"may\""},
    {"route/r", "concurrency", "7", "7"},
    {"route/r", "concurrency", "seven", "\"seven\""},
    {"policy/p", "reject", "null", "null"},
    {"policy/p", "reject", "-1.5", "-1.5"},
    {"ingress", "message_max", "50M", "\"50M\""},
    {"ingress", "message_max", "1048576", "1048576"},
    {"ingress", "greylist", "true", "true"},
    {"ingress", "greylist", "yes", "\"yes\""},
    {"ingress", "unknown", "5", "5"},
    {"nothing", "unknown", "x y", "\"x y\""},
    {"ingress", "description", "\xff", NULL},
};

static void test_texts_become_values_of_their_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char error[256] = "";
        json_t *value =
            config_value(rows[i].document, rows[i].key, rows[i].text, error, sizeof(error));
        char *json = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
        if (!json != !rows[i].json)
            fail_msg("row %zu: %s%s", i, json ? json : "", error);
        if (json)
            assert_string_equal(json, rows[i].json);
        else
            assert_string_equal(error, "ingress.description: the value is not UTF-8");
        free(json);
        json_decref(value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_texts_become_values_of_their_key)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
