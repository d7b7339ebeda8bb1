// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/analyzer/examine.h"

#define HEAD "From: a@b\r\nDate: x\r\nMIME-Version: 1.0\r\n"

// A message, the finding it must have with the evidence it names, and what becomes of it.
static const struct {
    const char *message, *finding, *evidence;
    Postern__Action action;
} cases[] = {
    {"Date: x\r\n\r\n", "from-missing", "", POSTERN__ACTION__ACTION_ACCEPT},
    {"From: a@b\r\n\r\n", "date-missing", "", POSTERN__ACTION__ACTION_ACCEPT},
    {"From: a@b\r\nFrom: c@d\r\nDate: x\r\n\r\n", "from-repeated", "",
     POSTERN__ACTION__ACTION_QUARANTINE},
    {HEAD "Subject: a\r\nSubject: b\r\n\r\n", "field-repeated", "Subject",
     POSTERN__ACTION__ACTION_ACCEPT},
    {HEAD "Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nx", "mime-ambiguous",
     "type-repeated", POSTERN__ACTION__ACTION_QUARANTINE},
    {HEAD "Content-Type: multipart/mixed; boundary=a; boundary=b\r\n\r\n--a\r\n\r\n--a--\r\n",
     "mime-ambiguous", "boundary-repeated", POSTERN__ACTION__ACTION_QUARANTINE},
    {HEAD "Content-Type: message/partial; id=a; number=1\r\n\r\nx", "mime-fragment", "",
     POSTERN__ACTION__ACTION_QUARANTINE},
    {HEAD "junk\r\nSubject: x\r\n\r\nx\r\n", "mime-malformed", "header-junk",
     POSTERN__ACTION__ACTION_ACCEPT},
    {HEAD "\r\nx\nbare\n", "mime-malformed", "body-bare", POSTERN__ACTION__ACTION_ACCEPT},
};

static void odd_messages_have_their_finding(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct examined result = examine(NULL, cases[i].message);
        const Postern__Finding *finding = found(&result, cases[i].finding);
        if (finding == NULL)
            fail_msg("case %zu: no %s", i, cases[i].finding);
        struct span evidence = {(char *)finding->evidence.data, finding->evidence.len};
        if (!span_equal(evidence, span_of(cases[i].evidence)))
            fail_msg("case %zu: %.*s", i, (int)evidence.size, evidence.data);
        assert_int_equal(action_for(&result, 0), cases[i].action);
        assert_true(finding->sentence.len > 0);
        examined_free(&result);
    }
}

static void the_same_field_twice_with_one_value_is_no_news(void **state)
{
    (void)state;
    struct examined result =
        examine(NULL, HEAD "From: a@b\r\nSubject: x\r\nSubject:  x \r\n"
                           "Content-Type: text/plain\r\nContent-Type: TEXT/plain\r\n\r\nx\r\n");
    assert_int_equal(result.verdict->n_findings, 0);
    examined_free(&result);
}

// Evidence stands in header fields, logs and pages.
static void evidence_is_printable_and_short(void **state)
{
    static const struct finding finding = {
        .name = "x", .sentence = "X", .class = FINDING_SCORE, .recipient = ALL_RECIPIENTS};
    struct examination examination = {0};
    char evidence[1000];
    (void)state;
    memset(evidence, 'a', sizeof(evidence));
    memcpy(evidence, "\r\n\0\x1b[1m\377", 8);
    examination_find(&examination, &finding, evidence, sizeof(evidence));
    examination_find(&examination, &finding, "again", 5);
    assert_int_equal(examination.finding_count, 1);
    assert_int_equal(strlen(examination.findings[0].evidence), EVIDENCE_MOST - 1);
    assert_memory_equal(examination.findings[0].evidence, "????[1m?aaa", 11);
    examination_free(&examination);
}

static void a_message_that_was_not_examined_is_for_quarantine(void **state)
{
    (void)state;
    Postern__Verdict *verdict = verdict_unexamined("message-unreadable", "It could not be read");
    assert_int_equal(verdict->n_recipients, 0);
    assert_int_equal(verdict->n_findings, 1);
    assert_memory_equal(verdict->quarantine_name.data, "message-unreadable", 18);
    verdict_destroy(&verdict);
    assert_null(verdict);
    verdict_destroy(&verdict);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_messages_have_their_finding),
        cmocka_unit_test(the_same_field_twice_with_one_value_is_no_news),
        cmocka_unit_test(evidence_is_printable_and_short),
        cmocka_unit_test(a_message_that_was_not_examined_is_for_quarantine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
