// SPDX-License-Identifier: Apache-2.0
#include "core/base/log.h"
#include "core/base/random.h"
#include "master/store/database.h"
#include "master/store/day.h"
#include "master/store/merge.h"
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TIME_BYTES = 6,        // of an id
    DAYS_OPEN = 8,         // files kept open; more in one transaction end it early
    EVENTS_KEPT = 2000000, // of the list that `events` reads; the timelines keep everything
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS events(commit_number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " node TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, time_ms INTEGER NOT "
    "NULL,"
    " kind INTEGER NOT NULL, id BLOB, message_id TEXT, detail TEXT);"
    "CREATE TABLE IF NOT EXISTS watermarks(node TEXT PRIMARY KEY, epoch INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS identity(one INTEGER PRIMARY KEY CHECK(one=1), incarnation "
    "INTEGER);";

struct store {
    char folder[108];
    sqlite3 *db;
    sqlite3_stmt *event, *watermark, *trim;
    int open; // a transaction is, in stream.db
    uint64_t incarnation;
    struct day *days[DAYS_OPEN]; // the last used first
};

static int read_incarnation(struct store *self)
{
    sqlite3_stmt *statement = database_prepare(self->db, "SELECT incarnation FROM identity");
    int found = statement ? statement_row(statement) : -1;
    if (found == 1)
        self->incarnation = (uint64_t)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return found == 0 ? store_new_incarnation(self) : found - 1;
}

int store_new_incarnation(struct store *self)
{
    sqlite3_stmt *statement =
        database_prepare(self->db, "INSERT OR REPLACE INTO identity VALUES(1,?1)");
    uint64_t drawn = random_u64();
    if (!statement)
        return -1;
    sqlite3_bind_int64(statement, 1, (int64_t)drawn);
    int rc = statement_run(statement);
    sqlite3_finalize(statement);
    if (rc == 0)
        self->incarnation = drawn;
    return rc;
}

struct store *store_open(const char *folder, char *ret_error, size_t error_size)
{
    char path[256];
    struct store *self = allocate(sizeof(*self));
    snprintf(self->folder, sizeof(self->folder), "%s", folder);
    snprintf(path, sizeof(path), "%s/stream.db", folder);
    self->db = database_open(path, 1, schema, ret_error, error_size);
    if (!self->db) {
        free(self);
        return NULL;
    }
    self->event = database_prepare(
        self->db, "INSERT INTO events(node,epoch,sequence,time_ms,kind,id,message_id,detail)"
                  " VALUES(?1,?2,?3,?4,?5,?6,?7,?8)");
    self->watermark =
        database_prepare(self->db, "INSERT OR REPLACE INTO watermarks VALUES(?1,?2,?3)");
    self->trim = database_prepare(self->db, "DELETE FROM events WHERE commit_number<=?1");
    if (!self->event || !self->watermark || !self->trim || read_incarnation(self) < 0) {
        snprintf(ret_error, error_size, "%s: it is damaged, or another version's", path);
        store_close(&self);
    }
    return self;
}

void store_close(struct store **self_p)
{
    struct store *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < DAYS_OPEN; i++)
        day_close(&self->days[i]);
    sqlite3_finalize(self->event);
    sqlite3_finalize(self->watermark);
    sqlite3_finalize(self->trim);
    database_close(&self->db);
    free(self);
    *self_p = NULL;
}

uint64_t store_incarnation(const struct store *self)
{
    return self->incarnation;
}

int store_watermarks(struct store *self, store_watermark_fn *fn, void *context)
{
    sqlite3_stmt *statement =
        database_prepare(self->db, "SELECT node,epoch,sequence FROM watermarks");
    int rc = statement ? 1 : -1;
    while (rc == 1 && (rc = statement_row(statement)) == 1)
        fn(context, column_text(statement, 0), (uint64_t)sqlite3_column_int64(statement, 1),
           (uint64_t)sqlite3_column_int64(statement, 2));
    sqlite3_finalize(statement);
    return rc;
}

// The day's file, moved to the front; the one used longest ago makes room.
static struct day *find_day(struct store *self, const char *name)
{
    struct day *found = NULL;
    size_t at = 0;
    while (at < DAYS_OPEN - 1 && self->days[at] && strcmp(day_of(self->days[at]), name) != 0)
        at++;
    if (self->days[at] && strcmp(day_of(self->days[at]), name) == 0) {
        found = self->days[at];
    } else {
        // Rows are idempotent, so a day that must make room may be durable before the rest.
        if (self->days[at] && day_commit(self->days[at]) < 0)
            return NULL;
        day_close(&self->days[at]);
        found = day_open(self->folder, name);
        if (!found)
            return NULL;
    }
    memmove(&self->days[1], &self->days[0], at * sizeof(self->days[0]));
    self->days[0] = found;
    return found;
}

// An attempt that never became a mail has no id: it gets one from its time and its place in the
// stream, the same however often it comes.
static struct ulid invent_id(const struct store_event *at)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    char text[160];
    struct ulid id;
    for (int i = 0; i < TIME_BYTES; i++)
        id.bytes[i] = (uint8_t)((uint64_t)at->event->time_ms >> (8 * (TIME_BYTES - 1 - i)));
    int length = snprintf(text, sizeof(text), "%.80s %llx %llx", at->node,
                          (unsigned long long)at->epoch, (unsigned long long)at->sequence);
    SHA256((const uint8_t *)text, (size_t)length, digest);
    memcpy(id.bytes + TIME_BYTES, digest, ULID_SIZE - TIME_BYTES);
    return id;
}

// 1 when the event tells of a message; its id is then in ret_id.
static int message_of(const struct store_event *at, struct ulid *ret_id)
{
    const Postern__Event *event = at->event;
    if (event->id.len == ULID_SIZE) {
        memcpy(ret_id->bytes, event->id.data, ULID_SIZE);
        return 1;
    }
    if (event->kind != POSTERN__KIND__KIND_REFUSED)
        return 0;
    *ret_id = invent_id(at);
    return 1;
}

static int add_to_list(struct store *self, const struct store_event *at, const struct ulid *id,
                       const char *message_id)
{
    const Postern__Event *event = at->event;
    sqlite3_stmt *statement = self->event;
    if (!self->open && database_execute(self->db, "BEGIN IMMEDIATE") < 0)
        return -1;
    self->open = 1;
    sqlite3_bind_text(statement, 1, at->node, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(statement, 2, (int64_t)at->epoch);
    sqlite3_bind_int64(statement, 3, (int64_t)at->sequence);
    sqlite3_bind_int64(statement, 4, event->time_ms);
    sqlite3_bind_int(statement, 5, (int)event->kind);
    if (id)
        sqlite3_bind_blob(statement, 6, id->bytes, ULID_SIZE, SQLITE_TRANSIENT);
    if (event->message_id.len)
        bind_bytes(statement, 7, &event->message_id);
    else
        bind_text(statement, 7, message_id, strlen(message_id));
    bind_bytes(statement, 8, event->alarm.len ? &event->alarm : &event->detail);
    return statement_run(statement);
}

int store_add(struct store *self, const struct store_event *at)
{
    struct ulid id;
    char name[DAY_TEXT];
    if (!message_of(at, &id))
        return add_to_list(self, at, NULL, "");
    day_name(ulid_time_ms(&id), name);
    struct day *day = find_day(self, name);
    if (!day || day_add(day, &id, at) < 0)
        return -1;
    return add_to_list(self, at, &id, at->event->message_id.len ? "" : day_message_id(day, &id));
}

int store_watermark(struct store *self, const char *node, uint64_t epoch, uint64_t sequence)
{
    if (!self->open && database_execute(self->db, "BEGIN IMMEDIATE") < 0)
        return -1;
    self->open = 1;
    sqlite3_bind_text(self->watermark, 1, node, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(self->watermark, 2, (int64_t)epoch);
    sqlite3_bind_int64(self->watermark, 3, (int64_t)sequence);
    return statement_run(self->watermark);
}

int store_commit(struct store *self)
{
    for (size_t i = 0; i < DAYS_OPEN; i++)
        if (self->days[i] && day_commit(self->days[i]) < 0)
            return -1;
    if (!self->open)
        return 0;
    sqlite3_bind_int64(self->trim, 1, sqlite3_last_insert_rowid(self->db) - EVENTS_KEPT);
    if (statement_run(self->trim) < 0 || database_execute(self->db, "COMMIT") < 0)
        return -1;
    self->open = 0;
    return 0;
}

void store_rollback(struct store *self)
{
    for (size_t i = 0; i < DAYS_OPEN; i++)
        if (self->days[i])
            day_rollback(self->days[i]);
    if (self->open)
        (void)!database_execute(self->db, "ROLLBACK");
    self->open = 0;
}
