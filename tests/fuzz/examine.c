// SPDX-License-Identifier: Apache-2.0
// Whole examinations: a verdict for every recipient, and changes that fit the message.
#include "analyzer/engine.h"
#include "analyzer/verdict.h"
#include "core/base/buffer.h"
#include "core/base/loop.h"
#include "mail/splice.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char json[] =
    "{\"revision\":\"1\",\"documents\":{\"analyzer\":{\"check_timeout_ms\":2000,\"parts_max\":50},"
    "\"policy/default\":{\"tag\":0.1,\"quarantine\":null,\"reject\":null,\"on_virus\":\"tag\","
    "\"on_ambiguous\":\"tag\",\"on_limit\":\"tag\",\"tag_prefix\":\"[odd]\"}}}";

static void judge(void *context, struct examination *examination)
{
    struct buffer changed;
    int *ended = context;
    Postern__Verdict *verdict = verdict_new(examination, "mx.example.org");
    assert(verdict->n_recipients == 1);
    const Postern__RecipientVerdict *row = verdict->recipients[0];
    buffer_init(&changed);
    assert(splices_valid(row->changes, row->n_changes, examination->message.size));
    splices_apply(examination->message, row->changes, row->n_changes, &changed);
    buffer_free(&changed);
    verdict_destroy(&verdict);
    *ended = 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct engine *engine;
    static Postern__Recipient row = POSTERN__RECIPIENT__INIT, *list[] = {&row};
    Postern__Envelope envelope = POSTERN__ENVELOPE__INIT;
    int ended = 0;
    if (engine == NULL) {
        char error[256];
        struct settings *settings = settings_parse(json, sizeof(json) - 1, error, sizeof(error));
        engine = engine_new(loop_new(), settings);
    }
    envelope.recipients = list;
    envelope.n_recipients = 1;
    engine_examine(engine, &envelope, (struct span){(const char *)data, size}, judge, &ended);
    assert(ended);
    return 0;
}
