// SPDX-License-Identifier: Apache-2.0
#include "core/bus/keys.h"
#include "core/bus/socket.h"
#include "tests/unit/core/bus/spin.h"

#include <errno.h>
#include <zmq.h>

static struct curve_keys own, server;
static const struct curve_keys published = {"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
                                            "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"};

#define LONG_NAME                                                                                  \
    "/23456789/23456789/23456789/23456789/23456789/23456789/23456789/23456789/23456789"

struct refused {
    const char *name;
    struct socket_options options;
    int error;
};

static const struct refused refusals[] = {
    {"tcp server without keys",
     {.kind = SOCKET_ROUTER, .bind = 1, .endpoint = "tcp://127.0.0.1:*"},
     ENOKEY},
    {"tcp client without keys", {.kind = SOCKET_DEALER, .endpoint = "tcp://127.0.0.1:1"}, ENOKEY},
    {"server without zap domain",
     {.kind = SOCKET_ROUTER, .bind = 1, .endpoint = "tcp://127.0.0.1:*", .keys = &own},
     EINVAL},
    {"server with an empty zap domain",
     {.kind = SOCKET_ROUTER,
      .bind = 1,
      .endpoint = "tcp://127.0.0.1:*",
      .keys = &own,
      .zap_domain = ""},
     EINVAL},
    {"server that connects",
     {.kind = SOCKET_SUB, .endpoint = "tcp://127.0.0.1:1", .keys = &own, .zap_domain = "control"},
     EINVAL},
    {"client that binds",
     {.kind = SOCKET_SUB,
      .bind = 1,
      .endpoint = "tcp://127.0.0.1:*",
      .keys = &own,
      .server_key = server.public_key},
     EINVAL},
    {"published own key",
     {.kind = SOCKET_ROUTER,
      .bind = 1,
      .endpoint = "tcp://127.0.0.1:*",
      .keys = &published,
      .zap_domain = "control"},
     EKEYREJECTED},
    {"published server key",
     {.kind = SOCKET_DEALER,
      .endpoint = "tcp://127.0.0.1:1",
      .keys = &own,
      .server_key = published.public_key},
     EKEYREJECTED},
    {"long path",
     {.kind = SOCKET_PIPE_OUT, .endpoint = "ipc:///tmp" LONG_NAME LONG_NAME},
     ENAMETOOLONG},
};

static void test_sockets_that_must_not_be(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(refusals); i++) {
        struct socket_options options = refusals[i].options;
        options.message_most = 1000;
        options.high_water = 10;
        if (make_socket(&options) || errno != refusals[i].error)
            fail_msg("%s: errno %d", refusals[i].name, errno);
    }
}

static int number_of(void *socket, int option)
{
    int value = -1;
    size_t size = sizeof(value);
    assert_int_equal(zmq_getsockopt(socket, option, &value, &size), 0);
    return value;
}

static void test_defaults_that_bite_are_set(void **state)
{
    (void)state;
    struct socket_options options = {.kind = SOCKET_DEALER,
                                     .endpoint = "tcp://127.0.0.1:1",
                                     .keys = &own,
                                     .server_key = server.public_key,
                                     .message_most = 12345,
                                     .high_water = 7};
    void *socket = make_socket(&options);
    assert_non_null(socket);
    int64_t most = 0;
    size_t size = sizeof(most);
    assert_int_equal(zmq_getsockopt(socket, ZMQ_MAXMSGSIZE, &most, &size), 0);
    assert_int_equal(most, 12345);
    assert_int_equal(number_of(socket, ZMQ_SNDHWM), 7);
    assert_int_equal(number_of(socket, ZMQ_RCVHWM), 7);
    assert_int_equal(number_of(socket, ZMQ_LINGER), 0);
    assert_int_equal(number_of(socket, ZMQ_IMMEDIATE), 1);
    assert_int_equal(number_of(socket, ZMQ_MECHANISM), ZMQ_CURVE);
    assert_true(number_of(socket, ZMQ_HANDSHAKE_IVL) <= 5000);
    assert_true(number_of(socket, ZMQ_HEARTBEAT_IVL) > 0);
    assert_true(number_of(socket, ZMQ_TCP_MAXRT) > 0);
    assert_true(number_of(socket, ZMQ_RECONNECT_IVL_MAX) > 0);
    close_socket(&socket);
    assert_null(socket);
}

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(zmq_curve_keypair(own.public_key, own.secret_key), 0);
    return zmq_curve_keypair(server.public_key, server.secret_key);
}

static int tear_down(void **state)
{
    (void)state;
    socket_context_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sockets_that_must_not_be),
        cmocka_unit_test(test_defaults_that_bite_are_set),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
