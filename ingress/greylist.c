// SPDX-License-Identifier: Apache-2.0
#include "ingress/greylist.h"
#include "core/net/redis_reader.h"
#include "core/net/redis_script.h"
#include "ingress/aging.h"
#include "ingress/limits.h"
#include "ingress/reputation.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS (3600 * (int64_t)1000)
#define DAY_MS (24 * HOUR_MS)

enum { PASSED_DAYS = 36, KEY_SIZE = 16, TEXT_MOST = 1200 };

// A triple's key holds the time of its first try, or "passed"; the other key is the client's
// reputation. ARGV: the delay, for how long this worker knows the triple, how long a first try and
// a passed triple are kept (milliseconds); how many good mails are enough (0: its standing is not
// asked), and how many make up for a bad one.
static const char script[] =
    "local enough = tonumber(ARGV[5])\n"
    "if enough > 0 then\n"
    "  local counts = redis.call('HMGET', KEYS[2], 'good', 'bad')\n"
    "  local good = tonumber(counts[1]) or 0\n"
    "  if good >= enough and good >= (tonumber(counts[2]) or 0) * ARGV[6] then\n"
    "    return 2\n"
    "  end\n"
    "end\n"
    "local value = redis.call('GET', KEYS[1])\n"
    "local time = redis.call('TIME')\n"
    "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
    "local first = math.min(tonumber(value) or now, now - ARGV[2])\n"
    "if value == 'passed' or now - first >= tonumber(ARGV[1]) then\n"
    "  redis.call('SET', KEYS[1], 'passed', 'PX', ARGV[4])\n"
    "  return 1\n"
    "end\n"
    "redis.call('SET', KEYS[1], string.format('%.0f', first), 'PX', ARGV[3])\n"
    "return 0\n";

enum { TRY_LATER, TRIPLE_PASSED, CLIENT_IS_GOOD }; // what it says

struct greylist {
    struct aging *triples; // first: first try; last: last pass, 0 before
    struct redis *redis;
    int by_standing;
    struct redis_script *script;
};

struct greylist_question {
    struct greylist *greylist;
    struct redis_call *call;
    greylist_fn *fn;
    void *context;
    int64_t now_ms;
    uint8_t key[KEY_SIZE];
    uint8_t client[CLIENT_KEY_MOST];
    size_t client_size;
};

struct greylist *greylist_new(size_t most)
{
    struct greylist *self = allocate(sizeof(*self));
    self->triples = aging_new(most);
    self->script = redis_script_new(script);
    return self;
}

void greylist_destroy(struct greylist **self)
{
    if (!*self)
        return;
    aging_destroy(&(*self)->triples);
    redis_script_destroy(&(*self)->script);
    free(*self);
    *self = NULL;
}

void greylist_share(struct greylist *self, struct redis *redis, int by_standing)
{
    self->redis = redis;
    self->by_standing = by_standing;
}

static size_t add_lower(uint8_t *text, size_t at, struct span part)
{
    for (size_t i = 0; i < part.size && at + 1 < TEXT_MOST; i++) {
        char byte = part.data[i];
        text[at++] = (uint8_t)(byte >= 'A' && byte <= 'Z' ? byte - 'A' + 'a' : byte);
    }
    text[at++] = 0;
    return at;
}

// Big senders retry from a neighbour: an IPv4 client stands for its /24.
static void make_key(const char *client, struct span sender, struct span recipient,
                     uint8_t ret_key[KEY_SIZE])
{
    uint8_t text[TEXT_MOST] = {0}, digest[SHA256_DIGEST_LENGTH];
    size_t size = client_key(client, text);
    if (size == 4)
        text[3] = 0;
    size = add_lower(text, CLIENT_KEY_MOST, sender);
    size = add_lower(text, size, recipient);
    SHA256(text, size, digest);
    memcpy(ret_key, digest, KEY_SIZE);
}

// Tells Redis what we know of the triple, or asks. NULL: it cannot be asked now.
static struct redis_call *tell(struct greylist *self, const struct greylist_question *question,
                               unsigned delay_s, int64_t age_ms, redis_fn *fn, void *context)
{
    char name[64] = "postern:greylist:", client[CLIENT_NAME_SIZE];
    char numbers[6][24];
    const int64_t values[] = {delay_s * (int64_t)1000,
                              age_ms,
                              DAY_MS,
                              PASSED_DAYS * DAY_MS,
                              self->by_standing && fn ? REPUTATION_ENOUGH : 0,
                              REPUTATION_GOOD_FOR_BAD};
    struct span words[2 + ARRAY_LENGTH(values)];
    size_t at = strlen(name);
    if (!self->redis)
        return NULL;
    for (size_t i = 0; i < KEY_SIZE; i++, at += 2)
        snprintf(name + at, 3, "%02x", question->key[i]);
    client_name(REPUTATION_PREFIX, question->client, question->client_size, client);
    words[0] = span_of(name);
    words[1] = span_of(client);
    for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
        snprintf(numbers[i], sizeof(numbers[i]), "%lld", (long long)values[i]);
        words[2 + i] = span_of(numbers[i]);
    }
    return redis_script_call(self->script, self->redis, 2, words, ARRAY_LENGTH(words), fn, context);
}

static void on_reply(void *context, const struct redisReply *reply)
{
    struct greylist_question *question = context;
    int64_t said = reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : TRY_LATER;
    greylist_fn *fn = question->fn;
    void *fn_context = question->context;
    if (said == TRIPLE_PASSED)
        aging_get(question->greylist->triples, question->key, KEY_SIZE)->last = question->now_ms;
    free(question);
    fn(fn_context, said == TRIPLE_PASSED || said == CLIENT_IS_GOOD);
}

static enum greylist_answer ask(struct greylist *self, const struct greylist_question *asked,
                                unsigned delay_s, int64_t age_ms,
                                struct greylist_question **ret_question)
{
    struct greylist_question *question = duplicate_bytes(asked, sizeof(*asked));
    question->call = tell(self, question, delay_s, age_ms, on_reply, question);
    if (question->call) {
        *ret_question = question;
        return GREYLIST_LATER;
    }
    free(question);
    return GREYLIST_PUT_OFF;
}

enum greylist_answer greylist_ask(struct greylist *self, const char *client, struct span sender,
                                  struct span recipient, unsigned delay_s, int64_t now_ms,
                                  greylist_fn *fn, void *context,
                                  struct greylist_question **ret_question)
{
    struct greylist_question question = {
        .greylist = self, .fn = fn, .context = context, .now_ms = now_ms};
    make_key(client, sender, recipient, question.key);
    question.client_size = client_key(client, question.client);
    struct aging_entry *entry = aging_get(self->triples, question.key, KEY_SIZE);
    int expired =
        entry->last ? now_ms - entry->last > PASSED_DAYS * DAY_MS : now_ms - entry->first > DAY_MS;
    if (!entry->first || expired)
        *entry = (struct aging_entry){.first = now_ms};
    int64_t age_ms = now_ms - entry->first;
    if (!entry->last && age_ms < (int64_t)delay_s * 1000)
        return ask(self, &question, delay_s, age_ms, ret_question);
    // It is known here; once an hour the others are told so, and nobody waits for that.
    if (!entry->last || now_ms - entry->last > HOUR_MS)
        (void)tell(self, &question, 0, 0, NULL, NULL);
    entry->last = now_ms;
    return GREYLIST_PASSES;
}

void greylist_forget(struct greylist_question *question)
{
    redis_script_forget(question->call);
    free(question);
}
