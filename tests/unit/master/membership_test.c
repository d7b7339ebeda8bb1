// SPDX-License-Identifier: Apache-2.0
// Who is a member follows the documents in force, whoever changed them.
#include "core/base/z85.h"
#include "master/membership.h"
#include "master/store/database.h"
#include "tests/unit/master/world.h"

static const char other_key[] = "DkZ?&oehuM)OX!:5xQ2:8G/J?+0&)}]7uYKm3WlE";

static void revoked_name(const char *key, char ret[CURVE_KEY_HEX + 9])
{
    memcpy(ret, "revoked/", 9);
    assert_int_equal(z85_to_hex(key, ret + 8), 0);
}

static json_t *documents(const struct world *self)
{
    return json_incref(json_object_get(self->master.tree, "documents"));
}

static void test_a_master_enters_itself(void **state)
{
    struct world *self = *state;
    json_t *all = documents(self), *own = json_object_get(all, "node/master-a");
    assert_string_equal(json_string_value(json_object_get(own, "role")), "master");
    assert_string_equal(json_string_value(json_object_get(own, "key")),
                        self->master.keys.public_key);
    assert_string_equal(json_string_value(json_object_get(own, "control")),
                        self->conf.bind_control);
    assert_int_equal(self->master.members.count, 1); // itself is none of its members
    json_decref(all);
}

static void test_a_document_makes_a_member_and_another_ends_it(void **state)
{
    struct world *self = *state;
    char revoked[CURVE_KEY_HEX + 9];
    world_change(self, json_pack("{s:{s:s, s:s}}", "node/w", "key", other_key, "role", "monitor"));
    struct member *new = members_by_key(&self->master.members, other_key);
    assert_non_null(new);
    assert_int_equal(new->role, ROLE_MONITOR);
    world_change(self, json_pack("{s:{s:s}}", "node/w", "site", "there"));
    assert_null(members_by_key(&self->master.members, other_key));
    world_change(self, json_pack("{s:{s:s}}", "node/w", "key", other_key));
    assert_non_null(members_by_name(&self->master.members, "w"));
    revoked_name(other_key, revoked);
    world_change(self, json_pack("{s:{}}", revoked));
    assert_null(members_by_name(&self->master.members, "w"));
}

static void test_a_key_belongs_to_one_node(void **state)
{
    struct world *self = *state;
    world_change(self, json_pack("{s:{s:s}, s:{s:s}}", "node/b", "key", other_key, "node/a", "key",
                                 other_key));
    assert_string_equal(members_by_key(&self->master.members, other_key)->name, "a");
    assert_null(members_by_name(&self->master.members, "b"));
}

static void test_the_own_key_makes_no_member(void **state)
{
    struct world *self = *state;
    world_change(self, json_pack("{s:{s:s}}", "node/double", "key", self->master.keys.public_key));
    assert_null(members_by_name(&self->master.members, "double"));
}

static int64_t seconds_from_now(int seconds)
{
    return clock_wall_ms() / 1000 + seconds;
}

static void test_both_keys_are_good_for_a_time(void **state)
{
    struct world *self = *state;
    const char *before = self->worker.keys.public_key;
    begin_session(self);
    world_change(self,
                 json_pack("{s:{s:s, s:s, s:I}}", "node/worker-1", "key", other_key, "previous_key",
                           before, "previous_until", (json_int_t)seconds_from_now(60)));
    worker_publish(&self->worker, worker_add_mail(&self->worker, "<a@b>"), 1);
    wait_until(self, all_acknowledged); // the session under the key before went on
    assert_ptr_equal(members_by_key(&self->master.members, before),
                     members_by_key(&self->master.members, other_key));
    world_change(self,
                 json_pack("{s:{s:s, s:s, s:I}}", "node/worker-1", "key", other_key, "previous_key",
                           before, "previous_until", (json_int_t)seconds_from_now(-1)));
    assert_null(members_by_key(&self->master.members, before));
    membership_tick(&self->master);
    assert_string_equal(member(self)->route, other_key);
    self->worker.hellos = 0;
    spin_for(self->loop, 500); // cut, and let in no more
    assert_int_equal(self->worker.hellos, 0);
}

static void test_members_of_an_older_version_become_configuration(void **state)
{
    struct world *self = *state;
    char path[128], error[256], sql[512], revoked[CURVE_KEY_HEX + 9];
    static const char old_key[] = "0000000000000000000000000000000000000001";
    world_change(self, json_pack("{s:{s:s}}", "node/w", "site", "there"));
    master_close(&self->master);
    snprintf(path, sizeof(path), "%s/master/cluster.db", self->folder);
    sqlite3 *db = database_open(path, 1, "", error, sizeof(error));
    snprintf(sql, sizeof(sql),
             "CREATE TABLE members(name TEXT,key TEXT,role TEXT);"
             "CREATE TABLE revoked(key TEXT,name TEXT,revoked_ms INTEGER);"
             "INSERT INTO members VALUES('w','%s','worker');"
             "INSERT INTO revoked VALUES('%s',NULL,1)",
             other_key, old_key);
    assert_int_equal(database_execute(db, sql), 0);
    database_close(&db);
    for (int again = 0; again < 2; again++) {
        world_open_master(self);
        json_t *all = documents(self), *body = json_object_get(all, "node/w");
        assert_non_null(members_by_key(&self->master.members, other_key));
        assert_string_equal(json_string_value(json_object_get(body, "site")), "there");
        revoked_name(old_key, revoked);
        assert_non_null(json_object_get(all, revoked));
        json_decref(all);
        if (again == 0)
            master_close(&self->master);
    }
}

static int is_ready(void *context)
{
    return ((struct world *)context)->master.ready;
}

// A master with a peer lets workers wait until it knows what the peer knows.
static void test_workers_wait_until_the_peer_was_asked(void **state)
{
    struct world *self = *state;
    master_close(&self->master);
    self->conf.master_count = 1;
    struct master_address *peer = &self->conf.masters[0];
    snprintf(peer->name, sizeof(peer->name), "master-b");
    snprintf(peer->key, sizeof(peer->key), "%s", other_key);
    free_endpoint(peer->control);
    free_endpoint(peer->publish);
    free_endpoint(peer->events);
    world_open_master(self);
    assert_int_equal(members_by_key(&self->master.members, other_key)->role, ROLE_MASTER);
    assert_false(is_ready(self));
    worker_connect(&self->worker);
    spin_for(self->loop, 1000);
    assert_int_equal(self->worker.sessions, 0);
    enrol_ready(&self->master);
    await_session(self); // the one that waited gets in by itself
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, world_start, world_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_a_master_enters_itself),
        WORLD_TEST(test_a_document_makes_a_member_and_another_ends_it),
        WORLD_TEST(test_a_key_belongs_to_one_node),
        WORLD_TEST(test_the_own_key_makes_no_member),
        WORLD_TEST(test_both_keys_are_good_for_a_time),
        WORLD_TEST(test_members_of_an_older_version_become_configuration),
        WORLD_TEST(test_workers_wait_until_the_peer_was_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
