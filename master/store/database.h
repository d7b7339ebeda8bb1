// SPDX-License-Identifier: Apache-2.0
#pragma once

// What every SQLite file of the master has in common.
#include "core/base/base.h"
#include <protobuf-c/protobuf-c.h>
#include <sqlite3.h>

// Opens (write: makes) a file in WAL mode; a writer's commits are synced. NULL: message in
// ret_error, errno as of database_errno.
sqlite3 *database_open(const char *path, int write, const char *schema, char *ret_error,
                       size_t error_size);
void database_close(sqlite3 **self);
// What the last failure was: EUCLEAN when the file's content is broken, else EIO.
int database_errno(sqlite3 *self);
int database_is_whole(sqlite3 *self);                           // reads all of the file
NODISCARD int database_execute(sqlite3 *self, const char *sql); // -1: logged
sqlite3_stmt *database_prepare(sqlite3 *self, const char *sql); // NULL: logged
// Runs a statement that yields no row, and makes it ready again. -1: logged.
NODISCARD int statement_run(sqlite3_stmt *self);
// 1: a row is there, 0: no (more) row, -1: logged.
NODISCARD int statement_row(sqlite3_stmt *self);
void statement_end(sqlite3_stmt *self); // reset, forget what was bound

// What a peer sent, as text: whatever is not UTF-8, and NUL, becomes '?'. Empty is NULL.
void bind_text(sqlite3_stmt *self, int column, const void *data, size_t size);
void bind_bytes(sqlite3_stmt *self, int column, const ProtobufCBinaryData *data);
const char *column_text(sqlite3_stmt *self, int column); // "" for NULL; until the next step
