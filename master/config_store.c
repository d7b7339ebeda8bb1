// SPDX-License-Identifier: Apache-2.0
#include "master/config_store.h"
#include "core/base/log.h"
#include "core/config/edit.h"
#include "master/store/database.h"
#include <stdlib.h>
#include <string.h>

int config_store_read(sqlite3 *db, config_store_fn *fn, void *context)
{
    sqlite3_stmt *row = database_prepare(db, "SELECT name,packed FROM config_revisions");
    int rc = row ? 1 : -1;
    while (rc == 1 && (rc = statement_row(row)) == 1) {
        const char *reason = NULL;
        struct revision *revision = revision_read(sqlite3_column_blob(row, 1),
                                                  (size_t)sqlite3_column_bytes(row, 1), &reason);
        if (revision)
            fn(context, revision);
        else
            log_error("config.unreadable", "revision=%s reason=\"%s\"", column_text(row, 0),
                      reason);
    }
    sqlite3_finalize(row);
    return rc;
}

static int write_one(sqlite3_stmt *statement, const struct revision *revision)
{
    char name[REVISION_NAME_SIZE];
    revision_name(revision, name);
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_TRANSIENT);
    sqlite3_bind_blob(statement, 2, revision->packed, (int)revision->packed_size, SQLITE_STATIC);
    int rc = statement_run(statement);
    statement_end(statement);
    return rc;
}

static int write_all(sqlite3 *db, struct revision *const *list, size_t count)
{
    sqlite3_stmt *statement =
        database_prepare(db, "INSERT OR IGNORE INTO config_revisions VALUES(?1,?2)");
    int rc = statement ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = write_one(statement, list[i]);
    sqlite3_finalize(statement);
    return rc;
}

int config_store_write(sqlite3 *db, struct revision *const *list, size_t count)
{
    if (database_execute(db, "BEGIN IMMEDIATE") < 0)
        return -1;
    if (write_all(db, list, count) == 0 && database_execute(db, "COMMIT") == 0)
        return 0;
    (void)!database_execute(db, "ROLLBACK");
    return -1;
}

// -- from older versions: a number, its time and author, and documents before and after

struct migration {
    sqlite3 *db;
    const struct sign_keys *keys;
    struct config *config;
    struct edit_maker maker;
    struct revision **list; // the configuration's
    size_t count;
};

static int anything(void *context, const json_t *documents, const char *const *changed,
                    size_t count, char *ret_error, size_t error_size)
{
    (void)context;
    (void)documents;
    (void)changed;
    (void)count;
    (void)ret_error;
    (void)error_size;
    return 0; // it was in force
}

static json_t *changes_of(sqlite3 *db, int64_t number)
{
    sqlite3_stmt *row =
        database_prepare(db, "SELECT document,after FROM changes WHERE revision=?1");
    json_t *changes = json_object();
    if (!row)
        return changes;
    sqlite3_bind_int64(row, 1, number);
    while (statement_row(row) == 1) {
        json_t *body = json_loads(column_text(row, 1), 0, NULL);
        json_object_set_new(changes, column_text(row, 0), body ? body : json_null());
    }
    sqlite3_finalize(row);
    return changes;
}

// A copy, since the set takes what is added to it.
static void keep(struct migration *self, struct revision *revision)
{
    const char *reason;
    if (revision_sign(revision, self->keys) < 0) {
        revision_destroy(&revision);
        return;
    }
    struct revision *copy = revision_read(revision->packed, revision->packed_size, &reason);
    self->list = reallocate(self->list, (self->count + 1) * sizeof(*self->list));
    self->list[self->count++] = revision;
    if (copy && config_add(self->config, &copy) == 0)
        config_merge(self->config);
}

static void migrate_one(struct migration *self, sqlite3_stmt *row)
{
    json_t *changes = changes_of(self->db, sqlite3_column_int64(row, 0)), *stale = NULL;
    struct revision *revision = NULL;
    char error[128], *author = duplicate(column_text(row, 2));
    const struct edit edit = {changes, 0, 0, NULL, author, column_text(row, 3)};
    if (edit_make(self->config, &self->maker, &edit, (uint64_t)sqlite3_column_int64(row, 1),
                  &revision, &stale, error, sizeof(error)) == EDIT_MADE)
        keep(self, revision);
    json_decref(changes);
    free(author);
}

static int is_old(sqlite3 *db)
{
    sqlite3_stmt *row =
        database_prepare(db, "SELECT 1 FROM sqlite_master WHERE type='table' AND name='documents'");
    int old = row && statement_row(row) == 1;
    sqlite3_finalize(row);
    return old;
}

static int finish(struct migration *self)
{
    static const char drop[] = "DROP TABLE revisions; DROP TABLE changes; DROP TABLE documents";
    if (database_execute(self->db, "BEGIN IMMEDIATE") < 0)
        return -1;
    if (write_all(self->db, self->list, self->count) == 0 &&
        database_execute(self->db, drop) == 0 && database_execute(self->db, "COMMIT") == 0) {
        log_info("config.migrated", "revisions=%zu", self->count);
        return 0;
    }
    (void)!database_execute(self->db, "ROLLBACK");
    return -1;
}

int config_store_migrate(sqlite3 *db, const char *master, const struct sign_keys *keys)
{
    struct migration self = {.db = db, .keys = keys, .config = NULL};
    if (!is_old(db))
        return 0;
    sqlite3_stmt *row =
        database_prepare(db, "SELECT number,time_ms,author,comment FROM revisions ORDER BY number");
    self.config = config_new(anything, NULL);
    strncpy(self.maker.origin.master, master, sizeof(self.maker.origin.master) - 1);
    while (row && statement_row(row) == 1)
        migrate_one(&self, row);
    sqlite3_finalize(row);
    int rc = row ? finish(&self) : -1;
    for (size_t i = 0; i < self.count; i++)
        revision_destroy(&self.list[i]);
    free(self.list);
    config_destroy(&self.config);
    return rc;
}
