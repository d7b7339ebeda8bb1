// SPDX-License-Identifier: Apache-2.0
#include "node/outbox.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "core/base/random.h"
#include "core/base/unpack.h"
#include "core/journal/record.h"
#include "core/stream/kind.h"
#include "node/outbox_trim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    GATHER_MS = 30,        // so that a commit comes within 50 ms
    GATHER_IDLE_MS = 1000, // nobody listens
    RETRY_MS = 1000,
    TRIM_MS = 60 * 1000,
    SEGMENT_SIZE = 8 << 20,
    SHARE_OF_DISK = 5, // a fifth of the file system
    PENDING_MOST = 16 << 20,
};

// Where a journal's events come from.
struct source {
    uint64_t journal;
    unsigned stage, slot;
};

struct outbox {
    struct loop *loop;
    const char *node;
    struct outbox_ops ops;
    struct journal *journal;
    struct producer producer;
    uint64_t bytes_most;
    struct cursors accepted;  // with what still waits to be written
    struct cursors committed; // what is durable
    struct source sources[CURSORS_MOST];
    size_t source_count;
    struct bundle *first, *last; // wait to be written
    size_t pending_bytes;
    struct bundle *writing;
    struct buffer packed; // the record of `writing`, until it is durable
    int rolled_back;      // a new epoch is due as soon as nothing is being written
    int unsettled;        // nothing of the new epoch is durable: nobody may hear of it
    int hurry;
    struct timer *gather, *retry, *trim;
    uint64_t refused;
};

static void commit(void *context);

// -- events come in

static struct bundle *open_bundle(struct outbox *self)
{
    if (self->last && !bundle_full(self->last))
        return self->last;
    struct bundle *bundle = bundle_new();
    if (self->last)
        self->last->next = bundle;
    else
        self->first = bundle;
    self->last = bundle;
    return bundle;
}

static void schedule(struct outbox *self)
{
    if (self->writing || !self->first || timer_active(self->retry))
        return;
    if (bundle_full(self->first))
        commit(self);
    else if (!timer_active(self->gather))
        timer_start(self->gather, self->hurry ? GATHER_MS : GATHER_IDLE_MS);
}

static void add_event(struct outbox *self, struct bundle *bundle, const void *event, size_t size)
{
    int kind = size <= EVENT_MOST ? event_kind(event, size) : -1;
    if (kind > 0) {
        bundle_add(bundle, kind, event, size);
        self->pending_bytes += size;
    } else if (kind < 0 && self->refused++ == 0) {
        log_error("outbox.event", "refused=malformed size=%zu", size);
    }
}

static const struct source *source_of(const struct outbox *self, uint64_t journal)
{
    for (size_t i = 0; i < self->source_count; i++)
        if (self->sources[i].journal == journal)
            return &self->sources[i];
    return NULL;
}

static void remember_source(struct outbox *self, const Postern__Taking *taking)
{
    struct source *known = (struct source *)(uintptr_t)source_of(self, taking->journal);
    if (!known && self->source_count == ARRAY_LENGTH(self->sources)) {
        memmove(self->sources, self->sources + 1, (self->source_count - 1) * sizeof(*known));
        self->source_count--;
    }
    if (!known)
        known = &self->sources[self->source_count++];
    *known = (struct source){taking->journal, taking->stage, taking->slot};
}

static void tell_taken(struct outbox *self, uint64_t journal)
{
    const struct source *source = source_of(self, journal);
    const struct cursor *cursor = cursors_get(&self->committed, journal);
    if (!source)
        return;
    Postern__Taken taken = POSTERN__TAKEN__INIT;
    taken.stage = source->stage;
    taken.slot = source->slot;
    taken.journal = journal;
    taken.none = !cursor;
    if (cursor) {
        taken.segment = cursor->segment;
        taken.offset = cursor->offset;
    }
    self->ops.taken(self->ops.context, source->stage, source->slot, &taken);
}

// Do these records follow on what we have of that journal?
static int follows_on(const struct outbox *self, const Postern__Taking *taking)
{
    if (!taking->after_segment && !taking->after_offset)
        return 1;
    const struct cursor *accepted = cursors_get(&self->accepted, taking->journal);
    return !cursor_is_before(accepted, taking->after_segment, taking->after_offset);
}

void outbox_take(struct outbox *self, const Postern__Taking *taking)
{
    remember_source(self, taking);
    if (!taking->n_records || !follows_on(self, taking)) {
        tell_taken(self, taking->journal);
        return;
    }
    if (self->pending_bytes > PENDING_MOST)
        return; // the stage keeps them, and asks again when nothing moves
    for (size_t i = 0; i < taking->n_records; i++) {
        const Postern__TakenRecord *record = taking->records[i];
        if (!cursor_is_before(cursors_get(&self->accepted, taking->journal), record->segment,
                              record->offset))
            continue;
        const struct cursor cursor = {taking->journal, record->segment, record->offset};
        struct bundle *bundle = open_bundle(self); // one for both: exactly once rests on it
        add_event(self, bundle, record->event.data, record->event.len);
        cursors_set(&bundle->changes, cursor);
        cursors_set(&self->accepted, cursor);
    }
    schedule(self);
}

void outbox_note(struct outbox *self, const Postern__Event *event)
{
    size_t size = postern__event__get_packed_size(event);
    uint8_t *packed = allocate(size);
    postern__event__pack(event, packed);
    add_event(self, open_bundle(self), packed, size);
    free(packed);
    schedule(self);
}

// -- the word with the masters

static void begin_epoch(struct outbox *self)
{
    uint64_t from = producer_acknowledged(&self->producer) + 1, to = self->producer.last;
    self->rolled_back = 0;
    self->unsettled = 1;
    producer_begin(&self->producer, random_u64());
    log_error("outbox.rolled-back", "alarm=stream-rolled-back epoch=%016llx",
              (unsigned long long)self->producer.epoch);
    outbox_note_alarm(self, "stream-rolled-back",
                      "a master has events that this worker's disk has lost");
    if (from <= to)
        outbox_note_cut(self, from, to);
}

void outbox_masters(struct outbox *self, const char *const *master_keys, unsigned master_count)
{
    producer_set_masters(&self->producer, master_keys, master_count);
}

static void heard(struct outbox *self, enum producer_hello said)
{
    if (said == PRODUCER_AGREED) {
        if (!self->unsettled) // else a crash would bring the old epoch back, without its records
            outbox_trim(self->journal, &self->producer);
        return;
    }
    self->rolled_back = 1;
    if (!self->writing)
        begin_epoch(self);
}

void outbox_hello(struct outbox *self, unsigned master, const Postern__MasterHello *hello)
{
    const struct producer_word word = {hello->incarnation, hello->life, hello->epoch,
                                       hello->watermark, hello->mark};
    heard(self, producer_hello(&self->producer, master, &word));
}

void outbox_acknowledge(struct outbox *self, unsigned master, const Postern__Ack *ack)
{
    const struct producer_word word = {ack->incarnation, ack->life, ack->epoch, ack->upto,
                                       ack->mark};
    heard(self, producer_acknowledge(&self->producer, master, &word));
}

void outbox_hurry(struct outbox *self, int listening)
{
    self->hurry = listening;
}

// -- commits

static void append(struct outbox *self);

static void bundle_durable(struct outbox *self, struct position where)
{
    struct bundle *bundle = self->writing;
    uint64_t first = self->producer.last + 1;
    self->writing = NULL;
    self->pending_bytes -= buffer_size(&bundle->bytes);
    producer_durable(&self->producer, (uint32_t)bundle->count, bundle->time_s, bundle->mark, where);
    for (size_t i = 0; i < bundle->changes.count; i++)
        cursors_set(&self->committed, bundle->changes.list[i]);
    bundle_publish(bundle, self->node, self->producer.epoch, first, self->ops.publish,
                   self->ops.context);
    for (size_t i = 0; i < bundle->changes.count; i++)
        tell_taken(self, bundle->changes.list[i].journal);
    bundle_destroy(&bundle);
    outbox_trim(self->journal, &self->producer);
    if (self->unsettled) {
        self->unsettled = 0;
        self->ops.epoch_changed(self->ops.context);
    }
    if (self->rolled_back)
        begin_epoch(self);
    schedule(self);
}

static void on_record(void *context, enum journal_state state, struct position where)
{
    struct outbox *self = context;
    if (state == JOURNAL_DURABLE) {
        bundle_durable(self, where);
    } else if (state == JOURNAL_FAILED) {
        log_error("outbox.sync", "alarm=outbox-disk");
        timer_start(self->retry, RETRY_MS);
    }
}

static void append(struct outbox *self)
{
    const struct iovec record = {self->packed.data, buffer_size(&self->packed)};
    struct position where;
    if (journal_append(self->journal, RECORD_OUTBOX, 1, &record, 1, on_record, self, &where) == 0)
        return;
    log_error("outbox.append", "alarm=outbox-disk errno=%d", errno);
    // Mail never stops for events: what is oldest makes room.
    if (errno == ENOSPC)
        outbox_cut_segment(self, self->journal, &self->producer);
    timer_start(self->retry, RETRY_MS);
}

static void commit(void *context)
{
    struct outbox *self = context;
    if (self->writing || !self->first)
        return;
    timer_stop(self->gather);
    self->writing = self->first;
    self->first = self->writing->next;
    if (!self->first)
        self->last = NULL;
    self->writing->time_s = (uint32_t)(clock_wall_ms() / 1000);
    buffer_clear(&self->packed);
    bundle_pack(self->writing, &self->producer, &self->committed, &self->packed);
    append(self);
}

static void on_retry(void *context)
{
    struct outbox *self = context;
    if (self->writing)
        append(self);
    else
        schedule(self);
}

static void on_trim(void *context)
{
    struct outbox *self = context;
    timer_start(self->trim, TRIM_MS);
    outbox_cut_old(self, &self->producer, self->journal, clock_wall_ms() / 1000);
    if (journal_bytes(self->journal) > self->bytes_most) {
        outbox_cut_segment(self, self->journal, &self->producer);
        timer_start(self->trim, RETRY_MS); // the unlink comes later
    }
    metric_set(metric("outbox_bytes", ""), (int64_t)journal_bytes(self->journal));
}

// -- life

static void read_masters(struct outbox *self, const Postern__OutboxRecord *record)
{
    for (size_t i = 0; i < record->n_acknowledged; i++) {
        const Postern__MasterAck *ack = record->acknowledged[i];
        struct producer_master master = {
            .incarnation = ack->incarnation, .epoch = ack->epoch, .upto = ack->upto};
        if (ack->key.len >= sizeof(master.key))
            continue;
        memcpy(master.key, ack->key.data, ack->key.len);
        producer_remember(&self->producer, &master);
    }
}

static void visit(void *context, unsigned type, struct position where, const void *payload)
{
    struct outbox *self = context;
    Postern__OutboxRecord *record =
        type == RECORD_OUTBOX
            ? postern__outbox_record__unpack(&unpack_allocator, where.length, payload)
            : NULL;
    struct producer_record found = {.where = where};
    if (!record || !record->first || !record->epoch || record->n_events > UINT32_MAX) {
        log_error("outbox.record", "refused=malformed type=%u", type);
        buffer_add(&self->packed, &where, sizeof(where));
    } else {
        found.first = record->first;
        found.count = (uint32_t)record->n_events;
        found.time_s = (uint32_t)record->time_s;
        found.mark = record->mark;
        if (producer_found(&self->producer, record->epoch, &found) < 0)
            buffer_add(&self->packed, &where, sizeof(where)); // released once the journal stands
        for (size_t i = 0; i < record->n_cursors; i++)
            cursors_set(&self->committed,
                        (struct cursor){record->cursors[i]->journal, record->cursors[i]->segment,
                                        record->cursors[i]->offset});
        read_masters(self, record);
    }
    if (record)
        postern__outbox_record__free_unpacked(record, NULL);
}

static void release_unwanted(struct outbox *self)
{
    struct position where;
    for (; buffer_size(&self->packed); buffer_take(&self->packed, sizeof(where))) {
        memcpy(&where, buffer_bytes(&self->packed), sizeof(where));
        journal_release(self->journal, where);
    }
}

static int open_journal(struct outbox *self, const char *folder)
{
    struct journal_report report;
    char corrupt[160];
    outbox_corrupt_folder(folder, corrupt, sizeof(corrupt));
    self->bytes_most = outbox_bytes_most(folder, SHARE_OF_DISK);
    const struct journal_options options = {
        .folder = folder,
        .segment_size = SEGMENT_SIZE,
        .bytes_most = self->bytes_most + 4 * (uint64_t)SEGMENT_SIZE,
        .corrupt = corrupt,
    };
    self->journal = journal_new(self->loop, &options, visit, self, &report);
    if (!self->journal)
        return -1;
    journal_no_events(self->journal);
    release_unwanted(self);
    self->accepted = self->committed;
    if (!self->producer.epoch)
        producer_begin(&self->producer, random_u64());
    if (report.corrupt)
        log_error("outbox.corrupt", "alarm=outbox-corrupt stretches=%llu copy=%s",
                  (unsigned long long)report.corrupt, report.corrupt_file);
    log_info("outbox.open", "epoch=%016llx last=%llu records=%llu",
             (unsigned long long)self->producer.epoch, (unsigned long long)self->producer.last,
             (unsigned long long)report.records);
    return 0;
}

struct outbox *outbox_new(struct loop *loop, const char *folder, const char *node,
                          const char *const *master_keys, unsigned master_count,
                          const struct outbox_ops *ops)
{
    struct outbox *self = allocate(sizeof(*self));
    self->loop = loop;
    self->node = node;
    self->ops = *ops;
    buffer_init(&self->packed);
    producer_init(&self->producer);
    for (unsigned i = 0; i < master_count; i++)
        producer_add_master(&self->producer, master_keys[i]);
    self->gather = timer_new(loop, commit, self);
    self->retry = timer_new(loop, on_retry, self);
    self->trim = timer_new(loop, on_trim, self);
    if (open_journal(self, folder) < 0) {
        int kept = errno;
        outbox_destroy(&self);
        errno = kept;
        return NULL;
    }
    timer_start(self->trim, TRIM_MS);
    return self;
}

void outbox_destroy(struct outbox **self)
{
    struct outbox *outbox = *self;
    if (!outbox)
        return;
    journal_destroy(&outbox->journal);
    timer_destroy(&outbox->gather);
    timer_destroy(&outbox->retry);
    timer_destroy(&outbox->trim);
    bundle_destroy(&outbox->writing);
    for (struct bundle *next; outbox->first; outbox->first = next) {
        next = outbox->first->next;
        bundle_destroy(&outbox->first);
    }
    producer_free(&outbox->producer);
    buffer_free(&outbox->packed);
    free(outbox);
    *self = NULL;
}

const struct producer *outbox_producer(const struct outbox *self)
{
    return &self->producer;
}

struct journal *outbox_journal(const struct outbox *self)
{
    return self->journal;
}

int outbox_settled(const struct outbox *self)
{
    return !self->unsettled;
}

unsigned outbox_percent(const struct outbox *self)
{
    return (unsigned)(journal_bytes(self->journal) * 100 / self->bytes_most);
}

int outbox_quiet(const struct outbox *self)
{
    return !self->first && !self->writing;
}
