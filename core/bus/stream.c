// SPDX-License-Identifier: Apache-2.0
#include "core/bus/body.h"
#include "core/bus/keys.h"
#include "core/bus/link.h"
#include "core/bus/zap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_MOST = 1 << 20, HIGH_WATER = 1000 };

struct stream {
    struct link *link;
    int bound;
    control_fn *fn;
    void *context;
    char *publisher; // its key, where we connect to it
};

// Topic, then body.
static void on_message(void *context, zmq_msg_t *parts, size_t count)
{
    struct stream *self = context;
    struct body body;
    if (count != 2 || body_read(&parts[1], &body) < 0 || !body_published(&body))
        return;
    const char *key = self->publisher ? self->publisher : zmq_msg_gets(&parts[1], "User-Id");
    if (key && *key)
        self->fn(self->context, key, body.type, body.data, body.size);
}

static struct stream *stream_new(struct loop *loop, const struct socket_options *options,
                                 control_fn *fn, void *context)
{
    struct stream *self = allocate(sizeof(*self));
    self->bound = options->bind;
    self->fn = fn;
    self->context = context;
    if (options->server_key)
        self->publisher = duplicate(options->server_key);
    struct link_handlers handlers = {.received = fn ? on_message : NULL, .context = self};
    self->link = link_new(loop, options, &handlers);
    if (!self->link) {
        int failure = errno;
        stream_destroy(&self);
        errno = failure;
    }
    return self;
}

struct stream *stream_publish(struct loop *loop, int bind, const char *endpoint,
                              const struct curve_keys *keys, const char *server_key)
{
    struct socket_options options = {.kind = SOCKET_PUB,
                                     .bind = bind,
                                     .endpoint = endpoint,
                                     .keys = keys,
                                     .server_key = server_key,
                                     .zap_domain = ZAP_CONFIG,
                                     .message_most = MESSAGE_MOST,
                                     .high_water = HIGH_WATER};
    return stream_new(loop, &options, NULL, NULL);
}

struct stream *stream_subscribe(struct loop *loop, int bind, const char *endpoint,
                                const struct curve_keys *keys, const char *server_key,
                                const char *const *topics, control_fn *fn, void *context)
{
    struct socket_options options = {.kind = SOCKET_SUB,
                                     .bind = bind,
                                     .endpoint = endpoint,
                                     .keys = keys,
                                     .server_key = server_key,
                                     .zap_domain = ZAP_EVENTS,
                                     .message_most = MESSAGE_MOST,
                                     .high_water = HIGH_WATER,
                                     .topics = topics};
    return stream_new(loop, &options, fn, context);
}

int stream_rebind(struct stream *self)
{
    if (!self->bound) {
        errno = EINVAL;
        return -1;
    }
    link_reopen(self->link);
    return 0;
}

void stream_destroy(struct stream **self)
{
    struct stream *stream = *self;
    if (!stream)
        return;
    link_destroy(&stream->link);
    free(stream->publisher);
    free(stream);
    *self = NULL;
}

void stream_send(struct stream *self, const char *topic, enum control_type type,
                 const ProtobufCMessage *message)
{
    zmq_msg_t name, body;
    size_t size = strlen(topic);
    if (body_pack(&body, type, message, MESSAGE_MOST) < 0)
        return;
    if (zmq_msg_init_size(&name, size) == 0) {
        memcpy(zmq_msg_data(&name), topic, size);
        if (link_send(self->link, &name, 1) == 0 && link_send(self->link, &body, 0) == 0)
            return;
        zmq_msg_close(&name);
    }
    zmq_msg_close(&body);
}
