// SPDX-License-Identifier: Apache-2.0
#include "master/store/rows.h"
#include "master/store/merge.h"
#include "master/store/render.h"

static json_t *recipients_of(sqlite3 *db, const void *id, const char *sql)
{
    sqlite3_stmt *row = database_prepare(db, sql);
    json_t *list = json_array();
    if (!row)
        return list;
    sqlite3_bind_blob(row, 1, id, ULID_SIZE, SQLITE_TRANSIENT);
    while (statement_row(row) == 1) {
        json_t *value =
            json_pack("{s:s, s:s, s:s}", "address", column_text(row, 0), "disposition",
                      disposition_name((Postern__Disposition)sqlite3_column_int(row, 1)), "reply",
                      column_text(row, 2));
        if (*column_text(row, 3))
            json_object_set_new(value, "hop", json_string(column_text(row, 3)));
        if (sqlite3_column_int64(row, 4))
            json_object_set_new(value, "next_try", render_time(sqlite3_column_int64(row, 4)));
        json_array_append_new(list, value);
    }
    sqlite3_finalize(row);
    return list;
}

json_t *message_row(struct store_reader *reader, sqlite3_stmt *row)
{
    static const char sql[] = "SELECT address,disposition,reply,hop,"
                              " CASE WHEN disposition=6 THEN next_ms END"
                              " FROM recipients WHERE id=?1 ORDER BY number";
    char id[ULID_TEXT];
    ulid_format(sqlite3_column_blob(row, 0), id);
    int64_t received_ms = sqlite3_column_int64(row, 5);
    if (!received_ms)
        received_ms = ulid_time_ms(sqlite3_column_blob(row, 0));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:I, s:f, s:o}", "id", id, "node",
                     column_text(row, 1), "message_id", column_text(row, 2), "sender",
                     column_text(row, 3), "subject", column_text(row, 4), "received_at",
                     render_time(received_ms), "size", (json_int_t)sqlite3_column_int64(row, 6),
                     "score", sqlite3_column_double(row, 7), "recipients",
                     recipients_of(reader->day.db, sqlite3_column_blob(row, 0), sql));
}

json_t *quarantine_row(struct store_reader *reader, sqlite3_stmt *row)
{
    static const char recipients_sql[] =
        "SELECT address,2,'',NULL,NULL FROM quarantine WHERE id=?1 AND state=1 ORDER BY number";
    static const char findings_sql[] =
        "SELECT findings,day FROM quarantine WHERE id=?1 ORDER BY findings IS NULL LIMIT 1";
    json_t *value = message_row(reader, row);
    json_t *recipients = recipients_of(reader->day.db, sqlite3_column_blob(row, 0), recipients_sql);
    json_t *addresses = json_array(), *entry;
    size_t i;
    json_array_foreach(recipients, i, entry)
        json_array_append(addresses, json_object_get(entry, "address"));
    json_decref(recipients);
    json_object_set_new(value, "recipients", addresses);
    sqlite3_stmt *detail = database_prepare(reader->day.db, findings_sql);
    json_t *findings = NULL;
    if (detail) {
        sqlite3_bind_blob(detail, 1, sqlite3_column_blob(row, 0), ULID_SIZE, SQLITE_TRANSIENT);
        if (statement_row(detail) == 1) {
            findings = json_loads(column_text(detail, 0), 0, NULL);
            json_object_set_new(value, "day", json_string(column_text(detail, 1)));
        }
        sqlite3_finalize(detail);
    }
    json_object_set_new(value, "findings", findings ? findings : json_array());
    return value;
}
