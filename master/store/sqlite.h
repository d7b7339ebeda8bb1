// SPDX-License-Identifier: Apache-2.0
#pragma once

// The writing side's inside: shared by sqlite.c, which writes, and mend.c, which mends.
#include "core/base/buffer.h"
#include "master/store/database.h"
#include "master/store/day.h"

enum {
    DAYS_OPEN = 8,         // files kept open; more in one transaction end it early
    EVENTS_KEPT = 2000000, // of the list that `events` reads; the timelines keep everything
};

struct store {
    char folder[108];
    sqlite3 *db;
    sqlite3_stmt *event, *watermark, *mark, *trim;
    struct inventory *inventory;
    int open;             // a transaction is, in stream.db
    int listed;           // the last event was not in the list before
    struct buffer public; // and this is what others are told of it
    uint64_t incarnation;
    struct day *days[DAYS_OPEN]; // the last used first
    char damaged[DAY_TEXT];      // the file to be mended: a day, or LIST_FILE; "": none
    char copy[256];              // where that file was set aside, "": not yet
};

#define LIST_FILE "stream"

// stream.db with its statements. -1 with errno (EUCLEAN: damaged) and a message.
NODISCARD int store_open_list(struct store *self, char *ret_error, size_t error_size);
void store_close_list(struct store *self);
struct day *store_find_day(struct store *self, const char *name); // NULL: logged, noted if damaged
void store_drop_day(struct store *self, const char *name);        // closes it, if it is open
