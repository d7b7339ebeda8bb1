// SPDX-License-Identifier: Apache-2.0
#include "master/store/database.h"
#include "core/base/log.h"
#include "mail/address.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { BUSY_MS = 5000 };

static int log_failure(sqlite3 *db, const char *what)
{
    char text[160];
    log_error("store", "doing=%s code=%d error=%s", what, sqlite3_extended_errcode(db),
              log_escape(sqlite3_errmsg(db), strlen(sqlite3_errmsg(db)), text, sizeof(text)));
    return -1;
}

// SQLite would take a file without a byte for a new one. But it leaves none: it writes the first
// page before any row.
static int is_emptied(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && status.st_size == 0;
}

sqlite3 *database_open(const char *path, int write, const char *schema, char *ret_error,
                       size_t error_size)
{
    sqlite3 *self = NULL;
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE | (write ? SQLITE_OPEN_CREATE : 0);
    const char *pragmas = write ? "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                                  "PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;"
                                : "PRAGMA query_only=ON; PRAGMA trusted_schema=OFF;";
    if (is_emptied(path)) {
        snprintf(ret_error, error_size, "%s: it was emptied", path);
        errno = EUCLEAN;
        return NULL;
    }
    if (sqlite3_open_v2(path, &self, flags, NULL) == SQLITE_OK &&
        sqlite3_busy_timeout(self, BUSY_MS) == SQLITE_OK &&
        sqlite3_exec(self, pragmas, NULL, NULL, NULL) == SQLITE_OK &&
        (!schema || sqlite3_exec(self, schema, NULL, NULL, NULL) == SQLITE_OK))
        return self;
    snprintf(ret_error, error_size, "%s: %s", path, self ? sqlite3_errmsg(self) : "out of memory");
    int error = database_errno(self);
    database_close(&self);
    errno = error;
    return NULL;
}

int database_errno(sqlite3 *self)
{
    int code = self ? sqlite3_errcode(self) & 0xff : SQLITE_NOMEM;
    return code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? EUCLEAN : EIO;
}

int database_is_whole(sqlite3 *self)
{
    sqlite3_stmt *row = database_prepare(self, "PRAGMA quick_check(1)");
    int whole = row && statement_row(row) == 1 && strcmp(column_text(row, 0), "ok") == 0;
    sqlite3_finalize(row);
    return whole;
}

void database_close(sqlite3 **self)
{
    sqlite3_close_v2(*self);
    *self = NULL;
}

int database_execute(sqlite3 *self, const char *sql)
{
    return sqlite3_exec(self, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : log_failure(self, sql);
}

sqlite3_stmt *database_prepare(sqlite3 *self, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v3(self, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK)
        log_failure(self, "prepare");
    return statement;
}

int statement_run(sqlite3_stmt *self)
{
    int rc = sqlite3_step(self);
    if (rc != SQLITE_DONE && rc != SQLITE_ROW)
        log_failure(sqlite3_db_handle(self), "step");
    statement_end(self);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : -1;
}

int statement_row(sqlite3_stmt *self)
{
    int rc = sqlite3_step(self);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc != SQLITE_DONE)
        log_failure(sqlite3_db_handle(self), "step");
    statement_end(self);
    return rc == SQLITE_DONE ? 0 : -1;
}

void statement_end(sqlite3_stmt *self)
{
    sqlite3_reset(self);
    sqlite3_clear_bindings(self);
}

void bind_text(sqlite3_stmt *self, int column, const void *data, size_t size)
{
    if (size == 0)
        return;
    if (!memchr(data, 0, size) && utf8_valid(data, size)) {
        sqlite3_bind_text(self, column, data, (int)size, SQLITE_TRANSIENT);
        return;
    }
    char *text = duplicate_bytes(data, size);
    for (size_t i = 0; i < size; i++)
        if (text[i] == 0 || (unsigned char)text[i] > 127)
            text[i] = '?';
    sqlite3_bind_text(self, column, text, (int)size, free);
}

void bind_bytes(sqlite3_stmt *self, int column, const ProtobufCBinaryData *data)
{
    bind_text(self, column, data->data, data->len);
}

const char *column_text(sqlite3_stmt *self, int column)
{
    const unsigned char *text = sqlite3_column_text(self, column);
    return text ? (const char *)text : "";
}
