// SPDX-License-Identifier: Apache-2.0
#include "core/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void escaped_text_is_one_harmless_word(void **state)
{
    (void)state;
    static const struct {
        struct span input;
        size_t room;
        const char *expected;
    } cases[] = {
        {{"user@example.org", 16}, 64, "user@example.org"},
        {{"a b", 3}, 64, "a\\x20b"},
        {{"x=\"y'\\", 6}, 64, "x\\x3d\\x22y\\x27\\x5c"},
        {{"a\r\nforged", 9}, 64, "a\\x0d\\x0aforged"},
        {{"\0\xff", 2}, 64, "\\x00\\xff"},
        {{"abcdef", 6}, 4, "abc"},
        {{"ab\x80", 3}, 6, "ab"}, // an escape is never cut in half
        {{"ab", 2}, 1, ""},
        {{NULL, 0}, 8, ""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char text[64];
        log_escape(cases[i].input.data, cases[i].input.size, text, cases[i].room);
        assert_string_equal(text, cases[i].expected);
    }
}

// Lines go to stderr, so stderr is a file for the time of the test.
static char *logged(void (*work)(void))
{
    char path[] = "/tmp/postern-log-XXXXXX";
    int fd = mkstemp(path), kept = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    work();
    dup2(kept, STDERR_FILENO);
    close(kept);
    static char text[1 << 16];
    ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
    text[size > 0 ? size : 0] = 0;
    close(fd);
    unlink(path);
    return text;
}

static void write_some(void)
{
    log_start("postern-test", LOG_INFO);
    log_debug("unseen", "n=%d", 0);
    for (int i = 1; i <= 200; i++)
        log_info("counted", "n=%d", i);
    log_error("odd", "text=%s", "one\ntwo");
    log_stop();
    log_info("late", "n=%d", 1);
}

static void every_line_is_written_in_order_and_is_one_line(void **state)
{
    (void)state;
    const char *at = logged(write_some);
    assert_null(strstr(at, "unseen"));
    for (int i = 1; i <= 200; i++) {
        char wanted[64];
        snprintf(wanted, sizeof(wanted), " info postern-test counted n=%d\n", i);
        at = strstr(at, wanted);
        assert_non_null(at);
    }
    assert_non_null(strstr(at, " error postern-test odd text=one?two\n"));
    assert_non_null(strstr(at, " info postern-test late n=1\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escaped_text_is_one_harmless_word),
        cmocka_unit_test(every_line_is_written_in_order_and_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
