// SPDX-License-Identifier: Apache-2.0
#include "master/store/render.h"
#include "master/store/rows.h"
#include <string.h>

// Finds the message in the file of its id's day. The statement stands on its row; NULL: unknown.
static sqlite3_stmt *find_message(struct store_reader *reader, const char *text,
                                  struct ulid *ret_id)
{
    char name[DAY_TEXT];
    if (ulid_parse(text, strlen(text), ret_id) < 0)
        return NULL;
    day_name(ulid_time_ms(ret_id), name);
    sqlite3 *db = reader_day(reader, name);
    sqlite3_stmt *row =
        db ? database_prepare(db, "SELECT " MESSAGE_COLUMNS " FROM messages m WHERE m.id=?1")
           : NULL;
    if (row)
        sqlite3_bind_blob(row, 1, ret_id->bytes, ULID_SIZE, SQLITE_TRANSIENT);
    int rc = row ? statement_row(row) : -1;
    if (rc == 1)
        return row;
    reader_end(reader, db, row, rc < 0);
    return NULL;
}

static json_t *timeline_of(sqlite3 *db, const struct ulid *id)
{
    sqlite3_stmt *row = database_prepare(db, "SELECT node,epoch,sequence,event FROM timeline"
                                             " WHERE id=?1 ORDER BY time_ms,sequence LIMIT 1000");
    json_t *list = json_array();
    if (!row)
        return list;
    sqlite3_bind_blob(row, 1, id->bytes, ULID_SIZE, SQLITE_TRANSIENT);
    while (statement_row(row) == 1) {
        json_t *entry =
            render_event(column_text(row, 0), (uint64_t)sqlite3_column_int64(row, 1),
                         (uint64_t)sqlite3_column_int64(row, 2), sqlite3_column_blob(row, 3),
                         (size_t)sqlite3_column_bytes(row, 3));
        if (entry)
            json_array_append_new(list, entry);
    }
    sqlite3_finalize(row);
    return list;
}

json_t *store_message(struct store_reader *reader, const char *text)
{
    struct ulid id;
    sqlite3_stmt *row = find_message(reader, text, &id);
    if (!row)
        return NULL;
    json_t *value = message_row(reader, row);
    json_object_set_new(value, "timeline", timeline_of(reader->day.db, &id));
    sqlite3_finalize(row);
    return value;
}

// Every recipient with its state: what a release or delete needs to know.
static json_t *states_of(sqlite3 *db, const struct ulid *id)
{
    static const char *const states[] = {"none", "held", "released", "deleted"};
    sqlite3_stmt *row = database_prepare(db, "SELECT number,address,state,node,day FROM quarantine"
                                             " WHERE id=?1 ORDER BY number");
    json_t *list = json_array();
    if (!row)
        return list;
    sqlite3_bind_blob(row, 1, id->bytes, ULID_SIZE, SQLITE_TRANSIENT);
    while (statement_row(row) == 1)
        json_array_append_new(list,
                              json_pack("{s:i, s:s, s:s, s:s, s:s}", "recipient",
                                        sqlite3_column_int(row, 0), "address", column_text(row, 1),
                                        "state", states[sqlite3_column_int(row, 2) & 3], "node",
                                        column_text(row, 3), "day", column_text(row, 4)));
    sqlite3_finalize(row);
    return list;
}

json_t *store_quarantined(struct store_reader *reader, const char *text)
{
    struct ulid id;
    sqlite3_stmt *row = find_message(reader, text, &id);
    json_t *value = NULL;
    if (!row)
        return NULL;
    json_t *states = states_of(reader->day.db, &id);
    if (json_array_size(states)) {
        value = quarantine_row(reader, row);
        json_object_set(value, "states", states);
        json_object_set_new(value, "timeline", timeline_of(reader->day.db, &id));
    }
    json_decref(states);
    sqlite3_finalize(row);
    return value;
}
