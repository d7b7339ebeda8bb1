// SPDX-License-Identifier: Apache-2.0
#pragma once

// Puts a message through the engine and keeps what came of it.
#include "analyzer/check.h"
#include "analyzer/engine.h"
#include "analyzer/verdict.h"
#include "core/base/buffer.h"
#include "core/base/loop.h"
#include "mail/splice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TEST_RECIPIENTS_MOST = 8 };

struct asked {
    const char *documents; // JSON of {document: body}; NULL: defaults
    const char *from, *client;
    const char *recipients[TEST_RECIPIENTS_MOST]; // none: one at example.org
    const struct check *checks;                   // NULL: all
    size_t check_count;
};

struct examined {
    Postern__Verdict *verdict;
    struct buffer changed; // the message as the first recipient gets it
    uint64_t anomalies;
    int ended;
    struct loop *loop;
};

static inline struct settings *test_settings(const char *documents)
{
    char json[8192], error[512];
    snprintf(json, sizeof(json), "{\"revision\":\"7\",\"documents\":%s}",
             documents != NULL ? documents : "{}");
    struct settings *settings = settings_parse(json, strlen(json), error, sizeof(error));
    if (settings == NULL)
        fail_msg("%s", error);
    return settings;
}

static inline ProtobufCBinaryData test_bytes(const char *text)
{
    return (ProtobufCBinaryData){text != NULL ? strlen(text) : 0, (uint8_t *)(uintptr_t)text};
}

static inline void test_ended(void *context, struct examination *examination)
{
    struct examined *self = context;
    self->verdict = verdict_new(examination, "mx.test.example");
    self->anomalies = examination->mime->anomalies;
    const Postern__RecipientVerdict *first = self->verdict->recipients[0];
    assert_true(splices_valid(first->changes, first->n_changes, examination->message.size));
    buffer_init(&self->changed);
    splices_apply(examination->message, first->changes, first->n_changes, &self->changed);
    self->ended = 1;
    loop_stop(self->loop);
}

static inline struct examined examine_bytes(const struct asked *asked, struct span message)
{
    static const struct asked plain;
    asked = asked != NULL ? asked : &plain;
    struct examined result = {.loop = loop_new()};
    struct settings *settings = test_settings(asked->documents);
    struct engine *engine = engine_new(result.loop, settings);
    if (asked->checks != NULL)
        engine_use_checks(engine, asked->checks, asked->check_count);
    Postern__Recipient rows[TEST_RECIPIENTS_MOST], *list[TEST_RECIPIENTS_MOST];
    Postern__Envelope envelope = POSTERN__ENVELOPE__INIT;
    uint8_t id[16] = {1, 2, 3};
    size_t count = 0;
    do {
        const char *address = asked->recipients[count];
        postern__recipient__init(&rows[count]);
        rows[count].address = test_bytes(address != NULL ? address : "u@example.org");
        list[count] = &rows[count];
        count++;
    } while (count < TEST_RECIPIENTS_MOST && asked->recipients[count] != NULL);
    envelope.id = (ProtobufCBinaryData){sizeof(id), id};
    envelope.reverse_path = test_bytes(asked->from);
    envelope.client_address = test_bytes(asked->client);
    envelope.recipients = list;
    envelope.n_recipients = count;
    engine_examine(engine, &envelope, message, test_ended, &result);
    if (!result.ended)
        loop_run(result.loop);
    engine_destroy(&engine);
    settings_release(&settings);
    loop_destroy(&result.loop);
    return result;
}

static inline struct examined examine(const struct asked *asked, const char *message)
{
    return examine_bytes(asked, span_of(message));
}

static inline void examined_free(struct examined *self)
{
    verdict_destroy(&self->verdict);
    buffer_free(&self->changed);
}

static inline const Postern__Finding *found(const struct examined *self, const char *name)
{
    for (size_t i = 0; i < self->verdict->n_findings; i++) {
        const Postern__Finding *finding = self->verdict->findings[i];
        if (finding->name.len == strlen(name) &&
            memcmp(finding->name.data, name, finding->name.len) == 0)
            return finding;
    }
    return NULL;
}

static inline Postern__Action action_for(const struct examined *self, size_t recipient)
{
    assert_true(recipient < self->verdict->n_recipients);
    assert_int_equal(self->verdict->recipients[recipient]->recipient, recipient);
    return self->verdict->recipients[recipient]->action;
}

static inline int changed_has(const struct examined *self, const char *text)
{
    return memmem(buffer_bytes(&self->changed), buffer_size(&self->changed), text, strlen(text)) !=
           NULL;
}
