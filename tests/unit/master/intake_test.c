// SPDX-License-Identifier: Apache-2.0
#include "core/base/buffer.h"
#include "core/base/z85.h"
#include "master/store/store.h"
#include "tests/unit/master/world.h"

// How many rows the record has, in the list of messages and in that of events.
static void assert_rows(struct world *self, size_t messages, int64_t events)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/master/messages", self->folder);
    struct store_reader *reader = store_reader_open(path);
    struct store_query query = {.limit = 0};
    struct store_list *list = store_list_messages(reader, &query);
    struct buffer out;
    size_t lines = 0;
    buffer_init(&out);
    while (store_list_next(list, &out))
        continue;
    const char *bytes = buffer_bytes(&out);
    for (size_t i = 0; i < buffer_size(&out); i++)
        lines += bytes[i] == '\n';
    assert_int_equal(lines, messages);
    assert_int_equal(store_last_commit(reader), events);
    buffer_free(&out);
    store_list_close(&list);
    store_reader_close(&reader);
}

static void test_live_events_are_stored_and_acknowledged(void **state)
{
    struct world *self = *state;
    begin_session(self);
    for (int i = 0; i < 10; i++)
        worker_publish(&self->worker, worker_add_mail(&self->worker, "<a@b>"), 1);
    wait_until(self, all_acknowledged);
    assert_int_equal(self->worker.replays, 0);
    assert_int_equal(member(self)->tracker.live, 10);
    assert_string_equal(member_state(member(self), loop_now_ms(self->loop)), "up");
    assert_rows(self, 10, 10);
}

static void test_what_the_stream_dropped_comes_by_replay(void **state)
{
    struct world *self = *state;
    begin_session(self);
    for (int i = 0; i < 10; i++) {
        uint64_t sequence = worker_add_mail(&self->worker, "<a@b>");
        if (i < 2 || i > 4)
            worker_publish(&self->worker, sequence, 1);
    }
    wait_until(self, all_acknowledged);
    assert_int_equal(self->worker.replays, 1);
    assert_int_equal(member(self)->tracker.replayed, 3);
    assert_rows(self, 10, 10);
}

static void test_a_lost_tail_shows_by_the_heartbeat(void **state)
{
    struct world *self = *state;
    begin_session(self);
    for (int i = 0; i < 1000; i++)
        worker_add_mail(&self->worker, "<a@b>");
    worker_beat(&self->worker, "{}");
    wait_until(self, all_acknowledged);
    assert_int_equal(member(self)->tracker.replayed, 1000);
    assert_rows(self, 1000, 1000);
}

static void test_repeated_and_overlapping_frames_change_nothing(void **state)
{
    struct world *self = *state;
    begin_session(self);
    for (int i = 0; i < 20; i++)
        worker_add_mail(&self->worker, "<a@b>");
    worker_publish(&self->worker, 1, 10);
    worker_publish(&self->worker, 1, 10);
    worker_publish(&self->worker, 5, 10);
    worker_publish(&self->worker, 2, 3);
    worker_publish(&self->worker, 1, 20);
    wait_until(self, all_acknowledged);
    assert_rows(self, 20, 20);
}

static void test_a_master_away_for_a_while_learns_everything(void **state)
{
    struct world *self = *state;
    begin_session(self);
    worker_publish(&self->worker, worker_add_mail(&self->worker, "<a@b>"), 1);
    wait_until(self, all_acknowledged);
    master_close(&self->master);
    for (int i = 0; i < 300; i++)
        worker_publish(&self->worker, worker_add_mail(&self->worker, "<a@b>"), 1);
    world_open_master(self);
    assert_int_equal(member(self)->tracker.committed, 1);
    wait_until(self, all_acknowledged);
    assert_rows(self, 301, 301);
}

static void test_a_new_epoch_begins_anew_and_keeps_the_old_rows(void **state)
{
    struct world *self = *state;
    begin_session(self);
    worker_publish(&self->worker, worker_add_mail(&self->worker, "<a@b>"), 1);
    worker_publish(&self->worker, worker_add_mail(&self->worker, "<a@b>"), 1);
    wait_until(self, all_acknowledged);
    worker_new_epoch(&self->worker, 2);
    worker_add_mail(&self->worker, "<c@d>");
    worker_hello(&self->worker);
    wait_until(self, all_acknowledged);
    assert_int_equal(member(self)->tracker.epoch, 2);
    assert_rows(self, 3, 3);
}

static void test_a_cut_stream_goes_on_behind_the_cut(void **state)
{
    struct world *self = *state;
    begin_session(self);
    worker_publish(&self->worker, worker_add_mail(&self->worker, "<a@b>"), 1);
    wait_until(self, all_acknowledged);
    for (int i = 0; i < 9; i++)
        worker_add_mail(&self->worker, "<a@b>");
    self->worker.first_kept = 6;
    worker_beat(&self->worker, "{}");
    wait_until(self, all_acknowledged);
    assert_rows(self, 6, 6);
}

static uint64_t incarnation_before;

static int has_new_incarnation(void *context)
{
    const struct world *self = context;
    return self->worker.acknowledged_incarnation != incarnation_before;
}

static void test_a_master_put_back_to_an_older_state_takes_a_new_incarnation(void **state)
{
    struct world *self = *state;
    begin_session(self);
    worker_publish(&self->worker, worker_add_mail(&self->worker, "<a@b>"), 1);
    wait_until(self, all_acknowledged);
    worker_add_mail(&self->worker, "<a@b>");
    self->worker.acknowledged = 2; // by a master whose disk was put back since
    incarnation_before = self->worker.acknowledged_incarnation;
    worker_hello(&self->worker);
    wait_until(self, has_new_incarnation);
    wait_until(self, all_acknowledged);
    assert_rows(self, 2, 2);
}

static int refused_is_known(void *context)
{
    return member(context)->refused[0] != 0;
}

static int has_tree(void *context)
{
    const struct world *self = context;
    return self->worker.tree[0] != 0;
}

static void test_the_configuration_is_announced_and_handed_out(void **state)
{
    struct world *self = *state;
    begin_session(self);
    assert_string_equal(self->worker.revision, self->master.revision);
    assert_int_equal(world_change(self, json_pack("{s:{s:i}}", "stages", "analyzer", 3)), 200);
    Postern__ConfigRequest request = POSTERN__CONFIG_REQUEST__INIT;
    assert_int_equal(
        control_send(self->worker.control, NULL, CONTROL_CONFIG_REQUEST, &request.base), 0);
    wait_until(self, has_tree);
    assert_non_null(strstr(self->worker.tree, "\"stages\":{\"analyzer\":3}"));
    assert_true(json_equal(config_documents(self->worker.config),
                           json_object_get(self->master.tree, "documents")));
    assert_string_equal(self->worker.revision, self->master.revision);
    Postern__ConfigReport report = POSTERN__CONFIG_REPORT__INIT;
    report.revision = world_bytes(self->master.revision);
    report.refused = 1;
    report.reason = world_bytes("stages.analyzer: \x01 too many");
    assert_int_equal(control_send(self->worker.control, NULL, CONTROL_CONFIG_REPORT, &report.base),
                     0);
    wait_until(self, refused_is_known);
    assert_string_equal(member(self)->reason, "stages.analyzer: ? too many");
}

// Whatever an enrolled node sends, the master goes on.
static void test_malformed_messages_are_ignored(void **state)
{
    struct world *self = *state;
    begin_session(self);
    for (int type = 0; type < 64; type++) {
        static const uint8_t bad[] = {0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x7f};
        intake_control(&self->master, "nobody's key", (enum control_type)type, bad, 0);
        for (size_t size = 0; size <= sizeof(bad); size++) {
            intake_control(&self->master, self->worker.keys.public_key, (enum control_type)type,
                           bad, size);
            intake_event(&self->master, self->worker.keys.public_key, (enum control_type)type, bad,
                         size);
        }
    }
    worker_new_epoch(&self->worker, 7);
    ProtobufCBinaryData junk = {3, (uint8_t *)"\xff\xff\xff"};
    worker_hello(&self->worker);
    spin_for(self->loop, 50);
    worker_add_mail(&self->worker, "<a@b>");
    free(self->worker.events[0].data);
    self->worker.events[0].len = junk.len;
    self->worker.events[0].data = (uint8_t *)duplicate_bytes(junk.data, junk.len);
    worker_add_mail(&self->worker, "<c@d>");
    worker_publish(&self->worker, 1, 2);
    wait_until(self, all_acknowledged);
    assert_rows(self, 1, 1);
}

// Everything that a master hears is said by workers; the others' words change nothing.
static void test_only_workers_are_heard(void **state)
{
    static const char key[] = "DkZ?&oehuM)OX!:5xQ2:8G/J?+0&)}]7uYKm3WlE";
    static const enum role roles[] = {ROLE_MONITOR, ROLE_MASTER};
    struct world *self = *state;
    Postern__Publication frame = POSTERN__PUBLICATION__INIT;
    Postern__NodeHello hello = POSTERN__NODE_HELLO__INIT;
    uint8_t packed[4096], packed_hello[64];
    worker_add_mail(&self->worker, "<a@b>");
    frame.epoch = hello.epoch = 1;
    frame.first = hello.first_kept = hello.last = 1;
    frame.events = self->worker.events;
    frame.n_events = 1;
    size_t size = postern__publication__pack(&frame, packed);
    size_t hello_size = postern__node_hello__pack(&hello, packed_hello);
    for (size_t i = 0; i < ARRAY_LENGTH(roles); i++) {
        struct member *stranger =
            members_add(&self->master.members, role_name(roles[i]), key, roles[i]);
        intake_control(&self->master, key, CONTROL_NODE_HELLO, packed_hello, hello_size);
        intake_control(&self->master, key, CONTROL_REPLAYED, packed, size);
        intake_event(&self->master, key, CONTROL_PUBLICATION, packed, size);
        assert_true(stranger->heard_ms == 0 && stranger->tracker.epoch == 0);
        members_remove(&self->master.members, stranger);
    }
    spin_for(self->loop, 300);
    assert_rows(self, 0, 0);
}

static void test_a_revoked_worker_is_cut_off(void **state)
{
    struct world *self = *state;
    begin_session(self);
    char revoked[sizeof("revoked/") + CURVE_KEY_HEX] = "revoked/";
    assert_int_equal(z85_to_hex(self->worker.keys.public_key, revoked + strlen(revoked)), 0);
    assert_int_equal(world_change(self, json_pack("{s:{}}", revoked)), 200);
    assert_null(member(self));
    assert_int_equal(world_change(self, json_pack("{s:n}", revoked)), 422); // it is for good
    worker_add_mail(&self->worker, "<a@b>");
    for (int i = 0; i < 10; i++) {
        worker_publish(&self->worker, 1, 1);
        spin_for(self->loop, 50);
    }
    assert_rows(self, 0, 0);
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, world_start, world_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_live_events_are_stored_and_acknowledged),
        WORLD_TEST(test_what_the_stream_dropped_comes_by_replay),
        WORLD_TEST(test_a_lost_tail_shows_by_the_heartbeat),
        WORLD_TEST(test_repeated_and_overlapping_frames_change_nothing),
        WORLD_TEST(test_a_master_away_for_a_while_learns_everything),
        WORLD_TEST(test_a_new_epoch_begins_anew_and_keeps_the_old_rows),
        WORLD_TEST(test_a_cut_stream_goes_on_behind_the_cut),
        WORLD_TEST(test_a_master_put_back_to_an_older_state_takes_a_new_incarnation),
        WORLD_TEST(test_the_configuration_is_announced_and_handed_out),
        WORLD_TEST(test_malformed_messages_are_ignored),
        WORLD_TEST(test_only_workers_are_heard),
        WORLD_TEST(test_a_revoked_worker_is_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
