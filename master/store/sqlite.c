// SPDX-License-Identifier: Apache-2.0
#include "master/store/sqlite.h"
#include "core/base/buffer.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/base/random.h"
#include "master/store/inventory.h"
#include "master/store/merge.h"
#include "master/store/public.h"
#include "master/store/store.h"
#include "master/store/upgrade.h"
#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIME_BYTES = 6 }; // of an id

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS events(commit_number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " node TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, time_ms INTEGER NOT "
    "NULL,"
    " kind INTEGER NOT NULL, public BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS watermarks(node TEXT PRIMARY KEY, epoch INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS marks(node TEXT PRIMARY KEY, epoch INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL, mark INTEGER NOT NULL) WITHOUT ROWID;"
    // What the list holds already of events that are asked for again after a damage.
    "CREATE TABLE IF NOT EXISTS listed(node TEXT NOT NULL, epoch INTEGER NOT NULL,"
    " upto INTEGER NOT NULL, PRIMARY KEY(node, epoch)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS identity(one INTEGER PRIMARY KEY CHECK(one=1), incarnation "
    "INTEGER);";

// A call failed: says which file is damaged, when it is that. -1.
static int fail(struct store *self, const char *file)
{
    if (errno == EUCLEAN)
        snprintf(self->damaged, sizeof(self->damaged), "%s", file);
    return -1;
}

static int fail_list(struct store *self)
{
    errno = database_errno(self->db);
    return fail(self, LIST_FILE);
}

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

// It is as it was. A damaged file is told by errno, and mended.
static int refuse_old(struct store *self, const char *path, char *ret_error, size_t error_size)
{
    int error = errno;
    snprintf(ret_error, error_size,
             "%s: an earlier version wrote it, and it could not be made one of this version (the"
             " log says why); make room on the disk and start again, or move the file away: the"
             " days' files stay, and the workers tell again what they still hold",
             path);
    store_close_list(self);
    errno = error;
    return -1;
}

int store_open_list(struct store *self, char *ret_error, size_t error_size)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/stream.db", self->folder);
    self->db = database_open(path, 1, schema, ret_error, error_size);
    if (!self->db)
        return -1;
    if (upgrade_list(self->db, self->folder) < 0)
        return refuse_old(self, path, ret_error, error_size);
    self->event = database_prepare(
        self->db, "INSERT INTO events(node,epoch,sequence,time_ms,kind,public)"
                  " SELECT ?1,?2,?3,?4,?5,?6 WHERE NOT EXISTS"
                  "(SELECT 1 FROM listed WHERE node=?1 AND epoch=?2 AND upto>=?3)");
    self->watermark =
        database_prepare(self->db, "INSERT OR REPLACE INTO watermarks VALUES(?1,?2,?3)");
    self->mark = database_prepare(self->db, "INSERT OR REPLACE INTO marks VALUES(?1,?2,?3,?4)");
    self->trim = database_prepare(self->db, "DELETE FROM events WHERE commit_number<=?1");
    if (database_execute(self->db, inventory_schema) == 0)
        self->inventory = inventory_new(self->db);
    if (self->event && self->watermark && self->mark && self->trim && self->inventory &&
        read_incarnation(self) == 0)
        return 0;
    int error = database_errno(self->db);
    snprintf(ret_error, error_size, "%s: it is damaged, or another version's", path);
    store_close_list(self);
    errno = error;
    return -1;
}

void store_close_list(struct store *self)
{
    sqlite3_finalize(self->event);
    sqlite3_finalize(self->watermark);
    sqlite3_finalize(self->mark);
    sqlite3_finalize(self->trim);
    inventory_destroy(&self->inventory);
    self->event = self->watermark = self->mark = self->trim = NULL;
    database_close(&self->db);
}

struct store *store_open(const char *folder, char *ret_error, size_t error_size)
{
    struct store *self = allocate(sizeof(*self));
    snprintf(self->folder, sizeof(self->folder), "%s", folder);
    if (store_open_list(self, ret_error, error_size) == 0)
        return self;
    if (errno == EUCLEAN) {
        log_error("store.open", "error=\"%s\"", ret_error);
        fail(self, LIST_FILE);
        return self; // store_mend makes it whole
    }
    free(self);
    return NULL;
}

void store_close(struct store **self_p)
{
    struct store *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < DAYS_OPEN; i++)
        day_close(&self->days[i]);
    store_close_list(self);
    buffer_free(&self->public);
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
        database_prepare(self->db, "SELECT w.node,w.epoch,w.sequence,m.mark FROM watermarks w"
                                   " LEFT JOIN marks m ON m.node=w.node AND m.epoch=w.epoch"
                                   " AND m.sequence=w.sequence");
    int rc = statement ? 1 : -1;
    while (rc == 1 && (rc = statement_row(statement)) == 1)
        fn(context, column_text(statement, 0), (uint64_t)sqlite3_column_int64(statement, 1),
           (uint64_t)sqlite3_column_int64(statement, 2),
           (uint64_t)sqlite3_column_int64(statement, 3));
    sqlite3_finalize(statement);
    return rc;
}

// Opens the day in the place of `slot`. Rows are idempotent, so a day that must make room may be
// durable before the rest.
static struct day *replace_day(struct store *self, struct day **slot, const char *name)
{
    if (*slot && day_commit(*slot) < 0) {
        fail(self, day_of(*slot));
        return NULL;
    }
    day_close(slot);
    struct day *opened = day_open(self->folder, name);
    if (!opened)
        fail(self, name);
    return opened;
}

// The day's file, moved to the front; the one used longest ago makes room.
struct day *store_find_day(struct store *self, const char *name)
{
    size_t at = 0;
    while (at < DAYS_OPEN - 1 && self->days[at] && strcmp(day_of(self->days[at]), name) != 0)
        at++;
    struct day *found = self->days[at];
    if (!found || strcmp(day_of(found), name) != 0)
        found = replace_day(self, &self->days[at], name);
    if (!found)
        return NULL;
    memmove(&self->days[1], &self->days[0], at * sizeof(self->days[0]));
    self->days[0] = found;
    return found;
}

void store_drop_day(struct store *self, const char *name)
{
    for (size_t i = 0; i < DAYS_OPEN && self->days[i]; i++) {
        if (strcmp(day_of(self->days[i]), name) != 0)
            continue;
        day_abandon(&self->days[i]);
        memmove(&self->days[i], &self->days[i + 1], (DAYS_OPEN - 1 - i) * sizeof(self->days[0]));
        self->days[DAYS_OPEN - 1] = NULL;
        return;
    }
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

static int begin(struct store *self)
{
    if (!self->open && database_execute(self->db, "BEGIN IMMEDIATE") < 0)
        return fail_list(self);
    self->open = 1;
    return 0;
}

static int add_to_list(struct store *self, const struct store_event *at, const struct ulid *id,
                       const char *message_id)
{
    const Postern__Event *event = at->event;
    sqlite3_stmt *statement = self->event;
    sqlite3_bind_text(statement, 1, at->node, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(statement, 2, (int64_t)at->epoch);
    sqlite3_bind_int64(statement, 3, (int64_t)at->sequence);
    sqlite3_bind_int64(statement, 4, event->time_ms);
    sqlite3_bind_int(statement, 5, (int)event->kind);
    buffer_clear(&self->public);
    public_pack(at, id, message_id, &self->public);
    sqlite3_bind_blob(statement, 6, buffer_bytes(&self->public), (int)buffer_size(&self->public),
                      SQLITE_STATIC);
    int rc = statement_run(statement);
    self->listed = rc == 0 && sqlite3_changes(self->db) > 0;
    return rc < 0 ? fail_list(self) : 0;
}

int64_t store_last_added(const struct store *self, struct span *ret_public)
{
    *ret_public = (struct span){buffer_bytes(&self->public), buffer_size(&self->public)};
    return self->listed ? sqlite3_last_insert_rowid(self->db) : 0;
}

// A stream named two events by one sequence: its worker's disk was put back, or it lies. Both are
// kept; the timeline knows the later one under an epoch of its own.
static struct store_event fork_of(const struct store_event *at, uint64_t hash)
{
    struct store_event fork = *at;
    fork.epoch ^= hash;
    metric_add(metric("stream_forks_total", ""), 1);
    log_error("stream.fork", "alarm=stream-fork node=%s epoch=%016llx sequence=%llu", at->node,
              (unsigned long long)at->epoch, (unsigned long long)at->sequence);
    return fork;
}

static int add_told(struct store *self, const struct store_event *at, const struct ulid *id,
                    const struct store_event *kept)
{
    char name[DAY_TEXT];
    day_name(ulid_time_ms(id), name);
    struct day *day = store_find_day(self, name);
    if (!day)
        return -1;
    if (day_add(day, id, kept) < 0)
        return fail(self, name);
    return add_to_list(self, at, id, at->event->message_id.len ? "" : day_message_id(day, id));
}

// A master's own words have no stream: they are listed, and compared with nobody's.
static enum inventory_news enter(struct store *self, const struct store_event *at, uint64_t hash,
                                 const struct ulid *id)
{
    char name[DAY_TEXT] = "";
    if (!at->epoch)
        return INVENTORY_NEW;
    if (id)
        day_name(ulid_time_ms(id), name);
    return inventory_add(self->inventory, at->node, at->epoch, at->sequence, hash, name,
                         at->packed);
}

int store_add(struct store *self, const struct store_event *at)
{
    struct ulid id;
    struct store_event fork;
    const struct store_event *kept = at;
    int tells = message_of(at, &id);
    if (*self->damaged || begin(self) < 0)
        return -1; // store_mend comes first
    uint64_t hash = at->epoch ? inventory_hash(at->sequence, at->packed) : 0;
    self->listed = 0;
    switch (enter(self, at, hash, tells ? &id : NULL)) {
    case INVENTORY_FAILED:
        return fail_list(self);
    case INVENTORY_HELD:
        return 0;
    case INVENTORY_FORK:
        fork = fork_of(at, hash);
        kept = &fork;
        break;
    case INVENTORY_NEW:
        break;
    }
    return tells ? add_told(self, at, &id, kept) : add_to_list(self, at, NULL, "");
}

struct inventory *store_inventory(struct store *self)
{
    return self->inventory;
}

int store_read(struct store *self, const char *node, uint64_t epoch, uint64_t sequence,
               uint64_t hash, struct buffer *out)
{
    struct span packed;
    const char *name;
    int found = inventory_find(self->inventory, node, epoch, sequence, hash, &packed, &name);
    if (found <= 0)
        return found;
    if (packed.data) {
        buffer_add(out, packed.data, packed.size);
        return 1;
    }
    struct day *day = store_find_day(self, name);
    if (!day)
        return -1;
    found = day_read(day, node, epoch, sequence, out);
    return found < 0 ? fail(self, name) : found;
}

int store_all_deleted(struct store *self, const Postern__Event *event)
{
    struct ulid id;
    char name[DAY_TEXT];
    if (event->id.len != ULID_SIZE)
        return 0;
    memcpy(id.bytes, event->id.data, ULID_SIZE);
    day_name(ulid_time_ms(&id), name);
    struct day *day = store_find_day(self, name);
    return day ? day_all_deleted(day, &id) : -1;
}

static int put_place(struct store *self, sqlite3_stmt *put, const char *node, uint64_t epoch,
                     uint64_t sequence, uint64_t mark)
{
    sqlite3_bind_text(put, 1, node, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(put, 2, (int64_t)epoch);
    sqlite3_bind_int64(put, 3, (int64_t)sequence);
    if (put == self->mark)
        sqlite3_bind_int64(put, 4, (int64_t)mark);
    return statement_run(put) < 0 ? fail_list(self) : 0;
}

int store_watermark(struct store *self, const char *node, uint64_t epoch, uint64_t sequence,
                    uint64_t mark)
{
    if (begin(self) < 0 || put_place(self, self->watermark, node, epoch, sequence, mark) < 0)
        return -1;
    return put_place(self, self->mark, node, epoch, sequence, mark);
}

int store_commit(struct store *self)
{
    for (size_t i = 0; i < DAYS_OPEN; i++)
        if (self->days[i] && day_commit(self->days[i]) < 0)
            return fail(self, day_of(self->days[i]));
    if (!self->open)
        return 0;
    if (inventory_flush(self->inventory) < 0)
        return fail_list(self);
    sqlite3_bind_int64(self->trim, 1, sqlite3_last_insert_rowid(self->db) - EVENTS_KEPT);
    if (statement_run(self->trim) < 0 || database_execute(self->db, "COMMIT") < 0)
        return fail_list(self);
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
    if (self->inventory)
        inventory_forget(self->inventory);
}
