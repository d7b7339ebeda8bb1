// SPDX-License-Identifier: Apache-2.0
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/table.h"
#include "master/bodies_internal.h"
#include "master/peer.h"
#include "master/store/database.h"
#include "proto/quarantine.pb-c.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PULLS_OF_NODE = 4,
    LOOKS_MOST = 1000,
    AGAIN_FIRST_MS = 500,
    AGAIN_MOST_MS = 60000,
    TICKS_OF_SECOND = 5,
    TICKS_OF_HOUR = 3600 * TICKS_OF_SECOND,
};

struct want *want_of(const struct bodies *self, const struct ulid *id)
{
    return table_get(self->wanted, id->bytes, ULID_SIZE);
}

// -- states on their way into the table, gathered so that they cost the writer one job a tick

struct noting_job {
    struct writer_job job;
    struct bodies *bodies;
    struct buffer noted;
    int failed;
};

static void run_noting(struct writer_job *job, struct writer_databases *databases)
{
    struct noting_job *self = (struct noting_job *)job;
    const struct noting *noted = (const struct noting *)buffer_bytes(&self->noted);
    size_t count = buffer_size(&self->noted) / sizeof(*noted);
    self->failed = database_execute(databases->cluster, "BEGIN IMMEDIATE") < 0;
    for (size_t i = 0; i < count && !self->failed; i++)
        self->failed = bodies_set(databases->cluster, &noted[i].id, noted[i].state) < 0;
    if (database_execute(databases->cluster, self->failed ? "ROLLBACK" : "COMMIT") < 0)
        self->failed = 1;
}

static void noting_done(struct writer_job *job)
{
    struct noting_job *self = (struct noting_job *)job;
    self->bodies->noting = 0;
    if (self->failed) // what came meanwhile is newer and stands behind it
        log_error("bodies.note", "count=%zu written=no",
                  buffer_size(&self->noted) / sizeof(struct noting));
    buffer_free(&self->noted);
    free(self);
}

static void flush_notes(struct bodies *self)
{
    if (self->noting || buffer_size(&self->noted) == 0)
        return;
    struct noting_job *job = allocate(sizeof(*job));
    job->job = (struct writer_job){run_noting, noting_done};
    job->bodies = self;
    buffer_init(&job->noted);
    buffer_add(&job->noted, buffer_bytes(&self->noted), buffer_size(&self->noted));
    if (writer_put(self->master->writer, &job->job) < 0) {
        buffer_free(&job->noted);
        free(job);
        return;
    }
    self->noting = 1;
    buffer_clear(&self->noted);
}

void bodies_note(struct bodies *self, const struct ulid *id, enum body_state state)
{
    struct noting noting = {*id, state};
    buffer_add(&self->noted, &noting, sizeof(noting));
}

// -- wants

void bodies_tell(struct bodies *self, const struct body *body)
{
    const struct member *member = members_by_name(&self->master->members, body->node);
    Postern__BodiesHeld held = POSTERN__BODIES_HELD__INIT;
    ProtobufCBinaryData id = {ULID_SIZE, (uint8_t *)(uintptr_t)body->id.bytes};
    held.ids = &id;
    held.n_ids = 1;
    // One that is lost with its session is asked for in the next.
    if (member &&
        control_send(self->master->control, member->key, CONTROL_BODIES_HELD, &held.base) < 0)
        log_debug("bodies.untold", "node=%s", member->name);
}

static void stop_waiting(struct bodies *self, struct want *want)
{
    if (!want->previous && self->first != want)
        return; // it is being pulled
    *(want->next ? &want->next->previous : &self->last) = want->previous;
    *(want->previous ? &want->previous->next : &self->first) = want->next;
    want->next = want->previous = NULL;
}

void want_wait(struct bodies *self, struct want *want)
{
    want->previous = self->last;
    *(self->last ? &self->last->next : &self->first) = want;
    self->last = want;
}

void want_done(struct bodies *self, struct want *want)
{
    stop_waiting(self, want);
    table_remove(self->wanted, want->body.id.bytes, ULID_SIZE);
    free(want);
}

void want_later(struct bodies *self, struct want *want)
{
    int64_t pause = AGAIN_FIRST_MS << (want->tries < 7 ? want->tries : 7);
    want->tries++;
    want->again_ms =
        loop_now_ms(self->master->loop) + (pause < AGAIN_MOST_MS ? pause : AGAIN_MOST_MS);
}

// The worker, when it can be had there now. NULL: the peer may have it.
static const struct member *source_of(const struct bodies *self, const struct want *want)
{
    const struct member *member = members_by_name(&self->master->members, want->body.node);
    int up = member && !want->missing &&
             strcmp(member_state(member, loop_now_ms(self->master->loop)), "up") == 0;
    return up ? member : NULL;
}

static unsigned busy_with(const struct bodies *self, const char *node)
{
    unsigned count = 0;
    for (unsigned i = 0; i < PULLS_MOST; i++)
        count += self->pulled[i] && strcmp(self->pulled[i]->body.node, node) == 0;
    return count;
}

// Starts what can be had now. 1: it is on its way.
static int try_pull(struct bodies *self, struct want *want)
{
    if (self->pulling == PULLS_MOST || want->again_ms > loop_now_ms(self->master->loop) ||
        busy_with(self, want->body.node) >= PULLS_OF_NODE)
        return 0;
    const struct member *member = source_of(self, want);
    if (!member && (!self->master->peer || !peer_connected(self->master->peer))) {
        want_later(self, want);
        return 0;
    }
    stop_waiting(self, want);
    pull_start(self, want, member);
    return 1;
}

// Looks at some of those that wait, each in its turn, so that many of one that is away cost little.
void bodies_pull_more(struct bodies *self)
{
    struct want *last = self->last;
    for (unsigned i = 0; i < LOOKS_MOST && self->first && self->pulling < PULLS_MOST; i++) {
        struct want *want = self->first;
        int was_last = want == last;
        if (!try_pull(self, want)) {
            stop_waiting(self, want);
            want_wait(self, want);
        }
        if (was_last)
            return;
    }
}

void bodies_want(struct bodies *self, const struct body *body)
{
    if (want_of(self, &body->id))
        return;
    struct want *want = allocate(sizeof(*want));
    want->body = *body;
    table_put(self->wanted, body->id.bytes, ULID_SIZE, want);
    want_wait(self, want);
    (void)try_pull(self, want);
}

static int hurry(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    struct want *want = value;
    const struct member *member = context;
    if (strcmp(want->body.node, member->name) == 0)
        want->again_ms = want->tries = want->missing = 0;
    return 0;
}

void bodies_node_is_back(struct bodies *self, const struct member *member)
{
    table_each(self->wanted, hurry, (void *)(uintptr_t)member);
}

// -- figures

static int find_oldest(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    const struct want *want = value;
    int64_t *oldest = context;
    if (*oldest == 0 || want->body.since_ms < *oldest)
        *oldest = want->body.since_ms;
    return 0;
}

static void measure(struct bodies *self)
{
    int64_t oldest = 0, now = clock_wall_ms();
    table_each(self->wanted, find_oldest, &oldest);
    metric_set(self->waiting, (int64_t)table_count(self->wanted));
    metric_set(self->lag, oldest && oldest < now ? now - oldest : 0);
}

json_t *bodies_status(const struct bodies *self)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "waiting", (json_int_t)metric_value(self->waiting),
                     "lag_ms", (json_int_t)metric_value(self->lag), "taken",
                     (json_int_t)metric_value(self->taken), "rotten",
                     (json_int_t)metric_value(self->rotten));
}

void bodies_tick(struct bodies *self)
{
    self->ticks++;
    flush_notes(self);
    bodies_pull_more(self);
    if (self->ticks % TICKS_OF_SECOND == 0) {
        measure(self);
        pulls_second(self);
    }
    if (self->ticks % TICKS_OF_HOUR == 0)
        bodies_tidy(self);
}

// -- life

// The blob is durable before its row says so: a crash between leaves one that needs no pulling.
static void recall(void *context, const struct body *body)
{
    struct bodies *self = context;
    if (blob_exists(self->folder, body->sha256))
        bodies_note(self, &body->id, BODY_HELD);
    else
        bodies_want(self, body);
}

struct bodies *bodies_new(struct master *master)
{
    struct bodies *self = allocate(sizeof(*self));
    char path[200], error[256];
    self->master = master;
    self->wanted = table_new();
    buffer_init(&self->noted);
    self->waiting = metric("bodies_waiting", "");
    self->lag = metric("bodies_lag_ms", "");
    self->taken = metric("bodies_taken_total", "");
    self->refused = metric("bodies_refused_total", "");
    self->rotten = metric("bodies_rotten_total", "");
    self->wall_ms = clock_wall_ms();
    self->monotonic_ms = clock_monotonic_ms();
    snprintf(self->folder, sizeof(self->folder), "%s/master", master->conf->state);
    blob_sweep(self->folder);
    snprintf(path, sizeof(path), "%s/cluster.db", self->folder);
    self->reading = database_open(path, 0, NULL, error, sizeof(error));
    self->disk = disk_new(master->loop);
    if (!self->reading ||
        bodies_wanted(writer_databases(master->writer)->cluster, recall, self) < 0) {
        log_error("bodies.open", "folder=%s", self->folder);
        bodies_destroy(&self);
    }
    return self;
}

static int free_want(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    (void)context;
    free(value);
    return 0;
}

void bodies_destroy(struct bodies **self_p)
{
    struct bodies *self = *self_p;
    if (!self)
        return;
    disk_destroy(&self->disk); // whoever waits for it is told
    bodies_readers_free(self);
    database_close(&self->reading);
    table_each(self->wanted, free_want, NULL);
    table_destroy(&self->wanted);
    buffer_free(&self->noted);
    free(self);
    *self_p = NULL;
}
