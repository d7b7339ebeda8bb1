// SPDX-License-Identifier: Apache-2.0
#include "master/cluster.h"
#include "core/base/clock.h"
#include "master/config_store.h"
#include "master/store/database.h"
#include "master/store/merge.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char schema[] = CONFIG_STORE_SCHEMA
    "CREATE TABLE IF NOT EXISTS orders(key TEXT PRIMARY KEY, id TEXT NOT NULL,"
    " recipient INTEGER NOT NULL, address TEXT NOT NULL, deletes INTEGER NOT NULL,"
    " round INTEGER NOT NULL, node TEXT NOT NULL, day TEXT NOT NULL, author TEXT NOT NULL,"
    " created_ms INTEGER NOT NULL, outcome TEXT, outcome_ms INTEGER, reply TEXT);"
    "CREATE TABLE IF NOT EXISTS order_copies(key TEXT PRIMARY KEY) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS orders_open ON orders(node) WHERE outcome IS NULL;";

sqlite3 *cluster_open(const char *folder, char *ret_error, size_t error_size)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/cluster.db", folder);
    sqlite3 *self = database_open(path, 1, schema, ret_error, error_size);
    int damaged = self ? !database_is_whole(self) : errno == EUCLEAN;
    if (!damaged)
        return self;
    if (self)
        sqlite3_db_config(self, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    database_close(&self);
    snprintf(
        ret_error, error_size,
        "%s is damaged: it holds the members, the configuration and open orders, so nothing is"
        " guessed; put a copy of it back, or move it away, start, and give both again (`postern"
        " node add`, `postern config apply FILE`); mail flows meanwhile",
        path);
    return NULL;
}

void cluster_close(sqlite3 **self)
{
    database_close(self);
}

static int has_table(sqlite3 *self, const char *name)
{
    sqlite3_stmt *row =
        database_prepare(self, "SELECT 1 FROM sqlite_master WHERE type='table' AND name=?1");
    if (!row)
        return -1;
    sqlite3_bind_text(row, 1, name, -1, SQLITE_STATIC);
    int rc = statement_row(row);
    sqlite3_finalize(row);
    return rc;
}

static int read_rows(sqlite3 *self, const char *sql, cluster_member_fn *fn, void *context)
{
    sqlite3_stmt *row = database_prepare(self, sql);
    int rc = row ? 1 : -1;
    while (rc == 1 && (rc = statement_row(row)) == 1)
        fn(context, column_text(row, 0), column_text(row, 1), column_text(row, 2));
    sqlite3_finalize(row);
    return rc;
}

int cluster_old_members(sqlite3 *self, cluster_member_fn *fn, void *context)
{
    int there = has_table(self, "members");
    if (there <= 0)
        return there;
    if (read_rows(self, "SELECT name,key,role FROM members", fn, context) < 0 ||
        read_rows(self, "SELECT coalesce(name,''),key,'' FROM revoked", fn, context) < 0)
        return -1;
    return 1;
}

int cluster_drop_old_members(sqlite3 *self)
{
    return database_execute(self, "BEGIN; DROP TABLE members; DROP TABLE revoked; COMMIT");
}

// Runs one statement with up to three texts and the time as ?4. The number of changed rows, or -1.
static int change(sqlite3 *self, const char *sql, const char *a, const char *b, const char *c)
{
    sqlite3_stmt *statement = database_prepare(self, sql);
    const char *texts[] = {a, b, c};
    if (!statement)
        return -1;
    for (int i = 0; i < 3; i++)
        if (texts[i])
            sqlite3_bind_text(statement, i + 1, texts[i], -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 4, clock_wall_ms());
    int rc = statement_run(statement);
    sqlite3_finalize(statement);
    return rc < 0 ? -1 : sqlite3_changes(self);
}

// The last round of release for the recipient whose outcome is known here, 0: none.
static unsigned rounds_of(sqlite3 *self, const struct order *order)
{
    sqlite3_stmt *row = database_prepare(
        self, "SELECT coalesce(max(round),0) FROM orders WHERE id=?1 AND recipient=?2 AND deletes=0"
              " AND outcome IS NOT NULL");
    unsigned rounds = 0;
    if (!row)
        return 0;
    sqlite3_bind_text(row, 1, order->id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(row, 2, order->recipient);
    if (statement_row(row) == 1)
        rounds = (unsigned)sqlite3_column_int(row, 0);
    sqlite3_finalize(row);
    return rounds;
}

static int insert_order(sqlite3 *self, const struct order *order)
{
    sqlite3_stmt *statement = database_prepare(
        self, "INSERT OR IGNORE INTO orders(key,id,recipient,address,deletes,round,node,day,author,"
              "created_ms) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)");
    if (!statement)
        return -1;
    sqlite3_bind_text(statement, 1, order->key, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, order->id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, order->recipient);
    sqlite3_bind_text(statement, 4, order->address, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 5, order->deletes);
    sqlite3_bind_int64(statement, 6, order->round);
    sqlite3_bind_text(statement, 7, order->node, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 8, order->day, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 9, order->author, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 10, clock_wall_ms());
    int rc = statement_run(statement);
    sqlite3_finalize(statement);
    return rc;
}

int cluster_order_keep(sqlite3 *self, struct order *order, char *ret_outcome, size_t outcome_size)
{
    if (insert_order(self, order) < 0)
        return -1;
    sqlite3_stmt *row = database_prepare(
        self, "SELECT outcome,EXISTS(SELECT 1 FROM order_copies c WHERE c.key=o.key)"
              " FROM orders o WHERE key=?1");
    if (!row)
        return -1;
    sqlite3_bind_text(row, 1, order->key, -1, SQLITE_STATIC);
    int rc = statement_row(row);
    if (rc == 1) {
        snprintf(ret_outcome, outcome_size, "%s", column_text(row, 0));
        order->copied = sqlite3_column_int(row, 1);
    }
    sqlite3_finalize(row);
    return rc == 1 ? 0 : -1;
}

int cluster_order(sqlite3 *self, struct order *order, int again, char *ret_outcome,
                  size_t outcome_size)
{
    unsigned rounds = rounds_of(self, order);
    order->round = rounds == 0 ? 1 : rounds + (again != 0);
    if (order->deletes) {
        order->round = 0;
        snprintf(order->key, sizeof(order->key), "%s|%u|delete", order->id, order->recipient);
    } else {
        snprintf(order->key, sizeof(order->key), "%s|%u|%u", order->id, order->recipient,
                 order->round);
    }
    return cluster_order_keep(self, order, ret_outcome, outcome_size);
}

int cluster_order_copied(sqlite3 *self, const char *key)
{
    return change(self, "INSERT OR IGNORE INTO order_copies VALUES(?1)", key, NULL, NULL) < 0 ? -1
                                                                                              : 0;
}

int cluster_open_orders(sqlite3 *self, cluster_order_fn *fn, void *context)
{
    sqlite3_stmt *row =
        database_prepare(self, "SELECT key,id,recipient,address,deletes,round,node,day,author,"
                               "EXISTS(SELECT 1 FROM order_copies c WHERE c.key=o.key)"
                               " FROM orders o WHERE outcome IS NULL ORDER BY created_ms");
    int rc = row ? 1 : -1;
    while (rc == 1 && (rc = statement_row(row)) == 1) {
        struct order order = {.recipient = (unsigned)sqlite3_column_int64(row, 2),
                              .deletes = sqlite3_column_int(row, 4),
                              .round = (unsigned)sqlite3_column_int64(row, 5),
                              .copied = sqlite3_column_int(row, 9)};
        snprintf(order.key, sizeof(order.key), "%s", column_text(row, 0));
        snprintf(order.id, sizeof(order.id), "%s", column_text(row, 1));
        snprintf(order.address, sizeof(order.address), "%s", column_text(row, 3));
        snprintf(order.node, sizeof(order.node), "%s", column_text(row, 6));
        snprintf(order.day, sizeof(order.day), "%s", column_text(row, 7));
        snprintf(order.author, sizeof(order.author), "%s", column_text(row, 8));
        fn(context, &order);
    }
    sqlite3_finalize(row);
    return rc;
}

static const char *outcome_of(const Postern__Event *event)
{
    if (event->kind == POSTERN__KIND__KIND_DELETED)
        return "deleted";
    if (event->n_recipients == 0)
        return kind_name(event->kind);
    return disposition_name(event->recipients[0]->disposition);
}

// "ID|RECIPIENT|ROUND" or "ID|RECIPIENT|delete". -1: it is no key of ours.
static int read_key(const char *key, struct order *ret)
{
    char last[16] = "";
    if (sscanf(key, "%31[0-9A-Z]|%u|%15[0-9a-z]", ret->id, &ret->recipient, last) != 3)
        return -1;
    ret->deletes = strcmp(last, "delete") == 0;
    ret->round = ret->deletes ? 0 : (unsigned)strtoul(last, NULL, 10);
    snprintf(ret->key, sizeof(ret->key), "%s", key);
    return ret->deletes || ret->round > 0 ? 0 : -1;
}

static int know_order(sqlite3 *self, const char *key, const char *node, const Postern__Event *event)
{
    struct order order = {0};
    if (read_key(key, &order) < 0)
        return 0;
    snprintf(order.node, sizeof(order.node), "%s", node);
    if (event->n_recipients > 0) {
        const ProtobufCBinaryData *address = &event->recipients[0]->address;
        size_t size = address->len < sizeof(order.address) ? address->len : 0;
        for (size_t i = 0; i < size; i++)
            order.address[i] =
                (char)(address->data[i] < 127 && address->data[i] >= ' ' ? address->data[i] : '?');
    }
    return insert_order(self, &order);
}

int cluster_order_outcome(sqlite3 *self, const char *key, const char *node,
                          const Postern__Event *event)
{
    // A deferred release is not at its end: its own event will tell.
    if (strcmp(outcome_of(event), "deferred") == 0)
        return 0;
    if (sqlite3_get_autocommit(self) && database_execute(self, "BEGIN IMMEDIATE") < 0)
        return -1;
    if (know_order(self, key, node, event) < 0)
        return -1;
    sqlite3_stmt *statement =
        database_prepare(self, "UPDATE orders SET outcome=?2,outcome_ms=?3,reply=?4 WHERE key=?1"
                               " AND outcome IS NULL");
    if (!statement)
        return -1;
    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, outcome_of(event), -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, clock_wall_ms());
    if (event->n_recipients > 0)
        bind_bytes(statement, 4, &event->recipients[0]->reply);
    int rc = statement_run(statement);
    sqlite3_finalize(statement);
    return rc < 0 ? -1 : sqlite3_changes(self);
}

int cluster_order_settle(sqlite3 *self, const char *key, const char *outcome)
{
    int changed =
        change(self, "UPDATE orders SET outcome=?2,outcome_ms=?4 WHERE key=?1 AND outcome IS NULL",
               key, outcome, NULL);
    return changed < 0 ? -1 : 0;
}

int cluster_commit_outcomes(sqlite3 *self)
{
    return sqlite3_get_autocommit(self) ? 0 : database_execute(self, "COMMIT");
}
