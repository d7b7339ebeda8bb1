// SPDX-License-Identifier: Apache-2.0
#include "core/bus/socket.h"
#include "core/bus/keys.h"
#include "core/bus/listen.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

static const int types[] = {
    [SOCKET_PIPE_IN] = ZMQ_PULL, [SOCKET_PIPE_OUT] = ZMQ_PUSH, [SOCKET_PUB] = ZMQ_PUB,
    [SOCKET_SUB] = ZMQ_SUB,      [SOCKET_DEALER] = ZMQ_DEALER, [SOCKET_ROUTER] = ZMQ_ROUTER,
    [SOCKET_ZAP] = ZMQ_REP,      [SOCKET_MONITOR] = ZMQ_PAIR,
};

#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93 // works in 4.3.4, though its header counts it as draft
#endif

struct setting {
    int option, value;
};

static const struct setting everywhere[] = {
    {ZMQ_LINGER, 0},    // else a close waits for ever for a peer that is gone
    {ZMQ_IMMEDIATE, 1}, // nothing is queued for a peer that is not there
    {ZMQ_BACKLOG, 512}, // all workers reconnect at once
    {ZMQ_HANDSHAKE_IVL, 5000},
};

// A master that answers ZAP 300 leaves the connection hanging: the client's limit on a handshake is
// what makes it ask again. A handshake takes four round trips and may wait for one lost packet.
static const struct setting tcp_connect[] = {
    {ZMQ_HANDSHAKE_IVL, 3000},
    {ZMQ_CONNECT_TIMEOUT, 5000},
    {ZMQ_RECONNECT_IVL, 200},
    {ZMQ_RECONNECT_IVL_MAX, 2000},
};

static const struct setting ipc_connect[] = {
    {ZMQ_RECONNECT_IVL, 50},
    {ZMQ_RECONNECT_IVL_MAX, 1000},
};

// Without these a half-open connection is never noticed. The kernel tells about ipc by itself.
static const struct setting tcp[] = {
    {ZMQ_IPV6, 1},
    {ZMQ_HEARTBEAT_IVL, 2000},
    {ZMQ_HEARTBEAT_TIMEOUT, 6000},
    {ZMQ_HEARTBEAT_TTL, 6000},
    {ZMQ_TCP_MAXRT, 10000},
    {ZMQ_TCP_KEEPALIVE, 1},
    {ZMQ_TCP_KEEPALIVE_IDLE, 10},
    {ZMQ_TCP_KEEPALIVE_INTVL, 5},
    {ZMQ_TCP_KEEPALIVE_CNT, 3},
};

// No handover: a second connection that claims a routing id in use must not get the first one's
// messages.
static const struct setting router[] = {
    {ZMQ_ROUTER_MANDATORY, 1},
    {ZMQ_ROUTER_HANDOVER, 0},
};

static const struct setting curve_server[] = {
    {ZMQ_CURVE_SERVER, 1},
    {ZMQ_ZAP_ENFORCE_DOMAIN, 1}, // without a ZAP handler nobody gets in, instead of everybody
};

static void *context;

void *socket_context(void)
{
    if (context)
        return context;
    context = zmq_ctx_new();
    assert(context);
    zmq_ctx_set(context, ZMQ_IO_THREADS, 1);
    return context;
}

void socket_context_end(void)
{
    if (context)
        zmq_ctx_term(context);
    context = NULL;
}

static int starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static int set_number(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof(value));
}

static int set_all(void *socket, const struct setting *settings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (set_number(socket, settings[i].option, settings[i].value) < 0)
            return -1;
    return 0;
}

static int set_text(void *socket, int option, const char *text)
{
    return zmq_setsockopt(socket, option, text, strlen(text));
}

// What must never be made, whoever asks. 0, or the errno.
static int objection(const struct socket_options *options)
{
    static const size_t path_most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    const char *endpoint = options->endpoint;
    if (starts_with(endpoint, "ipc://") && strlen(endpoint + strlen("ipc://")) > path_most)
        return ENAMETOOLONG;
    if (starts_with(endpoint, "tcp://") && !options->keys)
        return ENOKEY;
    if (!options->keys)
        return 0;
    int server = !options->server_key;
    if (server != options->bind)
        return EINVAL; // libzmq has asserts on a server that connects
    if (server && (!options->zap_domain || !*options->zap_domain))
        return EINVAL;
    if (curve_key_published(options->keys->public_key) ||
        curve_key_published(options->keys->secret_key) ||
        (options->server_key && curve_key_published(options->server_key)))
        return EKEYREJECTED;
    return 0;
}

static int set_limits(void *socket, const struct socket_options *options)
{
    assert(options->message_most > 0 && options->high_water > 0);
    if (set_number(socket, ZMQ_SNDHWM, options->high_water) < 0 ||
        set_number(socket, ZMQ_RCVHWM, options->high_water) < 0)
        return -1;
    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &options->message_most,
                          sizeof(options->message_most));
}

static int set_transport(void *socket, const struct socket_options *options)
{
    int is_tcp = starts_with(options->endpoint, "tcp://");
    if (is_tcp && set_all(socket, tcp, ARRAY_LENGTH(tcp)) < 0)
        return -1;
    if (options->bind)
        return 0;
    return is_tcp ? set_all(socket, tcp_connect, ARRAY_LENGTH(tcp_connect))
                  : set_all(socket, ipc_connect, ARRAY_LENGTH(ipc_connect));
}

static int set_curve(void *socket, const struct socket_options *options)
{
    if (!options->keys)
        return 0;
    if (set_text(socket, ZMQ_CURVE_PUBLICKEY, options->keys->public_key) < 0 ||
        set_text(socket, ZMQ_CURVE_SECRETKEY, options->keys->secret_key) < 0)
        return -1;
    if (options->server_key)
        return set_text(socket, ZMQ_CURVE_SERVERKEY, options->server_key);
    if (set_all(socket, curve_server, ARRAY_LENGTH(curve_server)) < 0)
        return -1;
    return set_text(socket, ZMQ_ZAP_DOMAIN, options->zap_domain);
}

static int set_options(void *socket, const struct socket_options *options)
{
    if (set_all(socket, everywhere, ARRAY_LENGTH(everywhere)) < 0 ||
        set_limits(socket, options) < 0 || set_transport(socket, options) < 0 ||
        set_curve(socket, options) < 0)
        return -1;
    if (options->kind == SOCKET_ROUTER && set_all(socket, router, ARRAY_LENGTH(router)) < 0)
        return -1;
    for (const char *const *topic = options->topics; topic && *topic; topic++)
        if (set_text(socket, ZMQ_SUBSCRIBE, *topic) < 0)
            return -1;
    return 0;
}

// libzmq would unlink the path when it closes the socket, some time later and from its own thread:
// perhaps the path that the slot's next owner has bound by then. It leaves a descriptor's path
// alone that it was given.
static int bind_path(void *socket, const char *endpoint)
{
    int fd = listen_at(endpoint + strlen("ipc://"));
    if (fd < 0)
        return -1;
    if (set_number(socket, ZMQ_USE_FD, fd) == 0 && zmq_bind(socket, endpoint) == 0)
        return 0;
    int failure = errno;
    close(fd);
    errno = failure;
    return -1;
}

void *make_socket(const struct socket_options *options)
{
    errno = objection(options);
    if (errno)
        return NULL;
    void *socket = zmq_socket(socket_context(), types[options->kind]);
    if (!socket)
        return NULL;
    if (set_options(socket, options) == 0)
        return socket;
    int failure = errno;
    close_socket(&socket);
    errno = failure;
    return NULL;
}

int attach_socket(void *self, const struct socket_options *options)
{
    if (!options->bind)
        return zmq_connect(self, options->endpoint);
    if (starts_with(options->endpoint, "ipc://"))
        return bind_path(self, options->endpoint);
    return zmq_bind(self, options->endpoint);
}

void close_socket(void **self)
{
    if (*self)
        zmq_close(*self);
    *self = NULL;
}
