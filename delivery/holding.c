// SPDX-License-Identifier: Apache-2.0
#include "delivery/holding.h"

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/random.h"
#include "core/bus/feed.h"
#include "core/journal/record.h"
#include "delivery/deliverer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAPS_KEPT = 2, OWN_MAPS_KEPT = 2 };

// -- the queue's actions

static int64_t now_ms(void *io)
{
    (void)io;
    return clock_wall_ms();
}

static int append(void *io, unsigned type, int reserved, const struct iovec *pieces, int count,
                  journal_fn *fn, void *context, struct position *ret_where)
{
    return journal_append(((struct holding *)io)->journal, type, reserved, pieces, count, fn,
                          context, ret_where);
}

// While the journal is being replayed it cannot be told yet.
static void release(void *io, struct position where)
{
    struct holding *self = io;
    if (self->journal) {
        journal_release(self->journal, where);
        return;
    }
    self->early = reallocate(self->early, (self->early_count + 1) * sizeof(self->early[0]));
    self->early[self->early_count++] = where;
}

static void release_early(struct holding *self)
{
    for (size_t i = 0; i < self->early_count; i++)
        journal_release(self->journal, self->early[i]);
    free(self->early);
    self->early = NULL;
    self->early_count = 0;
}

static void release_ended(void *io, struct position ended, struct position end)
{
    journal_release_ended(((struct holding *)io)->journal, ended, end);
}

static void release_after(void *io, struct position ended, struct position end)
{
    journal_release_after(((struct holding *)io)->journal, ended, end);
}

static void committed(void *io, struct position where, const void *event, size_t size)
{
    feed_committed(((struct holding *)io)->feed, where, event, size);
}

static int send_to(void *io, unsigned ingress, enum bus_type type, const ProtobufCMessage *message)
{
    return bus_send(((struct holding *)io)->bus, STAGE_INGRESS, ingress, type, message);
}

static uint64_t ingresses(void *io)
{
    return slot_existing(((struct holding *)io)->state, STAGE_INGRESS);
}

static struct segment_map *map_of(struct holding *self, unsigned ingress)
{
    char folder[256];
    if (!self->maps[ingress]) {
        snprintf(folder, sizeof(folder), "%s/%s/%u/journal", self->state, stage_name(STAGE_INGRESS),
                 ingress);
        self->maps[ingress] = segment_map_new(folder, MAPS_KEPT);
    }
    return self->maps[ingress];
}

static int map(void *io, unsigned ingress, const Postern__Place *place, struct mapped *ret)
{
    struct holding *self = io;
    struct segment_map *segments = map_of(self, ingress);
    struct position where = {place->segment, place->offset, place->length};
    if (!segments)
        return -1;
    ret->owner = segments;
    ret->payload = segment_map_get(segments, where, &ret->handle);
    return ret->payload ? 0 : -1;
}

static void unmap(void *io, struct mapped *mapped)
{
    (void)io;
    segment_map_done(mapped->owner, mapped->handle);
    mapped->payload = NULL;
}

static int work(void *io, journal_work_fn *fn, journal_worked_fn *done, void *context)
{
    return journal_run(((struct holding *)io)->journal, fn, done, context);
}

// On the disk thread, the only one to use `own`.
static void *read_record(void *io, struct position where)
{
    struct holding *self = io;
    void *handle;
    const void *payload = segment_map_get(self->own, where, &handle);
    if (!payload)
        return NULL;
    void *copy = duplicate_bytes(payload, where.length);
    segment_map_done(self->own, handle);
    return copy;
}

static uint64_t oldest(void *io)
{
    return journal_oldest_segment(((struct holding *)io)->journal);
}

static uint64_t random_number(void *io)
{
    (void)io;
    return random_u64();
}

static void deliver(void *io, struct queued *mail)
{
    deliverer_deliver(((struct holding *)io)->deliverer, mail);
}

static const struct queue_ops real_ops = {
    .now_ms = now_ms,
    .append = append,
    .release = release,
    .release_ended = release_ended,
    .release_after = release_after,
    .committed = committed,
    .send = send_to,
    .ingresses = ingresses,
    .map = map,
    .unmap = unmap,
    .work = work,
    .read = read_record,
    .oldest = oldest,
    .random = random_number,
    .deliver = deliver,
};

// -- life

struct schedule holding_schedule(const struct settings *settings)
{
    return (struct schedule){
        .orders_ms = ((int64_t)settings->quarantine_days + 30) * 86400 * 1000,
        .first_ms = (int64_t)settings->retry_first_s * 1000,
        .factor = settings->retry_factor,
        .most_ms = (int64_t)settings->retry_most_s * 1000,
        .expire_ms = (int64_t)settings->expire_s * 1000,
        .notice_ms = (int64_t)settings->delay_notice_s * 1000,
    };
}

static void log_replay(const struct holding *self, const struct journal_report *report)
{
    log_info("journal.replayed", "slot=%u records=%llu again=%llu torn=%llu", self->slot.number,
             (unsigned long long)report->records, (unsigned long long)report->replayed_again,
             (unsigned long long)report->torn);
    if (report->corrupt > 0)
        log_error("journal.corrupt", "slot=%u records=%llu copy=%s", self->slot.number,
                  (unsigned long long)report->corrupt, report->corrupt_file);
}

static int open_journal(struct holding *self, const atomic_int *cancelled)
{
    char folder[160], corrupt[160], deferred[160];
    snprintf(folder, sizeof(folder), "%s/journal", self->slot.path);
    snprintf(corrupt, sizeof(corrupt), "%s/corrupt", self->slot.path);
    snprintf(deferred, sizeof(deferred), "%s/deferred", self->slot.path);
    if (file_make_folders(deferred, 0750) < 0)
        return -1;
    struct journal_options options = {.folder = folder, .corrupt = corrupt, .cancelled = cancelled};
    struct journal_report report;
    self->journal = journal_open(&options, queue_replay, self->queue, &report);
    if (!self->journal)
        return -1;
    release_early(self);
    self->own = segment_map_new(folder, OWN_MAPS_KEPT);
    log_replay(self, &report);
    return self->own ? 0 : -1;
}

// The queue knows no ingress and no clock yet, so it sends and tries nothing.
struct holding *holding_open(const char *state, const char *hostname, struct slot *slot,
                             const atomic_int *cancelled)
{
    struct holding *self = allocate(sizeof(*self));
    *self = (struct holding){.slot = *slot, .state = state};
    struct queue_options options = {
        .state = state,
        .hostname = hostname,
        .slot = slot->number,
        .incarnation = slot->incarnation,
    };
    self->queue = queue_new(&real_ops, self, &options);
    if (open_journal(self, cancelled) < 0) {
        int error = errno;
        log_error("journal.unusable", "slot=%u errno=%d", slot->number, error);
        holding_destroy(&self);
        errno = error;
        return NULL;
    }
    queue_recovered(self->queue);
    return self;
}

void holding_attach(struct holding *self, struct loop *loop, struct bus *bus,
                    const struct settings *settings, struct deliverer *deliverer)
{
    const struct slot *slot = &self->slot;
    struct schedule schedule = holding_schedule(settings);
    self->bus = bus;
    self->deliverer = deliverer;
    queue_reschedule(self->queue, &schedule);
    journal_attach(self->journal, loop);
    self->feed =
        feed_new(loop, bus, self->journal, STAGE_DELIVERY, slot->number, slot->incarnation);
}

struct holding *holding_new(struct loop *loop, struct bus *bus, const char *state,
                            const char *hostname, struct slot *slot,
                            const struct settings *settings, struct deliverer *deliverer)
{
    struct holding *self = holding_open(state, hostname, slot, NULL);
    if (self)
        holding_attach(self, loop, bus, settings, deliverer);
    return self;
}

void holding_detach(struct holding *self)
{
    feed_destroy(&self->feed);
    journal_detach(self->journal);
}

void holding_destroy(struct holding **self_pointer)
{
    struct holding *self = *self_pointer;
    if (!self)
        return;
    feed_destroy(&self->feed);
    journal_destroy(&self->journal);
    queue_destroy(&self->queue);
    segment_map_destroy(&self->own);
    for (unsigned i = 0; i < SLOT_MOST; i++)
        segment_map_destroy(&self->maps[i]);
    slot_release(&self->slot);
    free(self->early);
    free(self);
    *self_pointer = NULL;
}

int holding_removable(const struct holding *self)
{
    char corrupt[160];
    snprintf(corrupt, sizeof(corrupt), "%s/corrupt", self->slot.path);
    return queue_empty(self->queue) && journal_live(self->journal) == 0 &&
           access(corrupt, F_OK) < 0;
}

void holding_remove(struct holding **self_pointer)
{
    struct holding *self = *self_pointer;
    char journal[160], deferred[160];
    unsigned number = self->slot.number;
    snprintf(journal, sizeof(journal), "%s/journal", self->slot.path);
    snprintf(deferred, sizeof(deferred), "%s/deferred", self->slot.path);
    struct slot slot = self->slot;
    self->slot.lock_fd = -1; // held until the last file is gone
    holding_destroy(self_pointer);
    int emptied = rmdir(deferred) == 0 && file_remove_folder(journal) == 0;
    if (slot_remove(&slot) < 0 || !emptied)
        log_warning("slot.kept", "slot=%u errno=%d", number, errno);
}

int holding_has_records(const char *path)
{
    char folder[160];
    snprintf(folder, sizeof(folder), "%s/journal", path);
    return journal_has_records(folder);
}
