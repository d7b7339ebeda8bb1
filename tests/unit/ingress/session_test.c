// SPDX-License-Identifier: Apache-2.0
#include "ingress/greylist.h"
#include "ingress/reputation.h"
#include "ingress/session.h"
#include "mail/settings.h"
#include "tests/unit/ingress/fake_spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char configuration[] =
    "{\"revision\":\"1\",\"documents\":{"
    "\"domain/example.org\":{\"recipients\":[\"user\",\"other\"]},"
    "\"domain/open.example\":{},"
    "\"relay\":{\"clients\":[\"10.0.0.0/8\"]},"
    "\"ingress\":{\"xclient\":[\"127.0.0.0/"
    "8\"],\"normalise\":[\"192.0.2.9\"],\"message_max\":70000,"
    "\"recipients_max\":100,\"errors_max\":5,\"hops_max\":5,\"rate_per_minute_client\":3,"
    "\"unlimited\":[\"127.0.0.0/8\",\"10.0.0.0/8\",\"192.0.2.9\"]}}}";

struct bench {
    struct session_shared shared;
    struct spool spool;
    struct session *session;
    struct buffer in, out;
    unsigned woken;
    int64_t now_ms;
};

static void on_wake(void *context)
{
    ((struct bench *)context)->woken++;
}

static void bench_open(struct bench *self, const char *client, const char *tls)
{
    char error[512];
    *self = (struct bench){.now_ms = 1000};
    session_shared_init(&self->shared);
    self->shared.settings =
        settings_parse(configuration, sizeof(configuration) - 1, error, sizeof(error));
    if (!self->shared.settings)
        fail_msg("%s", error);
    self->shared.hostname = "mx.example";
    self->shared.spool = &self->spool;
    self->shared.limits = limits_new();
    self->shared.reputation = reputation_new(100);
    self->shared.greylist = greylist_new(100);
    self->shared.tls = 1;
    self->spool.message_max = self->shared.settings->message_max;
    self->spool.answer = ANSWER_ACCEPTED;
    self->spool.text = "ID";
    struct session_options options = {.shared = &self->shared,
                                      .client = client,
                                      .tls = tls,
                                      .out = &self->out,
                                      .wake = on_wake,
                                      .context = self,
                                      .now_ms = self->now_ms};
    self->session = session_new(&options);
}

static void bench_close(struct bench *self)
{
    session_destroy(&self->session);
    assert_int_equal(self->spool.open, 0);
    fake_spool_forget(&self->spool);
    limits_destroy(&self->shared.limits);
    reputation_destroy(&self->shared.reputation);
    greylist_destroy(&self->shared.greylist);
    settings_release(&self->shared.settings);
    buffer_free(&self->in);
    buffer_free(&self->out);
}

// Feeds `bytes` in pieces; `behind` tells whether the pieces arrive before the session looks.
static enum session_want feed(struct bench *self, struct span bytes, size_t piece)
{
    enum session_want want = session_wants(self->session);
    for (size_t at = 0; at < bytes.size; at += piece) {
        size_t size = bytes.size - at < piece ? bytes.size - at : piece;
        buffer_add(&self->in, bytes.data + at, size);
        want = session_feed(self->session, &self->in, self->now_ms);
    }
    return want;
}

// The last lines of all replies, one after the other: "250 2.1.0 Ok|354 ...", and how the session
// stands.
static void summary(struct bench *self, char *ret_text, size_t size)
{
    static const char *const ends[] = {"", "~", "!", "$"};
    const char *at = buffer_bytes(&self->out), *end = at + buffer_size(&self->out);
    size_t used = 0;
    while (at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        assert_non_null(lf);
        assert_int_equal(lf[-1], '\r');
        if (at[3] != '-')
            used += (size_t)snprintf(ret_text + used, size - used, "%.*s|", (int)(lf - 1 - at), at);
        at = lf + 1;
    }
    snprintf(ret_text + used, size - used, "%s", ends[session_wants(self->session)]);
    buffer_clear(&self->out);
}

struct step {
    const char *say;
    const char *hear; // codes, each followed by '|'; then "~" waits, "!" TLS, "$" closes
};

// Compares the codes only: "250 2.1.0|" fits "250 2.1.0 Ok|".
static int fits(const char *heard, const char *expected)
{
    while (*expected && *expected != '~' && *expected != '!' && *expected != '$') {
        const char *bar = strchr(expected, '|');
        size_t size = (size_t)(bar - expected);
        if (strncmp(heard, expected, size) != 0)
            return 0;
        heard = strchr(heard, '|') + 1;
        expected = bar + 1;
    }
    return !strcmp(heard, expected);
}

struct dialogue {
    const char *name, *client, *tls;
    struct step steps[12];
};

#define EHLO                                                                                       \
    {                                                                                              \
        "EHLO client.example\r\n", "250 CHUNKING|"                                                 \
    }
#define MAIL                                                                                       \
    {                                                                                              \
        "MAIL FROM:<a@client.example>\r\n", "250 2.1.0|"                                           \
    }
#define RCPT                                                                                       \
    {                                                                                              \
        "RCPT TO:<user@example.org>\r\n", "250 2.1.5|"                                             \
    }
#define START EHLO, MAIL, RCPT
#define STRANGER "192.0.2.1"
#define LOCAL "127.0.0.1"

static const struct dialogue dialogues[] = {
    {"a mail",
     STRANGER,
     "",
     {START,
      {"DATA\r\n", "354|"},
      {"Subject: a\r\n\r\nb\r\n.\r\n", "250 2.0.0 Ok: queued as 01HF7YAT31J4ZZ8PWVD3Q0T5XS|"},
      {"QUIT\r\n", "221 2.0.0|$"}}},
    {"HELO",
     STRANGER,
     "",
     {{"helo client.example\r\n", "250 mx.example|"},
      MAIL,
      {"RCPT TO:<user@example.org> NOTIFY=NEVER\r\n", "555 5.5.4|"}}},
    {"pipelining",
     STRANGER,
     "",
     {EHLO,
      {"MAIL FROM:<>\r\nRCPT TO:<user@example.org>\r\nRCPT TO:<nobody@example.org>\r\nDATA\r\n",
       "250 2.1.0|250 2.1.5|550 5.1.1|354|"},
      {"x\r\n.\r\nMAIL FROM:<b@client.example>\r\nQUIT\r\n", "250 2.0.0|250 2.1.0|221 2.0.0|$"}}},
    {"nothing before EHLO",
     STRANGER,
     "",
     {{"MAIL FROM:<a@client.example>\r\n", "503 5.5.1|"},
      {"RCPT TO:<user@example.org>\r\n", "503 5.5.1|"},
      {"DATA\r\n", "503 5.5.1|"},
      {"NOOP x\r\n", "250 2.0.0|"},
      {"VRFY user\r\n", "252 2.5.0|"}}},
    {"order",
     STRANGER,
     "",
     {EHLO,
      {"RCPT TO:<user@example.org>\r\n", "503 5.5.1|"},
      MAIL,
      {"MAIL FROM:<a@client.example>\r\n", "503 5.5.1|"},
      {"DATA\r\n", "503 5.5.1|"},
      RCPT,
      {"RSET\r\n", "250 2.0.0|"},
      {"DATA\r\n", "503 5.5.1|"}}},
    {"no valid recipient",
     STRANGER,
     "",
     {EHLO, MAIL, {"RCPT TO:<x@elsewhere.example>\r\nDATA\r\n", "550 5.7.1|554 5.5.1|"}}},
    {"EHLO resets", STRANGER, "", {START, EHLO, {"RCPT TO:<user@example.org>\r\n", "503 5.5.1|"}}},
    {"unknown and unimplemented",
     STRANGER,
     "",
     {{"NONSENSE\r\n", "500 5.5.1|"},
      {"\r\n", "500 5.5.1|"},
      {"EXPN all\r\n", "502 5.5.1|"},
      {"ETRN x\r\n", "502 5.5.1|"},
      {"AUTH PLAIN\r\n", "502 5.5.1|"}}},
    {"too many errors",
     STRANGER,
     "",
     {{"A\r\nB\r\nC\r\nD\r\nE\r\nF\r\nG\r\n", "500|500|500|500|500|500|421 4.7.0|$"}}},
    {"a browser", STRANGER, "", {{"GET / HTTP/1.1\r\nHost: x\r\n", "554|$"}}},
    {"HELO syntax",
     STRANGER,
     "",
     {{"EHLO\r\n", "501 5.5.4|"},
      {"HELO a b\r\n", "501 5.5.4|"},
      {"EHLO [IPv6:::1]\r\n", "250|"},
      {"EHLO a<b\r\n", "501 5.5.4|"}}},
    {"needless arguments",
     STRANGER,
     "",
     {{"QUIT now\r\n", "501 5.5.4|"},
      {"RSET all\r\n", "501 5.5.4|"},
      {"VRFY\r\n", "501 5.5.4|"},
      {"rset   \r\n", "250 2.0.0|"}}},
    {"bad senders",
     LOCAL,
     "",
     {EHLO,
      {"MAIL <a@b.example>\r\n", "501 5.5.4|"},
      {"MAIL FROM:a@b.example\r\n", "501 5.1.7|"},
      {"MAIL FROM:<a>\r\n", "501 5.1.7|"},
      {"MAIL FROM:<>>\r\n", "501 5.5.4|"},
      {"MAIL FROM: <>\r\n", "250 2.1.0|"}}},
    {"MAIL parameters",
     LOCAL,
     "",
     {EHLO,
      {"MAIL FROM:<> SIZE=abc\r\n", "501 5.5.4|"},
      {"MAIL FROM:<> SIZE=70001\r\n", "552 5.3.4|"},
      {"MAIL FROM:<> BODY=BINARYMIME\r\n", "501 5.5.4|"},
      {"MAIL FROM:<> X=1\r\n", "555 5.5.4|"},
      {"MAIL FROM:<> RET=FULL RET=HDRS\r\n", "501 5.5.4|"},
      {"MAIL FROM:<> SIZE=70000 BODY=8bitmime SMTPUTF8 RET=HDRS ENVID=a+2Bb\r\n", "250 2.1.0|"}}},
    {"MAIL parameters, more",
     LOCAL,
     "",
     {EHLO,
      {"MAIL FROM:<> SMTPUTF8=YES\r\n", "501 5.5.4|"},
      {"MAIL FROM:<> ENVID=a+2b\r\n", "501 5.5.4|"},
      {"MAIL FROM:<> SIZE=\r\n", "501 5.5.4|"},
      {"MAIL FROM:<>SIZE=1\r\n", "501 5.5.4|"}}},
    {"RCPT parameters",
     STRANGER,
     "",
     {EHLO,
      MAIL,
      {"RCPT TO:<user@example.org> NOTIFY=NEVER,DELAY\r\n", "501 5.5.4|"},
      {"RCPT TO:<user@example.org> NOTIFY=SUCCESS,SUCCESS\r\n", "501 5.5.4|"},
      {"RCPT TO:<user@example.org> NOTIFY=\r\n", "501 5.5.4|"},
      {"RCPT TO:<user@example.org> ORCPT=user@example.org\r\n", "501 5.5.4|"},
      {"RCPT TO:<user@example.org> NOTIFY=SUCCESS,delay ORCPT=rfc822;a+2Bb@x.example\r\n",
       "250 2.1.5|"}}},
    {"recipients",
     STRANGER,
     "",
     {EHLO,
      MAIL,
      {"RCPT TO:<USER@Example.ORG>\r\n", "250 2.1.5|"},
      {"RCPT TO:<\"u\\ser\"@example.org>\r\n", "250 2.1.5|"},
      {"RCPT TO:<nobody@example.org>\r\n", "550 5.1.1|"},
      {"RCPT TO:<any@open.example>\r\n", "250 2.1.5|"},
      {"RCPT TO:<postmaster@example.org>\r\nRCPT TO:<Postmaster>\r\n", "250 2.1.5|250 2.1.5|"},
      {"RCPT TO:<x@sub.example.org>\r\n", "550 5.7.1|"},
      {"RCPT TO:<user@[192.0.2.5]>\r\n", "550 5.7.1|"},
      {"RCPT TO:<>\r\n", "501 5.1.3|"}}},
    {"routes within the local part",
     STRANGER,
     "",
     {EHLO,
      MAIL,
      {"RCPT TO:<user%elsewhere.example@open.example>\r\n", "550 5.7.1|"},
      {"RCPT TO:<elsewhere.example!user@open.example>\r\n", "550 5.7.1|"},
      {"RCPT TO:<\"user@elsewhere.example\"@open.example>\r\n", "550 5.7.1|"},
      {"RCPT TO:<user%elsewhere.example@example.org>\r\n", "550 5.1.1|"},
      {"RCPT TO:<@open.example:user@elsewhere.example>\r\n", "550 5.7.1|"}}},
    {"relaying",
     "10.1.2.3",
     "",
     {EHLO,
      MAIL,
      {"RCPT TO:<x@elsewhere.example>\r\n", "250 2.1.5|"},
      {"RCPT TO:<nobody@example.org>\r\n", "550 5.1.1|"}}},
    {"SMTPUTF8",
     LOCAL,
     "",
     {EHLO,
      {"MAIL FROM:<j\xc3\xb6@client.example>\r\n", "553 5.6.7|"},
      {"MAIL FROM:<j\xc3\xb6@client.example> SMTPUTF8\r\n", "250 2.1.0|"},
      {"RCPT TO:<k\xc3\xa4@open.example>\r\n", "250 2.1.5|"},
      {"RSET\r\n", "250 2.0.0|"},
      MAIL,
      {"RCPT TO:<k\xc3\xa4@open.example>\r\n", "553 5.6.7|"}}},
    {"bare LF in a command", STRANGER, "", {{"NOOP\nNOOP\r\n", "500 5.5.2|$"}}},
    {"bare CR in a command", STRANGER, "", {{"NO\rOP\r\n", "500 5.5.2|$"}}},
    {"control bytes", STRANGER, "", {{"NOOP \001\r\n", "501 5.5.2|"}}},
    {"bare LF in DATA",
     STRANGER,
     "",
     {START,
      {"DATA\r\n", "354|"},
      {"a\n.\nMAIL FROM:<x@y.example>\r\n.\r\nQUIT\r\n", "550 5.5.2|$"}}},
    {"a loop",
     STRANGER,
     "",
     {START,
      {"DATA\r\n", "354|"},
      {"Received: 1\r\nReceived: 2\r\nX: y\r\nRECEIVED: 3\r\nreceived: 4\r\n\tReceived: "
       "no\r\nReceived: 5\r\nReceived: 6\r\n\r\n.\r\n",
       "554 5.4.6|"},
      MAIL}},
    {"no loop",
     STRANGER,
     "",
     {START,
      {"DATA\r\n", "354|"},
      {"Received: 1\r\nReceived: 2\r\nReceived: 3\r\nReceived: 4\r\nReceived: 5\r\n\r\nReceived: "
       "6\r\n.\r\n",
       "250|"}}},
    {"synchronisation at DATA",
     STRANGER,
     "",
     {START, {"DATA\r\nSubject: x\r\n\r\n.\r\n", "554 5.5.0|$"}}},
    {"synchronisation at EHLO",
     STRANGER,
     "",
     {{"EHLO client.example\r\nMAIL FROM:<>\r\n", "554 5.5.0|$"}}},
    {"STARTTLS injection", STRANGER, "", {EHLO, {"STARTTLS\r\nMAIL FROM:<>\r\n", "554 5.5.0|$"}}},
    {"STARTTLS",
     STRANGER,
     "",
     {EHLO, {"STARTTLS x\r\n", "501 5.5.4|"}, {"STARTTLS\r\n", "220 2.0.0|!"}}},
    {"STARTTLS twice", STRANGER, "TLSv1.3 X", {EHLO, {"STARTTLS\r\n", "503 5.5.1|"}}},
    {"STARTTLS in a transaction", STRANGER, "", {START, {"STARTTLS\r\n", "503 5.5.1|"}}},
    {"BDAT",
     STRANGER,
     "",
     {START,
      {"BDAT 7\r\nhello\r\n", "250 2.0.0 7 octets|"},
      {"BDAT 0\r\n", "250 2.0.0 0 octets|"},
      {"BDAT 3 LAST\r\nx\r\n", "250 2.0.0 Ok: queued|"},
      MAIL}},
    {"BDAT pipelined",
     STRANGER,
     "",
     {EHLO,
      {"MAIL FROM:<>\r\nRCPT TO:<user@example.org>\r\nBDAT 3\r\na\r\nBDAT 3 last\r\nb\r\nMAIL "
       "FROM:<>\r\n",
       "250|250|250|250 2.0.0 Ok: queued|250 2.1.0|"}}},
    {"BDAT LAST 0",
     STRANGER,
     "",
     {START, {"BDAT 3\r\na\r\n", "250|"}, {"BDAT 0 LAST\r\n", "250 2.0.0 Ok: queued|"}}},
    {"BDAT without recipients",
     STRANGER,
     "",
     {EHLO,
      {"BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n", "503 5.5.1|503 5.5.1|"},
      MAIL,
      {"BDAT 6\r\nQUIT\r\n", "503 5.5.1|"},
      RCPT,
      {"BDAT 3 LAST\r\nx\r\n", "250|"}}},
    {"BDAT and DATA",
     STRANGER,
     "",
     {START,
      {"BDAT 3\r\na\r\n", "250|"},
      {"DATA\r\n", "503 5.5.1|"},
      {"RCPT TO:<user@example.org>\r\n", "503 5.5.1|"},
      {"BDAT 3 LAST\r\nb\r\n", "503 5.5.1|"},
      MAIL}},
    {"BDAT when all were turned away",
     STRANGER,
     "",
     {EHLO,
      {"MAIL FROM:<>\r\nRCPT TO:<x@elsewhere.example>\r\nBDAT 3 LAST\r\na\r\n",
       "250 2.1.0|550 5.7.1|554 5.5.1|"},
      MAIL,
      {"DATA\r\n", "503 5.5.1|"}}},
    {"BDAT LAST 0 alone",
     STRANGER,
     "",
     {START, {"BDAT 0 LAST\r\n", "250 2.0.0 Ok: queued|"}, MAIL}},
    {"BDAT syntax", STRANGER, "", {START, {"BDAT LAST\r\n", "501 5.5.4|$"}}},
    {"BDAT number", STRANGER, "", {START, {"BDAT 99999999999999999999 LAST\r\n", "501 5.5.4|$"}}},
    {"BDAT with a bare LF", STRANGER, "", {START, {"BDAT 4 LAST\r\na\nb\n", "550 5.5.2|$"}}},
    {"BDAT ends in CR",
     STRANGER,
     "",
     {START, {"BDAT 2\r\na\r", "250|"}, {"BDAT 2 LAST\r\n\nb", "250 2.0.0 Ok: queued|"}}},
    {"BDAT after a refused chunk",
     STRANGER,
     "",
     {START,
      {"BDAT 38\r\nReceived:\r\nReceived:\r\nReceived:\r\nX: \r\n", "250|"},
      {"BDAT 33\r\nReceived:\r\nReceived:\r\nReceived:\r\n", "554 5.4.6|"},
      {"BDAT 3\r\na\r\n", "503 5.5.1|"},
      {"BDAT 3 LAST\r\nb\r\n", "503 5.5.1|"},
      MAIL}},
    {"XCLIENT from a stranger", STRANGER, "", {EHLO, {"XCLIENT ADDR=10.0.0.1\r\n", "550 5.7.0|"}}},
    {"XCLIENT",
     LOCAL,
     "",
     {EHLO,
      {"XCLIENT ADDR=10.0.0.1 NAME=a.example PORT=25\r\n", "220|"},
      EHLO,
      MAIL,
      {"RCPT TO:<x@elsewhere.example>\r\n", "250 2.1.5|"},
      {"XCLIENT ADDR=192.0.2.7\r\n", "503 5.5.1|"},
      {"RSET\r\n", "250|"},
      {"XCLIENT ADDR=IPV6:2001:db8::1 HELO=b.example PROTO=ESMTP NAME=[UNAVAILABLE]\r\n", "220|"},
      MAIL,
      {"RCPT TO:<x@elsewhere.example>\r\n", "550 5.7.1|"}}},
    {"XCLIENT syntax",
     LOCAL,
     "",
     {EHLO,
      {"XCLIENT\r\n", "501 5.5.4|"},
      {"XCLIENT ADDR=300.0.0.1\r\n", "501 5.5.4|"},
      {"XCLIENT NAME=a+0D+0Ab\r\n", "501 5.5.4|"},
      {"XCLIENT LOGIN=me\r\n", "501 5.5.4|"}}},
    {"the rate of a client",
     STRANGER,
     "",
     {EHLO,
      MAIL,
      {"RSET\r\n", "250|"},
      MAIL,
      {"RSET\r\n", "250|"},
      MAIL,
      {"RSET\r\n", "250|"},
      {"MAIL FROM:<a@client.example>\r\n", "450 4.7.1|"}}},
};

static void check(const struct dialogue *dialogue, size_t piece)
{
    struct bench bench;
    char heard[4096];
    bench_open(&bench, dialogue->client, dialogue->tls);
    for (const struct step *step = dialogue->steps; step->say; step++) {
        (void)feed(&bench, span_of(step->say), piece);
        summary(&bench, heard, sizeof(heard));
        if (!fits(heard, step->hear))
            fail_msg("%s (pieces of %zu): after %s expected %s, heard %s", dialogue->name, piece,
                     step->say, step->hear, heard);
    }
    bench_close(&bench);
}

static void dialogues_go_by_the_rfc(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(dialogues); i++)
        check(&dialogues[i], SIZE_MAX / 2);
}

// Bytes that come one by one change nothing but what synchronisation sees.
static void dialogues_do_not_depend_on_segments(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(dialogues); i++)
        if (!strstr(dialogues[i].name, "synchronisation") &&
            !strstr(dialogues[i].name, "injection"))
            check(&dialogues[i], 1);
}

static void hear(struct bench *bench, const char *say, const char *expected)
{
    char heard[1024];
    (void)feed(bench, span_of(say), SIZE_MAX / 2);
    summary(bench, heard, sizeof(heard));
    if (!fits(heard, expected))
        fail_msg("after %s expected %s, heard %s", say, expected, heard);
}

static void start_mail(struct bench *bench)
{
    hear(bench, "EHLO client.example\r\n", "250|");
    hear(bench, "MAIL FROM:<a@client.example>\r\nRCPT TO:<user@example.org>\r\nDATA\r\n",
         "250|250|354|");
}

static struct span span_from(ProtobufCBinaryData bytes)
{
    return (struct span){(const char *)bytes.data, bytes.len};
}

static void the_envelope_carries_all_that_was_said(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, LOCAL, "TLSv1.3 CIPHER");
    hear(&bench, "XCLIENT ADDR=192.0.2.77 NAME=host.example\r\n", "220|");
    hear(&bench, "EHLO client.example\r\n", "250|");
    hear(&bench, "MAIL FROM:<@r.example:a@client.example> RET=FULL ENVID=E+2B1 BODY=8BITMIME\r\n",
         "250|");
    hear(&bench, "RCPT TO:<user@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;o@x.example\r\n",
         "250|");
    hear(&bench, "RCPT TO:<postmaster>\r\nDATA\r\n", "250|354|");
    hear(&bench, "..Subject: x\r\n.\r\n", "250|");
    const Postern__Envelope *envelope = bench.spool.envelope;
    assert_true(span_equal(span_from(envelope->reverse_path), span_of("a@client.example")));
    assert_int_equal(envelope->n_recipients, 2);
    assert_true(
        span_equal(span_from(envelope->recipients[0]->address), span_of("user@example.org")));
    assert_true(
        span_equal(span_from(envelope->recipients[0]->original), span_of("rfc822;o@x.example")));
    assert_int_equal(envelope->recipients[0]->notify, 6);
    assert_true(
        span_equal(span_from(envelope->recipients[1]->address), span_of("postmaster@example.org")));
    assert_true(span_equal(span_from(envelope->client_address), span_of("192.0.2.77")));
    assert_true(span_equal(span_from(envelope->client_name), span_of("host.example")));
    assert_true(span_equal(span_from(envelope->helo), span_of("client.example")));
    assert_true(span_equal(span_from(envelope->protocol), span_of("ESMTPS")));
    assert_true(span_equal(span_from(envelope->tls), span_of("TLSv1.3 CIPHER")));
    assert_true(span_equal(span_from(envelope->envid), span_of("E+2B1")));
    assert_int_equal(envelope->ret, 1);
    assert_int_equal(envelope->body_8bit, 1);
    assert_int_equal(envelope->relay, 0);
    assert_true(envelope->received_ms > 0);
    assert_true(span_equal(
        (struct span){buffer_bytes(&bench.spool.message), buffer_size(&bench.spool.message)},
        span_of(".Subject: x\r\n")));
    bench_close(&bench);
}

static const struct {
    enum answer answer;
    const char *text, *hear;
} answers[] = {
    {ANSWER_ACCEPTED, "01ABC", "250 2.0.0 Ok: queued as 01HF7YAT31J4ZZ8PWVD3Q0T5XS|"},
    {ANSWER_REJECTED, "no\r\nspam", "550 5.7.1 no??spam|"},
    {ANSWER_REJECTED, NULL, "550 5.7.1 Message refused by policy|"},
    {ANSWER_TRY_AGAIN, NULL, "451 4.3.0|"},
    {ANSWER_NO_SPACE, NULL, "452 4.3.1|"},
    {ANSWER_CLOSE, NULL, "$"},
};

static void answers_become_replies(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(answers); i++) {
        struct bench bench;
        bench_open(&bench, LOCAL, "");
        start_mail(&bench);
        bench.spool.answer = answers[i].answer;
        bench.spool.text = answers[i].text;
        hear(&bench, "x\r\n.\r\n", answers[i].hear);
        bench_close(&bench);
    }
}

static void commands_behind_the_dot_wait_for_the_answer(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, LOCAL, "");
    bench.spool.late = 1;
    start_mail(&bench);
    hear(&bench, "x\r\n.\r\nMAIL FROM:<>\r\n", "~");
    assert_int_equal(session_deadline(bench.session), 0);
    assert_int_equal(buffer_size(&bench.in), strlen("MAIL FROM:<>\r\n"));
    bench.spool.fn(bench.spool.context, ANSWER_ACCEPTED, "ID");
    assert_int_equal(bench.woken, 1);
    hear(&bench, "RSET\r\n", "250 2.0.0|250 2.1.0|250 2.0.0|");
    bench_close(&bench);
}

static void a_client_that_leaves_forgets_its_ticket(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, LOCAL, "");
    bench.spool.late = 1;
    start_mail(&bench);
    hear(&bench, "x\r\n.\r\n", "~");
    bench_close(&bench);
    assert_int_equal(bench.spool.forgotten, 1);
}

static void a_message_beyond_the_size_is_refused_at_its_end(void **state)
{
    (void)state;
    struct bench bench;
    char *text = allocate(100001);
    memset(text, 'x', 100000);
    bench_open(&bench, LOCAL, "");
    start_mail(&bench);
    hear(&bench, text, "");
    assert_int_equal(bench.spool.open, 0);
    hear(&bench, "\r\n.\r\n", "552 5.3.4|");
    hear(&bench, "MAIL FROM:<>\r\n", "250|");
    bench_close(&bench);
    free(text);
}

static void no_room_is_said_at_mail(void **state)
{
    (void)state;
    static const struct {
        int error;
        const char *hear;
    } rooms[] = {{ENOSPC, "452 4.3.1|"}, {ENOMEM, "452 4.3.1|"}, {EAGAIN, "451 4.3.2|"}};
    for (size_t i = 0; i < ARRAY_LENGTH(rooms); i++) {
        struct bench bench;
        bench_open(&bench, LOCAL, "");
        hear(&bench, "EHLO client.example\r\n", "250|");
        bench.spool.room_error = rooms[i].error;
        hear(&bench, "MAIL FROM:<>\r\n", rooms[i].hear);
        bench_close(&bench);
    }
}

static void listed_clients_get_their_line_ends_mended(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, "192.0.2.9", "");
    start_mail(&bench);
    hear(&bench, "a\n.\nb\r\n.\r\n", "250|");
    assert_true(span_equal(
        (struct span){buffer_bytes(&bench.spool.message), buffer_size(&bench.spool.message)},
        span_of("a\r\n.\r\nb\r\n")));
    bench_close(&bench);
}

static void recipients_have_a_limit(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, LOCAL, "");
    hear(&bench, "EHLO client.example\r\n", "250|");
    hear(&bench, "MAIL FROM:<>\r\n", "250|");
    for (int i = 0; i < 100; i++)
        hear(&bench, "RCPT TO:<user@example.org>\r\n", "250 2.1.5|");
    hear(&bench, "RCPT TO:<user@example.org>\r\nDATA\r\n", "452 4.5.3|354|");
    hear(&bench, "x\r\n.\r\n", "250|");
    assert_int_equal(bench.spool.envelope->n_recipients, 100);
    bench_close(&bench);
}

static void a_long_line_is_skipped(void **state)
{
    (void)state;
    struct bench bench;
    char *line = allocate(100001);
    memset(line, 'x', 100000);
    bench_open(&bench, LOCAL, "");
    hear(&bench, line, "500 5.5.2|");
    hear(&bench, "yyy\r\nNOOP\r\n", "250 2.0.0|");
    bench_close(&bench);
    free(line);
}

static void time_runs_out(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, LOCAL, "");
    assert_int_equal(session_deadline(bench.session), 1000 + 300000);
    bench.now_ms = 5000;
    hear(&bench, "NO", "");
    assert_int_equal(session_deadline(bench.session),
                     1000 + 300000); // half a command gains no time
    hear(&bench, "OP\r\n", "250|");
    assert_int_equal(session_deadline(bench.session), 5000 + 300000);
    start_mail(&bench);
    bench.now_ms = 9000;
    hear(&bench, "x\r\n", "");
    assert_int_equal(session_deadline(bench.session), 5000 + 600000);
    session_late(bench.session);
    hear(&bench, "", "421 4.4.2|$");
    bench_close(&bench);
}

static void draining_lets_transactions_end(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, LOCAL, "");
    start_mail(&bench);
    bench.shared.draining = 1;
    session_drain(bench.session);
    hear(&bench, "x\r\n.\r\n", "250 2.0.0|421 4.3.2|$");
    bench_close(&bench);
    bench_open(&bench, LOCAL, "");
    session_drain(bench.session);
    hear(&bench, "", "421 4.3.2|$");
    bench_close(&bench);
}

static void new_settings_rule_the_next_command(void **state)
{
    (void)state;
    static const char none[] = "{\"revision\":\"2\",\"documents\":{}}";
    struct bench bench;
    char error[256];
    bench_open(&bench, "10.0.0.1", "");
    hear(&bench, "EHLO client.example\r\n", "250|");
    hear(&bench, "MAIL FROM:<>\r\nRCPT TO:<x@elsewhere.example>\r\n", "250|250|");
    settings_release(&bench.shared.settings);
    bench.shared.settings = settings_parse(none, sizeof(none) - 1, error, sizeof(error));
    bench.shared.generation++;
    hear(&bench, "RCPT TO:<y@elsewhere.example>\r\n", "550 5.7.1|");
    bench_close(&bench);
}

static void tls_begins_anew(void **state)
{
    (void)state;
    struct bench bench;
    char heard[2048];
    bench_open(&bench, STRANGER, "");
    (void)feed(&bench, span_of("EHLO client.example\r\n"), 1);
    buffer_add(&bench.out, "", 1);
    assert_non_null(strstr(buffer_bytes(&bench.out), "250-STARTTLS\r\n"));
    assert_null(strstr(buffer_bytes(&bench.out), "XCLIENT"));
    buffer_clear(&bench.out);
    hear(&bench, "STARTTLS\r\n", "220|!");
    session_secured(bench.session, "TLSv1.3 CIPHER");
    hear(&bench, "MAIL FROM:<>\r\n", "503 5.5.1|");
    (void)feed(&bench, span_of("EHLO client.example\r\n"), 1);
    buffer_add(&bench.out, "", 1);
    assert_null(strstr(buffer_bytes(&bench.out), "STARTTLS"));
    buffer_clear(&bench.out);
    summary(&bench, heard, sizeof(heard));
    bench_close(&bench);
}

static void an_early_talker_is_turned_away(void **state)
{
    (void)state;
    struct bench bench;
    bench_open(&bench, STRANGER, "");
    session_greet(bench.session, 1);
    hear(&bench, "EHLO client.example\r\n", "554 5.5.0|$");
    bench_close(&bench);
    bench_open(&bench, STRANGER, "");
    session_greet(bench.session, 0);
    hear(&bench, "", "220 mx.example ESMTP|");
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialogues_go_by_the_rfc),
        cmocka_unit_test(dialogues_do_not_depend_on_segments),
        cmocka_unit_test(the_envelope_carries_all_that_was_said),
        cmocka_unit_test(answers_become_replies),
        cmocka_unit_test(commands_behind_the_dot_wait_for_the_answer),
        cmocka_unit_test(a_client_that_leaves_forgets_its_ticket),
        cmocka_unit_test(a_message_beyond_the_size_is_refused_at_its_end),
        cmocka_unit_test(no_room_is_said_at_mail),
        cmocka_unit_test(listed_clients_get_their_line_ends_mended),
        cmocka_unit_test(recipients_have_a_limit),
        cmocka_unit_test(a_long_line_is_skipped),
        cmocka_unit_test(time_runs_out),
        cmocka_unit_test(draining_lets_transactions_end),
        cmocka_unit_test(new_settings_rule_the_next_command),
        cmocka_unit_test(tls_begins_anew),
        cmocka_unit_test(an_early_talker_is_turned_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
