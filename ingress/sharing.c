// SPDX-License-Identifier: Apache-2.0
#include "ingress/sharing.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "core/net/redis_reader.h"
#include "core/net/redis_script.h"
#include "core/net/tls.h"
#include "ingress/greylist.h"
#include "ingress/limits.h"
#include "mail/settings.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SECOND_MS = 1000,
    CLIENTS_A_CALL = 50,
    CALLS_A_SECOND = 20,
    NAME_SIZE = 40,
};

// A client's key holds when its minute would be whole again (microseconds of Redis's clock). Adds
// what was spent, says how much is spent now.
static const char script[] =
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

struct sharing {
    struct loop *loop;
    struct greylist *greylist;
    struct limits *limits;
    struct redis *redis;
    struct redis_script *script;
    struct timer *timer;
    struct metric *degraded;
    char *configured; // what `redis` was made of
};

// Clients on their way to Redis and back.
struct batch {
    struct sharing *sharing;
    size_t count;
    struct limits_spent clients[CLIENTS_A_CALL];
};

static void on_spent(void *context, const struct redisReply *reply)
{
    struct batch *batch = context;
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
static void send_batch(struct sharing *self, struct batch *batch)
{
    char names[CLIENTS_A_CALL][NAME_SIZE], numbers[CLIENTS_A_CALL][24];
    struct span words[2 * CLIENTS_A_CALL];
    for (size_t i = 0; i < batch->count; i++) {
        const struct limits_spent *client = &batch->clients[i];
        size_t at = (size_t)snprintf(names[i], NAME_SIZE, "postern:rate:");
        for (size_t byte = 0; byte < client->key_size; byte++, at += 2)
            snprintf(names[i] + at, 3, "%02x", client->key[byte]);
        snprintf(numbers[i], sizeof(numbers[i]), "%lld", (long long)client->spent_us);
        words[i] = span_of(names[i]);
        words[batch->count + i] = span_of(numbers[i]);
    }
    if (!redis_script_call(self->script, self->redis, batch->count, words, 2 * batch->count,
                           on_spent, batch))
        free(batch);
}

static void sync_rates(struct sharing *self)
{
    for (int i = 0; i < CALLS_A_SECOND && redis_answers(self->redis); i++) {
        struct batch *batch = allocate(sizeof(*batch));
        batch->sharing = self;
        batch->count = limits_spent(self->limits, batch->clients, CLIENTS_A_CALL);
        if (!batch->count) {
            free(batch);
            return;
        }
        send_batch(self, batch);
    }
}

static void second(void *context)
{
    struct sharing *self = context;
    timer_start(self->timer, SECOND_MS);
    metric_set(self->degraded, self->configured && !(self->redis && redis_answers(self->redis)));
    if (self->redis)
        sync_rates(self);
}

struct sharing *sharing_new(struct loop *loop, struct greylist *greylist, struct limits *limits)
{
    struct sharing *self = allocate(sizeof(*self));
    self->loop = loop;
    self->greylist = greylist;
    self->limits = limits;
    self->script = redis_script_new(script);
    self->degraded = metric("degraded", "what=\"redis\"");
    self->timer = timer_new(loop, second, self);
    timer_start(self->timer, SECOND_MS);
    return self;
}

static void disconnect(struct sharing *self)
{
    greylist_share(self->greylist, NULL);
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
    redis_script_destroy(&(*self)->script);
    free(*self);
    *self = NULL;
}

// -- settings

// All that the connection depends on, as one text to compare.
static char *configuration_of(const struct settings *settings)
{
    char text[4096];
    if (!settings->redis)
        return NULL;
    snprintf(text, sizeof(text), "%s\n%s\n%s\n%s\n%s", settings->redis,
             settings->redis_user ? settings->redis_user : "",
             settings->redis_password_file ? settings->redis_password_file : "",
             settings->redis_authorities ? settings->redis_authorities : "",
             settings->redis_host ? settings->redis_host : "");
    return duplicate(text);
}

// The first line of the file, to be wiped and freed; NULL with errno.
static char *read_password(const char *path)
{
    size_t size;
    char *text = file_read(path, 4096, &size);
    if (text)
        text[strcspn(text, "\r\n")] = 0;
    return text;
}

static void connect_as(struct sharing *self, const struct settings *settings)
{
    char error[256];
    struct tls *tls = NULL;
    struct redis_options options = {.loop = self->loop,
                                    .address = settings->redis,
                                    .user = settings->redis_user,
                                    .host = settings->redis_host};
    char *password = NULL;
    if (settings->redis_authorities)
        tls = tls_client_new(settings->redis_authorities, error, sizeof(error));
    if (settings->redis_password_file)
        password = read_password(settings->redis_password_file);
    options.tls = tls;
    options.password = password;
    if (settings->redis_authorities && !tls)
        log_error("redis.unusable", "reason=\"%s\"", error);
    else if (settings->redis_password_file && !password)
        log_error("redis.unusable", "password_file=%s errno=%d", settings->redis_password_file,
                  errno);
    else if (!(self->redis = redis_new(&options)))
        log_error("redis.unusable", "address=%s errno=%d", settings->redis, errno);
    if (password)
        OPENSSL_cleanse(password, strlen(password));
    free(password);
    tls_release(&tls);
    greylist_share(self->greylist, self->redis);
}

void sharing_settings(struct sharing *self, const struct settings *settings)
{
    char *wanted = configuration_of(settings);
    int same = wanted && self->configured && !strcmp(wanted, self->configured);
    if (same || (!wanted && !self->configured)) {
        free(wanted);
        return;
    }
    disconnect(self);
    self->configured = wanted;
    if (wanted)
        connect_as(self, settings);
}
