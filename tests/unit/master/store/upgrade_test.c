// SPDX-License-Identifier: Apache-2.0
// A stream.db of an earlier version is read, and goes on where it was.
#include "master/store/database.h"
#include "master/store/inventory.h"
#include "master/store/public.h"
#include "tests/unit/master/store/folder.h"

enum { EVENTS = 5, UPTO, LAST_COMMIT = 41 };

// As the first version made them.
static const char old_schema[] =
    "CREATE TABLE events(commit_number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " node TEXT NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, "
    "time_ms INTEGER NOT "
    "NULL,"
    " kind INTEGER NOT NULL, id BLOB, message_id TEXT, detail TEXT);"
    "CREATE TABLE watermarks(node TEXT PRIMARY KEY, epoch INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE identity(one INTEGER PRIMARY KEY CHECK(one=1), incarnation "
    "INTEGER);"
    "INSERT INTO identity VALUES(1,77)";

static struct fact fact_number(unsigned number)
{
    return (struct fact){.id = {{0x01, 0xa2, 0x07, 0x2c, 0x4c, 0x00, (uint8_t)number}},
                         .kind = POSTERN__KIND__KIND_DONE,
                         .disposition = POSTERN__DISPOSITION__DISPOSITION_DELIVERED,
                         .time_ms = NOON + number,
                         .sender = "a@example.org",
                         .address = "b@example.net",
                         .message_id = "<m@example.org>"};
}

static struct digest digest_of(struct world *self)
{
    struct digest digest;
    assert_int_equal(
        inventory_digest(store_inventory(self->store), "worker-1", 1, INT64_MAX, &digest), 0);
    return digest;
}

static sqlite3 *open_list(struct world *self, const char *schema)
{
    char path[128], error[256];
    snprintf(path, sizeof(path), "%s/stream.db", self->folder);
    sqlite3 *db = database_open(path, 1, schema, error, sizeof(error));
    if (!db)
        fail_msg("%s", error);
    return db;
}

static void run(struct world *self, const char *schema, const char *sql)
{
    sqlite3 *db = open_list(self, schema);
    assert_int_equal(database_execute(db, sql), 0);
    database_close(&db);
}

static void remove_list(struct world *self)
{
    char command[160];
    store_close(&self->store);
    snprintf(command, sizeof(command), "rm '%s/stream.db'", self->folder);
    assert_int_equal(system(command), 0);
}

// The day's file stays; the list is the old version's.
static void make_old(struct world *self)
{
    remove_list(self);
    run(self, old_schema,
        "INSERT INTO watermarks VALUES('worker-1',1,6);"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<5)"
        "INSERT INTO events SELECT 36+i,'worker-1',1,i,1795435200000+i,1,"
        " x'01A2072C4C0000000000000000000000','<m@example.org>','said ' || i "
        "FROM n");
}

static int start_with_events(void **state)
{
    world_start(state);
    struct world *self = *state;
    for (unsigned i = 1; i <= EVENTS; i++) {
        struct fact fact = fact_number(i);
        world_add(self, &fact);
    }
    return store_commit(self->store);
}

static int keep_line(void *context, const Postern__PublicEvent *event)
{
    public_json(event, context);
    return 0;
}

// The list from a commit number on, as JSON lines.
static const char *read_list(struct world *self, int64_t after, struct buffer *out)
{
    const struct public_filter any = {0};
    struct store_reader *reader = store_reader_open(self->folder);
    buffer_clear(out);
    assert_int_equal(store_events(reader, after, 100, &any, keep_line, out), LAST_COMMIT);
    buffer_add(out, "", 1);
    store_reader_close(&reader);
    return buffer_bytes(out);
}

static void test_the_list_is_told_as_before(void **state)
{
    struct world *self = *state;
    struct buffer out;
    buffer_init(&out);
    make_old(self);
    world_reopen(self);
    assert_int_equal(store_incarnation(self->store), 77);
    const char *last = read_list(self, LAST_COMMIT - 1, &out);
    assert_non_null(strstr(last,
                           "{\"commit\":41,\"node\":\"worker-1\",\"epoch\":\"0000000000000001\","
                           "\"sequence\":5,\"time\":\"2026-11-23T12:00:00.005Z\","
                           "\"kind\":\"done\",\"id\":\"01"));
    assert_non_null(strstr(last, "\"message_id\":\"<m@example.org>\",\"detail\":\"said 5\"}"));
    assert_int_equal(strncmp(read_list(self, 0, &out), "{\"commit\":37,", 13), 0);
    buffer_free(&out);
}

static void test_numbers_go_on_and_nothing_is_listed_twice(void **state)
{
    struct world *self = *state;
    const struct fact again = {.kind = POSTERN__KIND__KIND_NODE, .time_ms = NOON, .nameless = 1};
    const struct fact fresh = fact_number(EVENTS + 1);
    struct span packed;
    make_old(self);
    world_reopen(self);
    store_fact(self->store, &again, "worker-1", 1, UPTO); // no timeline holds it
    assert_int_equal(store_last_added(self->store, &packed), 0);
    store_fact(self->store, &fresh, "worker-1", 1, UPTO + 1);
    assert_int_equal(store_last_added(self->store, &packed), LAST_COMMIT + 1);
    assert_int_equal(store_commit(self->store), 0);
}

static void test_the_inventory_is_what_it_would_have_been(void **state)
{
    struct world *self = *state;
    struct digest before = digest_of(self);
    assert_int_equal(before.count, EVENTS);
    make_old(self);
    world_reopen(self);
    struct digest after = digest_of(self);
    assert_int_equal(after.count, EVENTS);
    assert_true(after.sum == before.sum);
    world_reopen(self); // now it is of this version
    assert_int_equal(digest_of(self).count, EVENTS);
}

// Between the two changes lists were of this form and had no inventory.
static void test_an_inventory_alone_is_made_too(void **state)
{
    struct world *self = *state;
    uint64_t sum = digest_of(self).sum;
    assert_int_equal(store_watermark(self->store, "worker-1", 1, EVENTS, 0), 0);
    assert_int_equal(store_commit(self->store), 0);
    store_close(&self->store);
    run(self, NULL, "DROP TABLE inventory; DROP TABLE streams; DROP TABLE ranges");
    world_reopen(self);
    assert_true(digest_of(self).sum == sum);
}

static void test_what_cannot_be_upgraded_is_refused_and_left_as_it_was(void **state)
{
    struct world *self = *state;
    char error[512] = "";
    make_old(self);
    run(self, NULL,
        "CREATE TRIGGER full BEFORE UPDATE ON events BEGIN SELECT "
        "RAISE(ABORT,'full'); END");
    assert_null(store_open(self->folder, error, sizeof(error)));
    assert_non_null(strstr(error, "stream.db: an earlier version wrote it"));
    assert_non_null(strstr(error, "start again"));
    run(self, NULL, "SELECT detail FROM events; DROP TRIGGER full");
    world_reopen(self);
    assert_int_equal(digest_of(self).count, EVENTS);
}

#define UPGRADE_TEST(name) cmocka_unit_test_setup_teardown(name, start_with_events, world_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UPGRADE_TEST(test_the_list_is_told_as_before),
        UPGRADE_TEST(test_numbers_go_on_and_nothing_is_listed_twice),
        UPGRADE_TEST(test_the_inventory_is_what_it_would_have_been),
        UPGRADE_TEST(test_an_inventory_alone_is_made_too),
        UPGRADE_TEST(test_what_cannot_be_upgraded_is_refused_and_left_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
