// SPDX-License-Identifier: Apache-2.0
// A file of the record whose content is broken is set aside, and what can still be read of it is
// written anew. SQLite tells of broken pages, not of every changed byte within a row.
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/unpack.h"
#include "core/stream/kind.h"
#include "master/store/inventory.h"
#include "master/store/sqlite.h"
#include "master/store/store.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SALVAGE_BATCH = 1000 };

// Takes a row over. -1: what is written to fails.
typedef int row_fn(void *context, sqlite3_stmt *row);

static int rename_if_there(const char *from, const char *to)
{
    return rename(from, to) < 0 && errno != ENOENT ? -1 : 0;
}

// Moves the file with its log to ../corrupt/.
static int set_aside(const char *folder, const char *name, char *ret_path, size_t size)
{
    char from[256], corrupt[256], part[272], copy[272];
    snprintf(corrupt, sizeof(corrupt), "%s/../corrupt", folder);
    snprintf(from, sizeof(from), "%s/%s.db", folder, name);
    snprintf(ret_path, size, "%.128s/%s-%lld.db", corrupt, name, (long long)clock_wall_ms());
    snprintf(part, sizeof(part), "%s-wal", from);
    snprintf(copy, sizeof(copy), "%s-wal", ret_path);
    if (file_make_folders(corrupt, 0750) < 0 || rename_if_there(part, copy) < 0 ||
        rename_if_there(from, ret_path) < 0)
        return -1;
    snprintf(part, sizeof(part), "%s-shm", from);
    unlink(part);
    return file_sync_folder(corrupt) < 0 ? -1 : file_sync_folder(folder);
}

// Rows from one end until the end or a broken page. 0: all, 1: not all, -1: fn failed.
static int read_rows(sqlite3 *db, const char *sql, row_fn *fn, void *context)
{
    sqlite3_stmt *row = database_prepare(db, sql);
    int rc = row ? 1 : -1, written = 0;
    while (rc == 1 && (rc = statement_row(row)) == 1)
        if ((written = fn(context, row)) < 0)
            break;
    sqlite3_finalize(row);
    return written < 0 ? -1 : rc < 0;
}

// The same rows from either end: a broken page then costs what stands on it.
struct rows {
    const char *up, *down;
};

// fn may meet rows a second time.
static int salvage(const char *path, const struct rows *rows, row_fn *fn, void *context)
{
    char error[256];
    sqlite3 *db = database_open(path, 0, NULL, error, sizeof(error));
    if (!db)
        return 0; // not a row can be read
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    int rc = read_rows(db, rows->up, fn, context);
    if (rc == 1)
        rc = read_rows(db, rows->down, fn, context);
    database_close(&db);
    return rc < 0 ? -1 : 0;
}

struct day_salvage {
    struct store *store;
    struct day *into;
    uint64_t rows;
};

// The inventory knows again what was saved, so that only the rest is fetched from the peer.
static int save_place(const struct day_salvage *self, const struct store_event *at)
{
    struct inventory *inventory = self->store->inventory;
    if (!inventory_knows(inventory, at->node, at->epoch))
        return 0; // a fork, under an epoch of its own: it is kept in the inventory itself
    return inventory_add(inventory, at->node, at->epoch, at->sequence,
                         inventory_hash(at->sequence, at->packed), self->store->damaged,
                         at->packed) == INVENTORY_FAILED
               ? -1
               : 0;
}

static int save_event(void *context, sqlite3_stmt *row)
{
    struct day_salvage *self = context;
    const void *packed = sqlite3_column_blob(row, 4);
    size_t size = (size_t)sqlite3_column_bytes(row, 4);
    if (sqlite3_column_bytes(row, 3) != ULID_SIZE || size > EVENT_MOST)
        return 0;
    Postern__Event *event = postern__event__unpack(&unpack_allocator, size, packed);
    if (!event)
        return 0;
    struct ulid id;
    memcpy(id.bytes, sqlite3_column_blob(row, 3), ULID_SIZE);
    struct store_event at = {column_text(row, 0),
                             (uint64_t)sqlite3_column_int64(row, 1),
                             (uint64_t)sqlite3_column_int64(row, 2),
                             {packed, size},
                             event};
    int rc = day_add(self->into, &id, &at);
    if (rc == 0)
        rc = save_place(self, &at);
    postern__event__free_unpacked(event, NULL);
    if (rc == 0 && ++self->rows % SALVAGE_BATCH == 0)
        rc = day_commit(self->into);
    return rc;
}

// The timeline holds every event as it came: the other tables follow from it.
static int mend_day(struct store *self, uint64_t *ret_rows)
{
#define TIMELINE "SELECT node,epoch,sequence,id,event FROM timeline ORDER BY "
    static const struct rows rows = {TIMELINE "node,epoch,sequence",
                                     TIMELINE "node DESC,epoch DESC,sequence DESC"};
#undef TIMELINE
    struct day_salvage salvaged = {self, store_find_day(self, self->damaged), 0};
    if (!salvaged.into || database_execute(self->db, "BEGIN IMMEDIATE") < 0)
        return -1;
    int rc = inventory_drop_day(self->inventory, self->damaged);
    if (rc == 0)
        rc = salvage(self->copy, &rows, save_event, &salvaged);
    if (rc == 0)
        rc = day_commit(salvaged.into);
    if (rc == 0)
        rc = inventory_flush(self->inventory);
    if (rc < 0 || database_execute(self->db, "COMMIT") < 0) {
        (void)!database_execute(self->db, "ROLLBACK");
        return -1;
    }
    *ret_rows = salvaged.rows;
    return 0;
}

struct list_salvage {
    sqlite3_stmt *insert;
    uint64_t rows;
};

static int save_listed(void *context, sqlite3_stmt *row)
{
    struct list_salvage *self = context;
    for (int i = 0; i < sqlite3_column_count(row); i++)
        sqlite3_bind_value(self->insert, i + 1, sqlite3_column_value(row, i));
    self->rows++;
    return statement_run(self->insert);
}

static int save_last_commit(void *context, sqlite3_stmt *row)
{
    *(int64_t *)context = sqlite3_column_int64(row, 0);
    return 0;
}

// Commit numbers must go on beyond those that followers have seen. Where the last one cannot be
// read, the time is beyond it.
static int go_on_after(struct store *self)
{
    static const char number[] = "SELECT seq FROM sqlite_sequence WHERE name='events'";
    static const struct rows rows = {number, number};
    char sql[200];
    int64_t last = 0;
    if (salvage(self->copy, &rows, save_last_commit, &last) < 0)
        return -1;
    snprintf(sql, sizeof(sql),
             "DELETE FROM sqlite_sequence WHERE name='events';"
             "INSERT INTO sqlite_sequence VALUES('events',%lld)",
             (long long)(last > 0 ? last : clock_wall_ms()));
    return database_execute(self->db, sql);
}

static int mend_list(struct store *self, uint64_t *ret_rows)
{
#define EVENTS "SELECT commit_number,node,epoch,sequence,time_ms,kind,public FROM events"
    static const struct rows rows = {EVENTS " ORDER BY commit_number",
                                     EVENTS " ORDER BY commit_number DESC"};
#undef EVENTS
    struct list_salvage salvaged = {
        database_prepare(self->db, "INSERT OR IGNORE INTO events VALUES(?1,?2,?3,?4,?5,?6,?7)"), 0};
    int rc = salvaged.insert ? database_execute(self->db, "BEGIN IMMEDIATE") : -1;
    if (rc == 0)
        rc = salvage(self->copy, &rows, save_listed, &salvaged);
    if (rc == 0)
        rc = go_on_after(self);
    if (rc == 0)
        rc = database_execute(self->db, "INSERT OR REPLACE INTO listed SELECT node,epoch,"
                                        "max(sequence) FROM events GROUP BY node,epoch; COMMIT");
    if (rc < 0)
        (void)!database_execute(self->db, "ROLLBACK");
    sqlite3_finalize(salvaged.insert);
    *ret_rows = salvaged.rows;
    return rc;
}

// Nodes are asked anew for whatever they still hold; the list knows what of that it has. Before
// anything is moved: a crash in between costs a replay, never an event.
static int begin_anew(struct store *self)
{
    if (database_execute(self->db, "BEGIN IMMEDIATE;"
                                   "INSERT OR REPLACE INTO listed"
                                   " SELECT node,epoch,sequence FROM watermarks;"
                                   "DELETE FROM watermarks; COMMIT") == 0 &&
        store_new_incarnation(self) == 0)
        return 0;
    if (database_errno(self->db) == EUCLEAN) { // this file first; the other will be met again
        snprintf(self->damaged, sizeof(self->damaged), "%s", LIST_FILE);
        self->copy[0] = 0;
    }
    if (!sqlite3_get_autocommit(self->db))
        (void)!database_execute(self->db, "ROLLBACK");
    return -1;
}

static int remake_list(struct store *self)
{
    char error[256];
    if (self->db)
        sqlite3_db_config(self->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    store_close_list(self);
    if (!*self->copy && set_aside(self->folder, LIST_FILE, self->copy, sizeof(self->copy)) < 0)
        return -1;
    if (store_open_list(self, error, sizeof(error)) == 0)
        return 0;
    log_error("store.open", "error=\"%s\"", error);
    return -1;
}

static int remake_day(struct store *self)
{
    char name[40];
    if (begin_anew(self) < 0)
        return -1;
    store_drop_day(self, self->damaged);
    snprintf(name, sizeof(name), "messages-%s", self->damaged);
    return *self->copy ? 0 : set_aside(self->folder, name, self->copy, sizeof(self->copy));
}

int store_suspect(struct store *self, const char *file)
{
    char error[256], path[256];
    int list = strcmp(file, LIST_FILE) == 0;
    if (*self->damaged || (list && !self->db))
        return 0;
    day_path(self->folder, file, path, sizeof(path));
    if (list)
        snprintf(path, sizeof(path), "%s/" LIST_FILE ".db", self->folder);
    if (access(path, F_OK) < 0)
        return 0;
    sqlite3 *db = database_open(path, 0, NULL, error, sizeof(error));
    int broken = db ? !database_is_whole(db) : errno == EUCLEAN;
    database_close(&db);
    if (broken)
        snprintf(self->damaged, sizeof(self->damaged), "%s", file);
    return broken;
}

int store_mend(struct store *self, struct store_damage *ret)
{
    int list = strcmp(self->damaged, LIST_FILE) == 0;
    uint64_t rows = 0;
    if (!*self->damaged)
        return 0;
    if ((list ? remake_list(self) : remake_day(self)) < 0 ||
        (list ? mend_list(self, &rows) : mend_day(self, &rows)) < 0) {
        store_rollback(self);
        log_error("store.mend", "file=%s error=\"%s\"", self->damaged, strerror(errno));
        return -1;
    }
    snprintf(ret->file, sizeof(ret->file), "%s%s.db", list ? "" : "messages-", self->damaged);
    snprintf(ret->copy, sizeof(ret->copy), "%s", self->copy);
    ret->saved = rows;
    log_error("store.damaged", "alarm=record-damaged file=%s copy=%s saved=%llu", ret->file,
              ret->copy, (unsigned long long)rows);
    self->damaged[0] = self->copy[0] = 0;
    return 1;
}
