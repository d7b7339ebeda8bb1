// SPDX-License-Identifier: Apache-2.0
#include "master/store/inventory.h"
#include "core/base/log.h"
#include "master/store/database.h"
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DELTAS_MOST = 128, NAME_SIZE = 64 };

const char inventory_schema[] =
    "CREATE TABLE IF NOT EXISTS streams(stream INTEGER PRIMARY KEY, node TEXT NOT NULL,"
    " epoch INTEGER NOT NULL, last INTEGER NOT NULL, UNIQUE(node, epoch));"
    "CREATE TABLE IF NOT EXISTS inventory(stream INTEGER NOT NULL, sequence INTEGER NOT NULL,"
    " hash INTEGER NOT NULL, day TEXT NOT NULL, packed BLOB, PRIMARY KEY(stream, sequence, hash))"
    " WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS ranges(stream INTEGER NOT NULL, number INTEGER NOT NULL,"
    " count INTEGER NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY(stream, number)) WITHOUT ROWID;";

// What the open transaction adds to a range; written at once, not with each event.
struct delta {
    int64_t stream, number;
    struct digest digest;
};

enum statement {
    FIND_STREAM,
    MAKE_STREAM,
    RAISE_LAST,
    PLACE,
    ADD,
    ADD_RANGE,
    STREAMS,
    RANGES,
    ROWS,
    FIND,
    OF_DAY,
    DROP_DAY,
    STATEMENTS
};

// SQLite has no exclusive or, but a|b less a&b is the same.
static const char *const sql[STATEMENTS] = {
    [FIND_STREAM] = "SELECT stream FROM streams WHERE node=?1 AND epoch=?2",
    [MAKE_STREAM] = "INSERT INTO streams(node,epoch,last) VALUES(?1,?2,0)",
    [RAISE_LAST] = "UPDATE streams SET last=?2 WHERE stream=?1 AND last<?2",
    [PLACE] = "SELECT hash FROM inventory WHERE stream=?1 AND sequence=?2",
    [ADD] = "INSERT INTO inventory VALUES(?1,?2,?3,?4,?5)",
    [ADD_RANGE] = "INSERT INTO ranges VALUES(?1,?2,?3,?4) ON CONFLICT(stream,number) DO UPDATE SET"
                  " count=count+excluded.count, sum=(sum|excluded.sum)-(sum&excluded.sum)",
    [STREAMS] = "SELECT node,epoch,last FROM streams ORDER BY stream DESC LIMIT ?1",
    [RANGES] = "SELECT number,count,sum FROM ranges WHERE stream=?1 AND number>=?2 AND number<=?3"
               " ORDER BY number LIMIT ?4",
    [ROWS] = "SELECT sequence,hash FROM inventory WHERE stream=?1 AND sequence>=?2 AND sequence<?3"
             " AND sequence<=?4 ORDER BY sequence,hash",
    [OF_DAY] = "SELECT stream,sequence,hash FROM inventory WHERE day=?1 AND packed IS NULL",
    [DROP_DAY] = "DELETE FROM inventory WHERE day=?1 AND packed IS NULL",
    [FIND] = "SELECT day,packed FROM inventory WHERE stream=?1 AND sequence=?2 AND hash=?3",
};

struct inventory {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    struct delta deltas[DELTAS_MOST];
    size_t delta_count;
    // The stream and the row used last.
    char node[NAME_SIZE];
    uint64_t epoch;
    int64_t stream, sequence, hash;
};

struct inventory *inventory_new(sqlite3 *db)
{
    struct inventory *self = allocate(sizeof(*self));
    self->db = db;
    for (size_t i = 0; i < STATEMENTS; i++)
        if (!(self->statements[i] = database_prepare(db, sql[i])))
            inventory_destroy(&self);
    return self;
}

void inventory_destroy(struct inventory **self)
{
    if (!*self)
        return;
    for (size_t i = 0; i < STATEMENTS; i++)
        sqlite3_finalize((*self)->statements[i]);
    free(*self);
    *self = NULL;
}

uint64_t inventory_hash(uint64_t sequence, struct span packed)
{
    uint8_t digest[SHA256_DIGEST_LENGTH + sizeof(sequence)];
    uint64_t hash = 0;
    SHA256((const uint8_t *)packed.data, packed.size, digest);
    for (size_t i = 0; i < sizeof(sequence); i++)
        digest[SHA256_DIGEST_LENGTH + i] = (uint8_t)(sequence >> (8 * i));
    SHA256(digest, sizeof(digest), digest);
    for (size_t i = 0; i < sizeof(hash); i++)
        hash = hash << 8 | digest[i];
    return hash;
}

// 1: it is in self->stream; 0: there is none, -1.
static int find_stream(struct inventory *self, const char *node, uint64_t epoch)
{
    sqlite3_stmt *row = self->statements[FIND_STREAM];
    if (self->stream && self->epoch == epoch && strcmp(self->node, node) == 0)
        return 1;
    self->stream = 0;
    sqlite3_bind_text(row, 1, node, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(row, 2, (int64_t)epoch);
    int found = statement_row(row);
    if (found == 1) {
        self->stream = sqlite3_column_int64(row, 0);
        self->epoch = epoch;
        snprintf(self->node, sizeof(self->node), "%s", node);
    }
    statement_end(row);
    return found;
}

static int make_stream(struct inventory *self, const char *node, uint64_t epoch)
{
    sqlite3_stmt *make = self->statements[MAKE_STREAM];
    int found = find_stream(self, node, epoch);
    if (found != 0)
        return found < 0 ? -1 : 0;
    sqlite3_bind_text(make, 1, node, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(make, 2, (int64_t)epoch);
    return statement_run(make) < 0 || find_stream(self, node, epoch) != 1 ? -1 : 0;
}

// What stands at the place: HELD when it is this one, FORK when only others, NEW when nothing.
static enum inventory_news look_at(struct inventory *self, int64_t sequence, int64_t hash)
{
    sqlite3_stmt *row = self->statements[PLACE];
    enum inventory_news news = INVENTORY_NEW;
    int found;
    sqlite3_bind_int64(row, 1, self->stream);
    sqlite3_bind_int64(row, 2, sequence);
    while ((found = statement_row(row)) == 1 && news != INVENTORY_HELD)
        news = sqlite3_column_int64(row, 0) == hash ? INVENTORY_HELD : INVENTORY_FORK;
    statement_end(row);
    return found < 0 ? INVENTORY_FAILED : news;
}

static int write_delta(struct inventory *self, const struct delta *delta)
{
    sqlite3_stmt *add = self->statements[ADD_RANGE];
    sqlite3_bind_int64(add, 1, delta->stream);
    sqlite3_bind_int64(add, 2, delta->number);
    sqlite3_bind_int64(add, 3, (int64_t)delta->digest.count);
    sqlite3_bind_int64(add, 4, (int64_t)delta->digest.sum);
    return statement_run(add);
}

int inventory_flush(struct inventory *self)
{
    for (size_t i = 0; i < self->delta_count; i++)
        if (write_delta(self, &self->deltas[i]) < 0)
            return -1;
    self->delta_count = 0;
    return 0;
}

// `by` is 1, or -1 for a row that goes: the sum then loses what it had taken.
static int add_to_range(struct inventory *self, int64_t stream, int64_t number, uint64_t hash,
                        int by)
{
    size_t i = 0;
    while (i < self->delta_count &&
           (self->deltas[i].stream != stream || self->deltas[i].number != number))
        i++;
    if (i == DELTAS_MOST) {
        if (inventory_flush(self) < 0)
            return -1;
        i = 0;
    }
    if (i == self->delta_count)
        self->deltas[self->delta_count++] = (struct delta){stream, number, {0, 0}};
    self->deltas[i].digest.count += (uint64_t)by;
    self->deltas[i].digest.sum ^= hash;
    return 0;
}

// `packed` is kept here when no timeline has it, or another event has its place there.
static int insert(struct inventory *self, const char *day, int keep, struct span packed)
{
    sqlite3_stmt *add = self->statements[ADD], *raise = self->statements[RAISE_LAST];
    sqlite3_bind_int64(add, 1, self->stream);
    sqlite3_bind_int64(add, 2, self->sequence);
    sqlite3_bind_int64(add, 3, self->hash);
    sqlite3_bind_text(add, 4, day, -1, SQLITE_TRANSIENT);
    if (keep)
        sqlite3_bind_blob(add, 5, packed.data, (int)packed.size, SQLITE_TRANSIENT);
    if (statement_run(add) < 0)
        return -1;
    sqlite3_bind_int64(raise, 1, self->stream);
    sqlite3_bind_int64(raise, 2, self->sequence);
    return statement_run(raise);
}

enum inventory_news inventory_add(struct inventory *self, const char *node, uint64_t epoch,
                                  uint64_t sequence, uint64_t hash, const char *day,
                                  struct span packed)
{
    if (make_stream(self, node, epoch) < 0)
        return INVENTORY_FAILED;
    self->sequence = (int64_t)sequence;
    self->hash = (int64_t)hash;
    enum inventory_news news = look_at(self, self->sequence, self->hash);
    if (news != INVENTORY_NEW && news != INVENTORY_FORK)
        return news;
    if (insert(self, day, !*day || news == INVENTORY_FORK, packed) < 0 ||
        add_to_range(self, self->stream, self->sequence / INVENTORY_RANGE, hash, 1) < 0)
        return INVENTORY_FAILED;
    return news;
}

int inventory_knows(struct inventory *self, const char *node, uint64_t epoch)
{
    return find_stream(self, node, epoch) == 1;
}

int inventory_drop_day(struct inventory *self, const char *day)
{
    sqlite3_stmt *row = self->statements[OF_DAY], *drop = self->statements[DROP_DAY];
    int found = 0, rc = 0;
    sqlite3_bind_text(row, 1, day, -1, SQLITE_TRANSIENT);
    while (rc == 0 && (found = statement_row(row)) == 1)
        rc = add_to_range(self, sqlite3_column_int64(row, 0),
                          sqlite3_column_int64(row, 1) / INVENTORY_RANGE,
                          (uint64_t)sqlite3_column_int64(row, 2), -1);
    statement_end(row);
    if (rc < 0 || found < 0)
        return -1;
    sqlite3_bind_text(drop, 1, day, -1, SQLITE_TRANSIENT);
    return statement_run(drop);
}

void inventory_forget(struct inventory *self)
{
    self->delta_count = 0;
    self->stream = 0; // it may have been made in that transaction
}

// -- reading

int inventory_streams(struct inventory *self, unsigned most, inventory_stream_fn *fn, void *context)
{
    sqlite3_stmt *row = self->statements[STREAMS];
    int found;
    sqlite3_bind_int64(row, 1, most);
    while ((found = statement_row(row)) == 1) {
        const struct inventory_stream stream = {column_text(row, 0),
                                                (uint64_t)sqlite3_column_int64(row, 1),
                                                (uint64_t)sqlite3_column_int64(row, 2)};
        fn(context, &stream);
    }
    statement_end(row);
    return found;
}

static int64_t limit_of(uint64_t upto)
{
    return upto < INT64_MAX ? (int64_t)upto : INT64_MAX;
}

static void add_row(void *context, uint64_t sequence, uint64_t hash)
{
    (void)sequence;
    struct digest *digest = context;
    digest->count++;
    digest->sum ^= hash;
}

// The range in which `upto` lies, as far as it; 0 in count: nothing.
static int partial(struct inventory *self, int64_t upto, struct digest *ret)
{
    *ret = (struct digest){0};
    return inventory_rows(self, self->node, self->epoch, (uint64_t)upto,
                          (uint64_t)upto / INVENTORY_RANGE, add_row, ret);
}

static int whole_ranges(struct inventory *self, int64_t from, int64_t below, unsigned most,
                        inventory_range_fn *fn, void *context, uint64_t *ret_next)
{
    sqlite3_stmt *row = self->statements[RANGES];
    unsigned count = 0;
    int found;
    sqlite3_bind_int64(row, 1, self->stream);
    sqlite3_bind_int64(row, 2, from);
    sqlite3_bind_int64(row, 3, below - 1);
    sqlite3_bind_int64(row, 4, most);
    while ((found = statement_row(row)) == 1) {
        const struct digest digest = {(uint64_t)sqlite3_column_int64(row, 1),
                                      (uint64_t)sqlite3_column_int64(row, 2)};
        uint64_t number = (uint64_t)sqlite3_column_int64(row, 0);
        fn(context, number, &digest);
        if (++count == most)
            *ret_next = number + 1;
    }
    statement_end(row);
    return found;
}

int inventory_ranges(struct inventory *self, const char *node, uint64_t epoch, uint64_t upto,
                     uint64_t from, unsigned most, inventory_range_fn *fn, void *context,
                     uint64_t *ret_next)
{
    int64_t limit = limit_of(upto), last = limit / INVENTORY_RANGE;
    struct digest tail;
    int found = find_stream(self, node, epoch);
    *ret_next = 0;
    if (found <= 0)
        return found;
    if (whole_ranges(self, limit_of(from), last, most, fn, context, ret_next) < 0 ||
        partial(self, limit, &tail) < 0)
        return -1;
    if (*ret_next == 0 && tail.count && (int64_t)from <= last)
        fn(context, (uint64_t)last, &tail);
    return 0;
}

static void add_range(void *context, uint64_t number, const struct digest *range)
{
    (void)number;
    struct digest *digest = context;
    digest->count += range->count;
    digest->sum ^= range->sum;
}

int inventory_digest(struct inventory *self, const char *node, uint64_t epoch, uint64_t upto,
                     struct digest *ret)
{
    struct digest digest = {0};
    uint64_t next;
    if (inventory_ranges(self, node, epoch, upto, 0, UINT32_MAX, add_range, &digest, &next) < 0)
        return -1;
    *ret = digest;
    return 0;
}

int inventory_rows(struct inventory *self, const char *node, uint64_t epoch, uint64_t upto,
                   uint64_t number, inventory_row_fn *fn, void *context)
{
    sqlite3_stmt *row = self->statements[ROWS];
    int found = find_stream(self, node, epoch);
    if (found <= 0 || number > INT64_MAX / INVENTORY_RANGE - 1)
        return found < 0 ? -1 : 0;
    sqlite3_bind_int64(row, 1, self->stream);
    sqlite3_bind_int64(row, 2, (int64_t)number * INVENTORY_RANGE);
    sqlite3_bind_int64(row, 3, (int64_t)(number + 1) * INVENTORY_RANGE);
    sqlite3_bind_int64(row, 4, limit_of(upto));
    while ((found = statement_row(row)) == 1)
        fn(context, (uint64_t)sqlite3_column_int64(row, 0), (uint64_t)sqlite3_column_int64(row, 1));
    statement_end(row);
    return found;
}

int inventory_find(struct inventory *self, const char *node, uint64_t epoch, uint64_t sequence,
                   uint64_t hash, struct span *ret_packed, const char **ret_day)
{
    sqlite3_stmt *row = self->statements[FIND];
    int found = find_stream(self, node, epoch);
    if (found <= 0)
        return found;
    statement_end(row); // the one before lent its bytes until now
    sqlite3_bind_int64(row, 1, self->stream);
    sqlite3_bind_int64(row, 2, (int64_t)sequence);
    sqlite3_bind_int64(row, 3, (int64_t)hash);
    found = statement_row(row);
    if (found != 1)
        return found;
    *ret_day = column_text(row, 0);
    *ret_packed = (struct span){sqlite3_column_blob(row, 1), (size_t)sqlite3_column_bytes(row, 1)};
    return 1;
}
