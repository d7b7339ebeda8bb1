// SPDX-License-Identifier: Apache-2.0
#include "core/bus/control.h"
#include "core/bus/keys.h"
#include "core/bus/socket.h"
#include "core/bus/zap.h"
#include "proto/control.pb-c.h"
#include "tests/unit/core/bus/spin.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <zmq.h>

enum { WAIT_MS = 12000, QUIET_MS = 300 };

struct side {
    struct control *control;
    struct curve_keys keys;
    int received, sessions;
    char last_key[41];
    enum control_type last_type;
};

struct world {
    struct loop *loop;
    struct zap *zap;
    char endpoint[64];
    struct side master, worker, other;
};

static void on_message(void *context, const char *key, enum control_type type, const uint8_t *data,
                       size_t size)
{
    struct side *self = context;
    Postern__Ack *message = postern__ack__unpack(NULL, size, data);
    assert_non_null(message);
    postern__ack__free_unpacked(message, NULL);
    self->received++;
    self->last_type = type;
    snprintf(self->last_key, sizeof(self->last_key), "%s", key);
}

static void on_session(void *context)
{
    ((struct side *)context)->sessions++;
}

static int say(struct side *from, const char *key)
{
    Postern__Ack message = POSTERN__ACK__INIT;
    message.upto = 7;
    return control_send(from->control, key, CONTROL_ACK, &message.base);
}

static void serve(struct world *world)
{
    world->master.control = control_serve(world->loop, world->endpoint, &world->master.keys,
                                          on_message, &world->master);
    assert_non_null(world->master.control);
}

static void dial(struct world *world, struct side *side)
{
    side->control = control_connect(world->loop, world->endpoint, &side->keys,
                                    world->master.keys.public_key, on_message, side);
    assert_non_null(side->control);
    control_on_session(side->control, on_session, side);
}

static int set_up(void **state)
{
    struct world *world = allocate(sizeof(*world));
    world->loop = loop_new();
    free_endpoint(world->endpoint);
    struct side *sides[] = {&world->master, &world->worker, &world->other};
    for (size_t i = 0; i < ARRAY_LENGTH(sides); i++)
        zmq_curve_keypair(sides[i]->keys.public_key, sides[i]->keys.secret_key);
    world->zap = zap_new(world->loop);
    assert_non_null(world->zap);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    control_destroy(&world->master.control);
    control_destroy(&world->worker.control);
    control_destroy(&world->other.control);
    zap_destroy(&world->zap);
    socket_context_end();
    loop_destroy(&world->loop);
    free(world);
    return 0;
}

static int is_positive(void *context)
{
    return *(int *)context > 0;
}

static int wait_positive(struct world *world, int *value)
{
    return spin_until(world->loop, is_positive, value, WAIT_MS);
}

static void allow_and_connect(struct world *world)
{
    zap_ready(world->zap);
    zap_allow(world->zap, ZAP_CONTROL, world->worker.keys.public_key);
    serve(world);
    dial(world, &world->worker);
    assert_true(wait_positive(world, &world->worker.sessions));
}

static void test_both_ways_with_the_right_identity(void **state)
{
    struct world *world = *state;
    allow_and_connect(world);
    assert_int_equal(say(&world->master, world->worker.keys.public_key), -1); // not heard of yet
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(say(&world->worker, NULL), 0);
    assert_true(wait_positive(world, &world->master.received));
    assert_string_equal(world->master.last_key, world->worker.keys.public_key);
    assert_int_equal(world->master.last_type, CONTROL_ACK);
    assert_int_equal(say(&world->master, world->worker.keys.public_key), 0);
    assert_true(wait_positive(world, &world->worker.received));
    assert_string_equal(world->worker.last_key, world->master.keys.public_key);
}

static void test_no_server_is_eagain(void **state)
{
    struct world *world = *state;
    dial(world, &world->worker);
    spin_for(world->loop, 50);
    assert_int_equal(say(&world->worker, NULL), -1);
    assert_int_equal(errno, EAGAIN);
}

static void test_unknown_key_gets_in_once_it_is_allowed(void **state)
{
    struct world *world = *state;
    zap_ready(world->zap);
    zap_allow(world->zap, ZAP_EVENTS, world->worker.keys.public_key); // another domain
    serve(world);
    dial(world, &world->worker);
    spin_for(world->loop, QUIET_MS);
    assert_int_equal(world->worker.sessions, 0);
    assert_true(zap_refused(world->zap) > 0);
    assert_int_equal(say(&world->worker, NULL), -1);
    zap_allow(world->zap, ZAP_CONTROL, world->worker.keys.public_key);
    assert_true(wait_positive(world, &world->worker.sessions));
    assert_int_equal(say(&world->worker, NULL), 0);
    assert_true(wait_positive(world, &world->master.received));
}

static void test_list_that_is_not_ready_strands_nobody(void **state)
{
    struct world *world = *state;
    zap_allow(world->zap, ZAP_CONTROL, world->worker.keys.public_key);
    serve(world);
    dial(world, &world->worker);
    spin_for(world->loop, QUIET_MS);
    assert_int_equal(world->worker.sessions, 0);
    zap_ready(world->zap);
    assert_true(wait_positive(world, &world->worker.sessions));
}

static void test_revoked_key_is_cut_and_stays_out(void **state)
{
    struct world *world = *state;
    allow_and_connect(world);
    zap_revoke(world->zap, world->worker.keys.public_key);
    zap_allow(world->zap, ZAP_CONTROL, world->worker.keys.public_key); // does not undo it
    assert_int_equal(control_rebind(world->master.control), 0);
    spin_for(world->loop, QUIET_MS);
    assert_int_equal(say(&world->worker, NULL), -1);
    spin_for(world->loop, 3000); // time enough to try again
    assert_int_equal(world->worker.sessions, 1);
    assert_int_equal(world->master.received, 0);
    assert_true(zap_refused(world->zap) > 0);
}

static void test_rebind_lets_the_others_come_back(void **state)
{
    struct world *world = *state;
    allow_and_connect(world);
    world->worker.sessions = 0;
    assert_int_equal(control_rebind(world->master.control), 0);
    assert_true(wait_positive(world, &world->worker.sessions));
    assert_int_equal(say(&world->worker, NULL), 0);
    assert_true(wait_positive(world, &world->master.received));
    assert_int_equal(control_rebind(world->worker.control), -1);
}

// libzmq never tries again after a 400; this client must, for the master may have been wrong.
static void test_client_comes_back_after_a_final_refusal(void **state)
{
    struct world *world = *state;
    zap_ready(world->zap);
    zap_revoke(world->zap, world->worker.keys.public_key);
    serve(world);
    dial(world, &world->worker);
    spin_for(world->loop, QUIET_MS);
    assert_true(zap_refused(world->zap) > 0);
    zap_destroy(&world->zap); // the master restarts with another list
    // libzmq gives the name free from its own thread, a moment later.
    for (int i = 0; i < 200 && !(world->zap = zap_new(world->loop)); i++)
        spin_for(world->loop, 10);
    assert_non_null(world->zap);
    zap_ready(world->zap);
    zap_allow(world->zap, ZAP_CONTROL, world->worker.keys.public_key);
    assert_true(wait_positive(world, &world->worker.sessions));
}

static void test_no_zap_handler_means_nobody(void **state)
{
    struct world *world = *state;
    zap_destroy(&world->zap);
    serve(world);
    dial(world, &world->worker);
    spin_for(world->loop, 1000);
    assert_int_equal(world->worker.sessions, 0);
}

static void *raw_dealer(struct world *world, const struct curve_keys *keys)
{
    void *dealer = zmq_socket(socket_context(), ZMQ_DEALER);
    int zero = 0;
    zmq_setsockopt(dealer, ZMQ_LINGER, &zero, sizeof(zero));
    if (keys) {
        zmq_setsockopt(dealer, ZMQ_CURVE_SERVERKEY, world->master.keys.public_key, 40);
        zmq_setsockopt(dealer, ZMQ_CURVE_PUBLICKEY, keys->public_key, 40);
        zmq_setsockopt(dealer, ZMQ_CURVE_SECRETKEY, keys->secret_key, 40);
        zmq_setsockopt(dealer, ZMQ_ROUTING_ID, "worker-1", 8);
    }
    assert_int_equal(zmq_connect(dealer, world->endpoint), 0);
    return dealer;
}

static void test_null_mechanism_is_refused(void **state)
{
    struct world *world = *state;
    zap_ready(world->zap);
    serve(world);
    void *dealer = raw_dealer(world, NULL);
    assert_int_equal(zmq_send(dealer, "\3", 1, ZMQ_DONTWAIT), 1);
    spin_for(world->loop, QUIET_MS);
    assert_int_equal(world->master.received, 0);
    close_socket(&dealer);
}

// Two enrolled keys claim one routing id: the second gets nothing that is the first one's.
static void test_squatted_routing_id_steals_nothing(void **state)
{
    struct world *world = *state;
    char bytes[64];
    zap_ready(world->zap);
    zap_allow(world->zap, ZAP_CONTROL, world->worker.keys.public_key);
    zap_allow(world->zap, ZAP_CONTROL, world->other.keys.public_key);
    serve(world);
    void *first = raw_dealer(world, &world->worker.keys);
    zmq_send(first, "\3", 1, ZMQ_DONTWAIT);
    assert_true(wait_positive(world, &world->master.received));
    void *second = raw_dealer(world, &world->other.keys);
    zmq_send(second, "\3", 1, ZMQ_DONTWAIT);
    spin_for(world->loop, QUIET_MS);
    assert_int_equal(say(&world->master, world->worker.keys.public_key), 0);
    spin_for(world->loop, QUIET_MS);
    assert_int_equal(zmq_recv(second, bytes, sizeof(bytes), ZMQ_DONTWAIT), -1);
    assert_true(zmq_recv(first, bytes, sizeof(bytes), ZMQ_DONTWAIT) > 0);
    close_socket(&first);
    close_socket(&second);
}

static void test_newest_connection_of_a_key_is_answered(void **state)
{
    struct world *world = *state;
    allow_and_connect(world);
    assert_int_equal(say(&world->worker, NULL), 0);
    assert_true(wait_positive(world, &world->master.received));
    world->other.keys =
        world->worker.keys; // the same node, restarted while the old session lingers
    dial(world, &world->other);
    assert_true(wait_positive(world, &world->other.sessions));
    world->master.received = 0;
    assert_int_equal(say(&world->other, NULL), 0);
    assert_true(wait_positive(world, &world->master.received));
    assert_int_equal(say(&world->master, world->worker.keys.public_key), 0);
    assert_true(wait_positive(world, &world->other.received));
    assert_int_equal(world->worker.received, 0);
    control_destroy(&world->other.control);
    spin_for(world->loop, QUIET_MS);
    assert_int_equal(say(&world->master, world->worker.keys.public_key), -1); // that way is gone
    assert_int_equal(errno, EAGAIN);
}

static void test_message_over_the_limit_is_refused(void **state)
{
    struct world *world = *state;
    allow_and_connect(world);
    Postern__BodyChunk chunk = POSTERN__BODY_CHUNK__INIT;
    chunk.data = (ProtobufCBinaryData){1 << 20, allocate(1 << 20)};
    assert_int_equal(control_send(world->worker.control, NULL, CONTROL_BODY, &chunk.base), -1);
    assert_int_equal(errno, EMSGSIZE);
    free(chunk.data.data);
}

static void test_unknown_types_are_not_handed_on(void **state)
{
    struct world *world = *state;
    static const uint8_t types[] = {0, CONTROL_PUBLICATION, CONTROL_ANNOUNCE, 99, 255};
    zap_ready(world->zap);
    zap_allow(world->zap, ZAP_CONTROL, world->worker.keys.public_key);
    serve(world);
    void *dealer = raw_dealer(world, &world->worker.keys);
    for (size_t i = 0; i < sizeof(types); i++)
        zmq_send(dealer, &types[i], 1, ZMQ_DONTWAIT);
    zmq_send(dealer, "", 0, ZMQ_DONTWAIT);
    zmq_send(dealer, "a", 1, ZMQ_DONTWAIT | ZMQ_SNDMORE);
    zmq_send(dealer, "\3", 1, ZMQ_DONTWAIT);
    spin_for(world->loop, QUIET_MS);
    assert_int_equal(world->master.received, 0);
    zmq_send(dealer, "\3", 1, ZMQ_DONTWAIT);
    assert_true(wait_positive(world, &world->master.received));
    close_socket(&dealer);
}

static long resident_kib(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_int_equal(fscanf(file, "%ld %ld", &pages, &resident), 2);
    fclose(file);
    return resident * 4;
}

static int raw_connection(struct world *world)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)atoi(strrchr(world->endpoint, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

// Writes until the far end has cut the connection, at most `most` bytes. Returns what was taken.
static size_t pour(struct world *world, int fd, size_t most)
{
    static char block[65536];
    size_t taken = 0;
    for (int waits = 0; taken < most && waits < 200;) {
        ssize_t sent = send(fd, block, sizeof(block), MSG_NOSIGNAL);
        if (sent > 0)
            taken += (size_t)sent;
        else if (errno != EAGAIN)
            break;
        else if (waits++ >= 0)
            spin_for(world->loop, 5);
    }
    return taken;
}

static void test_hostile_bytes_do_not_grow_the_server(void **state)
{
    struct world *world = *state;
    allow_and_connect(world);
    char greeting[64] = "\xff\0\0\0\0\0\0\0\0\x7f\x03\x00"
                        "CURVE";
    static const char large[] = "\x06\0\0\0\0\x19\0\0\0",
                      huge[] = "\x06\x7f\xff\xff\xff\xff\xff\xff\xff";
    static const struct {
        const char *bytes;
        size_t size;
    } attacks[] = {{large, 9}, {huge, 9}, {"GET / HTTP/1.1\r\n\r\n", 18}};
    long before = resident_kib();
    for (size_t i = 0; i < ARRAY_LENGTH(attacks); i++) {
        int fd = raw_connection(world);
        if (i < 2)
            assert_int_equal(send(fd, greeting, sizeof(greeting), MSG_NOSIGNAL), sizeof(greeting));
        spin_for(world->loop, 50);
        send(fd, attacks[i].bytes, attacks[i].size, MSG_NOSIGNAL);
        assert_in_range(pour(world, fd, 200 << 20), 0, 16 << 20);
        close(fd);
    }
    assert_true(resident_kib() - before < 10 * 1024);
    assert_int_equal(say(&world->worker, NULL), 0);
    assert_true(wait_positive(world, &world->master.received));
}

#define CONTROL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTROL_TEST(test_both_ways_with_the_right_identity),
        CONTROL_TEST(test_no_server_is_eagain),
        CONTROL_TEST(test_unknown_key_gets_in_once_it_is_allowed),
        CONTROL_TEST(test_list_that_is_not_ready_strands_nobody),
        CONTROL_TEST(test_revoked_key_is_cut_and_stays_out),
        CONTROL_TEST(test_rebind_lets_the_others_come_back),
        CONTROL_TEST(test_client_comes_back_after_a_final_refusal),
        CONTROL_TEST(test_no_zap_handler_means_nobody),
        CONTROL_TEST(test_null_mechanism_is_refused),
        CONTROL_TEST(test_squatted_routing_id_steals_nothing),
        CONTROL_TEST(test_newest_connection_of_a_key_is_answered),
        CONTROL_TEST(test_message_over_the_limit_is_refused),
        CONTROL_TEST(test_unknown_types_are_not_handed_on),
        CONTROL_TEST(test_hostile_bytes_do_not_grow_the_server),
    };
    alarm(100); // a socket left open by a failed test would hold the end up for ever
    return cmocka_run_group_tests(tests, NULL, NULL);
}
