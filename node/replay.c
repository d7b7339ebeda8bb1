// SPDX-License-Identifier: Apache-2.0
#include "node/replay.h"

#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/base/unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CREDIT_MOST = 8, SEGMENTS_KEPT = 2 };

// What one request asks the disk thread for. Records are read whole: a master ignores what it has.
struct reading {
    struct replay *replay;
    unsigned master;
    uint64_t epoch;
    size_t count;
    struct position places[CREDIT_MOST];
    Postern__OutboxRecord *records[CREDIT_MOST]; // NULL: could not be read
};

struct replay {
    struct outbox *outbox;
    struct segment_map *map; // the disk thread's
    const char *node;
    replay_send_fn *send;
    void *context;
    int reading[PRODUCER_MASTERS_MOST]; // one request of each master at a time
};

struct replay *replay_new(struct outbox *outbox, const char *folder, const char *node,
                          replay_send_fn *fn, void *context)
{
    struct replay *self = allocate(sizeof(*self));
    self->outbox = outbox;
    self->map = segment_map_new(folder, SEGMENTS_KEPT);
    self->node = node;
    self->send = fn;
    self->context = context;
    return self;
}

void replay_destroy(struct replay **self)
{
    if (!*self)
        return;
    segment_map_destroy(&(*self)->map);
    free(*self);
    *self = NULL;
}

// On the disk thread.
static int read_records(void *context)
{
    struct reading *reading = context;
    struct segment_map *map = reading->replay->map;
    for (size_t i = 0; i < reading->count; i++) {
        void *handle;
        const void *payload = segment_map_get(map, reading->places[i], &handle);
        if (!payload)
            return errno; // unlinked meanwhile, or rot: the masters ask again or see the cut
        reading->records[i] =
            postern__outbox_record__unpack(&unpack_allocator, reading->places[i].length, payload);
        segment_map_done(map, handle);
    }
    return 0;
}

static int send_record(struct replay *self, const struct reading *reading,
                       Postern__OutboxRecord *record)
{
    Postern__Publication publication = POSTERN__PUBLICATION__INIT;
    publication.node = (ProtobufCBinaryData){strlen(self->node), (uint8_t *)(uintptr_t)self->node};
    publication.epoch = record->epoch;
    publication.first = record->first;
    publication.n_events = record->n_events;
    publication.events = record->events;
    publication.replayed = 1;
    publication.record_first = record->first;
    publication.mark = record->mark;
    publication.before = record->before;
    metric_add(metric("events_replayed_total", ""), (int64_t)record->n_events);
    return self->send(self->context, reading->master, &publication);
}

static void records_read(void *context, int result)
{
    struct reading *reading = context;
    struct replay *self = reading->replay;
    int going = 1;
    if (result)
        log_warning("replay.read", "errno=%d", result);
    self->reading[reading->master] = 0;
    for (size_t i = 0; i < reading->count; i++) {
        Postern__OutboxRecord *record = reading->records[i];
        if (!record)
            continue;
        going = going && record->epoch == reading->epoch && send_record(self, reading, record) == 0;
        postern__outbox_record__free_unpacked(record, NULL);
    }
    free(reading);
}

void replay_request(struct replay *self, unsigned master, const Postern__ReplayRequest *request)
{
    const struct producer *producer = outbox_producer(self->outbox);
    size_t found, credit = request->credit < CREDIT_MOST ? request->credit : CREDIT_MOST;
    if (self->reading[master] || request->epoch != producer->epoch || request->from > request->to)
        return;
    const struct producer_record *record = producer_find(producer, request->from, &found);
    struct reading *reading = allocate(sizeof(*reading));
    reading->replay = self;
    reading->master = master;
    reading->epoch = request->epoch;
    for (size_t i = 0; i < found && reading->count < credit && record[i].first <= request->to; i++)
        if (record[i].count)
            reading->places[reading->count++] = record[i].where;
    if (reading->count &&
        journal_run(outbox_journal(self->outbox), read_records, records_read, reading) == 0)
        self->reading[master] = 1;
    else
        free(reading);
}
