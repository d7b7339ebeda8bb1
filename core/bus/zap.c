// SPDX-License-Identifier: Apache-2.0
#include "core/bus/zap.h"
#include "core/base/log.h"
#include "core/base/table.h"
#include "core/bus/keys.h"
#include "core/bus/pump.h"
#include "core/bus/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 32, KEY_LENGTH = 40, DOMAIN_MOST = 32 };

// The parts of a request, RFC 27.
enum { VERSION, REQUEST_ID, DOMAIN, ADDRESS, IDENTITY, MECHANISM, CREDENTIALS, REQUEST_PARTS };

struct zap {
    void *socket;
    struct pump *pump;
    struct table *allowed; // domain, then key
    struct table *revoked; // key
    int ready;
    uint64_t refused;
};

static int part_is(zmq_msg_t *part, const char *text)
{
    size_t size = strlen(text);
    return zmq_msg_size(part) == size && memcmp(zmq_msg_data(part), text, size) == 0;
}

// A name for the key in this domain. Returns its size, 0: no such domain can be.
static size_t entry_name(struct span domain, const char *key, char ret[DOMAIN_MOST + KEY_LENGTH])
{
    if (domain.size == 0 || domain.size > DOMAIN_MOST)
        return 0;
    memcpy(ret, domain.data, domain.size);
    memcpy(ret + domain.size, key, KEY_LENGTH);
    return domain.size + KEY_LENGTH;
}

// 300 leaves the client trying; after 400 it gives up for good.
static const char *judge(const struct zap *self, struct span domain, const char *key)
{
    char name[DOMAIN_MOST + KEY_LENGTH];
    if (curve_key_published(key))
        return "400";
    if (span_equal(domain, span_of(ZAP_ENROL)))
        return "200"; // who may join the token says; a revoked key is told why it may not
    if (table_get(self->revoked, key, KEY_LENGTH))
        return "400";
    size_t size = entry_name(domain, key, name);
    if (!self->ready || size == 0 || !table_get(self->allowed, name, size))
        return "300";
    return "200";
}

static void send_text(void *socket, const char *text, int flags)
{
    zmq_send(socket, text, strlen(text), flags | ZMQ_DONTWAIT);
}

static void answer(struct zap *self, zmq_msg_t *request, const char *status, const char *key)
{
    int accepted = strcmp(status, "200") == 0;
    send_text(self->socket, "1.0", ZMQ_SNDMORE);
    zmq_send(self->socket, zmq_msg_data(request), zmq_msg_size(request),
             ZMQ_SNDMORE | ZMQ_DONTWAIT);
    send_text(self->socket, status, ZMQ_SNDMORE);
    send_text(self->socket, accepted ? "OK" : "refused", ZMQ_SNDMORE);
    send_text(self->socket, accepted ? key : "", ZMQ_SNDMORE); // becomes the User-Id
    send_text(self->socket, "", 0);
}

static void on_request(void *context, zmq_msg_t *parts, size_t count)
{
    struct zap *self = context;
    char key[KEY_LENGTH + 1] = "";
    const char *status = "400";
    if (count < REQUEST_PARTS - 1)
        return; // not from libzmq; nothing to answer to
    if (count == REQUEST_PARTS && part_is(&parts[VERSION], "1.0") &&
        part_is(&parts[MECHANISM], "CURVE") && zmq_msg_size(&parts[CREDENTIALS]) == KEY_BYTES) {
        struct span domain = {zmq_msg_data(&parts[DOMAIN]), zmq_msg_size(&parts[DOMAIN])};
        zmq_z85_encode(key, zmq_msg_data(&parts[CREDENTIALS]), KEY_BYTES);
        status = judge(self, domain, key);
    }
    if (strcmp(status, "200") != 0)
        self->refused++;
    answer(self, &parts[REQUEST_ID], status, key);
}

struct zap *zap_new(struct loop *loop)
{
    struct socket_options options = {.kind = SOCKET_ZAP,
                                     .bind = 1,
                                     .endpoint = "inproc://zeromq.zap.01",
                                     .message_most = 4096,
                                     .high_water = 1000};
    void *socket = make_socket(&options);
    if (!socket || attach_socket(socket, &options) < 0) {
        int failure = errno;
        close_socket(&socket);
        errno = failure;
        return NULL;
    }
    struct zap *self = allocate(sizeof(*self));
    self->socket = socket;
    self->allowed = table_new();
    self->revoked = table_new();
    self->pump = pump_new(loop, socket, on_request, NULL, self);
    return self;
}

void zap_destroy(struct zap **self)
{
    struct zap *zap = *self;
    if (!zap)
        return;
    pump_destroy(&zap->pump);
    close_socket(&zap->socket);
    table_destroy(&zap->allowed);
    table_destroy(&zap->revoked);
    free(zap);
    *self = NULL;
}

void zap_ready(struct zap *self)
{
    self->ready = 1;
}

void zap_allow(struct zap *self, const char *domain, const char *key)
{
    char name[DOMAIN_MOST + KEY_LENGTH];
    size_t size = strlen(key) == KEY_LENGTH ? entry_name(span_of(domain), key, name) : 0;
    if (size == 0) {
        log_warning("zap-key-malformed", "domain=%s", domain);
        return;
    }
    table_put(self->allowed, name, size, self);
}

void zap_revoke(struct zap *self, const char *key)
{
    table_put(self->revoked, key, strlen(key), self);
}

void zap_clear(struct zap *self)
{
    table_destroy(&self->allowed);
    self->allowed = table_new();
}

uint64_t zap_refused(const struct zap *self)
{
    return self->refused;
}
