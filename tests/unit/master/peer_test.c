// SPDX-License-Identifier: Apache-2.0
#include "core/base/metrics.h"
#include "core/bus/zap.h"
#include "master/peer.h"
#include "proto/peer.pb-c.h"
#include "tests/unit/master/world.h"

// The other master, as far as the link shows it: a ROUTER on the same loop.
struct other {
    struct world *world;
    struct curve_keys keys;
    struct control *control;
    int silent;
};

static void hear(void *context, const char *key, enum control_type type, const uint8_t *data,
                 size_t size)
{
    struct other *self = context;
    Postern__PeerHello hello = POSTERN__PEER_HELLO__INIT;
    Postern__PeerPosition known = POSTERN__PEER_POSITION__INIT, strange = known;
    Postern__PeerPosition *positions[] = {&known, &strange};
    if (type != CONTROL_PEER_HELLO)
        return; // a comparison
    Postern__PeerHello *said = postern__peer_hello__unpack(NULL, size, data);
    assert_memory_equal(said->name.data, "master-a", said->name.len);
    assert_true(said->incarnation == self->world->master.incarnation);
    postern__peer_hello__free_unpacked(said, NULL);
    known.node = world_bytes("worker-1");
    known.epoch = 1;
    known.watermark = 5;
    strange.node = world_bytes("worker-2");
    strange.epoch = 9;
    strange.watermark = 3;
    hello.version = world_bytes("0.2.0");
    hello.positions = positions;
    hello.n_positions = ARRAY_LENGTH(positions);
    if (!self->silent)
        assert_int_equal(control_send(self->control, key, type, &hello.base), 0);
}

static void meet(struct other *self, struct world *world)
{
    struct nodeconf *conf = &world->conf;
    struct master *master = &world->master;
    self->world = world;
    zmq_curve_keypair(self->keys.public_key, self->keys.secret_key);
    conf->master_count = 1;
    snprintf(conf->masters[0].name, sizeof(conf->masters[0].name), "master-b");
    free_endpoint(conf->masters[0].control);
    memcpy(conf->masters[0].key, self->keys.public_key, sizeof(conf->masters[0].key));
    zap_allow(master->zap, ZAP_CONTROL, master->keys.public_key);
    self->control = control_serve(world->loop, conf->masters[0].control, &self->keys, hear, self);
    assert_non_null(self->control);
    peer_follow(master->peer, &conf->masters[0]);
}

static int connected(void *context)
{
    const struct world *self = context;
    return peer_connected(self->master.peer);
}

static int away(void *context)
{
    return !connected(context);
}

static int lags_by_six(void *context)
{
    const struct world *self = context;
    return peer_lag(self->master.peer) == 6;
}

static void test_the_link_shows_whether_the_peer_answers(void **state)
{
    struct world *self = *state;
    struct other other = {0};
    assert_false(peer_known(self->master.peer));
    meet(&other, self);
    assert_true(peer_known(self->master.peer));
    wait_until(self, connected);
    json_t *status = peer_status(self->master.peer);
    assert_true(json_is_true(json_object_get(status, "connected")));
    assert_string_equal(json_string_value(json_object_get(status, "name")), "master-b");
    assert_string_equal(json_string_value(json_object_get(status, "version")), "0.2.0");
    json_decref(status);
    other.silent = 1;
    wait_until(self, away);
    control_destroy(&other.control);
}

static void test_the_lag_is_what_the_peer_has_and_we_lack(void **state)
{
    struct world *self = *state;
    struct other other = {0};
    worker_add_mail(&self->worker, "<a@b>");
    worker_add_mail(&self->worker, "<c@d>");
    begin_session(self);
    wait_until(self, all_acknowledged);
    meet(&other, self);
    wait_until(self, lags_by_six); // 3 to 5 of the worker, and 3 of one that is not known here
    control_destroy(&other.control);
}

// Workers ask nothing of this, masters say nothing that is a worker's, and strangers nothing at
// all.
static void test_only_a_master_may_ask(void **state)
{
    static const char key[] = "DkZ?&oehuM)OX!:5xQ2:8G/J?+0&)}]7uYKm3WlE";
    struct world *self = *state;
    Postern__PeerHello hello = POSTERN__PEER_HELLO__INIT;
    uint8_t packed[64];
    size_t size = postern__peer_hello__pack(&hello, packed);
    int64_t refused = metric_value(metric("messages_refused_total", ""));
    struct member *other = members_add(&self->master.members, "master-b", key, ROLE_MASTER);
    intake_control(&self->master, key, CONTROL_PEER_HELLO, packed, size);
    assert_true(other->heard_ms != 0);
    assert_int_equal(metric_value(metric("messages_refused_total", "")), refused);
    intake_control(&self->master, key, CONTROL_CONFIG_REPORT, packed, size);
    intake_control(&self->master, self->worker.keys.public_key, CONTROL_PEER_HELLO, packed, size);
    intake_control(&self->master, "nobody", CONTROL_PEER_HELLO, packed, size);
    intake_event(&self->master, key, CONTROL_HEARTBEAT, packed, size);
    assert_int_equal(metric_value(metric("messages_refused_total", "")), refused + 4);
    memset(packed, 0xff, sizeof(packed));
    intake_control(&self->master, key, CONTROL_PEER_HELLO, packed, sizeof(packed)); // no message
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_link_shows_whether_the_peer_answers, world_start,
                                        world_stop),
        cmocka_unit_test_setup_teardown(test_the_lag_is_what_the_peer_has_and_we_lack, world_start,
                                        world_stop),
        cmocka_unit_test_setup_teardown(test_only_a_master_may_ask, world_start, world_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
