// SPDX-License-Identifier: Apache-2.0
#include "master/store/reader.h"
#include "core/base/log.h"
#include "master/store/public.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct store_reader *store_reader_open(const char *folder)
{
    struct store_reader *self = allocate(sizeof(*self));
    snprintf(self->folder, sizeof(self->folder), "%s", folder);
    return self;
}

void store_reader_close(struct store_reader **self_p)
{
    struct store_reader *self = *self_p;
    if (!self)
        return;
    database_close(&self->day.db);
    database_close(&self->stream.db);
    free(self);
    *self_p = NULL;
}

int reader_day_before(const struct store_reader *self, const char *before, char ret[DAY_TEXT])
{
    DIR *folder = opendir(self->folder);
    char best[DAY_TEXT] = "";
    struct dirent *entry;
    if (!folder)
        return 0;
    while ((entry = readdir(folder))) {
        char name[DAY_TEXT];
        int used = 0;
        if (sscanf(entry->d_name, "messages-%10[0-9-].db%n", name, &used) == 1 && used &&
            !entry->d_name[used] && strcmp(name, best) > 0 &&
            (!*before || strcmp(name, before) < 0))
            memcpy(best, name, sizeof(best));
    }
    closedir(folder);
    if (!*best)
        return 0;
    memcpy(ret, best, sizeof(best));
    return 1;
}

static void suspect(struct store_reader *self, const char *file)
{
    if (self->suspicion)
        self->suspicion(self->context, file);
}

// Opens the file at `path`, unless it is open and still the one of that name.
static sqlite3 *open_file(struct store_reader *self, struct reader_file *file, const char *path,
                          const char *name)
{
    char error[256];
    struct stat status;
    int there = stat(path, &status) == 0;
    if (file->db && there && status.st_ino == file->inode)
        return file->db;
    database_close(&file->db);
    if (!there)
        return NULL;
    file->inode = status.st_ino;
    file->db = database_open(path, 0, NULL, error, sizeof(error));
    if (file->db)
        return file->db;
    int damaged = errno == EUCLEAN;
    log_warning("store.read", "error=\"%s\"", error);
    if (damaged)
        suspect(self, name);
    return NULL;
}

sqlite3 *reader_day(struct store_reader *self, const char *name)
{
    char path[256];
    if (strcmp(self->day_name, name) != 0)
        database_close(&self->day.db);
    snprintf(self->day_name, sizeof(self->day_name), "%s", name);
    day_path(self->folder, name, path, sizeof(path));
    return open_file(self, &self->day, path, name);
}

sqlite3 *reader_stream(struct store_reader *self)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/stream.db", self->folder);
    return open_file(self, &self->stream, path, "stream");
}

void reader_end(struct store_reader *self, sqlite3 *db, sqlite3_stmt *statement, int failed)
{
    int damaged = failed && db && database_errno(db) == EUCLEAN;
    sqlite3_finalize(statement);
    if (damaged)
        suspect(self, db == self->stream.db ? "stream" : self->day_name);
}

void store_reader_on_damage(struct store_reader *self, store_suspicion_fn *fn, void *context)
{
    self->suspicion = fn;
    self->context = context;
}

static int64_t ask_number(struct store_reader *self, const char *sql)
{
    sqlite3 *db = reader_stream(self);
    sqlite3_stmt *statement = db ? database_prepare(db, sql) : NULL;
    int64_t number = 0;
    int rc = statement ? statement_row(statement) : -1;
    if (rc == 1)
        number = sqlite3_column_int64(statement, 0);
    reader_end(self, db, statement, rc < 0);
    return number;
}

int64_t store_last_commit(struct store_reader *self)
{
    return ask_number(self, "SELECT coalesce(max(commit_number),0) FROM events");
}

int64_t store_first_commit(struct store_reader *self)
{
    return ask_number(self, "SELECT coalesce(min(commit_number),0) FROM events");
}

// What `fn` said; 0 also for what the filter leaves out, or cannot be read.
static int give(sqlite3_stmt *row, const struct public_filter *filter, store_event_fn *fn,
                void *context)
{
    Postern__PublicEvent *event =
        public_read(sqlite3_column_blob(row, 1), (size_t)sqlite3_column_bytes(row, 1),
                    (uint64_t)sqlite3_column_int64(row, 0));
    int rc = event && public_matches(event, filter) ? fn(context, event) : 0;
    if (event)
        postern__public_event__free_unpacked(event, NULL);
    return rc;
}

int64_t store_events(struct store_reader *self, int64_t after, unsigned look_at,
                     const struct public_filter *filter, store_event_fn *fn, void *context)
{
    sqlite3 *db = reader_stream(self);
    sqlite3_stmt *row =
        db ? database_prepare(db, "SELECT commit_number,public FROM events WHERE commit_number>?1"
                                  " ORDER BY commit_number LIMIT ?2")
           : NULL;
    int rc = row ? 1 : -1, stopped = 0;
    if (row) {
        sqlite3_bind_int64(row, 1, after);
        sqlite3_bind_int64(row, 2, look_at);
    }
    while (!stopped && rc == 1 && (rc = statement_row(row)) == 1) {
        after = sqlite3_column_int64(row, 0);
        stopped = give(row, filter, fn, context);
    }
    reader_end(self, db, row, rc < 0);
    return after;
}
