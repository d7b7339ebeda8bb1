// SPDX-License-Identifier: Apache-2.0
#include "master/store/upgrade.h"
#include "core/base/buffer.h"
#include "core/base/log.h"
#include "core/base/ulid.h"
#include "master/store/database.h"
#include "master/store/day.h"
#include "master/store/inventory.h"
#include "master/store/public.h"
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

// -- which version

// Does the query, that names no foreign value, yield a row? 1, 0, or -1.
static int has(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *row = database_prepare(db, sql);
    int found = row ? statement_row(row) : -1;
    sqlite3_finalize(row);
    return found;
}

static int has_plain_events(sqlite3 *db)
{
    return has(db, "SELECT 1 FROM pragma_table_info('events') WHERE name='detail'");
}

// A file that is new has no inventory either, and nothing to enter into one.
static int lacks_inventory(sqlite3 *db)
{
    return has(db, "SELECT 1 FROM watermarks WHERE NOT EXISTS"
                   "(SELECT 1 FROM sqlite_master WHERE type='table' AND name='inventory') LIMIT 1");
}

// -- the list

static ProtobufCBinaryData bytes_of(sqlite3_value *value)
{
    int size = sqlite3_value_bytes(value);
    return (ProtobufCBinaryData){(size_t)size, (uint8_t *)sqlite3_value_blob(value)};
}

// public_of(node, epoch, sequence, time_ms, kind, id, message_id, detail), as SQL calls it.
static void public_of(sqlite3_context *context, int count, sqlite3_value **values)
{
    Postern__Event event = POSTERN__EVENT__INIT;
    struct ulid id;
    struct buffer out;
    (void)count;
    event.time_ms = sqlite3_value_int64(values[3]);
    event.kind = (Postern__Kind)sqlite3_value_int(values[4]);
    event.id = bytes_of(values[5]);
    event.message_id = bytes_of(values[6]);
    event.detail = bytes_of(values[7]);
    const char *node = (const char *)sqlite3_value_text(values[0]);
    struct store_event at = {.node = node ? node : "",
                             .epoch = (uint64_t)sqlite3_value_int64(values[1]),
                             .sequence = (uint64_t)sqlite3_value_int64(values[2]),
                             .event = &event};
    int has_id = event.id.len == ULID_SIZE;
    if (has_id)
        memcpy(id.bytes, event.id.data, ULID_SIZE);
    buffer_init(&out);
    public_pack(&at, has_id ? &id : NULL, "", &out);
    sqlite3_result_blob(context, buffer_bytes(&out), (int)buffer_size(&out), SQLITE_TRANSIENT);
    buffer_free(&out);
}

// The columns stand in the order that a new file has; commit numbers stay, and go on.
static int publish_events(sqlite3 *db)
{
    enum { ARGUMENTS = 8 };
    if (sqlite3_create_function_v2(db, "public_of", ARGUMENTS, SQLITE_UTF8 | SQLITE_DIRECTONLY,
                                   NULL, public_of, NULL, NULL, NULL) != SQLITE_OK)
        return -1;
    return database_execute(
        db, "ALTER TABLE events ADD COLUMN public BLOB NOT NULL DEFAULT x'';"
            "UPDATE events SET"
            " public=public_of(node,epoch,sequence,time_ms,kind,id,message_id,detail);"
            "ALTER TABLE events DROP COLUMN id;"
            "ALTER TABLE events DROP COLUMN message_id;"
            "ALTER TABLE events DROP COLUMN detail");
}

// -- the inventory

static int enter_row(struct inventory *inventory, const char *day, sqlite3_stmt *row)
{
    uint64_t sequence = (uint64_t)sqlite3_column_int64(row, 2);
    struct span packed = {sqlite3_column_blob(row, 3), (size_t)sqlite3_column_bytes(row, 3)};
    return inventory_add(inventory, column_text(row, 0), (uint64_t)sqlite3_column_int64(row, 1),
                         sequence, inventory_hash(sequence, packed), day,
                         packed) == INVENTORY_FAILED
               ? -1
               : 0;
}

// A day that cannot be read is mended when it is next used, and enters what is saved then.
static int enter_day(struct inventory *inventory, const char *folder, const char *day)
{
    char path[256], error[256];
    day_path(folder, day, path, sizeof(path));
    sqlite3 *db = database_open(path, 0, NULL, error, sizeof(error));
    sqlite3_stmt *row =
        db ? database_prepare(db, "SELECT node,epoch,sequence,event FROM timeline") : NULL;
    int rc = 0;
    if (!row)
        log_error("store.upgrade", "unread=%s error=\"%s\"", path, db ? "unusable" : error);
    while (row && rc == 0 && statement_row(row) == 1)
        rc = enter_row(inventory, day, row);
    sqlite3_finalize(row);
    database_close(&db);
    return rc;
}

static int enter_days(struct inventory *inventory, const char *folder)
{
    DIR *listing = opendir(folder);
    struct dirent *entry;
    int rc = listing ? 0 : -1;
    while (rc == 0 && (entry = readdir(listing))) {
        char day[DAY_TEXT];
        if (fnmatch("messages-*-*-*.db", entry->d_name, 0) != 0)
            continue;
        snprintf(day, sizeof(day), "%.10s", entry->d_name + strlen("messages-"));
        rc = enter_day(inventory, folder, day);
    }
    if (listing)
        closedir(listing);
    return rc;
}

// What the list told of, but no timeline holds, may come again from another master: it is not
// listed a second time.
static int make_inventory(sqlite3 *db, const char *folder)
{
    if (database_execute(db, inventory_schema) < 0 ||
        database_execute(db, "INSERT OR REPLACE INTO listed"
                             " SELECT node,epoch,sequence FROM watermarks") < 0)
        return -1;
    struct inventory *inventory = inventory_new(db);
    int rc = inventory ? enter_days(inventory, folder) : -1;
    if (rc == 0)
        rc = inventory_flush(inventory);
    inventory_destroy(&inventory);
    return rc;
}

// -- all of it

int upgrade_list(sqlite3 *db, const char *folder)
{
    int plain = has_plain_events(db), lacks = plain < 0 ? -1 : lacks_inventory(db);
    if (plain == 0 && lacks == 0)
        return 0;
    if (lacks >= 0 && database_execute(db, "BEGIN IMMEDIATE") == 0) {
        log_info("store.upgrade", "folder=%s list=%d inventory=%d", folder, plain, lacks);
        if ((!plain || publish_events(db) == 0) && (!lacks || make_inventory(db, folder) == 0) &&
            database_execute(db, "COMMIT") == 0)
            return 0;
    }
    int error = database_errno(db);
    if (!sqlite3_get_autocommit(db))
        (void)!database_execute(db, "ROLLBACK");
    errno = error;
    return -1;
}
