// SPDX-License-Identifier: Apache-2.0
// Dialogues of the SMTP client, as tables: what the server says, what we say, what each recipient
// gets.
#include "delivery/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS_MOST = 40, RECIPIENTS_MOST = 3 };

struct dialogue {
    const char *name;
    enum tls_policy tls;
    const char *sender;
    const char *recipients[RECIPIENTS_MOST];
    int eight_bit, smtputf8;
    uint64_t size;
    unsigned notify, ret;
    // "<text": the server says it (a line end is added); ">line": we said that line; "=ACTION":
    // what is to be done now.
    const char *steps[STEPS_MOST];
    const char *results[RECIPIENTS_MOST]; // "delivered 2.0.0", NULL: none
};

#define GREETING "<220 hello", ">EHLO me.example"
#define FULL                                                                                       \
    "<250-there\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN"

static const struct dialogue dialogues[] = {
    {.name = "pipelined, accepted",
     .recipients = {"a@x.example"},
     .steps = {GREETING, FULL, "=READY", ">MAIL FROM:<s@x.example> SIZE=100",
               ">RCPT TO:<a@x.example>", ">DATA", "<250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go",
               "=BODY", ">.", "<250 2.0.0 queued", "=READY"},
     .results = {"delivered 2.0.0"}},
    {.name = "one by one",
     .recipients = {"a@x.example", "b@x.example"},
     .steps = {GREETING, "<250 there", "=READY", ">MAIL FROM:<s@x.example>", "<250 ok",
               ">RCPT TO:<a@x.example>", "<550 5.1.1 nobody", ">RCPT TO:<b@x.example>", "<250 ok",
               ">DATA", "<354 go", "=BODY", ">.", "<250 ok", "=READY"},
     .results = {"failed 5.1.1", "delivered 2.0.0"}},
    {.name = "HELO when EHLO is not known",
     .recipients = {"a@x.example"},
     .steps = {GREETING, "<502 what", ">HELO me.example", "<250 there", "=READY",
               ">MAIL FROM:<s@x.example>", "<250 ok", ">RCPT TO:<a@x.example>", "<250 ok", ">DATA",
               "<354 go", "=BODY", ">.", "<250 ok", "=READY"},
     .results = {"delivered 2.0.0"}},
    {.name = "each recipient its own reply",
     .recipients = {"a@x.example", "b@x.example", "c@x.example"},
     .steps = {GREETING, FULL, "=READY", ">MAIL FROM:<s@x.example> SIZE=100",
               ">RCPT TO:<a@x.example>", ">RCPT TO:<b@x.example>", ">RCPT TO:<c@x.example>",
               ">DATA",
               "<250 ok\r\n450 4.2.1 later\r\n550-5.1.1 no\r\n550 5.1.1 body\r\n250 ok\r\n354 go",
               "=BODY", ">.", "<250 ok", "=READY"},
     .results = {"deferred 4.2.1", "failed 5.1.1", "delivered 2.0.0"}},
    {.name = "refused after the dot",
     .recipients = {"a@x.example"},
     .steps = {GREETING, FULL, "=READY", ">MAIL FROM:<s@x.example> SIZE=100",
               ">RCPT TO:<a@x.example>", ">DATA", "<250 ok\r\n250 ok\r\n354 go", "=BODY", ">.",
               "<554 5.7.1 spam", "=READY"},
     .results = {"failed 5.7.1"}},
    {.name = "MAIL refused, pipelined",
     .recipients = {"a@x.example"},
     .steps = {GREETING, FULL, "=READY", ">MAIL FROM:<s@x.example> SIZE=100",
               ">RCPT TO:<a@x.example>", ">DATA",
               "<451 4.7.1 greylisted\r\n503 no mail\r\n503 no mail", "=READY"},
     .results = {"deferred 4.7.1"}},
    {.name = "nobody left, yet DATA is taken",
     .recipients = {"a@x.example"},
     .steps = {GREETING, FULL, "=READY", ">MAIL FROM:<s@x.example> SIZE=100",
               ">RCPT TO:<a@x.example>", ">DATA", "<250 ok\r\n550 5.1.1 no\r\n354 go", ">.",
               "<554 no recipients", "=READY"},
     .results = {"failed 5.1.1"}},
    {.name = "421 in the middle",
     .recipients = {"a@x.example"},
     .steps = {GREETING, FULL, "=READY", ">MAIL FROM:<s@x.example> SIZE=100",
               ">RCPT TO:<a@x.example>", ">DATA", "<250 ok\r\n421 4.3.2 going down", "=CLOSED"},
     .results = {"deferred 4.3.2"}},
    {.name = "552 to RCPT without more means too many",
     .recipients = {"a@x.example"},
     .steps = {GREETING, FULL, "=READY", ">MAIL FROM:<s@x.example> SIZE=100",
               ">RCPT TO:<a@x.example>", ">DATA", "<250 ok\r\n552 too many\r\n503 nobody",
               "=READY"},
     .results = {"deferred 4.5.3"}},
    {.name = "too big for the server",
     .recipients = {"a@x.example"},
     .size = 1001,
     .steps = {GREETING, FULL, "=READY", "=READY"},
     .results = {"failed 5.3.4"}},
    {.name = "8-bit content, no 8BITMIME",
     .recipients = {"a@x.example"},
     .eight_bit = 1,
     .steps = {GREETING, "<250 there", "=READY", "=READY"},
     .results = {"failed 5.6.3"}},
    {.name = "8-bit content",
     .recipients = {"a@x.example"},
     .eight_bit = 1,
     .steps = {GREETING, FULL, "=READY", ">MAIL FROM:<s@x.example> SIZE=100 BODY=8BITMIME",
               ">RCPT TO:<a@x.example>", ">DATA", "<250 ok\r\n250 ok\r\n354 go", "=BODY", ">.",
               "<250 ok", "=READY"},
     .results = {"delivered 2.0.0"}},
    {.name = "only the internationalized recipient fails",
     .recipients = {"j\xc3\xb6rg@x.example", "b@x.example"},
     .smtputf8 = 1,
     .steps = {GREETING, "<250-there\r\n250 8BITMIME", "=READY", ">MAIL FROM:<s@x.example>",
               "<250 ok", ">RCPT TO:<b@x.example>", "<250 ok", ">DATA", "<354 go", "=BODY", ">.",
               "<250 ok", "=READY"},
     .results = {"failed 5.6.7", "delivered 2.0.0"}},
    {.name = "internationalized to who takes it",
     .recipients = {"j\xc3\xb6rg@x.example"},
     .smtputf8 = 1,
     .steps = {GREETING, FULL, "=READY", ">MAIL FROM:<s@x.example> SIZE=100 SMTPUTF8",
               ">RCPT TO:<j\xc3\xb6rg@x.example>", ">DATA", "<250 ok\r\n250 ok\r\n354 go", "=BODY",
               ">.", "<250 ok", "=READY"},
     .results = {"delivered 2.0.0"}},
    {.name = "DSN parameters passed on",
     .recipients = {"a@x.example"},
     .notify = 2 | 4,
     .ret = 2,
     .steps = {GREETING, FULL, "=READY", ">MAIL FROM:<s@x.example> SIZE=100 RET=HDRS",
               ">RCPT TO:<a@x.example> NOTIFY=SUCCESS,FAILURE", ">DATA",
               "<250 ok\r\n250 ok\r\n354 go", "=BODY", ">.", "<250 ok", "=READY"},
     .results = {"delivered 2.0.0"}},
    {.name = "the null reverse-path",
     .sender = "",
     .recipients = {"a@x.example"},
     .steps = {GREETING, "<250 there", "=READY", ">MAIL FROM:<>", "<250 ok",
               ">RCPT TO:<a@x.example>", "<250 ok", ">DATA", "<354 go", "=BODY", ">.", "<250 ok",
               "=READY"},
     .results = {"delivered 2.0.0"}},
    {.name = "an address that would be a command",
     .recipients = {"a@x.example>\r\nRCPT TO:<evil@x.example", "b@x.example"},
     .steps = {GREETING, "<250 there", "=READY", ">MAIL FROM:<s@x.example>", "<250 ok",
               ">RCPT TO:<b@x.example>", "<250 ok", ">DATA", "<354 go", "=BODY", ">.", "<250 ok",
               "=READY"},
     .results = {"failed 5.1.3", "delivered 2.0.0"}},
    {.name = "STARTTLS where it may be",
     .tls = TLS_MAY,
     .recipients = {"a@x.example"},
     .steps = {GREETING, "<250-there\r\n250 STARTTLS", ">STARTTLS", "<220 go", "=SECURE",
               ">EHLO me.example", "<250 there", "=READY", ">MAIL FROM:<s@x.example>", "<250 ok",
               ">RCPT TO:<a@x.example>", "<250 ok", ">DATA", "<354 go", "=BODY", ">.", "<250 ok",
               "=READY"},
     .results = {"delivered 2.0.0"}},
    {.name = "STARTTLS refused where it may be",
     .tls = TLS_MAY,
     .recipients = {"a@x.example"},
     .steps = {GREETING, "<250-there\r\n250 STARTTLS", ">STARTTLS", "<454 not now", "=READY",
               ">MAIL FROM:<s@x.example>", "<250 ok", ">RCPT TO:<a@x.example>", "<250 ok", ">DATA",
               "<354 go", "=BODY", ">.", "<250 ok", "=READY"},
     .results = {"delivered 2.0.0"}},
    {.name = "STARTTLS not offered where it must be",
     .tls = TLS_ENCRYPT,
     .recipients = {"a@x.example"},
     .steps = {GREETING, "<250 there", "=CLOSED"}},
    {.name = "bytes piped behind the answer to STARTTLS",
     .tls = TLS_MAY,
     .recipients = {"a@x.example"},
     .steps = {GREETING, "<250-there\r\n250 STARTTLS", ">STARTTLS", "<220 go\r\n250 injected",
               "=CLOSED"}},
    {.name = "no SMTP at all",
     .recipients = {"a@x.example"},
     .steps = {"<SSH-2.0-OpenSSH", "=CLOSED"}},
    {.name = "a greeting that sends us away",
     .recipients = {"a@x.example"},
     .steps = {"<554 go away", "=CLOSED"}},
    {.name = "a second answer nobody asked for",
     .recipients = {"a@x.example"},
     .steps = {GREETING, FULL, "=READY", ">MAIL FROM:<s@x.example> SIZE=100",
               ">RCPT TO:<a@x.example>", ">DATA", "<250 ok\r\n250 ok\r\n354 go\r\n250 already",
               "=CLOSED"},
     .results = {"deferred 4.4.2"}},
};

struct run {
    const struct dialogue *dialogue;
    struct client *client;
    struct client_mail mail;
    struct client_recipient recipients[RECIPIENTS_MOST];
    struct buffer in, out;
    enum client_action action;
    int given; // the mail was handed over
};

static const char *action_name(enum client_action action)
{
    static const char *const names[] = {"WAIT", "SECURE", "BODY", "READY", "CLOSED"};
    return names[action];
}

static void expect_line(struct run *run, const char *line)
{
    size_t size = strlen(line);
    if (buffer_size(&run->out) < size + 2 || memcmp(buffer_bytes(&run->out), line, size) != 0 ||
        memcmp(buffer_bytes(&run->out) + size, "\r\n", 2) != 0)
        fail_msg("%s: wanted \"%s\", said \"%.*s\"", run->dialogue->name, line,
                 (int)buffer_size(&run->out), buffer_bytes(&run->out));
    buffer_take(&run->out, size + 2);
}

static void do_action(struct run *run, const char *wanted)
{
    if (strcmp(wanted, action_name(run->action)) != 0)
        fail_msg("%s: wanted %s, got %s (%s)", run->dialogue->name, wanted,
                 action_name(run->action), client_error(run->client));
    if (run->action == CLIENT_READY && !run->given) {
        run->given = 1;
        run->action = client_mail(run->client, &run->mail, &run->out);
    } else if (run->action == CLIENT_BODY) {
        run->action = client_body_sent(run->client, &run->out);
    } else if (run->action == CLIENT_SECURE) {
        buffer_clear(&run->in);
        run->action = client_secured(run->client, &run->out);
    }
}

static void run_steps(struct run *run)
{
    for (size_t i = 0; i < STEPS_MOST && run->dialogue->steps[i]; i++) {
        const char *step = run->dialogue->steps[i];
        if (step[0] == '>') {
            expect_line(run, step + 1);
        } else if (step[0] == '=') {
            do_action(run, step + 1);
        } else {
            assert_int_equal(buffer_size(&run->out), 0); // all we said was expected
            buffer_add_text(&run->in, step + 1);
            buffer_add_text(&run->in, "\r\n");
            run->action = client_feed(run->client, &run->in, &run->out);
        }
    }
    assert_int_equal(buffer_size(&run->out), 0);
}

static void check_results(const struct run *run)
{
    static const char *const names[] = {"none", "delivered", "deferred", "failed"};
    for (size_t i = 0; i < run->mail.count; i++) {
        char text[64];
        const struct client_recipient *recipient = &run->recipients[i];
        const char *wanted = run->dialogue->results[i] ? run->dialogue->results[i] : "none ";
        snprintf(text, sizeof(text), "%s %s", names[recipient->result], recipient->status);
        if (strcmp(text, wanted) != 0)
            fail_msg("%s: recipient %zu: wanted %s, got %s (%s)", run->dialogue->name, i, wanted,
                     text, recipient->text ? recipient->text : "");
    }
}

static void run_dialogue(const struct dialogue *dialogue)
{
    struct run run = {.dialogue = dialogue};
    struct client_options options = {.hostname = "me.example", .tls = dialogue->tls};
    const char *sender = dialogue->sender ? dialogue->sender : "s@x.example";
    Postern__Envelope envelope = POSTERN__ENVELOPE__INIT;
    Postern__Recipient to[RECIPIENTS_MOST];
    envelope.reverse_path = (ProtobufCBinaryData){strlen(sender), (uint8_t *)(uintptr_t)sender};
    envelope.smtputf8 = dialogue->smtputf8;
    envelope.ret = dialogue->ret;
    for (size_t i = 0; i < RECIPIENTS_MOST && dialogue->recipients[i]; i++) {
        const char *address = dialogue->recipients[i];
        postern__recipient__init(&to[i]);
        to[i].address = (ProtobufCBinaryData){strlen(address), (uint8_t *)(uintptr_t)address};
        to[i].notify = dialogue->notify;
        run.recipients[i].recipient = &to[i];
        run.mail.count++;
    }
    run.client = client_new(&options);
    run.mail.envelope = &envelope;
    run.mail.recipients = run.recipients;
    run.mail.size = dialogue->size ? dialogue->size : 100;
    run.mail.eight_bit = dialogue->eight_bit;
    run_steps(&run);
    check_results(&run);
    client_recipients_free(run.recipients, run.mail.count);
    client_destroy(&run.client);
    buffer_free(&run.in);
    buffer_free(&run.out);
}

static void test_dialogues(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(dialogues); i++)
        run_dialogue(&dialogues[i]);
}

// After a transaction without a recipient left, the next one begins with RSET.
static void test_reset_before_the_next(void **state)
{
    (void)state;
    static const char *const first = "220 hi\r\n250-x\r\n250 PIPELINING\r\n";
    struct client_options options = {.hostname = "me.example"};
    struct client *client = client_new(&options);
    struct buffer in, out;
    buffer_init(&in);
    buffer_init(&out);
    Postern__Envelope envelope = POSTERN__ENVELOPE__INIT;
    Postern__Recipient to = POSTERN__RECIPIENT__INIT;
    to.address = (ProtobufCBinaryData){3, (uint8_t *)(uintptr_t) "a@b"};
    struct client_recipient recipient = {.recipient = &to};
    struct client_mail mail = {.envelope = &envelope, .recipients = &recipient, .count = 1};
    buffer_add_text(&in, first);
    assert_int_equal(client_feed(client, &in, &out), CLIENT_READY);
    assert_int_equal(client_mail(client, &mail, &out), CLIENT_WAIT);
    buffer_add_text(&in, "250 ok\r\n550 no\r\n503 nobody\r\n");
    assert_int_equal(client_feed(client, &in, &out), CLIENT_READY);
    buffer_clear(&out);
    client_recipients_free(&recipient, 1);
    recipient = (struct client_recipient){.recipient = &to};
    assert_int_equal(client_mail(client, &mail, &out), CLIENT_WAIT);
    assert_int_equal(strncmp(buffer_bytes(&out), "RSET\r\nMAIL FROM:<>", 18), 0);
    assert_true(client_untouched(client));
    client_lost(client, "gone");
    assert_int_equal(recipient.result, RESULT_DEFERRED);
    assert_string_equal(recipient.status, "4.4.2");
    client_recipients_free(&recipient, 1);
    client_destroy(&client);
    buffer_free(&in);
    buffer_free(&out);
}

// A reply that comes byte by byte is the same reply.
static void test_byte_by_byte(void **state)
{
    (void)state;
    static const char *const said = "220-a\r\n220 b\r\n250-x\r\n250-SIZE 5\r\n250 DSN\r\n";
    struct client_options options = {.hostname = "me.example"};
    struct client *client = client_new(&options);
    struct buffer in, out;
    buffer_init(&in);
    buffer_init(&out);
    enum client_action action = CLIENT_WAIT;
    for (size_t i = 0; said[i]; i++) {
        assert_int_equal(action, CLIENT_WAIT);
        buffer_add(&in, said + i, 1);
        action = client_feed(client, &in, &out);
    }
    assert_int_equal(action, CLIENT_READY);
    client_destroy(&client);
    buffer_free(&in);
    buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialogues),
        cmocka_unit_test(test_reset_before_the_next),
        cmocka_unit_test(test_byte_by_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
