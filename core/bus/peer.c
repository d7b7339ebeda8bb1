// SPDX-License-Identifier: Apache-2.0
#include "core/bus/peer.h"
#include "core/base/buffer.h"
#include "core/bus/frame.h"
#include "core/bus/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

// A frame this long does not wait for the end of the turn.
enum { FLUSH_SIZE = 256 * 1024, HIGH_WATER = 128 };

struct peer {
    enum stage stage;
    unsigned slot;
    bus_peer_fn *fn;
    void *context;
    struct link *link;
    int connected;
    struct buffer gathered;
    int full; // the pipe refused it: to be tried again at the end of the turn, not with each record
};

static void on_state(void *context, int connected)
{
    struct peer *self = context;
    self->connected = connected;
    self->full = 0;
    buffer_clear(&self->gathered); // meant for the session before
    self->fn(self->context, self->stage, self->slot, connected);
}

static void on_room(void *context)
{
    peer_flush(context);
}

struct peer *peer_new(struct loop *loop, const char *run, enum stage stage, unsigned slot,
                      bus_peer_fn *fn, void *context)
{
    char endpoint[sizeof(struct sockaddr_un) + 8];
    int length =
        snprintf(endpoint, sizeof(endpoint), "ipc://%s/%s/%u", run, stage_name(stage), slot);
    if (length >= (int)sizeof(endpoint)) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    struct peer *self = allocate(sizeof(*self));
    self->stage = stage;
    self->slot = slot;
    self->fn = fn;
    self->context = context;
    buffer_init(&self->gathered);
    struct socket_options options = {.kind = SOCKET_PIPE_OUT,
                                     .endpoint = endpoint,
                                     .message_most = FRAME_MOST,
                                     .high_water = HIGH_WATER};
    struct link_handlers handlers = {.stirred = on_room, .state = on_state, .context = self};
    self->link = link_new(loop, &options, &handlers);
    if (!self->link) {
        int failure = errno;
        peer_destroy(&self);
        errno = failure;
    }
    return self;
}

void peer_destroy(struct peer **self)
{
    struct peer *peer = *self;
    if (!peer)
        return;
    *self = NULL;
    link_destroy(&peer->link);
    buffer_free(&peer->gathered);
    free(peer);
}

void peer_renew(struct peer *self)
{
    link_reopen(self->link);
}

int peer_connected(const struct peer *self)
{
    return self->connected;
}

int peer_add(struct peer *self, enum bus_type type, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    size_t gathered = buffer_size(&self->gathered);
    if (!self->connected || (gathered > 0 && gathered + FRAME_HEADER + size > FRAME_MOST)) {
        errno = EAGAIN;
        return -1;
    }
    uint8_t *room = frame_add(&self->gathered, (uint8_t)type, size);
    if (!room)
        return -1;
    protobuf_c_message_pack(message, room);
    if (buffer_size(&self->gathered) >= FLUSH_SIZE && !self->full)
        peer_flush(self);
    return 0;
}

void peer_flush(struct peer *self)
{
    size_t size = buffer_size(&self->gathered);
    zmq_msg_t frame;
    if (size == 0 || zmq_msg_init_size(&frame, size) < 0)
        return;
    memcpy(zmq_msg_data(&frame), buffer_bytes(&self->gathered), size);
    self->full = link_send(self->link, &frame, 0) < 0;
    if (self->full)
        zmq_msg_close(&frame);
    else
        buffer_clear(&self->gathered);
}
