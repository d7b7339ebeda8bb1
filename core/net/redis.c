// SPDX-License-Identifier: Apache-2.0
#include "core/net/redis.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/random.h"
#include "core/net/connection.h"
#include "core/net/redis_reader.h"
#include "core/net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum {
    DEADLINE_MS = 250,
    CONNECT_MS = 1000,        // connection, handshake, AUTH and PING
    QUESTIONS_MOST = 1000,    // asked and not yet answered
    UNSENT_MOST = 256 * 1024, // bytes that Redis does not take
    LATE_MOST = 5,            // late answers in a row that open the breaker
    PAUSE_FIRST_MS = 100,
    PAUSE_MOST_MS = 30000,
};

enum phase {
    PHASE_PAUSE,   // breaker open
    PHASE_CONNECT, // half-open: up to the answer to PING
    PHASE_READY,   // closed
};

// Answers come in the order of the questions; one that was late or forgotten keeps its place.
struct redis_question {
    struct redis_question *next;
    redis_fn *fn; // NULL: nobody waits
    void *context;
    int64_t late_ms;
    int late; // told so already
};

struct redis {
    struct loop *loop;
    struct sockaddr_storage to;
    socklen_t to_size;
    char *address, *user, *password;
    char *host; // whom the certificate must name
    struct tls *tls;
    unsigned deadline_ms;
    enum phase phase;
    struct connection *connection;
    struct redis_reader *reader;
    struct hook *flush;
    struct timer *timer; // end of the pause, of the connecting, or of the next question's patience
    int64_t timer_at_ms;
    struct redis_question *first, **last;
    unsigned questions, late;
    unsigned pause_ms;
};

static void start_connecting(struct redis *self);

// -- addresses

static int parse_unix(struct redis *self, const char *path)
{
    struct sockaddr_un *to = (struct sockaddr_un *)&self->to;
    if (strlen(path) >= sizeof(to->sun_path))
        return -1;
    to->sun_family = AF_UNIX;
    memcpy(to->sun_path, path, strlen(path) + 1);
    self->to_size = sizeof(*to);
    return 0;
}

static int parse_address(struct redis *self, const char *text)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&self->to;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&self->to;
    char host[64];
    const char *colon = strrchr(text, ':');
    if (!strncmp(text, "unix:", 5))
        return parse_unix(self, text + 5);
    long port = colon ? strtol(colon + 1, NULL, 10) : 0;
    if (port < 1 || port > 65535 || (size_t)(colon - text) >= sizeof(host))
        return -1;
    int brackets = text[0] == '[' && colon[-1] == ']';
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text) - 2 * brackets, text + brackets);
    if (!self->host)
        self->host = duplicate(host);
    if (!brackets && inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        self->to_size = sizeof(*v4);
        return 0;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    self->to_size = sizeof(*v6);
    return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1 ? 0 : -1;
}

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

static void put(struct redis *self, const struct span *words, size_t count)
{
    redis_reader_format(connection_output(self->connection), words, count);
}

static struct redis_question *add_question(struct redis *self, int64_t late_ms, redis_fn *fn,
                                           void *context)
{
    struct redis_question *question = allocate(sizeof(*question));
    *question = (struct redis_question){.fn = fn, .context = context, .late_ms = late_ms};
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
        connection_unsent(self->connection) > UNSENT_MOST)
        return NULL;
    if (!late_ms)
        late_ms = redis_late_ms(self);
    put(self, words, count);
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

// -- the breaker

static void cut(struct redis *self)
{
    connection_destroy(&self->connection);
    redis_reader_destroy(&self->reader);
    self->phase = PHASE_PAUSE;
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
    unsigned pause = self->pause_ms + (unsigned)(random_u64() % (self->pause_ms / 2 + 1));
    log_warning("redis.away", "address=%s reason=\"%s\" pause_ms=%u", self->address, why, pause);
    cut(self);
    self->pause_ms = self->pause_ms * 2 < PAUSE_MOST_MS ? self->pause_ms * 2 : PAUSE_MOST_MS;
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
    self->late = 0;
    self->timer_at_ms = 0;
    timer_stop(self->timer);
    log_info("redis.answers", "address=%s", self->address);
}

// Tells those whose patience ended; arms the timer for the next.
static void check_patience(struct redis *self)
{
    int64_t now = loop_now_ms(self->loop), next = 0;
    for (struct redis_question *question = self->first; question; question = question->next) {
        if (!question->late && question->late_ms <= now) {
            question->late = 1;
            self->late++;
            answer(question, NULL);
        }
        if (!question->late && (!next || question->late_ms < next))
            next = question->late_ms;
    }
    self->timer_at_ms = 0;
    if (self->late >= LATE_MOST)
        open_breaker(self, "answers come late");
    else if (next)
        set_timer(self, next);
}

static void on_time(void *context)
{
    struct redis *self = context;
    switch (self->phase) {
    case PHASE_PAUSE:
        start_connecting(self);
        break;
    case PHASE_CONNECT:
        open_breaker(self, "no answer to PING");
        break;
    case PHASE_READY:
        check_patience(self);
        break;
    }
}

// -- the connection

static void take_reply(struct redis *self, const struct redisReply *reply)
{
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
    if (!question->late)
        self->late = 0;
    if (self->phase == PHASE_READY)
        self->pause_ms = PAUSE_FIRST_MS;
    answer(question, reply);
    free(question);
}

static void on_data(struct redis *self)
{
    struct buffer *input = connection_input(self->connection);
    struct redisReply *reply;
    redis_reader_feed(self->reader, buffer_bytes(input), buffer_size(input));
    buffer_take(input, buffer_size(input));
    connection_reading(self->connection, 1);
    while (self->connection && (reply = redis_reader_next(self->reader))) {
        take_reply(self, reply);
        redis_reader_free(reply);
    }
    if (self->connection && redis_reader_failed(self->reader))
        open_breaker(self, "not the Redis protocol");
}

static void on_greeting(void *context, const struct redisReply *reply)
{
    struct redis *self = context;
    char why[96];
    if (!reply)
        return; // the breaker opens already
    if (redis_reader_is_error(reply, ""))
        open_breaker(self, redis_reader_text(reply, why, sizeof(why)));
    else if (!self->first) // PING, the last of them
        close_breaker(self);
}

static void greet(struct redis *self)
{
    struct span auth[3] = {{"AUTH", 4}};
    struct span ping = {"PING", 4};
    size_t count = 1;
    if (self->user)
        auth[count++] = span_of(self->user);
    if (self->password) {
        auth[count++] = span_of(self->password);
        put(self, auth, count);
        add_question(self, INT64_MAX, on_greeting, self);
    }
    put(self, &ping, 1);
    add_question(self, INT64_MAX, on_greeting, self);
}

static void on_event(void *context, enum connection_event event)
{
    struct redis *self = context;
    switch (event) {
    case CONNECTION_OPEN:
        if (self->tls)
            connection_secure(self->connection, self->tls, self->host, 1);
        else
            greet(self);
        break;
    case CONNECTION_SECURE:
        greet(self);
        break;
    case CONNECTION_DATA:
        on_data(self);
        break;
    case CONNECTION_SENT:
    case CONNECTION_LATE:
        break;
    case CONNECTION_END:
        open_breaker(self, "it closed the connection");
        break;
    case CONNECTION_FAILED:
        open_breaker(self, connection_error(self->connection));
        break;
    }
}

static void start_connecting(struct redis *self)
{
    self->connection = connection_connect(self->loop, (const struct sockaddr *)&self->to,
                                          self->to_size, NULL, 0, on_event, self);
    if (!self->connection) {
        open_breaker(self, strerror(errno));
        return;
    }
    self->reader = redis_reader_new();
    self->phase = PHASE_CONNECT;
    set_timer(self, loop_now_ms(self->loop) + CONNECT_MS);
}

// What all sessions of this turn asked leaves with one write.
static void on_turn_end(void *context)
{
    struct redis *self = context;
    if (self->connection && connection_unsent(self->connection))
        connection_flush(self->connection);
}

// -- life

struct redis *redis_new(const struct redis_options *options)
{
    struct redis *self = allocate(sizeof(*self));
    self->host = options->host ? duplicate(options->host) : NULL;
    if (parse_address(self, options->address) < 0) {
        free(self->host);
        free(self);
        errno = EINVAL;
        return NULL;
    }
    self->loop = options->loop;
    self->address = duplicate(options->address);
    self->user = options->user ? duplicate(options->user) : NULL;
    self->password = options->password ? duplicate(options->password) : NULL;
    self->tls = options->tls ? tls_retain(options->tls) : NULL;
    self->deadline_ms = options->deadline_ms ? options->deadline_ms : DEADLINE_MS;
    self->pause_ms = PAUSE_FIRST_MS;
    self->last = &self->first;
    self->timer = timer_new(self->loop, on_time, self);
    self->flush = hook_new(self->loop, on_turn_end, self);
    start_connecting(self);
    return self;
}

void redis_destroy(struct redis **self)
{
    struct redis *redis = *self;
    if (!redis)
        return;
    cut(redis);
    answer_nobody(redis);
    timer_destroy(&redis->timer);
    hook_destroy(&redis->flush);
    tls_release(&redis->tls);
    if (redis->password)
        OPENSSL_cleanse(redis->password, strlen(redis->password));
    free(redis->password);
    free(redis->user);
    free(redis->address);
    free(redis->host);
    free(redis);
    *self = NULL;
}
