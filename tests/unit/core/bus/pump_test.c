// SPDX-License-Identifier: Apache-2.0
#include "core/bus/pump.h"
#include "core/bus/socket.h"
#include "tests/unit/core/bus/spin.h"

enum { MANY = 5000, WAIT_MS = 5000 };

struct world {
    struct loop *loop;
    void *from, *to;
    struct pump *pump;
    int received, seen_by_timer;
    int destroy_at; // in the callback for this message
};

static void on_message(void *context, zmq_msg_t *parts, size_t count)
{
    struct world *world = context;
    (void)parts;
    assert_true(count <= PUMP_PARTS);
    world->received++;
    if (world->received == world->destroy_at)
        pump_destroy(&world->pump);
}

// A pair, whose two sides both send and receive, within the process: no connection to wait for.
static int set_up(void **state)
{
    struct world *world = allocate(sizeof(*world));
    struct socket_options options = {.kind = SOCKET_MONITOR,
                                     .endpoint = "inproc://pump",
                                     .message_most = 1000,
                                     .high_water = MANY};
    world->loop = loop_new();
    options.bind = 1;
    world->to = make_socket(&options);
    assert_int_equal(attach_socket(world->to, &options), 0);
    options.bind = 0;
    world->from = make_socket(&options);
    assert_int_equal(attach_socket(world->from, &options), 0);
    world->pump = pump_new(world->loop, world->to, on_message, NULL, world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    pump_destroy(&world->pump);
    close_socket(&world->from);
    close_socket(&world->to);
    socket_context_end();
    loop_destroy(&world->loop);
    free(world);
    return 0;
}

static void send_many(struct world *world, int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(zmq_send(world->from, "x", 1, ZMQ_DONTWAIT), 1);
}

static int has_many(void *context)
{
    return ((struct world *)context)->received >= MANY;
}

static void on_timer(void *context)
{
    struct world *world = context;
    world->seen_by_timer = world->received;
}

static void test_all_arrive_and_others_get_their_turn(void **state)
{
    struct world *world = *state;
    struct timer *timer = timer_new(world->loop, on_timer, world);
    send_many(world, MANY);
    timer_start(timer, 0);
    assert_true(spin_until(world->loop, has_many, world, WAIT_MS));
    assert_in_range(world->seen_by_timer, 0, MANY / 10);
    timer_destroy(&timer);
}

static int has_one(void *context)
{
    return ((struct world *)context)->received == 1;
}

// A send on the receiving side takes in the news of the message that waits: its descriptor stays
// silent.
static void test_message_hidden_by_a_send_is_found(void **state)
{
    struct world *world = *state;
    spin_for(world->loop, 20);
    send_many(world, 1);
    pump_writable(world->to);
    zmq_send(world->to, "y", 1, ZMQ_DONTWAIT);
    pump_sent(world->pump);
    assert_true(spin_until(world->loop, has_one, world, WAIT_MS));
}

static void test_pump_destroyed_by_its_own_callback(void **state)
{
    struct world *world = *state;
    world->destroy_at = 3;
    send_many(world, 10);
    spin_for(world->loop, 20);
    assert_int_equal(world->received, 3);
}

static void test_message_of_too_many_parts_is_dropped(void **state)
{
    struct world *world = *state;
    for (int parts = PUMP_PARTS - 1; parts <= PUMP_PARTS + 2; parts++)
        for (int i = 1; i <= parts; i++)
            assert_int_equal(
                zmq_send(world->from, "x", 1, ZMQ_DONTWAIT | (i < parts ? ZMQ_SNDMORE : 0)), 1);
    spin_for(world->loop, 20);
    assert_int_equal(world->received, 2);
}

#define PUMP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PUMP_TEST(test_all_arrive_and_others_get_their_turn),
        PUMP_TEST(test_message_hidden_by_a_send_is_found),
        PUMP_TEST(test_pump_destroyed_by_its_own_callback),
        PUMP_TEST(test_message_of_too_many_parts_is_dropped),
    };
    alarm(100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
