// SPDX-License-Identifier: Apache-2.0
#include "core/net/redis_script.h"
#include "core/base/loop.h"
#include "core/net/redis_reader.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_WORDS = 3, WORDS_MOST = 200 }; // EVALSHA, the hash, how many keys

struct redis_script {
    const char *text;
    char hash[2 * SHA_DIGEST_LENGTH + 1];
};

// A question, and what is needed to ask it once more with the script's text.
struct redis_call {
    struct redis *redis;
    const char *text;
    redis_fn *fn; // NULL: forgotten
    void *context;
    int64_t late_ms;
    char keys[12]; // how many
    int sent_text;
    size_t count;
    struct span words[]; // their bytes stand behind them
};

struct redis_script *redis_script_new(const char *text)
{
    struct redis_script *self = allocate(sizeof(*self));
    unsigned char digest[SHA_DIGEST_LENGTH];
    self->text = text;
    SHA1((const unsigned char *)text, strlen(text), digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(self->hash + 2 * i, 3, "%02x", digest[i]);
    return self;
}

void redis_script_destroy(struct redis_script **self)
{
    free(*self);
    *self = NULL;
}

static struct redis_call *call_new(const struct span *words, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += words[i].size;
    struct redis_call *call = allocate(sizeof(*call) + count * sizeof(call->words[0]) + bytes);
    char *at = (char *)&call->words[count];
    for (size_t i = 0; i < count; i++) {
        memcpy(at, words[i].data, words[i].size);
        call->words[i] = (struct span){at, words[i].size};
        at += words[i].size;
    }
    call->count = count;
    return call;
}

static int ask(struct redis_call *call, const char *command, const char *script);

static void on_answer(void *context, const struct redisReply *reply)
{
    struct redis_call *call = context;
    if (reply && !call->sent_text && redis_reader_is_error(reply, "NOSCRIPT")) {
        call->sent_text = 1;
        if (ask(call, "EVAL", call->text) == 0)
            return;
        reply = NULL;
    }
    if (call->fn)
        call->fn(call->context, reply);
    free(call);
}

static int ask(struct redis_call *call, const char *command, const char *script)
{
    struct span words[HEAD_WORDS + WORDS_MOST] = {span_of(command), span_of(script),
                                                  span_of(call->keys)};
    memcpy(words + HEAD_WORDS, call->words, call->count * sizeof(words[0]));
    return redis_ask(call->redis, words, HEAD_WORDS + call->count, call->late_ms, on_answer, call)
               ? 0
               : -1;
}

struct redis_call *redis_script_call(const struct redis_script *self, struct redis *redis,
                                     size_t key_count, const struct span *words, size_t count,
                                     redis_fn *fn, void *context)
{
    if (!redis_answers(redis) || count > WORDS_MOST)
        return NULL;
    struct redis_call *call = call_new(words, count);
    call->redis = redis;
    call->text = self->text;
    call->fn = fn;
    call->context = context;
    call->late_ms = redis_late_ms(redis);
    snprintf(call->keys, sizeof(call->keys), "%zu", key_count);
    if (ask(call, "EVALSHA", self->hash) == 0)
        return call;
    free(call);
    return NULL;
}

void redis_script_forget(struct redis_call *call)
{
    call->fn = NULL;
}
