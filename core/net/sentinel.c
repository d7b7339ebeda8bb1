// SPDX-License-Identifier: Apache-2.0
#include "core/net/sentinel.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/net/redis_reader.h"
#include "core/net/tls.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANSWER_MS = 1000, // connection, handshake, AUTH and the answer
    ROUND_MS = 1000,  // rest after all of them were asked in vain
    PING_MS = 3000,   // to the one that is listened to; it answers before the next
    EVENT_WORDS = 5,  // name, old address and port, new address and port
};

enum phase {
    PHASE_REST,    // nobody is connected; the timer begins with the next one
    PHASE_ASKING,  // up to the answer
    PHASE_LISTENS, // knows, and tells of changes
};

struct sentinel {
    struct loop *loop;
    sentinel_fn *fn;
    void *context;
    struct endpoint addresses[SENTINELS_MOST];
    size_t count, at;
    unsigned in_vain; // how many in a row did not know
    char *master_name, *user, *password, *host;
    struct tls *tls;
    enum phase phase;
    struct redis_link *link;
    struct timer *timer; // end of the rest or of the patience, or time for the next PING
    int silent;          // nothing was heard since the last PING
};

static const struct redis_link_ops ops;

static const char *here(const struct sentinel *self)
{
    return self->addresses[self->at].text;
}

// Leaves this one; the next is asked in the next turn, or after a rest when all were asked.
static void leave(struct sentinel *self, const char *why)
{
    log_warning("sentinel.left", "address=%s reason=\"%s\"", here(self), why);
    redis_link_destroy(&self->link);
    self->phase = PHASE_REST;
    self->at = (self->at + 1) % self->count;
    self->in_vain++;
    timer_start(self->timer, self->in_vain % self->count == 0 ? ROUND_MS : 0);
}

static void connect_next(struct sentinel *self)
{
    struct redis_login login = {self->user, self->password, self->tls, self->host};
    self->link = redis_link_new(self->loop, &self->addresses[self->at], &login, &ops, self);
    if (!self->link) {
        leave(self, strerror(errno));
        return;
    }
    self->phase = PHASE_ASKING;
    timer_start(self->timer, ANSWER_MS);
}

static void ping(struct sentinel *self)
{
    static const struct span words[] = {{"PING", 4}};
    self->silent = 1;
    redis_link_put(self->link, words, ARRAY_LENGTH(words));
    timer_start(self->timer, PING_MS);
}

static void on_time(void *context)
{
    struct sentinel *self = context;
    switch (self->phase) {
    case PHASE_REST:
        connect_next(self);
        break;
    case PHASE_ASKING:
        leave(self, "no answer");
        break;
    case PHASE_LISTENS:
        if (self->silent)
            leave(self, "it fell silent");
        else
            ping(self);
        break;
    }
}

// The subscription is sent with the question: what changes after the answer is not missed.
static void on_opened(void *context)
{
    struct sentinel *self = context;
    struct span question[] = {span_of("SENTINEL"), span_of("get-master-addr-by-name"),
                              span_of(self->master_name)};
    struct span subscription[] = {span_of("SUBSCRIBE"), span_of("+switch-master")};
    redis_link_put(self->link, question, ARRAY_LENGTH(question));
    redis_link_put(self->link, subscription, ARRAY_LENGTH(subscription));
}

// -- what they say

static int is_text(const struct redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS;
}

// -1: no address; names are not looked up (a Sentinel gives them only when told to).
static int read_address(struct endpoint *ret, const char *host, const char *port)
{
    char *end;
    long number = strtol(port, &end, 10);
    return *end ? -1 : endpoint_of(ret, host, number);
}

static void on_answer(struct sentinel *self, const struct redisReply *reply)
{
    struct endpoint primary;
    char why[96];
    if (redis_reader_is_error(reply, ""))
        leave(self, redis_reader_text(reply, why, sizeof(why)));
    else if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
        leave(self, "it does not know the primary");
    else if (!is_text(reply->element[0]) || !is_text(reply->element[1]) ||
             read_address(&primary, reply->element[0]->str, reply->element[1]->str) < 0)
        leave(self, "the primary it names has no address");
    else {
        self->phase = PHASE_LISTENS;
        self->in_vain = 0;
        log_info("sentinel.listens", "address=%s primary=%s", here(self), primary.text);
        ping(self);
        self->fn(self->context, &primary);
    }
}

// "NAME OLD-ADDRESS OLD-PORT NEW-ADDRESS NEW-PORT"; of other names nothing is wanted.
static void on_switch(struct sentinel *self, const char *text)
{
    char words[512], *rest = words, *word[EVENT_WORDS];
    struct endpoint primary;
    snprintf(words, sizeof(words), "%s", text);
    for (size_t i = 0; i < EVENT_WORDS; i++)
        if (!(word[i] = strsep(&rest, " ")))
            return;
    if (strcmp(word[0], self->master_name) || read_address(&primary, word[3], word[4]) < 0)
        return;
    log_info("sentinel.switch", "address=%s primary=%s", here(self), primary.text);
    self->fn(self->context, &primary);
}

// Of its subscription an error is heard too: without it nothing would be told.
static void on_word(struct sentinel *self, const struct redisReply *reply)
{
    char why[96];
    if (redis_reader_is_error(reply, "")) {
        leave(self, redis_reader_text(reply, why, sizeof(why)));
        return;
    }
    self->silent = 0;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 && is_text(reply->element[0]) &&
        is_text(reply->element[2]) && !strcmp(reply->element[0]->str, "message"))
        on_switch(self, reply->element[2]->str);
}

static void on_reply(void *context, const struct redisReply *reply)
{
    struct sentinel *self = context;
    if (self->phase == PHASE_ASKING)
        on_answer(self, reply);
    else
        on_word(self, reply);
}

static void on_failed(void *context, const char *why)
{
    leave(context, why);
}

static const struct redis_link_ops ops = {on_opened, on_reply, on_failed};

// -- life

static int parse_addresses(struct sentinel *self, const struct sentinel_options *options)
{
    if (!options->address_count || options->address_count > SENTINELS_MOST)
        return -1;
    for (; self->count < options->address_count; self->count++)
        if (endpoint_parse(&self->addresses[self->count], options->addresses[self->count]) < 0)
            return -1;
    return 0;
}

static char *copy(const char *text)
{
    return text ? duplicate(text) : NULL;
}

struct sentinel *sentinel_new(const struct sentinel_options *options, sentinel_fn *fn,
                              void *context)
{
    struct sentinel *self = allocate(sizeof(*self));
    if (parse_addresses(self, options) < 0) {
        free(self);
        errno = EINVAL;
        return NULL;
    }
    self->loop = options->loop;
    self->fn = fn;
    self->context = context;
    self->master_name = duplicate(options->master_name);
    self->user = copy(options->login.user);
    self->password = copy(options->login.password);
    self->host = copy(options->login.host);
    self->tls = options->login.tls ? tls_retain(options->login.tls) : NULL;
    self->timer = timer_new(self->loop, on_time, self);
    timer_start(self->timer, 0);
    return self;
}

void sentinel_destroy(struct sentinel **self)
{
    struct sentinel *sentinel = *self;
    if (!sentinel)
        return;
    *self = NULL;
    redis_link_destroy(&sentinel->link);
    timer_destroy(&sentinel->timer);
    tls_release(&sentinel->tls);
    if (sentinel->password)
        OPENSSL_cleanse(sentinel->password, strlen(sentinel->password));
    free(sentinel->password);
    free(sentinel->user);
    free(sentinel->host);
    free(sentinel->master_name);
    free(sentinel);
}

void sentinel_ask(struct sentinel *self)
{
    if (self->phase == PHASE_LISTENS)
        leave(self, "its primary is none");
}
