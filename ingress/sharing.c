// SPDX-License-Identifier: Apache-2.0
#include "ingress/sharing.h"
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "core/net/redis_reader.h"
#include "core/net/redis_script.h"
#include "ingress/greylist.h"
#include "ingress/limits.h"
#include "ingress/reputation.h"
#include "ingress/shared_redis.h"
#include "mail/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SECOND_MS = 1000,
    CLIENTS_A_CALL = 50,
    CALLS_A_SECOND = 20,
};

// A client's key holds when its minute would be whole again (microseconds of Redis's clock). Adds
// what was spent, says how much is spent now.
static const char rate_script[] =
    "local time = redis.call('TIME')\n"
    "local now = time[1] * 1000000 + time[2]\n"
    "local spent = {}\n"
    "for i, key in ipairs(KEYS) do\n"
    "  local whole = math.max(tonumber(redis.call('GET', key)) or 0, now) + ARGV[i]\n"
    "  whole = math.min(whole, now + 120000000)\n"
    "  spent[i] = whole - now\n"
    "  redis.call('SET', key, string.format('%.0f', whole), 'PX',\n"
    "             math.ceil(spent[i] / 1000) + 1)\n"
    "end\n"
    "return spent\n";

// A client's key holds its good and its bad mails. Adds what is new, says what all have noted; the
// weight of what is old and its end are as for our own counts. ARGV: good and bad ones of each key,
// then the most, then how long it is kept (milliseconds).
static const char reputation_script[] =
    "local counts = {}\n"
    "local most, life = tonumber(ARGV[#ARGV - 1]), ARGV[#ARGV]\n"
    "for i, key in ipairs(KEYS) do\n"
    "  local held = redis.call('HMGET', key, 'good', 'bad')\n"
    "  local good = (tonumber(held[1]) or 0) + ARGV[2 * i - 1]\n"
    "  local bad = (tonumber(held[2]) or 0) + ARGV[2 * i]\n"
    "  if good + bad > most then\n"
    "    good, bad = math.floor(good / 2), math.floor(bad / 2)\n"
    "  end\n"
    "  redis.call('HSET', key, 'good', string.format('%.0f', good),\n"
    "             'bad', string.format('%.0f', bad))\n"
    "  redis.call('PEXPIRE', key, life)\n"
    "  counts[2 * i - 1], counts[2 * i] = good, bad\n"
    "end\n"
    "return counts\n";

struct sharing {
    struct loop *loop;
    struct greylist *greylist;
    struct limits *limits;
    struct reputation *reputation;
    struct redis *redis;
    struct redis_script *rates, *reputations;
    struct timer *timer;
    struct metric *degraded, *up, *round_trip;
    char *configured; // what `redis` was made of
};

// Clients on their way to Redis and back.
struct rate_batch {
    struct sharing *sharing;
    size_t count;
    struct limits_spent clients[CLIENTS_A_CALL];
};

static void on_rates(void *context, const struct redisReply *reply)
{
    struct rate_batch *batch = context;
    struct sharing *self = batch->sharing;
    int64_t now_ms = loop_now_ms(self->loop);
    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == batch->count)
        for (size_t i = 0; i < batch->count; i++) {
            if (reply->element[i]->type != REDIS_REPLY_INTEGER)
                continue;
            batch->clients[i].spent_us = reply->element[i]->integer;
            limits_learn(self->limits, &batch->clients[i], now_ms);
        }
    free(batch);
}

// What Redis does not take stays our own knowledge: the minute is over before it matters.
static void send_rates(struct sharing *self, struct rate_batch *batch)
{
    char names[CLIENTS_A_CALL][CLIENT_NAME_SIZE], numbers[CLIENTS_A_CALL][24];
    struct span words[2 * CLIENTS_A_CALL];
    for (size_t i = 0; i < batch->count; i++) {
        const struct limits_spent *client = &batch->clients[i];
        client_name("postern:rate:", client->key, client->key_size, names[i]);
        snprintf(numbers[i], sizeof(numbers[i]), "%lld", (long long)client->spent_us);
        words[i] = span_of(names[i]);
        words[batch->count + i] = span_of(numbers[i]);
    }
    if (!redis_script_call(self->rates, self->redis, batch->count, words, 2 * batch->count,
                           on_rates, batch))
        free(batch);
}

static void sync_rates(struct sharing *self)
{
    for (int i = 0; i < CALLS_A_SECOND && redis_answers(self->redis); i++) {
        struct rate_batch *batch = allocate(sizeof(*batch));
        batch->sharing = self;
        batch->count = limits_spent(self->limits, batch->clients, CLIENTS_A_CALL);
        if (!batch->count) {
            free(batch);
            return;
        }
        send_rates(self, batch);
    }
}

// -- reputation, likewise

struct reputation_batch {
    struct sharing *sharing;
    size_t count;
    struct reputation_counts clients[CLIENTS_A_CALL];
};

static int is_count(const struct redisReply *reply)
{
    return reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0 &&
           reply->integer <= REPUTATION_WEIGHT_MOST;
}

static void on_reputations(void *context, const struct redisReply *reply)
{
    struct reputation_batch *batch = context;
    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 * batch->count)
        for (size_t i = 0; i < batch->count; i++) {
            const struct redisReply *good = reply->element[2 * i], *bad = reply->element[2 * i + 1];
            if (!is_count(good) || !is_count(bad))
                continue;
            batch->clients[i].good = good->integer;
            batch->clients[i].bad = bad->integer;
            reputation_learn(batch->sharing->reputation, &batch->clients[i]);
        }
    free(batch);
}

static void send_reputations(struct sharing *self, struct reputation_batch *batch)
{
    enum { MOST = 3 * CLIENTS_A_CALL + 2 };
    char names[CLIENTS_A_CALL][CLIENT_NAME_SIZE], numbers[2 * CLIENTS_A_CALL + 2][24];
    struct span words[MOST];
    size_t count = batch->count;
    for (size_t i = 0; i < count; i++) {
        const struct reputation_counts *client = &batch->clients[i];
        client_name(REPUTATION_PREFIX, client->key, client->key_size, names[i]);
        words[i] = span_of(names[i]);
        snprintf(numbers[2 * i], sizeof(numbers[0]), "%lld", (long long)client->good);
        snprintf(numbers[2 * i + 1], sizeof(numbers[0]), "%lld", (long long)client->bad);
    }
    snprintf(numbers[2 * count], sizeof(numbers[0]), "%d", REPUTATION_WEIGHT_MOST);
    snprintf(numbers[2 * count + 1], sizeof(numbers[0]), "%lld", (long long)REPUTATION_LIFE_MS);
    for (size_t i = 0; i < 2 * count + 2; i++)
        words[count + i] = span_of(numbers[i]);
    if (!redis_script_call(self->reputations, self->redis, count, words, 3 * count + 2,
                           on_reputations, batch))
        free(batch);
}

static void sync_reputations(struct sharing *self)
{
    for (int i = 0; i < CALLS_A_SECOND && redis_answers(self->redis); i++) {
        struct reputation_batch *batch = allocate(sizeof(*batch));
        batch->sharing = self;
        batch->count = reputation_news(self->reputation, batch->clients, CLIENTS_A_CALL);
        if (!batch->count) {
            free(batch);
            return;
        }
        send_reputations(self, batch);
    }
}

// -- each second

// Also when nobody asks anything it is to be known whether Redis answers.
static void ping(struct sharing *self)
{
    static const struct span words[] = {{"PING", 4}};
    (void)redis_ask(self->redis, words, ARRAY_LENGTH(words), 0, NULL, NULL);
}

static void second(void *context)
{
    struct sharing *self = context;
    int up = self->redis && redis_answers(self->redis);
    timer_start(self->timer, SECOND_MS);
    metric_set(self->degraded, self->configured && !up);
    metric_set(self->up, up);
    metric_set(self->round_trip, self->redis ? redis_round_trip_us(self->redis) : 0);
    if (!up)
        return;
    ping(self);
    sync_rates(self);
    sync_reputations(self);
}

struct sharing *sharing_new(struct loop *loop, struct greylist *greylist, struct limits *limits,
                            struct reputation *reputation)
{
    struct sharing *self = allocate(sizeof(*self));
    self->loop = loop;
    self->greylist = greylist;
    self->limits = limits;
    self->reputation = reputation;
    self->rates = redis_script_new(rate_script);
    self->reputations = redis_script_new(reputation_script);
    self->degraded = metric("degraded", "what=\"redis\"");
    self->up = metric("redis_up", "");
    self->round_trip = metric("redis_round_trip_us", "");
    self->timer = timer_new(loop, second, self);
    timer_start(self->timer, SECOND_MS);
    return self;
}

static void disconnect(struct sharing *self)
{
    greylist_share(self->greylist, NULL, 0);
    redis_destroy(&self->redis);
    free(self->configured);
    self->configured = NULL;
}

void sharing_destroy(struct sharing **self)
{
    if (!*self)
        return;
    disconnect(*self);
    timer_destroy(&(*self)->timer);
    redis_script_destroy(&(*self)->rates);
    redis_script_destroy(&(*self)->reputations);
    free(*self);
    *self = NULL;
}

// What stays the same is left alone.
static void connect_as(struct sharing *self, const struct settings *settings)
{
    char *wanted = shared_redis_text(settings);
    int same = wanted && self->configured && !strcmp(wanted, self->configured);
    if (same || (!wanted && !self->configured)) {
        free(wanted);
        return;
    }
    disconnect(self);
    self->configured = wanted;
    if (wanted)
        self->redis = shared_redis_new(self->loop, settings);
}

void sharing_settings(struct sharing *self, const struct settings *settings)
{
    connect_as(self, settings);
    greylist_share(self->greylist, self->redis, settings->reputation);
}
