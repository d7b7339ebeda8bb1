// SPDX-License-Identifier: Apache-2.0
#include "core/base/buffer.h"
#include "core/bus/bus.h"
#include "core/bus/frame.h"
#include "core/bus/socket.h"
#include "proto/job.pb-c.h"
#include "tests/unit/core/bus/spin.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <zmq.h>

enum { WAIT_MS = 5000, QUIET_MS = 150 };

struct process {
    struct bus *bus;
    int received;
    int ordered; // rounds came as 0, 1, 2, ...
    uint32_t last_round;
    int appeared, vanished;
    int present[SLOT_MOST];
};

struct world {
    struct loop *loop;
    char run[64];
    struct process ingress, analyzer;
    int to_say;
};

static void on_receive(void *context, enum bus_type type, const uint8_t *data, size_t size)
{
    struct process *self = context;
    assert_int_equal(type, BUS_HELLO);
    Postern__Holding *message = postern__holding__unpack(NULL, size, data);
    assert_non_null(message);
    self->ordered = self->ordered && message->attempt == (uint32_t)self->received;
    self->last_round = message->attempt;
    self->received++;
    postern__holding__free_unpacked(message, NULL);
}

static void on_peer(void *context, enum stage stage, unsigned slot, int present)
{
    (void)stage;
    struct process *self = context;
    *(present ? &self->appeared : &self->vanished) += 1;
    self->present[slot] = present;
}

static int say(struct process *from, enum stage stage, unsigned slot, uint32_t round)
{
    uint8_t id[200] = "some id";
    Postern__Holding message = POSTERN__HOLDING__INIT;
    message.id = (ProtobufCBinaryData){sizeof(id), id};
    message.attempt = round;
    return bus_send(from->bus, stage, slot, BUS_HELLO, &message.base);
}

static void start(struct world *world, struct process *process, enum stage stage)
{
    process->received = 0;
    process->ordered = 1;
    process->bus = bus_new(world->loop, world->run, stage, 0, on_receive, process);
    assert_non_null(process->bus);
}

static int set_up(void **state)
{
    struct world *world = allocate(sizeof(*world));
    make_folder(world->run);
    world->loop = loop_new();
    start(world, &world->ingress, STAGE_INGRESS);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    bus_destroy(&world->ingress.bus);
    bus_destroy(&world->analyzer.bus);
    socket_context_end();
    loop_destroy(&world->loop);
    remove_folder(world->run);
    free(world);
    return 0;
}

static int is_positive(void *context)
{
    return *(int *)context > 0;
}

static int is_zero(void *context)
{
    return *(int *)context == 0;
}

static void wait_positive(struct world *world, int *value)
{
    assert_true(spin_until(world->loop, is_positive, value, WAIT_MS));
}

// Both are there and see each other.
static void start_both(struct world *world)
{
    start(world, &world->analyzer, STAGE_ANALYZER);
    assert_int_equal(bus_watch(world->ingress.bus, STAGE_ANALYZER, on_peer), 0);
    assert_int_equal(bus_watch(world->analyzer.bus, STAGE_INGRESS, on_peer), 0);
    wait_positive(world, &world->ingress.present[0]);
    wait_positive(world, &world->analyzer.present[0]);
}

static void *raw_socket(struct world *world, enum socket_kind kind, unsigned slot)
{
    char endpoint[128];
    const char *stage = kind == SOCKET_PIPE_IN ? "analyzer" : "ingress";
    snprintf(endpoint, sizeof(endpoint), "ipc://%s/%s/%u", world->run, stage, slot);
    struct socket_options options = {.kind = kind,
                                     .bind = kind == SOCKET_PIPE_IN,
                                     .endpoint = endpoint,
                                     .message_most = 8 << 20,
                                     .high_water = 1000};
    void *made = make_socket(&options);
    assert_non_null(made);
    assert_int_equal(attach_socket(made, &options), 0);
    return made;
}

static int hundred_came(void *context)
{
    return ((struct process *)context)->received == 100;
}

static void test_records_arrive_in_order_both_ways(void **state)
{
    struct world *world = *state;
    start_both(world);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(say(&world->ingress, STAGE_ANALYZER, 0, i), 0);
        assert_int_equal(say(&world->analyzer, STAGE_INGRESS, 0, i), 0);
    }
    assert_true(spin_until(world->loop, hundred_came, &world->analyzer, WAIT_MS));
    assert_true(spin_until(world->loop, hundred_came, &world->ingress, WAIT_MS));
    assert_true(world->analyzer.ordered && world->ingress.ordered);
}

static void test_one_turn_is_one_frame(void **state)
{
    struct world *world = *state;
    char folder[128];
    snprintf(folder, sizeof(folder), "%s/analyzer", world->run);
    assert_int_equal(mkdir(folder, 0750), 0);
    void *pull = raw_socket(world, SOCKET_PIPE_IN, 0);
    assert_int_equal(bus_watch(world->ingress.bus, STAGE_ANALYZER, on_peer), 0);
    wait_positive(world, &world->ingress.present[0]);
    for (uint32_t i = 0; i < 50; i++)
        assert_int_equal(say(&world->ingress, STAGE_ANALYZER, 0, i), 0);
    spin_for(world->loop, QUIET_MS);
    char bytes[4096];
    assert_true(zmq_recv(pull, bytes, sizeof(bytes), ZMQ_DONTWAIT) > 50 * 200);
    assert_int_equal(zmq_recv(pull, bytes, sizeof(bytes), ZMQ_DONTWAIT), -1);
    close_socket(&pull);
}

static void test_absent_peer_is_eagain(void **state)
{
    struct world *world = *state;
    assert_int_equal(bus_watch(world->ingress.bus, STAGE_ANALYZER, on_peer),
                     0); // no such folder yet
    assert_int_equal(say(&world->ingress, STAGE_ANALYZER, 0, 0), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(say(&world->ingress, STAGE_ANALYZER, SLOT_MOST, 0), -1);
    assert_false(bus_present(world->ingress.bus, STAGE_ANALYZER, 0));
    start(world, &world->analyzer, STAGE_ANALYZER); // makes the folder
    wait_positive(world, &world->ingress.present[0]);
    assert_int_equal(say(&world->ingress, STAGE_ANALYZER, 0, 0), 0);
    wait_positive(world, &world->analyzer.received);
}

static void test_name_of_a_killed_process_is_not_present(void **state)
{
    struct world *world = *state;
    start(world, &world->analyzer, STAGE_ANALYZER);
    void *pull = raw_socket(world, SOCKET_PIPE_IN, 5);
    close_socket(&pull); // the name stays, as after a SIGKILL
    assert_int_equal(bus_watch(world->ingress.bus, STAGE_ANALYZER, on_peer), 0);
    wait_positive(world, &world->ingress.present[0]);
    spin_for(world->loop, QUIET_MS);
    assert_false(bus_present(world->ingress.bus, STAGE_ANALYZER, 5));
    assert_int_equal(say(&world->ingress, STAGE_ANALYZER, 5, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

static void test_restarted_peer_is_found_again(void **state)
{
    struct world *world = *state;
    start_both(world);
    for (int i = 0; i < 3; i++) {
        bus_destroy(&world->analyzer.bus);
        assert_true(spin_until(world->loop, is_zero, &world->ingress.present[0], WAIT_MS));
        assert_int_equal(say(&world->ingress, STAGE_ANALYZER, 0, 0), -1);
        start(world, &world->analyzer, STAGE_ANALYZER);
        wait_positive(world, &world->ingress.present[0]);
        assert_int_equal(say(&world->ingress, STAGE_ANALYZER, 0, 0), 0);
        wait_positive(world, &world->analyzer.received);
    }
}

// Sends until no more is taken. Returns how many were.
static uint32_t fill(struct process *from)
{
    uint32_t count = 0;
    while (say(from, STAGE_ANALYZER, 0, count) == 0)
        count++;
    assert_int_equal(errno, EAGAIN);
    return count;
}

static void test_peer_that_came_without_descriptors_is_found_later(void **state)
{
    struct world *world = *state;
    char folder[80];
    snprintf(folder, sizeof(folder), "%s/analyzer", world->run);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(bus_watch(world->ingress.bus, STAGE_ANALYZER, on_peer), 0);
    start(world, &world->analyzer, STAGE_ANALYZER);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    spin_for(world->loop, QUIET_MS);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(world->ingress.appeared, 0);
    wait_positive(world, &world->ingress.present[0]);
    assert_int_equal(say(&world->ingress, STAGE_ANALYZER, 0, 0), 0);
    wait_positive(world, &world->analyzer.received);
}

static void test_new_incarnation_gets_nothing_meant_for_the_old(void **state)
{
    struct world *world = *state;
    char folder[128];
    snprintf(folder, sizeof(folder), "%s/analyzer", world->run);
    assert_int_equal(mkdir(folder, 0750), 0);
    void *stalled = raw_socket(world, SOCKET_PIPE_IN, 0); // takes nothing, as a stopped process
    assert_int_equal(bus_watch(world->ingress.bus, STAGE_ANALYZER, on_peer), 0);
    wait_positive(world, &world->ingress.present[0]);
    for (int i = 0; i < 20; i++) {
        assert_true(fill(&world->ingress) > 0 || i > 0);
        spin_for(world->loop, 5);
    }
    close_socket(&stalled);
    start(world, &world->analyzer, STAGE_ANALYZER);
    int before = world->ingress.appeared;
    while (world->ingress.appeared == before)
        spin_for(world->loop, 5);
    assert_true(world->ingress.vanished > 0);
    spin_for(world->loop, QUIET_MS);
    assert_int_equal(world->analyzer.received, 0);
    assert_int_equal(say(&world->ingress, STAGE_ANALYZER, 0, 77), 0);
    wait_positive(world, &world->analyzer.received);
    assert_int_equal(world->analyzer.last_round, 77);
}

static int all_came(void *context)
{
    struct process **pair = context;
    return (uint32_t)pair[0]->received == pair[1]->last_round;
}

static void test_full_pipe_keeps_what_it_took(void **state)
{
    struct world *world = *state;
    start_both(world);
    uint32_t taken = fill(&world->ingress); // within one turn: the analyzer reads nothing meanwhile
    assert_true(taken > 10000);
    struct process target = {.last_round = taken};
    struct process *pair[] = {&world->analyzer, &target};
    assert_true(spin_until(world->loop, all_came, pair, WAIT_MS));
    assert_true(world->analyzer.ordered);
    assert_int_equal(say(&world->ingress, STAGE_ANALYZER, 0, taken), 0); // room again
}

static void test_adopted_slot_is_received_for(void **state)
{
    struct world *world = *state;
    start_both(world);
    assert_int_equal(bus_bind(world->analyzer.bus, 3), 0);
    assert_int_equal(bus_bind(world->analyzer.bus, 3), -1);
    assert_int_equal(errno, EEXIST);
    wait_positive(world, &world->ingress.present[3]);
    assert_int_equal(say(&world->ingress, STAGE_ANALYZER, 3, 0), 0);
    wait_positive(world, &world->analyzer.received);
    bus_unbind(world->analyzer.bus, 3);
    assert_true(spin_until(world->loop, is_zero, &world->ingress.present[3], WAIT_MS));
    assert_int_equal(bus_bind(world->analyzer.bus, 3), 0);
    wait_positive(world, &world->ingress.present[3]);
    spin_for(world->loop, QUIET_MS); // a late unlink by the socket closed before would show now
    assert_true(bus_present(world->ingress.bus, STAGE_ANALYZER, 3));
    assert_true(bus_present(world->ingress.bus, STAGE_ANALYZER, 0));
}

static void test_too_large_a_record_is_refused(void **state)
{
    struct world *world = *state;
    start_both(world);
    uint8_t *bytes = allocate(FRAME_MOST);
    Postern__OutcomeAck message = POSTERN__OUTCOME_ACK__INIT;
    message.id = (ProtobufCBinaryData){FRAME_MOST, bytes};
    assert_int_equal(
        bus_send(world->ingress.bus, STAGE_ANALYZER, 0, BUS_OUTCOME_ACK, &message.base), -1);
    assert_int_equal(errno, EMSGSIZE);
    free(bytes);
}

static void send_raw(struct world *world, void *push, const void *bytes, size_t size)
{
    for (int i = 0; i < 100 && zmq_send(push, bytes, size, ZMQ_DONTWAIT) < 0; i++)
        spin_for(world->loop, 10);
}

static void test_hostile_frames_do_no_harm(void **state)
{
    struct world *world = *state;
    start_both(world);
    void *push = raw_socket(world, SOCKET_PIPE_OUT, 0);
    uint8_t *large = allocate(FRAME_MOST + 1);
    send_raw(world, push, "\xff\x00\x00\x00", 4); // a type of a newer version
    send_raw(world, push,
             "\x01\xff\xff\xff"
             "abc",
             7); // longer than the frame
    send_raw(world, push, "", 0);
    zmq_send(push, "\x01\x00\x00\x00", 4, ZMQ_SNDMORE | ZMQ_DONTWAIT); // two parts
    send_raw(world, push, "\x01\x00\x00\x00", 4);
    spin_for(world->loop, QUIET_MS);
    assert_int_equal(world->ingress.received, 0);
    large[0] = BUS_HELLO; // an empty Hello, then many more, in a message over the limit
    send_raw(world, push, large, FRAME_MOST + 1);
    spin_for(world->loop, QUIET_MS);
    assert_int_equal(world->ingress.received, 0);
    assert_int_equal(say(&world->analyzer, STAGE_INGRESS, 0, 0), 0);
    wait_positive(world, &world->ingress.received);
    free(large);
    close_socket(&push);
}

static void test_other_names_in_the_folder_are_no_peers(void **state)
{
    struct world *world = *state;
    start_both(world);
    static const char *const names[] = {"01", "64", "1x", "-1", "0.fd", ".2", "4294967297", " 3"};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/analyzer/%s", world->run, names[i]);
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fclose(file);
    }
    spin_for(world->loop, QUIET_MS);
    assert_int_equal(world->ingress.appeared, 1);
    assert_int_equal(world->ingress.vanished, 0);
}

static void test_folder_removed_and_made_again(void **state)
{
    struct world *world = *state;
    start_both(world);
    bus_destroy(&world->analyzer.bus);
    char folder[128];
    snprintf(folder, sizeof(folder), "%s/analyzer", world->run);
    assert_int_equal(rmdir(folder), 0);
    assert_true(spin_until(world->loop, is_zero, &world->ingress.present[0], WAIT_MS));
    start(world, &world->analyzer, STAGE_ANALYZER);
    wait_positive(world, &world->ingress.present[0]);
}

static void test_long_path_is_refused(void **state)
{
    struct world *world = *state;
    char run[192];
    snprintf(run, sizeof(run), "%s/%080d", world->run, 0);
    assert_null(bus_new(world->loop, run, STAGE_DELIVERY, 0, on_receive, world));
    assert_int_equal(errno, ENAMETOOLONG);
}

static void say_when_told(void *context)
{
    struct world *world = context;
    if (world->to_say && say(&world->ingress, STAGE_ANALYZER, 0, 0) == 0)
        world->to_say = 0;
}

static void stop_at_receive(void *context, enum bus_type type, const uint8_t *data, size_t size)
{
    struct world *world = context;
    on_receive(&world->analyzer, type, data, size);
    loop_stop(world->loop);
}

static void give_up(void *context)
{
    loop_stop(context);
}

// The order of hooks is not ours: what one sends after the bus's own has run must not wait for the
// next event.
static void test_record_sent_by_any_hook_leaves_at_once(void **state)
{
    struct world *world = *state;
    bus_destroy(&world->ingress.bus);
    struct hook *hook = hook_new(world->loop, say_when_told, world);
    start(world, &world->ingress, STAGE_INGRESS);
    world->analyzer.ordered = 1;
    world->analyzer.bus =
        bus_new(world->loop, world->run, STAGE_ANALYZER, 0, stop_at_receive, world);
    assert_int_equal(bus_watch(world->ingress.bus, STAGE_ANALYZER, on_peer), 0);
    wait_positive(world, &world->ingress.present[0]);
    struct timer *limit = timer_new(world->loop, give_up, world->loop);
    for (int i = 1; i <= 2; i++) { // with a hook older than the bus's, then with a younger one
        world->to_say = 1;
        timer_start(limit, WAIT_MS);
        loop_run(world->loop);
        assert_int_equal(world->analyzer.received, i);
        hook_destroy(&hook);
        hook = hook_new(world->loop, say_when_told, world);
    }
    timer_destroy(&limit);
    hook_destroy(&hook);
}

#define BUS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(test_records_arrive_in_order_both_ways),
        BUS_TEST(test_one_turn_is_one_frame),
        BUS_TEST(test_absent_peer_is_eagain),
        BUS_TEST(test_name_of_a_killed_process_is_not_present),
        BUS_TEST(test_restarted_peer_is_found_again),
        BUS_TEST(test_peer_that_came_without_descriptors_is_found_later),
        BUS_TEST(test_new_incarnation_gets_nothing_meant_for_the_old),
        BUS_TEST(test_full_pipe_keeps_what_it_took),
        BUS_TEST(test_adopted_slot_is_received_for),
        BUS_TEST(test_too_large_a_record_is_refused),
        BUS_TEST(test_hostile_frames_do_no_harm),
        BUS_TEST(test_other_names_in_the_folder_are_no_peers),
        BUS_TEST(test_folder_removed_and_made_again),
        BUS_TEST(test_long_path_is_refused),
        BUS_TEST(test_record_sent_by_any_hook_leaves_at_once),
    };
    alarm(100); // a socket left open by a failed test would hold the end up for ever
    return cmocka_run_group_tests(tests, NULL, NULL);
}
