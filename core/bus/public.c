// SPDX-License-Identifier: Apache-2.0
#include "core/bus/public.h"
#include "core/bus/link.h"
#include "core/bus/zap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// A transaction of the store is up to 500 events at once. Nothing is taken from subscribers but
// subscriptions, which are short.
enum { MESSAGE_MOST = 4096, HIGH_WATER = 10000 };

struct public_socket {
    struct link *link;
};

struct public_socket *public_socket_bind(struct loop *loop, const char *endpoint,
                                         const struct curve_keys *keys)
{
    struct socket_options options = {.kind = SOCKET_PUB,
                                     .bind = 1,
                                     .endpoint = endpoint,
                                     .keys = keys,
                                     .zap_domain = ZAP_PUBLIC,
                                     .message_most = MESSAGE_MOST,
                                     .high_water = HIGH_WATER};
    struct link_handlers handlers = {0};
    struct public_socket *self = allocate(sizeof(*self));
    self->link = link_new(loop, &options, &handlers);
    if (!self->link) {
        int failure = errno;
        free(self);
        errno = failure;
        return NULL;
    }
    return self;
}

void public_socket_destroy(struct public_socket **self)
{
    struct public_socket *socket = *self;
    if (!socket)
        return;
    link_destroy(&socket->link);
    free(socket);
    *self = NULL;
}

void public_socket_rebind(struct public_socket *self)
{
    link_reopen(self->link);
}

static int send_part(struct public_socket *self, struct span part, int more)
{
    zmq_msg_t message;
    if (zmq_msg_init_size(&message, part.size) < 0)
        return -1;
    if (part.size)
        memcpy(zmq_msg_data(&message), part.data, part.size);
    if (link_send(self->link, &message, more) == 0)
        return 0;
    zmq_msg_close(&message);
    return -1;
}

void public_socket_send(struct public_socket *self, const char *topic, struct span event,
                        struct span text)
{
    if (send_part(self, span_of(topic), 1) == 0 && send_part(self, event, 1) == 0)
        (void)!send_part(self, text, 0);
}
