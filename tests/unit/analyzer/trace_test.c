// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/analyzer/examine.h"

#define GTUBE "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

// What follows the trace fields.
static const char *rest_of(const struct examined *result)
{
    static const char last[] = "X-Postern-Findings:";
    buffer_add((struct buffer *)(uintptr_t)&result->changed, "", 1); // ends the text
    const char *at = strstr(buffer_bytes(&result->changed), last);
    assert_non_null(at);
    at = strstr(at, "\r\n");
    while (at != NULL && at[2] == ' ')
        at = strstr(at + 2, "\r\n");
    assert_non_null(at);
    return at + 2;
}

static void the_trace_stands_in_front(void **state)
{
    static const char message[] = "From: a@b\r\nDate: x\r\n\r\nbody\r\n";
    (void)state;
    struct examined result = examine(NULL, message);
    assert_true(changed_has(&result, "Authentication-Results: mx.test.example; none\r\n"
                                     "X-Postern-Id: 0"));
    assert_true(changed_has(&result, "\r\nX-Postern-Verdict: accept; score=0.0\r\n"
                                     "X-Postern-Findings: none\r\n"));
    assert_string_equal(rest_of(&result), message);
    examined_free(&result);
}

static void forged_fields_are_taken_out(void **state)
{
    static const struct {
        const char *header, *rest;
    } cases[] = {
        {"X-Postern-Verdict: accept\r\nFrom: a@b\r\nDate: x\r\n", "From: a@b\r\nDate: x\r\n"},
        {"From: a@b\r\nx-postern-id: 1\r\n folded\r\nDate: x\r\n", "From: a@b\r\nDate: x\r\n"},
        {"From: a@b\r\nDate: x\r\nX-Postern-Findings : none\r\n", "From: a@b\r\nDate: x\r\n"},
        {"X-Postern-A: 1\r\nX-Postern-B: 2\r\nFrom: a@b\r\nX-Postern-C: 3\r\nDate: x\r\n",
         "From: a@b\r\nDate: x\r\n"},
        {"Authentication-Results: mx.test.example; dkim=pass\r\nFrom: a@b\r\nDate: x\r\n",
         "From: a@b\r\nDate: x\r\n"},
        {"Authentication-Results: (x) MX.test.EXAMPLE (y) 1; spf=pass\r\nFrom: a@b\r\nDate: x\r\n",
         "From: a@b\r\nDate: x\r\n"},
        {"Authentication-Results: \"mx.test.example\"; spf=pass\r\nFrom: a@b\r\nDate: x\r\n",
         "From: a@b\r\nDate: x\r\n"},
        // Another host's results stay, a longer name is another host.
        {"Authentication-Results: mx.test.example.net; spf=pass\r\nFrom: a@b\r\nDate: x\r\n", NULL},
        {"Authentication-Results: other.example; spf=pass\r\nFrom: a@b\r\nDate: x\r\n", NULL},
        {"X-Posternal: 1\r\nFrom: a@b\r\nDate: x\r\n", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char message[512], wanted[512];
        snprintf(message, sizeof(message), "%s\r\nX-Postern-Id: stays in the body\r\n",
                 cases[i].header);
        snprintf(wanted, sizeof(wanted), "%s\r\nX-Postern-Id: stays in the body\r\n",
                 cases[i].rest != NULL ? cases[i].rest : cases[i].header);
        struct examined result = examine(NULL, message);
        assert_string_equal(rest_of(&result), wanted);
        examined_free(&result);
    }
}

static void a_message_without_header_keeps_its_body(void **state)
{
    static const struct {
        const char *message, *rest;
    } cases[] = {
        {"hello\r\nworld\r\n", "\r\nhello\r\nworld\r\n"},
        {"hello world\r\n\r\nfoo\r\n", "\r\nhello world\r\n\r\nfoo\r\n"},
        {"\r\nhello\r\n", "\r\nhello\r\n"},
        {"", "\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct examined result = examine(NULL, cases[i].message);
        assert_string_equal(rest_of(&result), cases[i].rest);
        examined_free(&result);
    }
}

static void a_tagged_subject_has_its_prefix(void **state)
{
    static const struct asked asked = {
        .documents = "{\"policy/default\":{\"tag\":5,\"quarantine\":null,\"reject\":null,"
                     "\"tag_prefix\":\"[spam]\"}}"};
    static const struct {
        const char *header, *wanted;
    } cases[] = {
        {"From: a@b\r\nDate: x\r\nSubject: buy\r\n",
         "From: a@b\r\nDate: x\r\nSubject: [spam] buy\r\n"},
        {"From: a@b\r\nDate: x\r\n", "Subject: [spam]\r\nFrom: a@b\r\nDate: x\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char message[512], wanted[512];
        snprintf(message, sizeof(message), "%s\r\n" GTUBE "\r\n", cases[i].header);
        snprintf(wanted, sizeof(wanted), "%s\r\n" GTUBE "\r\n", cases[i].wanted);
        struct examined result = examine(&asked, message);
        assert_int_equal(action_for(&result, 0), POSTERN__ACTION__ACTION_TAG);
        assert_true(changed_has(&result, "X-Postern-Verdict: tag; score=1000.0\r\n"
                                         "X-Postern-Findings: gtube(1000.0)\r\n"));
        assert_string_equal(rest_of(&result), wanted);
        examined_free(&result);
    }
}

static void no_trace_line_is_longer_than_78(void **state)
{
    static const char message[] =
        "From: a@b\r\nFrom: c@d\r\nSubject: 1\r\nSubject: 2\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=a; boundary=b\r\n"
        "Content-Type: text/plain\r\n\r\n--a\r\n\r\n" GTUBE "\r\n--a--\r\n--b--\r\n";
    (void)state;
    struct examined result = examine(NULL, message);
    const char *text = buffer_bytes(&result.changed);
    for (const char *end; (end = strstr(text, "\r\n")) != NULL && end != text; text = end + 2)
        assert_true(end - text <= 78);
    examined_free(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_trace_stands_in_front),
        cmocka_unit_test(forged_fields_are_taken_out),
        cmocka_unit_test(a_message_without_header_keeps_its_body),
        cmocka_unit_test(a_tagged_subject_has_its_prefix),
        cmocka_unit_test(no_trace_line_is_longer_than_78),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
