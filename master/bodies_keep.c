// SPDX-License-Identifier: Apache-2.0
// What becomes of bodies that are held: workers ask for them, they rot, their time is over.
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/table.h"
#include "core/base/unpack.h"
#include "mail/schema.h"
#include "master/bodies_internal.h"
#include "proto/quarantine.pb-c.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { IDS_MOST = 4096, DAYS_DEFAULT = 30, STEP = 500 };
#define DAY_MS ((int64_t)86400 * 1000)

// -- a worker asks what is held here

struct question {
    struct disk_job job;
    struct bodies *bodies;
    char node[64];
    Postern__BodiesQuestion *asked;
    ProtobufCBinaryData *held;
    size_t count;
};

static int is_settled(const struct bodies *self, const ProtobufCBinaryData *data)
{
    struct body body;
    struct ulid id;
    if (data->len != ULID_SIZE)
        return 0;
    memcpy(id.bytes, data->data, ULID_SIZE);
    return bodies_find(self->reading, &id, &body) == 1 &&
           (body.state == BODY_GONE || blob_exists(self->folder, body.sha256));
}

static void look(struct disk_job *job)
{
    struct question *self = (struct question *)job;
    for (size_t i = 0; i < self->asked->n_ids; i++)
        if (is_settled(self->bodies, &self->asked->ids[i]))
            self->held[self->count++] = self->asked->ids[i];
}

static void answer(struct disk_job *job)
{
    struct question *self = (struct question *)job;
    struct master *master = self->bodies->master;
    const struct member *member = members_by_name(&master->members, self->node);
    Postern__BodiesHeld held = POSTERN__BODIES_HELD__INIT;
    held.ids = self->held;
    held.n_ids = self->count;
    if (member && self->count > 0 &&
        control_send(master->control, member->key, CONTROL_BODIES_HELD, &held.base) < 0)
        log_debug("bodies.untold", "node=%s", member->name);
    postern__bodies_question__free_unpacked(self->asked, NULL);
    free(self->held);
    free(self);
}

void bodies_question(struct bodies *self, const struct member *member, const uint8_t *data,
                     size_t size)
{
    Postern__BodiesQuestion *asked =
        postern__bodies_question__unpack(&unpack_allocator, size, data);
    if (!asked)
        return;
    struct question *question = allocate(sizeof(*question));
    question->job = (struct disk_job){look, answer};
    question->bodies = self;
    question->asked = asked;
    question->held = allocate((asked->n_ids + 1) * sizeof(*question->held));
    memcpy(question->node, member->name, sizeof(question->node));
    if (asked->n_ids <= IDS_MOST && disk_put(self->disk, &question->job) == 0)
        return;
    postern__bodies_question__free_unpacked(asked, NULL); // it will ask again
    free(question->held);
    free(question);
}

// -- rot

struct rot {
    struct disk_job job;
    struct bodies *bodies;
    struct body body;
    int error;
};

static void set_aside(struct disk_job *job)
{
    struct rot *self = (struct rot *)job;
    if (blob_set_aside(self->bodies->folder, self->body.sha256) < 0)
        self->error = errno;
}

static void was_set_aside(struct disk_job *job)
{
    struct rot *self = (struct rot *)job;
    char id[ULID_TEXT];
    ulid_format(&self->body.id, id);
    log_error("body.rotten", "alarm=quarantine-rot id=%s error=%d", id, self->error);
    metric_add(self->bodies->rotten, 1);
    bodies_note(self->bodies, &self->body.id, BODY_WANTED);
    bodies_want(self->bodies, &self->body);
    free(self);
}

void bodies_rotten(struct bodies *self, const struct body *body)
{
    struct rot *rot = allocate(sizeof(*rot));
    rot->job = (struct disk_job){set_aside, was_set_aside};
    rot->bodies = self;
    rot->body = *body;
    if (disk_put(self->disk, &rot->job) < 0)
        free(rot); // found again by whoever reads it next
}

// -- what is needed no more

struct ending {
    struct disk_job job;
    struct bodies *bodies;
    char day[11]; // all before it; "": only `id`
    struct ulid id;
    struct ulid gone[STEP];
    size_t count;
};

static void end_one(void *context, const struct body *body)
{
    struct ending *self = context;
    if (self->count < STEP && blob_remove(self->bodies->folder, body->sha256) == 0)
        self->gone[self->count++] = body->id;
}

static void end_some(struct disk_job *job)
{
    struct ending *self = (struct ending *)job;
    struct body body;
    int rc = *self->day ? bodies_before(self->bodies->reading, self->day, STEP, end_one, self)
                        : bodies_find(self->bodies->reading, &self->id, &body);
    if (!*self->day && rc == 1)
        end_one(self, &body);
}

static void drop_want(struct bodies *self, const struct ulid *id)
{
    struct want *want = want_of(self, id);
    if (want && want->pull)
        want->dropped = 1;
    else if (want)
        want_done(self, want);
}

static void ended_some(struct disk_job *job)
{
    struct ending *self = (struct ending *)job;
    for (size_t i = 0; i < self->count; i++) {
        drop_want(self->bodies, &self->gone[i]);
        bodies_note(self->bodies, &self->gone[i], BODY_GONE);
    }
    if (*self->day)
        self->bodies->tidying = 0;
    if (*self->day && self->count > 0)
        log_info("bodies.past", "before=%s count=%zu", self->day, self->count);
    free(self);
}

static void start_ending(struct bodies *self, struct ending *ending)
{
    ending->job = (struct disk_job){end_some, ended_some};
    ending->bodies = self;
    if (disk_put(self->disk, &ending->job) == 0)
        return;
    self->tidying = 0;
    free(ending);
}

void bodies_forget(struct bodies *self, const struct ulid *id)
{
    struct ending *ending = allocate(sizeof(*ending));
    ending->id = *id;
    start_ending(self, ending);
}

static int64_t days_of(const struct master *master)
{
    const json_t *documents = json_object_get(master->tree, "documents");
    const json_t *document = json_object_get(documents, "quarantine");
    json_int_t days = json_integer_value(json_object_get(document, "days"));
    return days > 0 ? days : DAYS_DEFAULT;
}

void bodies_tidy(struct bodies *self)
{
    int64_t wall = clock_wall_ms(), monotonic = clock_monotonic_ms();
    int64_t leap = (wall - self->wall_ms) - (monotonic - self->monotonic_ms);
    self->wall_ms = wall;
    self->monotonic_ms = monotonic;
    // A clock that leaps must not take the quarantine with it; the next look believes it.
    if (leap > DAY_MS || leap < -DAY_MS || self->tidying) {
        log_warning("bodies.kept", "clock_leap_ms=%lld", (long long)leap);
        return;
    }
    struct ending *ending = allocate(sizeof(*ending));
    clock_format_day(wall - days_of(self->master) * DAY_MS, ending->day);
    self->tidying = 1;
    start_ending(self, ending);
}
