// SPDX-License-Identifier: Apache-2.0
#include "core/net/redis.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/random.h"
#include "core/net/redis_reader.h"
#include "core/net/tls.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEADLINE_MS = 250,
    CONNECT_MS = 1000,        // connection, handshake, AUTH and ROLE
    QUESTIONS_MOST = 1000,    // asked and not yet answered
    UNSENT_MOST = 256 * 1024, // bytes that Redis does not take
    LATE_MOST = 3,            // late answers that open the breaker when they come within
    LATE_WINDOW_MS = 10000,   // (in a row would not do: a way that stalls lets some through)
    FAILURES_MOST = 3,        // in a row, up to which it is tried again soon
    PAUSE_SOON_MS = 100,
    PAUSE_MS = 5000,
    SMOOTHING = 8, // a new round trip counts one part of so many
};

enum phase {
    PHASE_PAUSE,   // breaker open
    PHASE_LOOKUP,  // open, too: no Sentinel has named the primary yet
    PHASE_CONNECT, // half-open: up to the answer to ROLE
    PHASE_READY,   // closed
};

// Answers come in the order of the questions; one that was late or forgotten keeps its place.
struct redis_question {
    struct redis_question *next;
    redis_fn *fn; // NULL: nobody waits
    void *context;
    int64_t late_ms, asked_us;
    int late; // told so already
};

struct redis {
    struct loop *loop;
    struct endpoint to;        // no text: no Sentinel has named it yet
    struct sentinel *sentinel; // NULL: the address was given
    struct redis_login login;  // all of it our own
    unsigned deadline_ms;
    enum phase phase;
    struct redis_link *link;
    struct timer *timer; // end of the pause, of the connecting, or of the next question's patience
    int64_t timer_at_ms;
    struct redis_question *first, **last;
    unsigned questions;
    int64_t late_at_ms[LATE_MOST]; // the last late ones, 0: none yet
    unsigned lates;
    unsigned failures; // in a row
    int64_t round_trip_us;
};

static void start_connecting(struct redis *self);

// -- questions

static void set_timer(struct redis *self, int64_t at_ms)
{
    self->timer_at_ms = at_ms;
    timer_start(self->timer, at_ms - loop_now_ms(self->loop));
}

static void answer(struct redis_question *question, const struct redisReply *reply)
{
    redis_fn *fn = question->fn;
    question->fn = NULL;
    if (fn)
        fn(question->context, reply);
}

static struct redis_question *add_question(struct redis *self, int64_t late_ms, redis_fn *fn,
                                           void *context)
{
    struct redis_question *question = allocate(sizeof(*question));
    *question = (struct redis_question){
        .fn = fn, .context = context, .late_ms = late_ms, .asked_us = clock_monotonic_us()};
    *self->last = question;
    self->last = &question->next;
    self->questions++;
    return question;
}

static struct redis_question *take_question(struct redis *self)
{
    struct redis_question *question = self->first;
    self->first = question->next;
    if (!self->first)
        self->last = &self->first;
    self->questions--;
    return question;
}

struct redis_question *redis_ask(struct redis *self, const struct span *words, size_t count,
                                 int64_t late_ms, redis_fn *fn, void *context)
{
    if (self->phase != PHASE_READY || self->questions >= QUESTIONS_MOST ||
        redis_link_unsent(self->link) > UNSENT_MOST)
        return NULL;
    if (!late_ms)
        late_ms = redis_late_ms(self);
    redis_link_put(self->link, words, count);
    if (!self->timer_at_ms || late_ms < self->timer_at_ms)
        set_timer(self, late_ms);
    return add_question(self, late_ms, fn, context);
}

void redis_forget(struct redis_question *question)
{
    question->fn = NULL;
}

int redis_answers(const struct redis *self)
{
    return self->phase == PHASE_READY;
}

int64_t redis_late_ms(const struct redis *self)
{
    return loop_now_ms(self->loop) + self->deadline_ms;
}

int64_t redis_round_trip_us(const struct redis *self)
{
    return self->round_trip_us;
}

// -- the breaker

static void cut(struct redis *self)
{
    redis_link_destroy(&self->link);
    self->phase = PHASE_PAUSE;
    self->round_trip_us = 0;
}

static void answer_nobody(struct redis *self)
{
    while (self->first) {
        struct redis_question *question = take_question(self);
        answer(question, NULL);
        free(question);
    }
}

// Opens it: no question waits any longer, and none is asked until the pause is over.
static void open_breaker(struct redis *self, const char *why)
{
    unsigned pause = ++self->failures < FAILURES_MOST ? PAUSE_SOON_MS : PAUSE_MS;
    pause += (unsigned)(random_u64() % (pause / 5 + 1)); // not all workers at once
    log_warning("redis.away", "address=%s reason=\"%s\" pause_ms=%u", self->to.text, why, pause);
    cut(self);
    set_timer(self, loop_now_ms(self->loop) + pause);
    answer_nobody(self);
}

// Errors that tell of the server, not of the command: asking on would be of no use.
static int is_unfit(const struct redisReply *reply)
{
    static const char *const words[] = {"READONLY ", "LOADING ",    "MASTERDOWN ", "NOAUTH ",
                                        "NOPERM ",   "WRONGPASS ",  "BUSY ",       "OOM ",
                                        "MISCONF ",  "NOREPLICAS ", "CLUSTERDOWN "};
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
        if (redis_reader_is_error(reply, words[i]))
            return 1;
    return 0;
}

static void close_breaker(struct redis *self)
{
    self->phase = PHASE_READY;
    self->timer_at_ms = 0;
    timer_stop(self->timer);
    log_info("redis.answers", "address=%s", self->to.text);
}

static int is_too_late(const struct redis *self, int64_t now_ms)
{
    int64_t oldest_ms = self->late_at_ms[self->lates % LATE_MOST];
    return oldest_ms && now_ms - oldest_ms < LATE_WINDOW_MS;
}

// Tells those whose patience ended; arms the timer for the next.
static void check_patience(struct redis *self)
{
    int64_t now = loop_now_ms(self->loop), next = 0;
    unsigned before = self->lates;
    for (struct redis_question *question = self->first; question; question = question->next) {
        if (!question->late && question->late_ms <= now) {
            question->late = 1;
            self->late_at_ms[self->lates++ % LATE_MOST] = now;
            answer(question, NULL);
        }
        if (!question->late && (!next || question->late_ms < next))
            next = question->late_ms;
    }
    self->timer_at_ms = 0;
    if (self->lates != before && is_too_late(self, now)) {
        self->failures = FAILURES_MOST; // each of them is one
        open_breaker(self, "answers come late");
    } else if (next) {
        set_timer(self, next);
    }
}

// The primary that is known was of no use, or none is known: a Sentinel names it.
static void look_up(struct redis *self)
{
    if (!self->sentinel) {
        start_connecting(self);
        return;
    }
    self->phase = PHASE_LOOKUP;
    sentinel_ask(self->sentinel);
}

static void on_time(void *context)
{
    struct redis *self = context;
    switch (self->phase) {
    case PHASE_PAUSE:
        look_up(self);
        break;
    case PHASE_LOOKUP: // no timer
        break;
    case PHASE_CONNECT:
        open_breaker(self, "no answer to ROLE");
        break;
    case PHASE_READY:
        check_patience(self);
        break;
    }
}

// -- the connection

// A failing server may answer now and then: only a reply in time to a question of ours clears it.
static void note_answer(struct redis *self, const struct redis_question *question)
{
    int64_t took_us = clock_monotonic_us() - question->asked_us;
    if (question->late)
        return;
    if (self->phase == PHASE_READY)
        self->failures = 0;
    self->round_trip_us = self->round_trip_us
                              ? self->round_trip_us + (took_us - self->round_trip_us) / SMOOTHING
                              : took_us;
}

static void on_reply(void *context, const struct redisReply *reply)
{
    struct redis *self = context;
    if (!self->first) {
        open_breaker(self, "an answer to no question");
        return;
    }
    if (is_unfit(reply)) {
        char why[96];
        open_breaker(self, redis_reader_text(reply, why, sizeof(why)));
        return;
    }
    struct redis_question *question = take_question(self);
    note_answer(self, question);
    answer(question, reply);
    free(question);
}

static void on_failed(void *context, const char *why)
{
    open_breaker(context, why);
}

// Only a primary can keep anything. Its first word names its role.
static void on_role(void *context, const struct redisReply *reply)
{
    struct redis *self = context;
    char why[96];
    if (!reply)
        return; // the breaker opens already
    if (redis_reader_is_error(reply, ""))
        open_breaker(self, redis_reader_text(reply, why, sizeof(why)));
    else if (reply->type != REDIS_REPLY_ARRAY || !reply->elements ||
             reply->element[0]->type != REDIS_REPLY_STRING ||
             strcmp(reply->element[0]->str, "master"))
        open_breaker(self, "it is no primary");
    else
        close_breaker(self);
}

static void on_opened(void *context)
{
    static const struct span role[] = {{"ROLE", 4}};
    struct redis *self = context;
    redis_link_put(self->link, role, ARRAY_LENGTH(role));
    add_question(self, INT64_MAX, on_role, self);
}

static void start_connecting(struct redis *self)
{
    static const struct redis_link_ops ops = {on_opened, on_reply, on_failed};
    self->link = redis_link_new(self->loop, &self->to, &self->login, &ops, self);
    if (!self->link) {
        open_breaker(self, strerror(errno));
        return;
    }
    self->phase = PHASE_CONNECT;
    set_timer(self, loop_now_ms(self->loop) + CONNECT_MS);
}

// A fail-over ends any pause. The same primary again is only news to who waits for it.
static void on_primary(void *context, const struct endpoint *primary)
{
    struct redis *self = context;
    int same = endpoint_same(primary, &self->to);
    if (same && self->phase != PHASE_LOOKUP)
        return;
    if (!same && self->to.size)
        log_info("redis.moved", "from=%s to=%s", self->to.text, primary->text);
    cut(self);
    if (!same)
        memset(self->late_at_ms, 0, sizeof(self->late_at_ms)); // that was another server
    self->to = *primary;
    answer_nobody(self);
    start_connecting(self);
}

// -- life

static char *copy(const char *text)
{
    return text ? duplicate(text) : NULL;
}

static void keep_login(struct redis *self, const struct redis_login *login)
{
    self->login = (struct redis_login){
        .user = copy(login->user),
        .password = copy(login->password),
        .tls = login->tls ? tls_retain(login->tls) : NULL,
        .host = copy(login->host),
    };
}

static int open_sentinel(struct redis *self, const struct sentinel_options *asked)
{
    struct sentinel_options options = *asked;
    options.loop = self->loop;
    self->sentinel = sentinel_new(&options, on_primary, self);
    self->phase = PHASE_LOOKUP;
    return self->sentinel ? 0 : -1;
}

struct redis *redis_new(const struct redis_options *options)
{
    struct redis *self = allocate(sizeof(*self));
    self->loop = options->loop;
    if (options->sentinels ? open_sentinel(self, options->sentinels) < 0
                           : endpoint_parse(&self->to, options->address) < 0) {
        free(self);
        errno = EINVAL;
        return NULL;
    }
    keep_login(self, &options->login);
    self->deadline_ms = options->deadline_ms ? options->deadline_ms : DEADLINE_MS;
    self->last = &self->first;
    self->timer = timer_new(self->loop, on_time, self);
    if (!self->sentinel)
        start_connecting(self);
    return self;
}

void redis_destroy(struct redis **self)
{
    struct redis *redis = *self;
    if (!redis)
        return;
    *self = NULL;
    sentinel_destroy(&redis->sentinel);
    cut(redis);
    answer_nobody(redis);
    timer_destroy(&redis->timer);
    tls_release(&redis->login.tls);
    if (redis->login.password)
        OPENSSL_cleanse((char *)redis->login.password, strlen(redis->login.password));
    free((char *)redis->login.password);
    free((char *)redis->login.user);
    free((char *)redis->login.host);
    free(redis);
}
