// SPDX-License-Identifier: Apache-2.0
#include "core/bus/control.h"
#include "core/base/table.h"
#include "core/bus/body.h"
#include "core/bus/keys.h"
#include "core/bus/link.h"
#include "core/bus/zap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// A server lets strangers make it hold that much before it knows them: little. A client chose its
// server.
enum {
    JOINS_TAKE = 4 << 10,
    SERVER_TAKES = 1 << 20,
    CLIENT_TAKES = 16 << 20,
    HIGH_WATER = 256,
    ROUTING_ID_MOST = 255
};

// Where a key was last heard from. libzmq makes up the id, or the peer does: it names a way, not a
// peer.
struct route {
    size_t size;
    unsigned char id[ROUTING_ID_MOST];
};

struct control {
    struct link *link;
    control_fn *fn;
    void *context;
    char *server_key;     // of a client's server
    struct table *routes; // a server's, by key
    const char *address;  // of whose message is being handled
    void (*session)(void *context);
    void *session_context;
};

static int free_route(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    (void)context;
    free(value);
    return 0;
}

static void forget_routes(struct control *self)
{
    if (!self->routes)
        return;
    table_each(self->routes, free_route, NULL);
    table_destroy(&self->routes);
}

static void remember_route(struct control *self, const char *key, zmq_msg_t *id)
{
    size_t key_size = strlen(key), id_size = zmq_msg_size(id);
    if (id_size > ROUTING_ID_MOST)
        return;
    struct route *route = table_get(self->routes, key, key_size);
    if (!route) {
        route = allocate(sizeof(*route));
        table_put(self->routes, key, key_size, route);
    }
    route->size = id_size;
    memcpy(route->id, zmq_msg_data(id), id_size);
}

// Routing id, then body.
static void on_server_message(void *context, zmq_msg_t *parts, size_t count)
{
    struct control *self = context;
    struct body body;
    if (count != 2 || body_read(&parts[1], &body) < 0 || body_published(&body))
        return;
    const char *key =
        zmq_msg_gets(&parts[1], "User-Id"); // what ZAP answered, not what the peer says
    if (!key || !*key)
        return;
    remember_route(self, key, &parts[0]);
    self->address = zmq_msg_gets(&parts[1], "Peer-Address");
    self->fn(self->context, key, body.type, body.data, body.size);
}

static void on_client_message(void *context, zmq_msg_t *parts, size_t count)
{
    struct control *self = context;
    struct body body;
    if (count != 1 || body_read(&parts[0], &body) < 0 || body_published(&body))
        return;
    self->fn(self->context, self->server_key, body.type, body.data, body.size);
}

static void on_state(void *context, int connected)
{
    struct control *self = context;
    if (connected && self->session)
        self->session(self->session_context);
}

static struct control *control_new(struct loop *loop, const struct socket_options *options,
                                   control_fn *fn, void *context)
{
    struct control *self = allocate(sizeof(*self));
    self->fn = fn;
    self->context = context;
    if (options->bind)
        self->routes = table_new();
    else
        self->server_key = duplicate(options->server_key);
    struct link_handlers handlers = {.received =
                                         options->bind ? on_server_message : on_client_message,
                                     .state = on_state,
                                     .context = self};
    self->link = link_new(loop, options, &handlers);
    if (!self->link) {
        int failure = errno;
        control_destroy(&self);
        errno = failure;
    }
    return self;
}

struct control *control_serve(struct loop *loop, const char *endpoint,
                              const struct curve_keys *keys, control_fn *fn, void *context)
{
    struct socket_options options = {.kind = SOCKET_ROUTER,
                                     .bind = 1,
                                     .endpoint = endpoint,
                                     .keys = keys,
                                     .zap_domain = ZAP_CONTROL,
                                     .message_most = SERVER_TAKES,
                                     .high_water = HIGH_WATER};
    return control_new(loop, &options, fn, context);
}

struct control *control_serve_joins(struct loop *loop, const char *endpoint,
                                    const struct curve_keys *keys, control_fn *fn, void *context)
{
    struct socket_options options = {.kind = SOCKET_ROUTER,
                                     .bind = 1,
                                     .endpoint = endpoint,
                                     .keys = keys,
                                     .zap_domain = ZAP_ENROL,
                                     .message_most = JOINS_TAKE,
                                     .high_water = HIGH_WATER};
    return control_new(loop, &options, fn, context);
}

const char *control_address(const struct control *self)
{
    return self->address ? self->address : "";
}

struct control *control_connect(struct loop *loop, const char *endpoint,
                                const struct curve_keys *keys, const char *server_key,
                                control_fn *fn, void *context)
{
    struct socket_options options = {.kind = SOCKET_DEALER,
                                     .endpoint = endpoint,
                                     .keys = keys,
                                     .server_key = server_key,
                                     .message_most = CLIENT_TAKES,
                                     .high_water = HIGH_WATER};
    if (!server_key) {
        errno = EINVAL;
        return NULL;
    }
    return control_new(loop, &options, fn, context);
}

void control_destroy(struct control **self)
{
    struct control *control = *self;
    if (!control)
        return;
    link_destroy(&control->link);
    forget_routes(control);
    free(control->server_key);
    free(control);
    *self = NULL;
}

void control_on_session(struct control *self, void (*fn)(void *context), void *context)
{
    self->session = fn;
    self->session_context = context;
}

// Addresses the message that follows. 0, or -1 with EAGAIN.
static int send_route(struct control *self, const char *key)
{
    struct route *route = key ? table_get(self->routes, key, strlen(key)) : NULL;
    zmq_msg_t id;
    if (!route) {
        errno = EAGAIN;
        return -1;
    }
    if (zmq_msg_init_size(&id, route->size) < 0)
        return -1;
    memcpy(zmq_msg_data(&id), route->id, route->size);
    if (link_send(self->link, &id, 1) == 0)
        return 0;
    zmq_msg_close(&id);
    if (errno == EHOSTUNREACH) { // it went; it will be heard from again
        free(table_remove(self->routes, key, strlen(key)));
        errno = EAGAIN;
    }
    return -1;
}

int control_send(struct control *self, const char *key, enum control_type type,
                 const ProtobufCMessage *message)
{
    zmq_msg_t body;
    if (body_pack(&body, type, message, self->routes ? CLIENT_TAKES : SERVER_TAKES) < 0)
        return -1;
    if ((!self->routes || send_route(self, key) == 0) && link_send(self->link, &body, 0) == 0)
        return 0;
    int failure = errno;
    zmq_msg_close(&body);
    errno = failure;
    return -1;
}

int control_rebind(struct control *self)
{
    if (!self->routes) {
        errno = EINVAL;
        return -1;
    }
    forget_routes(self);
    self->routes = table_new();
    link_reopen(self->link);
    return 0;
}
