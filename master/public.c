// SPDX-License-Identifier: Apache-2.0
#include "master/public.h"
#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/base/metrics.h"
#include "core/bus/public.h"
#include "master/master.h"
#include "master/store/public.h"

#include <stdio.h>
#include <stdlib.h>

struct public_stream {
    struct master *master;
    struct public_socket *socket;
    int64_t commit; // the newest that was told
    struct buffer packed, text;
    struct metric *told, *newest;
};

struct public_stream *public_stream_new(struct master *master)
{
    struct public_socket *socket =
        public_socket_bind(master->loop, master->conf->bind_public, &master->keys);
    if (!socket)
        return NULL;
    struct public_stream *self = allocate(sizeof(*self));
    self->master = master;
    self->socket = socket;
    self->told = metric("public_events_total", "");
    self->newest = metric("public_commit", "");
    buffer_init(&self->packed);
    buffer_init(&self->text);
    return self;
}

void public_stream_destroy(struct public_stream **self)
{
    struct public_stream *stream = *self;
    if (!stream)
        return;
    public_socket_destroy(&stream->socket);
    buffer_free(&stream->packed);
    buffer_free(&stream->text);
    free(stream);
    *self = NULL;
}

static void publish(struct public_stream *self, const Postern__PublicEvent *event)
{
    char topic[160];
    size_t size = postern__public_event__get_packed_size(event);
    buffer_clear(&self->packed);
    buffer_clear(&self->text);
    postern__public_event__pack(event, (uint8_t *)buffer_reserve(&self->packed, size));
    buffer_added(&self->packed, size);
    public_json(event, &self->text);
    snprintf(topic, sizeof(topic), "event.%.32s.%.64s", event->kind, event->node);
    // Without the line feed at its end.
    public_socket_send(self->socket, topic, (struct span){buffer_bytes(&self->packed), size},
                       (struct span){buffer_bytes(&self->text), buffer_size(&self->text) - 1});
}

void public_stream_tell(void *context, int64_t commit, struct span packed)
{
    struct public_stream *self = context;
    Postern__PublicEvent *event = public_read(packed.data, packed.size, (uint64_t)commit);
    self->commit = commit;
    metric_set(self->newest, commit);
    if (!event)
        return;
    publish(self, event);
    metric_add(self->told, 1);
    postern__public_event__free_unpacked(event, NULL);
}

// So that a subscriber learns that he missed the last ones, too.
void public_stream_tick(struct public_stream *self)
{
    Postern__PublicEvent event = POSTERN__PUBLIC_EVENT__INIT;
    event.commit = (uint64_t)self->commit;
    event.node = (char *)self->master->conf->name;
    event.time_ms = clock_wall_ms();
    event.kind = (char *)"position";
    publish(self, &event);
}

void public_stream_cut(struct public_stream *self)
{
    public_socket_rebind(self->socket);
}
