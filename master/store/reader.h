// SPDX-License-Identifier: Apache-2.0
#pragma once

// The reading side's connections: stream.db and the days' files, newest first.
#include "master/store/database.h"
#include "master/store/day.h"
#include <sys/types.h>

struct reader_file {
    sqlite3 *db;
    ino_t inode; // a damaged file is replaced under its name
};

struct store_reader {
    char folder[108];
    struct reader_file stream, day; // the day's file used last
    char day_name[DAY_TEXT];
    store_suspicion_fn *suspicion;
    void *context;
};

// The newest day before `before` ("" for any) that has a file. 0 when there is none.
int reader_day_before(const struct store_reader *self, const char *before, char ret[DAY_TEXT]);
// The day's file, open for reading until another is asked for; NULL: there is none, or it was
// logged.
sqlite3 *reader_day(struct store_reader *self, const char *name);
sqlite3 *reader_stream(struct store_reader *self);
// Ends a statement of either (or NULL, when it could not be prepared); a failure by damage is told.
void reader_end(struct store_reader *self, sqlite3 *db, sqlite3_stmt *statement, int failed);
