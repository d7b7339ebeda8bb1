// SPDX-License-Identifier: Apache-2.0
#pragma once

// The reading side's connections: stream.db and the days' files, newest first.
#include "master/store/database.h"
#include "master/store/day.h"

struct store_reader {
    char folder[108];
    sqlite3 *stream;
    sqlite3 *day; // the day's file used last
    char day_name[DAY_TEXT];
};

// The newest day before `before` ("" for any) that has a file. 0 when there is none.
int reader_day_before(const struct store_reader *self, const char *before, char ret[DAY_TEXT]);
// The day's file, open for reading until another is asked for; NULL: there is none, or it was
// logged.
sqlite3 *reader_day(struct store_reader *self, const char *name);
sqlite3 *reader_stream(struct store_reader *self);
