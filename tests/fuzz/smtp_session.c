// SPDX-License-Identifier: Apache-2.0
// A whole session: the first byte says how the rest is cut into segments and how the spool answers.
#include "core/base/log.h"
#include "ingress/greylist.h"
#include "ingress/reputation.h"
#include "ingress/session.h"
#include "mail/settings.h"
#include "tests/unit/ingress/fake_spool.h"

#include <assert.h>
#include <string.h>

static const char configuration[] =
    "{\"revision\":\"1\",\"documents\":{\"domain/example.org\":{},\"ingress\":{"
    "\"xclient\":[\"127.0.0.0/8\"],\"greylist\":true,\"message_max\":65536,\"errors_max\":1000}}}";

static struct session_shared shared;
static struct spool spool;

static void set_up(void)
{
    char error[256];
    session_shared_init(&shared);
    shared.settings =
        settings_parse(configuration, sizeof(configuration) - 1, error, sizeof(error));
    shared.hostname = "mx.example";
    shared.spool = &spool;
    shared.limits = limits_new();
    shared.reputation = reputation_new(100);
    shared.greylist = greylist_new(100);
    shared.tls = 1;
    spool.message_max = 65536;
    log_start("fuzz", LOG_ERROR);
}

static void on_wake(void *context)
{
    *(int *)context = 1;
}

static void check_replies(struct buffer *out)
{
    const char *at = buffer_bytes(out), *end = at + buffer_size(out);
    while (at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        assert(lf && lf - at >= 4 && lf[-1] == '\r' && at[0] >= '2' && at[0] <= '5');
        at = lf + 1;
    }
    buffer_clear(out);
}

// What the socket and the spool would do about the session's want.
static void serve(struct session *session)
{
    if (session_wants(session) == SESSION_ANSWER)
        spool.fn(spool.context, spool.answer, "text\r\n");
    if (session_wants(session) == SESSION_TLS)
        session_secured(session, "TLSv1.3 CIPHER");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer in, out;
    int woken = 0;
    if (!shared.settings)
        set_up();
    if (size < 1)
        return 0;
    size_t piece = data[0] & 15 ? data[0] & 15u : size;
    spool.late = data[0] & 16 ? 1 : 0;
    spool.answer = data[0] >> 5 > ANSWER_CLOSE ? ANSWER_ACCEPTED : (enum answer)(data[0] >> 5);
    buffer_init(&in);
    buffer_init(&out);
    struct session_options options = {.shared = &shared,
                                      .client = "127.0.0.1",
                                      .tls = "",
                                      .out = &out,
                                      .wake = on_wake,
                                      .context = &woken};
    struct session *session = session_new(&options);
    for (size_t at = 1; at < size && session_wants(session) != SESSION_CLOSE; at += piece) {
        buffer_add(&in, data + at, size - at < piece ? size - at : piece);
        (void)session_feed(session, &in, (int64_t)at);
        check_replies(&out);
        serve(session);
    }
    session_destroy(&session);
    assert(spool.open == 0);
    fake_spool_forget(&spool);
    buffer_free(&in);
    buffer_free(&out);
    return 0;
}
