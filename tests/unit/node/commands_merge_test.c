// SPDX-License-Identifier: Apache-2.0
#include "node/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *about, *replies;
    size_t limit;
    const char *whole;
    int failed;
} cases[] = {
    {"no delivery", "[]", 0, "{\"error\":\"no delivery runs\"}", 1},
    {"counts add up", "[{\"slot\":0,\"body\":{\"count\":2}},{\"slot\":1,\"body\":{\"count\":3}}]",
     0, "{\"count\":5}", 0},
    {"one did it, one did not answer",
     "[{\"slot\":0,\"body\":{\"count\":2}},{\"slot\":1,\"error\":\"late\"}]", 0,
     "{\"count\":2,\"errors\":[{\"slot\":1,\"error\":\"late\"}]}", 0},
    {"nobody did it", "[{\"slot\":0,\"error\":\"no such command\"}]", 0,
     "{\"error\":\"no such command\",\"errors\":[{\"slot\":0,\"error\":\"no such command\"}]}", 1},
    {"rows of all, newest first",
     "[{\"slot\":0,\"body\":{\"queue\":[{\"id\":\"a\",\"received_ms\":1},"
     "{\"id\":\"c\",\"received_ms\":3}]}},"
     "{\"slot\":1,\"body\":{\"queue\":[{\"id\":\"b\",\"received_ms\":2}]}}]",
     0,
     "{\"queue\":[{\"id\":\"c\",\"received_ms\":3},{\"id\":\"b\",\"received_ms\":2},"
     "{\"id\":\"a\",\"received_ms\":1}]}",
     0},
    {"as many as were asked for",
     "[{\"slot\":0,\"body\":{\"queue\":[{\"id\":\"a\",\"received_ms\":1}]}},"
     "{\"slot\":1,\"body\":{\"queue\":[{\"id\":\"b\",\"received_ms\":2}]}}]",
     1, "{\"queue\":[{\"id\":\"b\",\"received_ms\":2}]}", 0},
    {"the one that holds the mail knows its outcome",
     "[{\"slot\":0,\"body\":{\"outcome\":\"unknown\"}},"
     "{\"slot\":1,\"body\":{\"outcome\":\"released\"}}]",
     0, "{\"outcome\":\"released\"}", 0},
    {"known, whoever else is silent",
     "[{\"slot\":0,\"body\":{\"outcome\":\"pending\"}},{\"slot\":1,\"error\":\"late\"}]", 0,
     "{\"outcome\":\"pending\",\"errors\":[{\"slot\":1,\"error\":\"late\"}]}", 0},
    {"unknown is only said when all have answered",
     "[{\"slot\":0,\"body\":{\"outcome\":\"unknown\"}},{\"slot\":1,\"error\":\"late\"}]", 0,
     "{\"error\":\"late\",\"outcome\":\"unknown\",\"errors\":[{\"slot\":1,\"error\":\"late\"}]}",
     1},
    {"unknown to all", "[{\"slot\":0,\"body\":{\"outcome\":\"unknown\"}}]", 0,
     "{\"outcome\":\"unknown\"}", 0},
};

static void every_case_is_merged(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        json_t *replies = json_loads(cases[i].replies, 0, NULL);
        json_t *wanted = json_loads(cases[i].whole, 0, NULL);
        int failed = -1;
        assert_non_null(replies);
        assert_non_null(wanted);
        json_t *whole = commands_merge(replies, cases[i].limit, &failed);
        if (failed != cases[i].failed || !json_equal(whole, wanted))
            fail_msg("%s: %s", cases[i].about, json_dumps(whole, 0));
        json_decref(whole);
        json_decref(wanted);
        json_decref(replies);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_case_is_merged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
