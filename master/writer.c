// SPDX-License-Identifier: Apache-2.0
#include "master/writer.h"
#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mailbox.h"
#include "core/base/metrics.h"
#include "core/base/table.h"
#include "core/base/unpack.h"
#include "core/stream/kind.h"
#include "master/cluster.h"
#include "master/config.h"
#include "master/store/bodies.h"
#include "master/store/database.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    JOBS_MOST = 4096,
    NOTICES_MOST = 16384,
    COMMIT_AFTER_MS = 100,
    COMMIT_EVENTS = 500,
};

// How far a node's stream is, in the open transaction.
struct position {
    char node[64];
    uint64_t epoch, sequence, mark;
    int touched; // by the open transaction
};

// What the thread tells the loop.
struct notice {
    enum {
        NOTICE_JOB,
        NOTICE_COMMITTED,
        NOTICE_OUTCOME,
        NOTICE_BODY,
        NOTICE_DAMAGED,
        NOTICE_PUBLIC
    } kind;
    struct writer_job *job;
    uint64_t epoch, sequence, mark; // or, as sequence, the new incarnation
    char text[160];                 // node, or order
    struct store_damage damage;
    struct buffer events; // of a transaction: commit number, size, bytes of each
    struct body body;
    struct notice *next;
};

struct writer {
    struct writer_databases databases;
    struct mailbox *jobs, *notices;
    atomic_int queued;
    pthread_t thread;
    writer_committed_fn *committed;
    writer_outcome_fn *outcome;
    writer_damaged_fn *damaged;
    writer_body_fn *body;
    void *context;
    atomic_flag suspecting;   // one file at a time
    writer_public_fn *public; // NULL: nobody wants them
    void *public_context;
    // The thread's own.
    struct table *positions;
    unsigned events; // in the open transaction
    int64_t opened_ms;
    struct notice *untold, *untold_last; // outcomes and bodies: told once they are durable
    struct buffer added;                 // likewise
    struct metric *batches, *written, *failures;
};

static void add_events(struct writer_job *job, struct writer_databases *databases)
{
    (void)job;
    (void)databases; // the thread knows this job by its address and never calls it
}

struct own_note {
    struct writer_job job;
    char master[64];
    Postern__Event *event;
};

static void add_note(struct writer_job *job, struct writer_databases *databases)
{
    (void)job;
    (void)databases; // like add_events
}

// The loop drains its mailbox always, so waiting for room ends; nothing told may be lost.
static void tell(struct writer *self, struct notice *notice)
{
    while (mailbox_put(self->notices, notice) < 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static struct notice *notice_new(int kind, const char *text)
{
    struct notice *notice = allocate(sizeof(*notice));
    notice->kind = kind;
    snprintf(notice->text, sizeof(notice->text), "%s", text);
    return notice;
}

static void tell_position(struct writer *self, const struct position *position, uint64_t sequence)
{
    struct notice *notice = notice_new(NOTICE_COMMITTED, position->node);
    notice->epoch = position->epoch;
    notice->sequence = sequence;
    notice->mark = position->mark;
    tell(self, notice);
}

static int tell_committed(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    struct position *position = value;
    if (position->touched)
        tell_position(context, position, position->sequence);
    position->touched = 0;
    return 0;
}

static int set_watermark(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    struct position *position = value;
    struct writer *self = context;
    if (!position->touched)
        return 0;
    return store_watermark(self->databases.store, position->node, position->epoch,
                           position->sequence, position->mark);
}

static int forget_position(const void *key, size_t size, void *value, void *context)
{
    struct position *position = value;
    struct writer *self = context;
    // Whoever has taken more than the store holds must begin again from what it holds.
    tell_position(self, position, 0);
    free(table_remove(self->positions, key, size));
    return 0;
}

static void remember_position(void *context, const char *node, uint64_t epoch, uint64_t sequence,
                              uint64_t mark)
{
    struct writer *self = context;
    struct position *position = allocate(sizeof(*position));
    snprintf(position->node, sizeof(position->node), "%s", node);
    position->epoch = epoch;
    position->sequence = sequence;
    position->mark = mark;
    free(table_put(self->positions, node, strlen(node), position));
}

// How one event stands in a notice's bytes, before its own.
struct public_head {
    int64_t commit;
    size_t size;
};

static void note_public(struct writer *self)
{
    struct span event;
    struct public_head head = {.commit = store_last_added(self->databases.store, &event)};
    head.size = event.size;
    if (!self->public || head.commit == 0)
        return;
    buffer_add(&self->added, &head, sizeof(head));
    buffer_add(&self->added, event.data, event.size);
}

static void tell_public(struct writer *self)
{
    if (!buffer_size(&self->added))
        return;
    struct notice *notice = notice_new(NOTICE_PUBLIC, "");
    notice->events = self->added;
    buffer_init(&self->added);
    tell(self, notice);
}

static void hear_public(struct writer *self, struct notice *notice)
{
    struct buffer *events = &notice->events;
    struct public_head head;
    while (buffer_size(events)) {
        memcpy(&head, buffer_bytes(events), sizeof(head));
        buffer_take(events, sizeof(head));
        self->public(self->public_context, head.commit,
                     (struct span){buffer_bytes(events), head.size});
        buffer_take(events, head.size);
    }
    buffer_free(events);
}

static struct notice *take_untold(struct writer *self)
{
    struct notice *notice = self->untold;
    if (notice && !(self->untold = notice->next))
        self->untold_last = NULL;
    return notice;
}

// A damaged file is put in order. 1: one was, 0: none is damaged, -1.
static int mend(struct writer *self)
{
    struct notice *notice = notice_new(NOTICE_DAMAGED, "");
    int rc = store_mend(self->databases.store, &notice->damage);
    if (rc <= 0) {
        free(notice);
        return rc;
    }
    notice->sequence = store_incarnation(self->databases.store);
    metric_add(metric("store_damaged_total", ""), 1);
    tell(self, notice);
    return 1;
}

static void begin_from_watermarks(struct writer *self)
{
    table_each(self->positions, forget_position, self);
    if (store_watermarks(self->databases.store, remember_position, self) < 0)
        log_error("store.watermarks", "error=unreadable");
}

static void tell_later(struct writer *self, struct notice *notice)
{
    *(self->untold_last ? &self->untold_last->next : &self->untold) = notice;
    self->untold_last = notice;
}

static void give_up(struct writer *self)
{
    metric_add(self->failures, 1);
    store_rollback(self->databases.store);
    for (struct notice *notice; (notice = take_untold(self));)
        free(notice);
    buffer_clear(&self->added);
    self->events = 0;
    int mended = mend(self);
    begin_from_watermarks(self);
    if (mended <= 0) // a full disk is not helped by haste
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
}

static void commit(struct writer *self)
{
    if (self->events == 0)
        return;
    if (table_each(self->positions, set_watermark, self) != 0 ||
        cluster_commit_outcomes(self->databases.cluster) < 0 ||
        store_commit(self->databases.store) < 0) {
        give_up(self);
        return;
    }
    metric_add(self->batches, 1);
    metric_add(self->written, self->events);
    self->events = 0;
    tell_public(self);
    table_each(self->positions, tell_committed, self);
    for (struct notice *notice; (notice = take_untold(self));)
        tell(self, notice);
}

// An order's outcome is durable in cluster.db before the watermark passes its event.
static int note_outcome(struct writer *self, const char *node, const Postern__Event *event)
{
    char order[160];
    if (event->order.len == 0 || event->order.len >= sizeof(order))
        return 0;
    memcpy(order, event->order.data, event->order.len);
    order[event->order.len] = 0;
    int rc = cluster_order_outcome(self->databases.cluster, order, node, event);
    if (rc > 0)
        tell_later(self, notice_new(NOTICE_OUTCOME, order));
    return rc < 0 ? -1 : 0;
}

// What is to be held is durable in cluster.db before the watermark passes its event, too.
static int note_body(struct writer *self, const char *node, const Postern__Event *event)
{
    struct body body = {0};
    int rc = 0;
    if (body_of_event(event, node, &body))
        rc = bodies_add(self->databases.cluster, &body);
    else if (event->kind == POSTERN__KIND__KIND_DELETED && event->id.len == ULID_SIZE)
        rc = store_all_deleted(self->databases.store, event);
    if (rc > 0) {
        struct notice *notice = notice_new(NOTICE_BODY, "");
        body.state = event->kind == POSTERN__KIND__KIND_DELETED ? BODY_GONE : BODY_WANTED;
        memcpy(body.id.bytes, event->id.data, ULID_SIZE);
        notice->body = body;
        tell_later(self, notice);
    }
    return rc < 0 ? -1 : 0;
}

static int add_one(struct writer *self, const struct writer_events *events, size_t i)
{
    const ProtobufCBinaryData *packed = &events->publication->events[i];
    Postern__Event *event =
        packed->len <= EVENT_MOST
            ? postern__event__unpack(&unpack_allocator, packed->len, packed->data)
            : NULL;
    if (!event) {
        log_warning("store.event", "node=%s sequence=%llu error=unreadable", events->node,
                    (unsigned long long)(events->first + i));
        return 0; // it would never be readable: going on is all there is
    }
    struct store_event at = {events->node,
                             events->epoch,
                             events->first + i,
                             {(const char *)packed->data, packed->len},
                             event};
    int rc = store_add(self->databases.store, &at);
    if (rc == 0) {
        note_public(self);
        rc = note_outcome(self, events->node, event);
    }
    if (rc == 0)
        rc = note_body(self, events->node, event);
    postern__event__free_unpacked(event, NULL);
    return rc;
}

static struct position *position_of(struct writer *self, const char *node)
{
    struct position *position = table_get(self->positions, node, strlen(node));
    if (!position) {
        remember_position(self, node, 0, 0, 0);
        position = table_get(self->positions, node, strlen(node));
    }
    return position;
}

// Events must follow on what was taken, whatever the loop believes: after a failed commit it may
// have put more before it heard of that. A beginning may skip what will never come.
static int follows(const struct position *position, const struct writer_events *events)
{
    if (events->epoch == position->epoch && events->previous <= position->sequence)
        return 1;
    return events->begins;
}

// -1: the transaction was given up.
static int add_all(struct writer *self, const struct writer_events *events, size_t skip)
{
    if (self->events == 0)
        self->opened_ms = clock_monotonic_ms();
    for (size_t i = skip; i < events->publication->n_events; i++) {
        if (add_one(self, events, i) < 0) {
            give_up(self);
            return -1;
        }
        self->events++;
    }
    return 0;
}

static void take_events(struct writer *self, struct writer_events *events)
{
    struct position *position = position_of(self, events->node);
    uint64_t end = events->first + events->publication->n_events;
    size_t skip = events->skip;
    if (!follows(position, events)) {
        tell_position(self, position, 0); // these must come again
        return;
    }
    if (events->epoch == position->epoch && events->first + skip <= position->sequence) {
        if (end <= position->sequence + 1)
            return;
        skip = (size_t)(position->sequence + 1 - events->first);
    }
    if (add_all(self, events, skip) < 0)
        return;
    position->epoch = events->epoch;
    position->sequence = end - 1;
    position->mark = events->publication->mark;
    position->touched = 1;
}

static void take_note(struct writer *self, struct own_note *note)
{
    // The time stands for a place, so that each is another event.
    struct store_event at = {
        .node = note->master, .sequence = (uint64_t)note->event->time_ms, .event = note->event};
    if (self->events == 0)
        self->opened_ms = clock_monotonic_ms();
    if (store_add(self->databases.store, &at) < 0) {
        give_up(self);
        return;
    }
    note_public(self);
    self->events++;
}

static void free_note(struct own_note *note)
{
    postern__event__free_unpacked(note->event, NULL);
    free(note);
}

static void free_events(struct writer_events *events)
{
    postern__publication__free_unpacked(events->publication, NULL);
    free(events);
}

static void put_down(struct writer *self, struct writer_events *events)
{
    if (events->fills)
        (void)!add_all(self, events, 0); // what is lost here is missed, and fetched, again
    else
        take_events(self, events);
    free_events(events);
}

static void *work(void *context)
{
    struct writer *self = context;
    for (;;) {
        int64_t left = self->opened_ms + COMMIT_AFTER_MS - clock_monotonic_ms();
        struct writer_job *job = mailbox_wait(self->jobs, self->events == 0 ? -1
                                                          : left > 0        ? left
                                                                            : 0);
        if (job)
            atomic_fetch_sub(&self->queued, 1);
        if (job && job->run == add_events) {
            put_down(self, (struct writer_events *)job);
        } else if (job && job->run == add_note) {
            take_note(self, (struct own_note *)job);
            free_note((struct own_note *)job);
        } else if (job) {
            commit(self); // so that a job sees all that came before it
            job->run(job, &self->databases);
            struct notice *notice = notice_new(NOTICE_JOB, "");
            notice->job = job;
            tell(self, notice);
        }
        if (!job && self->events == 0)
            return NULL; // closed
        if (self->events >= COMMIT_EVENTS || !job ||
            clock_monotonic_ms() - self->opened_ms >= COMMIT_AFTER_MS)
            commit(self);
    }
}

static void hear(void *context, void *item)
{
    struct writer *self = context;
    struct notice *notice = item;
    if (notice->kind == NOTICE_JOB)
        notice->job->done(notice->job);
    else if (notice->kind == NOTICE_COMMITTED)
        self->committed(self->context, notice->text, notice->epoch, notice->sequence, notice->mark);
    else if (notice->kind == NOTICE_PUBLIC)
        hear_public(self, notice);
    else if (notice->kind == NOTICE_OUTCOME)
        self->outcome(self->context, notice->text);
    else if (notice->kind == NOTICE_BODY && self->body)
        self->body(self->context, &notice->body);
    else if (notice->kind == NOTICE_DAMAGED && self->damaged)
        self->damaged(self->context, &notice->damage, notice->sequence);
    free(notice);
}

static int open_databases(struct writer *self, const char *folder, char *ret_error,
                          size_t error_size)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/messages", folder);
    self->databases.store = store_open(path, ret_error, error_size);
    if (!self->databases.store)
        return -1;
    self->databases.cluster = cluster_open(folder, ret_error, error_size);
    if (!self->databases.cluster || database_execute(self->databases.cluster, bodies_schema) < 0)
        return -1;
    int mended = mend(self);
    if (mended >= 0 && store_watermarks(self->databases.store, remember_position, self) == 0)
        return 0;
    snprintf(ret_error, error_size, "%s: %s", path,
             mended < 0 ? "a damaged file cannot be set aside; see the log above"
                        : "the watermarks cannot be read");
    return -1;
}

struct writer *writer_new(struct loop *loop, const char *folder, writer_committed_fn *committed,
                          writer_outcome_fn *outcome, void *context, char *ret_error,
                          size_t error_size)
{
    struct writer *self = allocate(sizeof(*self));
    self->committed = committed;
    self->outcome = outcome;
    self->context = context;
    self->positions = table_new();
    self->batches = metric("store_batches_total", "");
    self->written = metric("store_events_total", "");
    self->failures = metric("store_failures_total", "");
    atomic_flag_clear(&self->suspecting);
    self->notices = mailbox_new(NOTICES_MOST);
    if (open_databases(self, folder, ret_error, error_size) < 0) {
        writer_destroy(&self);
        return NULL;
    }
    self->jobs = mailbox_new(JOBS_MOST);
    mailbox_attach(self->notices, loop, hear, self);
    if (pthread_create(&self->thread, NULL, work, self) != 0)
        abort();
    return self;
}

static int free_position(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    (void)context;
    free(value);
    return 0;
}

void writer_destroy(struct writer **self_p)
{
    struct writer *self = *self_p;
    if (!self)
        return;
    if (self->jobs) {
        mailbox_close(self->jobs);
        pthread_join(self->thread, NULL);
        mailbox_destroy(&self->jobs);
    }
    for (struct notice *notice; (notice = mailbox_wait(self->notices, 0));)
        hear(self, notice);
    mailbox_destroy(&self->notices);
    store_close(&self->databases.store);
    configuration_close(&self->databases.configuration);
    cluster_close(&self->databases.cluster);
    buffer_free(&self->added);
    table_each(self->positions, free_position, NULL);
    table_destroy(&self->positions);
    free(self);
    *self_p = NULL;
}

void writer_on_damage(struct writer *self, writer_damaged_fn *fn)
{
    self->damaged = fn;
}

void writer_on_public(struct writer *self, writer_public_fn *fn, void *context)
{
    self->public = fn;
    self->public_context = context;
}

struct suspicion {
    struct writer_job job;
    struct writer *writer;
    char file[32];
};

static void check(struct writer_job *job, struct writer_databases *databases)
{
    struct suspicion *suspicion = (struct suspicion *)job;
    struct writer *self = suspicion->writer;
    if (store_suspect(databases->store, suspicion->file) && mend(self) > 0)
        begin_from_watermarks(self);
}

static void checked(struct writer_job *job)
{
    struct suspicion *suspicion = (struct suspicion *)job;
    atomic_flag_clear(&suspicion->writer->suspecting);
    free(suspicion);
}

void writer_suspect(struct writer *self, const char *file)
{
    if (atomic_flag_test_and_set(&self->suspecting))
        return; // who reads it once more says so once more
    struct suspicion *suspicion = allocate(sizeof(*suspicion));
    *suspicion = (struct suspicion){{check, checked}, self, ""};
    snprintf(suspicion->file, sizeof(suspicion->file), "%s", file);
    if (writer_put(self, &suspicion->job) < 0)
        checked(&suspicion->job);
}

void writer_on_body(struct writer *self, writer_body_fn *fn)
{
    self->body = fn;
}

struct writer_databases *writer_databases(struct writer *self)
{
    return &self->databases;
}

int writer_put(struct writer *self, struct writer_job *job)
{
    if (mailbox_put(self->jobs, job) < 0)
        return -1;
    atomic_fetch_add(&self->queued, 1);
    return 0;
}

int writer_put_events(struct writer *self, struct writer_events *events)
{
    events->job.run = add_events;
    return writer_put(self, &events->job);
}

int writer_note(struct writer *self, const char *master, const Postern__Event *event)
{
    size_t size = postern__event__get_packed_size(event);
    uint8_t *packed = allocate(size + 1);
    struct own_note *note = allocate(sizeof(*note));
    postern__event__pack(event, packed);
    note->job.run = add_note;
    note->event = postern__event__unpack(&unpack_allocator, size, packed);
    snprintf(note->master, sizeof(note->master), "%s", master);
    free(packed);
    if (writer_put(self, &note->job) == 0)
        return 0;
    free_note(note);
    return -1;
}

int writer_busy(const struct writer *self)
{
    return atomic_load(&self->queued) > JOBS_MOST / 2;
}
