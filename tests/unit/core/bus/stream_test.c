// SPDX-License-Identifier: Apache-2.0
#include "core/bus/control.h"
#include "core/bus/keys.h"
#include "core/bus/socket.h"
#include "core/bus/zap.h"
#include "proto/control.pb-c.h"
#include "tests/unit/core/bus/spin.h"

#include <zmq.h>

enum { WAIT_MS = 12000, QUIET_MS = 300 };

struct world {
    struct loop *loop;
    struct zap *zap;
    char endpoint[64];
    struct curve_keys master, worker;
    struct stream *publisher, *subscriber;
    int received;
    char last_key[41];
};

static const char *const topics[] = {"result.", "node.", NULL};

static void on_message(void *context, const char *key, enum control_type type, const uint8_t *data,
                       size_t size)
{
    struct world *world = context;
    (void)data;
    (void)size;
    assert_int_equal(type, CONTROL_HEARTBEAT);
    world->received++;
    snprintf(world->last_key, sizeof(world->last_key), "%s", key);
}

static void say(struct world *world, const char *topic)
{
    Postern__Ack message = POSTERN__ACK__INIT;
    message.upto = 7;
    stream_send(world->publisher, topic, CONTROL_HEARTBEAT, &message.base);
}

static int set_up(void **state)
{
    struct world *world = allocate(sizeof(*world));
    world->loop = loop_new();
    free_endpoint(world->endpoint);
    zmq_curve_keypair(world->master.public_key, world->master.secret_key);
    zmq_curve_keypair(world->worker.public_key, world->worker.secret_key);
    world->zap = zap_new(world->loop);
    zap_ready(world->zap);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    stream_destroy(&world->publisher);
    stream_destroy(&world->subscriber);
    zap_destroy(&world->zap);
    socket_context_end();
    loop_destroy(&world->loop);
    free(world);
    return 0;
}

static void publish_upwards(struct world *world)
{
    world->subscriber = stream_subscribe(world->loop, 1, world->endpoint, &world->master, NULL,
                                         topics, on_message, world);
    world->publisher =
        stream_publish(world->loop, 0, world->endpoint, &world->worker, world->master.public_key);
    assert_true(world->subscriber && world->publisher);
}

static int arrives(void *context)
{
    struct world *world = context;
    say(world, "node.n1"); // what is sent before the subscription came is lost
    return world->received > 0;
}

static void test_events_go_up_with_the_workers_key(void **state)
{
    struct world *world = *state;
    zap_allow(world->zap, ZAP_EVENTS, world->worker.public_key);
    publish_upwards(world);
    assert_true(spin_until(world->loop, arrives, world, WAIT_MS));
    assert_string_equal(world->last_key, world->worker.public_key);
    spin_for(world->loop, QUIET_MS);
    world->received = 0;
    say(world, "quarantine.n1"); // not subscribed
    say(world, "result.n1");
    spin_for(world->loop, QUIET_MS);
    assert_int_equal(world->received, 1);
}

static void test_configuration_goes_down(void **state)
{
    struct world *world = *state;
    zap_allow(world->zap, ZAP_CONFIG, world->worker.public_key);
    world->publisher = stream_publish(world->loop, 1, world->endpoint, &world->master, NULL);
    world->subscriber = stream_subscribe(world->loop, 0, world->endpoint, &world->worker,
                                         world->master.public_key, topics, on_message, world);
    assert_true(spin_until(world->loop, arrives, world, WAIT_MS));
    assert_string_equal(world->last_key, world->master.public_key);
}

static void test_unknown_publisher_is_not_heard_until_allowed(void **state)
{
    struct world *world = *state;
    zap_allow(world->zap, ZAP_CONTROL, world->worker.public_key); // another domain
    publish_upwards(world);
    assert_false(spin_until(world->loop, arrives, world, 500));
    zap_allow(world->zap, ZAP_EVENTS, world->worker.public_key);
    assert_true(spin_until(world->loop, arrives, world, WAIT_MS));
}

static void test_revoked_publisher_is_cut_by_rebind(void **state)
{
    struct world *world = *state;
    zap_allow(world->zap, ZAP_EVENTS, world->worker.public_key);
    publish_upwards(world);
    assert_true(spin_until(world->loop, arrives, world, WAIT_MS));
    zap_revoke(world->zap, world->worker.public_key);
    assert_int_equal(stream_rebind(world->subscriber), 0);
    spin_for(world->loop, QUIET_MS);
    world->received = 0;
    assert_false(spin_until(world->loop, arrives, world, 3000));
    assert_int_equal(stream_rebind(world->publisher), -1);
}

static void test_rebind_lets_the_others_come_back(void **state)
{
    struct world *world = *state;
    zap_allow(world->zap, ZAP_EVENTS, world->worker.public_key);
    publish_upwards(world);
    assert_true(spin_until(world->loop, arrives, world, WAIT_MS));
    assert_int_equal(stream_rebind(world->subscriber), 0);
    world->received = 0;
    assert_true(spin_until(world->loop, arrives, world, WAIT_MS));
}

#define STREAM_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STREAM_TEST(test_events_go_up_with_the_workers_key),
        STREAM_TEST(test_configuration_goes_down),
        STREAM_TEST(test_unknown_publisher_is_not_heard_until_allowed),
        STREAM_TEST(test_revoked_publisher_is_cut_by_rebind),
        STREAM_TEST(test_rebind_lets_the_others_come_back),
    };
    alarm(100); // a socket left open by a failed test would hold the end up for ever
    return cmocka_run_group_tests(tests, NULL, NULL);
}
