// SPDX-License-Identifier: Apache-2.0
#include "core/net/redis_link.h"
#include "core/base/loop.h"
#include "core/net/connection.h"
#include "core/net/redis_reader.h"
#include "core/net/tls.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

struct redis_link {
    const struct redis_link_ops *ops;
    void *context;
    struct connection *connection;
    struct redis_reader *reader;
    struct hook *flush;
    struct tls *tls;
    char *host;
    struct buffer greeting; // AUTH, wiped once it is queued
    int greets;             // its answer is due
    int telling;            // replies are being told, so
    int gone;               // what was destroyed then is freed after them
};

// A word of the server's own choice cannot tell where it ends in the log.
static void fail_with(struct redis_link *self, const struct redisReply *reply)
{
    char why[96];
    self->ops->failed(self->context, redis_reader_text(reply, why, sizeof(why)));
}

static void wipe(struct buffer *buffer)
{
    if (buffer->data)
        OPENSSL_cleanse(buffer->data, buffer->capacity);
    buffer_free(buffer);
}

static void greet(struct redis_link *self)
{
    if (!buffer_size(&self->greeting)) {
        self->ops->opened(self->context);
        return;
    }
    self->greets = 1;
    buffer_add(connection_output(self->connection), buffer_bytes(&self->greeting),
               buffer_size(&self->greeting));
    wipe(&self->greeting);
    connection_flush(self->connection);
}

static void take_reply(struct redis_link *self, const struct redisReply *reply)
{
    if (!self->greets) {
        self->ops->reply(self->context, reply);
        return;
    }
    self->greets = 0;
    if (redis_reader_is_error(reply, ""))
        fail_with(self, reply);
    else
        self->ops->opened(self->context);
}

static void release(struct redis_link *self)
{
    redis_reader_destroy(&self->reader);
    tls_release(&self->tls);
    wipe(&self->greeting);
    free(self->host);
    free(self);
}

static void on_data(struct redis_link *self)
{
    struct buffer *input = connection_input(self->connection);
    struct redisReply *reply;
    redis_reader_feed(self->reader, buffer_bytes(input), buffer_size(input));
    buffer_take(input, buffer_size(input));
    connection_reading(self->connection, 1);
    self->telling = 1;
    while (!self->gone && (reply = redis_reader_next(self->reader))) {
        take_reply(self, reply);
        redis_reader_free(reply);
    }
    self->telling = 0;
    if (self->gone)
        release(self);
    else if (redis_reader_failed(self->reader))
        self->ops->failed(self->context, "not the Redis protocol");
}

static void on_event(void *context, enum connection_event event)
{
    struct redis_link *self = context;
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
        self->ops->failed(self->context, "it closed the connection");
        break;
    case CONNECTION_FAILED:
        self->ops->failed(self->context, connection_error(self->connection));
        break;
    }
}

// What all sessions of this turn asked leaves with one write.
static void on_turn_end(void *context)
{
    struct redis_link *self = context;
    if (connection_unsent(self->connection))
        connection_flush(self->connection);
}

static void prepare_greeting(struct redis_link *self, const struct redis_login *login)
{
    struct span auth[3] = {{"AUTH", 4}};
    size_t count = 1;
    if (!login->password)
        return;
    if (login->user)
        auth[count++] = span_of(login->user);
    auth[count++] = span_of(login->password);
    redis_reader_format(&self->greeting, auth, count);
}

struct redis_link *redis_link_new(struct loop *loop, const struct endpoint *to,
                                  const struct redis_login *login, const struct redis_link_ops *ops,
                                  void *context)
{
    struct redis_link *self = allocate(sizeof(*self));
    self->ops = ops;
    self->context = context;
    self->connection = connection_connect(loop, (const struct sockaddr *)&to->address, to->size,
                                          NULL, 0, on_event, self);
    if (!self->connection) {
        int error = errno;
        free(self);
        errno = error;
        return NULL;
    }
    self->reader = redis_reader_new();
    self->flush = hook_new(loop, on_turn_end, self);
    self->tls = login->tls ? tls_retain(login->tls) : NULL;
    const char *host = login->host ? login->host : to->host;
    self->host = *host ? duplicate(host) : NULL;
    prepare_greeting(self, login);
    return self;
}

void redis_link_destroy(struct redis_link **self)
{
    struct redis_link *link = *self;
    if (!link)
        return;
    *self = NULL;
    connection_destroy(&link->connection);
    hook_destroy(&link->flush);
    link->gone = 1;
    if (!link->telling)
        release(link);
}

void redis_link_put(struct redis_link *self, const struct span *words, size_t count)
{
    redis_reader_format(connection_output(self->connection), words, count);
}

size_t redis_link_unsent(const struct redis_link *self)
{
    return connection_unsent(self->connection);
}
