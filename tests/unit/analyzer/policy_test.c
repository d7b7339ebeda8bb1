// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/analyzer/examine.h"

#include "analyzer/policy.h"

#define GTUBE "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

enum {
    ACCEPT = POSTERN__ACTION__ACTION_ACCEPT,
    TAG = POSTERN__ACTION__ACTION_TAG,
    QUARANTINE = POSTERN__ACTION__ACTION_QUARANTINE,
    REJECT = POSTERN__ACTION__ACTION_REJECT,
    DISCARD = POSTERN__ACTION__ACTION_DISCARD,
};

// One finding, one recipient, default limits: tag 5, quarantine 8, reject 15.
static void a_finding_leads_to_its_action(void **state)
{
    static const struct {
        enum finding_class class;
        double score;
        int action;
    } cases[] = {
        {FINDING_SCORE, 4.9, ACCEPT},    {FINDING_SCORE, 5, TAG},
        {FINDING_SCORE, 8, QUARANTINE},  {FINDING_SCORE, 15, REJECT},
        {FINDING_VIRUS, 0, REJECT},      {FINDING_AMBIGUOUS, 0, QUARANTINE},
        {FINDING_LIMIT, 0, QUARANTINE},  {FINDING_TIMEOUT, 0, QUARANTINE},
        {FINDING_BLOCKED, 0, REJECT},    {FINDING_ALLOWED, 100, ACCEPT},
        {FINDING_AMBIGUOUS, 20, REJECT},
    };
    (void)state;
    struct settings *settings = test_settings(NULL);
    Postern__Recipient row = POSTERN__RECIPIENT__INIT, *list[] = {&row};
    Postern__Envelope envelope = POSTERN__ENVELOPE__INIT;
    envelope.recipients = list;
    envelope.n_recipients = 1;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct examination examination = {.envelope = &envelope, .settings = settings};
        struct finding finding = {.name = "x",
                                  .sentence = "X",
                                  .class = cases[i].class,
                                  .score = cases[i].score,
                                  .recipient = ALL_RECIPIENTS};
        examination_find(&examination, &finding, "", 0);
        struct decision decision = policy_decide(&examination, 0);
        assert_int_equal(decision.action, cases[i].action);
        examination_free(&examination);
    }
    settings_release(&settings);
}

static void each_recipient_is_under_the_policy_of_its_domain(void **state)
{
    static const struct asked asked = {
        .documents = "{\"domain/a.example\":{\"policy\":\"strict\"},"
                     "\"domain/b.example\":{\"policy\":\"lax\"},\"domain/c.example\":{},"
                     "\"policy/strict\":{\"reject\":1},"
                     "\"policy/lax\":{\"tag\":null,\"quarantine\":null,\"reject\":null},"
                     "\"policy/default\":{\"tag\":5,\"quarantine\":2000,\"reject\":null}}",
        .recipients = {"u@a.example", "u@B.EXAMPLE", "u@c.example", "postmaster"},
    };
    (void)state;
    struct examined result = examine(&asked, "From: a@b\r\nDate: x\r\n\r\n" GTUBE "\r\n");
    assert_int_equal(action_for(&result, 0), REJECT);
    assert_int_equal(action_for(&result, 1), ACCEPT);
    assert_int_equal(action_for(&result, 2), TAG);
    assert_int_equal(action_for(&result, 3), TAG);
    assert_memory_equal(result.verdict->recipients[0]->reply.data,
                        "The message holds the GTUBE test string for spam", 48);
    assert_int_equal(result.verdict->recipients[1]->reply.len, 0);
    assert_memory_equal(result.verdict->policy.data, "strict", 6);
    assert_memory_equal(result.verdict->quarantine_name.data, "gtube", 5);
    examined_free(&result);
}

static void the_policy_says_what_becomes_of_each_kind(void **state)
{
    static const struct {
        const char *policy, *message;
        int action;
    } cases[] = {
        {"{\"on_ambiguous\":\"accept\"}", "From: a@b\r\nFrom: c@d\r\nDate: x\r\n\r\n", ACCEPT},
        {"{\"on_ambiguous\":\"tag\"}", "From: a@b\r\nFrom: c@d\r\nDate: x\r\n\r\n", TAG},
        {"{\"on_ambiguous\":\"reject\"}", "From: a@b\r\nFrom: c@d\r\nDate: x\r\n\r\n", REJECT},
        {"{\"on_virus\":\"discard\"}",
         "From: a@b\r\nDate: x\r\n\r\n"
         "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-"
         "FILE!$H+H*\r\n",
         DISCARD},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char documents[256];
        snprintf(documents, sizeof(documents), "{\"policy/default\":%s}", cases[i].policy);
        struct examined result = examine(&(struct asked){.documents = documents}, cases[i].message);
        assert_int_equal(action_for(&result, 0), cases[i].action);
        if (cases[i].action == DISCARD)
            assert_int_equal(result.verdict->recipients[0]->n_changes, 0);
        examined_free(&result);
    }
}

static void lists_allow_and_block(void **state)
{
    static const char lists[] =
        "{\"list/bad\":{\"kind\":\"block\",\"of\":\"sender\",\"entries\":[\"Bad@x.example\","
        "\"@y.example\",\"@.z.example\"]},"
        "\"list/net\":{\"kind\":\"block\",\"of\":\"client\",\"entries\":[\"192.0.2.0/24\"]},"
        "\"list/good\":{\"kind\":\"allow\",\"of\":\"sender\",\"entries\":[\"good@x.example\"]},"
        "\"list/trap\":{\"kind\":\"block\",\"of\":\"recipient\",\"entries\":[\"trap@d.example\"]}}";
    static const struct {
        const char *from, *client, *recipients[2];
        int actions[2];
        const char *finding;
    } cases[] = {
        {"bad@X.example", "198.51.100.1", {"u@d.example"}, {REJECT}, "sender-blocked"},
        {"any@y.example", "198.51.100.1", {"u@d.example"}, {REJECT}, "sender-blocked"},
        {"any@sub.y.example", "198.51.100.1", {"u@d.example"}, {QUARANTINE}, NULL},
        {"any@sub.z.example", "198.51.100.1", {"u@d.example"}, {REJECT}, "sender-blocked"},
        {"any@deep.sub.z.example", "198.51.100.1", {"u@d.example"}, {REJECT}, "sender-blocked"},
        {"any@xz.example", "198.51.100.1", {"u@d.example"}, {QUARANTINE}, NULL},
        {"any@v.example", "192.0.2.77", {"u@d.example"}, {REJECT}, "client-blocked"},
        {"good@x.example", "198.51.100.1", {"u@d.example"}, {ACCEPT}, "sender-allowed"},
        // A block is a word of the operator's own, whatever else is allowed.
        {"good@x.example", "192.0.2.1", {"u@d.example"}, {REJECT}, "client-blocked"},
        {"any@v.example",
         "198.51.100.1",
         {"u@d.example", "Trap@d.example"},
         {QUARANTINE, REJECT},
         "recipient-blocked"},
        {"", "", {"u@d.example"}, {QUARANTINE}, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        // Eight points by itself: quarantined unless a list says otherwise.
        char documents[1024];
        snprintf(documents, sizeof(documents),
                 "%.*s,\"policy/default\":{\"quarantine\":8,"
                 "\"reject\":2000}}",
                 (int)strlen(lists) - 1, lists);
        struct asked asked = {.documents = documents,
                              .from = cases[i].from,
                              .client = cases[i].client,
                              .recipients = {cases[i].recipients[0], cases[i].recipients[1]}};
        struct examined result = examine(&asked, "From: a@b\r\nDate: x\r\n\r\n" GTUBE "\r\n");
        for (size_t k = 0; k < 2 && cases[i].recipients[k] != NULL; k++)
            assert_int_equal(action_for(&result, k), cases[i].actions[k]);
        if (cases[i].finding != NULL)
            assert_non_null(found(&result, cases[i].finding));
        examined_free(&result);
    }
}

static void a_thousand_recipients_are_judged_each(void **state)
{
    static const char lists[] = "{\"list/trap\":{\"kind\":\"block\",\"of\":\"recipient\","
                                "\"entries\":[\"@trap.example\"]}}";
    enum { COUNT = 1000 };
    static Postern__Recipient rows[COUNT];
    static Postern__Recipient *list[COUNT];
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        postern__recipient__init(&rows[i]);
        rows[i].address = test_bytes(i % 2 == 0 ? "u@trap.example" : "u@other.example");
        list[i] = &rows[i];
    }
    struct examined result = {.loop = loop_new()};
    struct settings *settings = test_settings(lists);
    struct engine *engine = engine_new(result.loop, settings);
    Postern__Envelope envelope = POSTERN__ENVELOPE__INIT;
    envelope.recipients = list;
    envelope.n_recipients = COUNT;
    engine_examine(engine, &envelope, span_of("From: a@b\r\nDate: x\r\n\r\n"), test_ended, &result);
    assert_true(result.ended);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(action_for(&result, i), i % 2 == 0 ? REJECT : ACCEPT);
    assert_int_equal(result.verdict->n_findings, 1);
    assert_true(postern__verdict__get_packed_size(result.verdict) < 1 << 20);
    engine_destroy(&engine);
    settings_release(&settings);
    loop_destroy(&result.loop);
    examined_free(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_finding_leads_to_its_action),
        cmocka_unit_test(each_recipient_is_under_the_policy_of_its_domain),
        cmocka_unit_test(the_policy_says_what_becomes_of_each_kind),
        cmocka_unit_test(lists_allow_and_block),
        cmocka_unit_test(a_thousand_recipients_are_judged_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
