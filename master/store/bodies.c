// SPDX-License-Identifier: Apache-2.0
#include "master/store/bodies.h"
#include "master/store/database.h"
#include <stdio.h>
#include <string.h>

const char bodies_schema[] =
    "CREATE TABLE IF NOT EXISTS bodies(id BLOB PRIMARY KEY, sha256 BLOB NOT NULL,"
    " node TEXT NOT NULL, day TEXT NOT NULL, since_ms INTEGER NOT NULL, state INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS bodies_wanted ON bodies(id) WHERE state=0;"
    "CREATE INDEX IF NOT EXISTS bodies_kept ON bodies(day) WHERE state<2;";

#define COLUMNS "id,sha256,node,day,since_ms,state"

int body_of_event(const Postern__Event *event, const char *node, struct body *ret)
{
    if (event->kind != POSTERN__KIND__KIND_QUARANTINED || event->id.len != ULID_SIZE ||
        event->sha256.len != SHA256_SIZE || event->quarantine_day.len != sizeof(ret->day) - 1)
        return 0;
    *ret = (struct body){.since_ms = event->time_ms};
    memcpy(ret->id.bytes, event->id.data, ULID_SIZE);
    memcpy(ret->sha256, event->sha256.data, SHA256_SIZE);
    memcpy(ret->day, event->quarantine_day.data, event->quarantine_day.len);
    snprintf(ret->node, sizeof(ret->node), "%s", node);
    return 1;
}

static void bind_id(sqlite3_stmt *statement, const struct ulid *id)
{
    sqlite3_bind_blob(statement, 1, id->bytes, ULID_SIZE, SQLITE_TRANSIENT);
}

int bodies_set(sqlite3 *db, const struct ulid *id, enum body_state state)
{
    sqlite3_stmt *statement = database_prepare(db, "UPDATE bodies SET state=?2 WHERE id=?1");
    if (!statement)
        return -1;
    bind_id(statement, id);
    sqlite3_bind_int(statement, 2, (int)state);
    int rc = statement_run(statement);
    sqlite3_finalize(statement);
    return rc;
}

static int read_row(sqlite3_stmt *row, struct body *ret)
{
    if (sqlite3_column_bytes(row, 0) != ULID_SIZE || sqlite3_column_bytes(row, 1) != SHA256_SIZE)
        return 0;
    *ret = (struct body){.since_ms = sqlite3_column_int64(row, 4),
                         .state = (enum body_state)sqlite3_column_int(row, 5)};
    memcpy(ret->id.bytes, sqlite3_column_blob(row, 0), ULID_SIZE);
    memcpy(ret->sha256, sqlite3_column_blob(row, 1), SHA256_SIZE);
    snprintf(ret->node, sizeof(ret->node), "%s", column_text(row, 2));
    snprintf(ret->day, sizeof(ret->day), "%s", column_text(row, 3));
    return 1;
}

int bodies_find(sqlite3 *db, const struct ulid *id, struct body *ret)
{
    sqlite3_stmt *row = database_prepare(db, "SELECT " COLUMNS " FROM bodies WHERE id=?1");
    if (!row)
        return -1;
    bind_id(row, id);
    int rc = statement_row(row);
    if (rc == 1)
        rc = read_row(row, ret);
    sqlite3_finalize(row);
    return rc;
}

int bodies_add(sqlite3 *db, const struct body *body)
{
    if (sqlite3_get_autocommit(db) && database_execute(db, "BEGIN IMMEDIATE") < 0)
        return -1;
    sqlite3_stmt *statement =
        database_prepare(db, "INSERT OR IGNORE INTO bodies VALUES(?1,?2,?3,?4,?5,?6)");
    if (!statement)
        return -1;
    bind_id(statement, &body->id);
    sqlite3_bind_blob(statement, 2, body->sha256, SHA256_SIZE, SQLITE_TRANSIENT);
    sqlite3_bind_text(statement, 3, body->node, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(statement, 4, body->day, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(statement, 5, body->since_ms);
    sqlite3_bind_int(statement, 6, (int)body->state);
    int rc = statement_run(statement);
    sqlite3_finalize(statement);
    if (rc < 0 || sqlite3_changes(db) > 0)
        return rc < 0 ? -1 : 1;
    // Whoever added it may not have told: the rest of its transaction failed.
    struct body known;
    rc = bodies_find(db, &body->id, &known);
    return rc < 0 ? -1 : rc == 1 && known.state == BODY_WANTED;
}

static int each_row(sqlite3_stmt *row, body_row_fn *fn, void *context)
{
    struct body body;
    int rc = row ? 1 : -1;
    while (rc == 1 && (rc = statement_row(row)) == 1)
        if (read_row(row, &body))
            fn(context, &body);
    sqlite3_finalize(row);
    return rc;
}

int bodies_wanted(sqlite3 *db, body_row_fn *fn, void *context)
{
    return each_row(database_prepare(db, "SELECT " COLUMNS " FROM bodies WHERE state=0"), fn,
                    context);
}

int bodies_before(sqlite3 *db, const char *day, unsigned most, body_row_fn *fn, void *context)
{
    sqlite3_stmt *row = database_prepare(
        db, "SELECT " COLUMNS " FROM bodies WHERE state<2 AND day<?1 ORDER BY day LIMIT ?2");
    if (!row)
        return -1;
    sqlite3_bind_text(row, 1, day, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(row, 2, most);
    return each_row(row, fn, context);
}
