// SPDX-License-Identifier: Apache-2.0
#include "master/store/day.h"
#include "core/base/buffer.h"
#include "core/base/log.h"
#include "master/store/database.h"
#include "master/store/merge.h"
#include "master/store/render.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char day_schema[] =
    "CREATE TABLE IF NOT EXISTS messages(id BLOB PRIMARY KEY, node TEXT NOT NULL, message_id TEXT,"
    " sender TEXT, subject TEXT, from_address TEXT, client TEXT, helo TEXT, received_ms INTEGER,"
    " size INTEGER, score REAL, origin INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS messages_sender ON messages(sender COLLATE NOCASE);"
    "CREATE INDEX IF NOT EXISTS messages_message_id ON messages(message_id);"
    "CREATE TABLE IF NOT EXISTS recipients(id BLOB NOT NULL, number INTEGER NOT NULL, address TEXT,"
    " disposition INTEGER NOT NULL, rank INTEGER NOT NULL, at_ms INTEGER NOT NULL, reply TEXT,"
    " hop TEXT, next_ms INTEGER, PRIMARY KEY(id, number)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS recipients_address ON recipients(address COLLATE NOCASE);"
    "CREATE INDEX IF NOT EXISTS recipients_disposition ON recipients(disposition, id);"
    "CREATE TABLE IF NOT EXISTS timeline(node TEXT NOT NULL, epoch INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL, id BLOB NOT NULL, time_ms INTEGER NOT NULL, event BLOB NOT NULL,"
    " PRIMARY KEY(node, epoch, sequence)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS timeline_id ON timeline(id, time_ms);"
    "CREATE TABLE IF NOT EXISTS quarantine(id BLOB NOT NULL, number INTEGER NOT NULL, address TEXT,"
    " node TEXT NOT NULL, day TEXT, sha256 BLOB, findings TEXT, state INTEGER NOT NULL,"
    " PRIMARY KEY(id, number)) WITHOUT ROWID;";

// Events of one mail may come in any order, so each fills in what is still missing.
static const char message_sql[] =
    "INSERT INTO messages VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12) ON CONFLICT(id) DO UPDATE "
    "SET"
    " message_id=coalesce(message_id,excluded.message_id), sender=coalesce(sender,excluded.sender),"
    " subject=coalesce(subject,excluded.subject),"
    " from_address=coalesce(from_address,excluded.from_address),"
    " client=coalesce(client,excluded.client), helo=coalesce(helo,excluded.helo),"
    " received_ms=coalesce(received_ms,excluded.received_ms), size=coalesce(size,excluded.size),"
    " score=coalesce(score,excluded.score), origin=max(origin,excluded.origin)";
static const char recipient_sql[] =
    "INSERT INTO recipients VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9) ON CONFLICT(id,number) DO UPDATE SET"
    " address=coalesce(address,excluded.address), disposition=excluded.disposition,"
    " rank=excluded.rank, at_ms=excluded.at_ms, reply=excluded.reply, hop=excluded.hop,"
    " next_ms=excluded.next_ms WHERE excluded.rank>rank OR (excluded.rank=rank AND "
    "excluded.at_ms>=at_ms)";
static const char timeline_sql[] = "INSERT OR IGNORE INTO timeline VALUES(?1,?2,?3,?4,?5,?6)";
static const char quarantine_sql[] =
    "INSERT INTO quarantine VALUES(?1,?2,?3,?4,?5,?6,?7,?8) ON CONFLICT(id,number) DO UPDATE SET"
    " address=coalesce(address,excluded.address), day=coalesce(day,excluded.day),"
    " sha256=coalesce(sha256,excluded.sha256), findings=coalesce(findings,excluded.findings),"
    " state=max(state,excluded.state)";
static const char read_sql[] =
    "SELECT event FROM timeline WHERE node=?1 AND epoch=?2 AND sequence=?3";
static const char message_id_sql[] = "SELECT message_id FROM messages WHERE id=?1";

struct day {
    char name[DAY_TEXT];
    sqlite3 *db;
    int open; // a transaction is
    sqlite3_stmt *message, *recipient, *timeline, *quarantine, *message_id, *read;
};

void day_name(int64_t wall_ms, char ret_text[DAY_TEXT])
{
    struct tm parts;
    time_t seconds = (time_t)(wall_ms / 1000);
    if (!gmtime_r(&seconds, &parts) || !strftime(ret_text, DAY_TEXT, "%Y-%m-%d", &parts))
        memcpy(ret_text, "1970-01-01", DAY_TEXT); // a time beyond the year 9999, from a foreign id
}

void day_path(const char *folder, const char *name, char *ret, size_t size)
{
    snprintf(ret, size, "%s/messages-%s.db", folder, name);
}

static int prepare(struct day *self)
{
    self->message = database_prepare(self->db, message_sql);
    self->recipient = database_prepare(self->db, recipient_sql);
    self->timeline = database_prepare(self->db, timeline_sql);
    self->quarantine = database_prepare(self->db, quarantine_sql);
    self->message_id = database_prepare(self->db, message_id_sql);
    self->read = database_prepare(self->db, read_sql);
    return self->message && self->recipient && self->timeline && self->quarantine &&
                   self->message_id && self->read
               ? 0
               : -1;
}

struct day *day_open(const char *folder, const char *name)
{
    char path[256], error[256];
    struct day *self = allocate(sizeof(*self));
    snprintf(self->name, sizeof(self->name), "%s", name);
    day_path(folder, name, path, sizeof(path));
    self->db = database_open(path, 1, day_schema, error, sizeof(error));
    if (self->db && prepare(self) == 0)
        return self;
    int number = self->db ? database_errno(self->db) : errno;
    log_error("store.open", "file=%s error=\"%s\"", path, self->db ? "unusable" : error);
    day_close(&self);
    errno = number;
    return NULL;
}

void day_close(struct day **self_p)
{
    struct day *self = *self_p;
    if (!self)
        return;
    sqlite3_stmt *statements[] = {self->message,    self->recipient,  self->timeline,
                                  self->quarantine, self->message_id, self->read};
    for (size_t i = 0; i < ARRAY_LENGTH(statements); i++)
        sqlite3_finalize(statements[i]);
    database_close(&self->db);
    free(self);
    *self_p = NULL;
}

void day_abandon(struct day **self)
{
    sqlite3_db_config((*self)->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    day_close(self);
}

const char *day_of(const struct day *self)
{
    return self->name;
}

static void bind_id(sqlite3_stmt *statement, const struct ulid *id)
{
    sqlite3_bind_blob(statement, 1, id->bytes, ULID_SIZE, SQLITE_TRANSIENT);
}

static void bind_known(sqlite3_stmt *statement, int column, int64_t value)
{
    if (value)
        sqlite3_bind_int64(statement, column, value);
}

static int add_message(struct day *self, const struct ulid *id, const struct store_event *at)
{
    const Postern__Event *event = at->event;
    sqlite3_stmt *statement = self->message;
    bind_id(statement, id);
    sqlite3_bind_text(statement, 2, at->node, -1, SQLITE_TRANSIENT);
    bind_bytes(statement, 3, &event->message_id);
    bind_bytes(statement, 4, &event->sender);
    bind_bytes(statement, 5, &event->subject);
    bind_bytes(statement, 6, &event->from);
    bind_bytes(statement, 7, &event->client_address);
    bind_bytes(statement, 8, &event->helo);
    bind_known(statement, 9, event->received_ms);
    bind_known(statement, 10, (int64_t)event->size);
    if (event->kind == POSTERN__KIND__KIND_DONE)
        sqlite3_bind_double(statement, 11, event->score);
    sqlite3_bind_int(statement, 12, (int)merge_origin(event));
    return statement_run(statement);
}

static int add_recipient(struct day *self, const struct ulid *id, const Postern__Event *event,
                         const Postern__EventRecipient *recipient)
{
    struct fate fate = merge_fate(event, recipient);
    sqlite3_stmt *statement = self->recipient;
    bind_id(statement, id);
    sqlite3_bind_int64(statement, 2, recipient->recipient);
    bind_bytes(statement, 3, &recipient->address);
    sqlite3_bind_int(statement, 4, (int)fate.disposition);
    sqlite3_bind_int(statement, 5, (int)fate.rank);
    sqlite3_bind_int64(statement, 6, event->time_ms);
    bind_bytes(statement, 7, &recipient->reply);
    bind_bytes(statement, 8, &recipient->hop);
    bind_known(statement, 9, recipient->next_ms);
    return statement_run(statement);
}

static int add_quarantine(struct day *self, const struct ulid *id, const struct store_event *at,
                          const Postern__EventRecipient *recipient)
{
    const Postern__Event *event = at->event;
    enum quarantine_state state = merge_quarantine(event, recipient);
    sqlite3_stmt *statement = self->quarantine;
    if (state == QUARANTINE_NONE)
        return 0;
    bind_id(statement, id);
    sqlite3_bind_int64(statement, 2, recipient->recipient);
    bind_bytes(statement, 3, &recipient->address);
    sqlite3_bind_text(statement, 4, at->node, -1, SQLITE_TRANSIENT);
    bind_bytes(statement, 5, &event->quarantine_day);
    if (event->sha256.len)
        sqlite3_bind_blob(statement, 6, event->sha256.data, (int)event->sha256.len,
                          SQLITE_TRANSIENT);
    if (event->n_findings) {
        json_t *findings = render_findings(event);
        sqlite3_bind_text(statement, 7, json_dumps(findings, JSON_COMPACT), -1, free);
        json_decref(findings);
    }
    sqlite3_bind_int(statement, 8, (int)state);
    return statement_run(statement);
}

static int add_timeline(struct day *self, const struct ulid *id, const struct store_event *at)
{
    sqlite3_stmt *statement = self->timeline;
    sqlite3_bind_text(statement, 1, at->node, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(statement, 2, (int64_t)at->epoch);
    sqlite3_bind_int64(statement, 3, (int64_t)at->sequence);
    sqlite3_bind_blob(statement, 4, id->bytes, ULID_SIZE, SQLITE_TRANSIENT);
    sqlite3_bind_int64(statement, 5, at->event->time_ms);
    sqlite3_bind_blob(statement, 6, at->packed.data, (int)at->packed.size, SQLITE_TRANSIENT);
    return statement_run(statement);
}

static int fail(const struct day *self)
{
    errno = database_errno(self->db);
    return -1;
}

int day_add(struct day *self, const struct ulid *id, const struct store_event *at)
{
    const Postern__Event *event = at->event;
    if (!self->open && database_execute(self->db, "BEGIN IMMEDIATE") < 0)
        return fail(self);
    self->open = 1;
    if (add_message(self, id, at) < 0 || add_timeline(self, id, at) < 0)
        return fail(self);
    for (size_t i = 0; i < event->n_recipients; i++)
        if (add_recipient(self, id, event, event->recipients[i]) < 0 ||
            add_quarantine(self, id, at, event->recipients[i]) < 0)
            return fail(self);
    return 0;
}

const char *day_message_id(struct day *self, const struct ulid *id)
{
    static _Thread_local char text[1000];
    sqlite3_stmt *statement = self->message_id;
    bind_id(statement, id);
    snprintf(text, sizeof(text), "%s",
             statement_row(statement) == 1 ? column_text(statement, 0) : "");
    statement_end(statement);
    return text;
}

int day_read(struct day *self, const char *node, uint64_t epoch, uint64_t sequence,
             struct buffer *out)
{
    sqlite3_stmt *row = self->read;
    sqlite3_bind_text(row, 1, node, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(row, 2, (int64_t)epoch);
    sqlite3_bind_int64(row, 3, (int64_t)sequence);
    int found = statement_row(row);
    if (found == 1)
        buffer_add(out, sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0));
    statement_end(row);
    return found;
}

int day_all_deleted(struct day *self, const struct ulid *id)
{
    sqlite3_stmt *row = database_prepare(
        self->db, "SELECT count(*)>0 AND min(state)=3 FROM quarantine WHERE id=?1");
    if (!row)
        return -1;
    bind_id(row, id);
    int rc = statement_row(row);
    if (rc == 1)
        rc = sqlite3_column_int(row, 0);
    sqlite3_finalize(row);
    return rc;
}

int day_commit(struct day *self)
{
    if (self->open && database_execute(self->db, "COMMIT") < 0)
        return fail(self);
    self->open = 0;
    return 0;
}

void day_rollback(struct day *self)
{
    if (self->open)
        (void)!database_execute(self->db, "ROLLBACK");
    self->open = 0;
}
