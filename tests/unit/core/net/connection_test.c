// SPDX-License-Identifier: Apache-2.0
#include "core/base/loop.h"
#include "core/net/connection.h"
#include "core/net/tls.h"
#include "tests/unit/core/net/certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { BIG = 3 * 1000 * 1000, PATIENCE_MS = 10000 };

static struct certificate certificate;
static struct tls *server_tls, *client_tls, *other_tls;

// One end of a stream: what it saw, and what it does.
struct end {
    struct loop *loop;
    struct connection *connection;
    struct buffer got;
    unsigned seen;    // a bit per event
    size_t stop_at;   // the loop stops when that many bytes have come
    unsigned stop_on; // or on one of these events
    int echo;         // sends back what comes
    int destroy_on_data;
};

#define BIT(event) (1u << (event))

static void on_event(void *context, enum connection_event event)
{
    struct end *self = context;
    self->seen |= BIT(event);
    if (event == CONNECTION_DATA && self->destroy_on_data) {
        connection_destroy(&self->connection);
        loop_stop(self->loop);
        return;
    }
    if (event == CONNECTION_DATA) {
        struct buffer *input = connection_input(self->connection);
        if (self->echo) {
            buffer_add(connection_output(self->connection), buffer_bytes(input),
                       buffer_size(input));
            connection_flush(self->connection);
        }
        buffer_add(&self->got, buffer_bytes(input), buffer_size(input));
        buffer_take(input, buffer_size(input));
    }
    if ((self->stop_at && buffer_size(&self->got) >= self->stop_at) || self->stop_on & BIT(event))
        loop_stop(self->loop);
}

struct pair {
    struct loop *loop;
    struct end a, b;
    struct timer *patience;
};

static void out_of_patience(void *context)
{
    (void)context;
    fail_msg("nothing happened for too long");
}

static void pair_open(struct pair *self)
{
    int fds[2];
    *self = (struct pair){.loop = loop_new()};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    self->a.loop = self->b.loop = self->loop;
    self->a.connection = connection_accepted(self->loop, fds[0], on_event, &self->a);
    self->b.connection = connection_accepted(self->loop, fds[1], on_event, &self->b);
    self->patience = timer_new(self->loop, out_of_patience, self);
    timer_start(self->patience, PATIENCE_MS);
}

static void pair_close(struct pair *self)
{
    connection_destroy(&self->a.connection);
    connection_destroy(&self->b.connection);
    buffer_free(&self->a.got);
    buffer_free(&self->b.got);
    timer_destroy(&self->patience);
    loop_destroy(&self->loop);
}

static void stop(void *context)
{
    loop_stop(context);
}

static void turn(struct loop *loop)
{
    struct timer *timer = timer_new(loop, stop, loop);
    timer_start(timer, 20);
    loop_run(loop);
    timer_destroy(&timer);
}

static void say(struct end *end, const char *text, size_t size)
{
    buffer_add(connection_output(end->connection), text, size);
    connection_flush(end->connection);
}

// Client a, server b.
static void secure(struct pair *pair, struct tls *client, const char *host, int verify)
{
    pair->a.stop_on = pair->b.stop_on = BIT(CONNECTION_SECURE) | BIT(CONNECTION_FAILED);
    connection_secure(pair->b.connection, server_tls, NULL, 0);
    connection_secure(pair->a.connection, client, host, verify);
    unsigned wanted = pair->a.stop_on;
    while (!(pair->a.seen & wanted) || !(pair->b.seen & wanted))
        loop_run(pair->loop);
    pair->a.stop_on = pair->b.stop_on = 0;
}

static void echo_much(struct pair *pair)
{
    char *text = allocate(BIG);
    for (size_t i = 0; i < BIG; i++)
        text[i] = (char)(i * 7 + i / 251);
    pair->b.echo = 1;
    pair->a.stop_at = BIG;
    say(&pair->a, text, BIG);
    loop_run(pair->loop);
    assert_int_equal(buffer_size(&pair->a.got), BIG);
    assert_memory_equal(buffer_bytes(&pair->a.got), text, BIG);
    assert_int_equal(connection_unsent(pair->b.connection), 0);
    assert_true(pair->a.seen & BIT(CONNECTION_SENT));
    free(text);
}

static void many_bytes_come_back(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    echo_much(&pair);
    assert_null(connection_input(pair.a.connection)->data); // an idle one holds no buffer
    assert_null(connection_output(pair.a.connection)->data);
    pair_close(&pair);
}

static void many_bytes_come_back_over_tls(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    secure(&pair, client_tls, "mx.test.example", 1);
    assert_int_equal(strncmp(connection_tls(pair.b.connection), "TLSv1.3 TLS_", 12), 0);
    echo_much(&pair);
    pair_close(&pair);
}

static void a_certificate_must_fit(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        int verify, foreign, fits;
    } cases[] = {
        {"mx.test.example", 1, 0, 1},    {"other.test.example", 1, 0, 0},
        {"other.test.example", 0, 0, 1}, {"192.0.2.1", 1, 0, 0},
        {"mx.test.example", 1, 1, 0},    {NULL, 0, 1, 1},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct pair pair;
        pair_open(&pair);
        secure(&pair, cases[i].foreign ? other_tls : client_tls, cases[i].host, cases[i].verify);
        assert_int_equal(pair.a.seen & BIT(CONNECTION_SECURE) ? 1 : 0, cases[i].fits);
        if (!cases[i].fits)
            assert_non_null(strstr(connection_error(pair.a.connection), "certificate"));
        pair_close(&pair);
    }
}

static void bytes_in_the_clear_do_not_survive_the_handshake(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    buffer_add_text(connection_input(pair.b.connection), "MAIL FROM:<injected@example.org>\r\n");
    secure(&pair, client_tls, NULL, 0);
    assert_int_equal(buffer_size(connection_input(pair.b.connection)), 0);
    pair.b.stop_at = 4;
    say(&pair.a, "EHLO", 4);
    loop_run(pair.loop);
    assert_memory_equal(buffer_bytes(&pair.b.got), "EHLO", 4);
    pair_close(&pair);
}

static void a_handshake_that_is_none_fails(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    connection_secure(pair.b.connection, server_tls, NULL, 0);
    pair.b.stop_on = BIT(CONNECTION_FAILED);
    say(&pair.a, "EHLO client.example\r\n", 21);
    loop_run(pair.loop);
    assert_int_equal(connection_error_number(pair.b.connection), EPROTO);
    pair_close(&pair);
}

static void a_callback_may_destroy(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    pair.b.destroy_on_data = 1;
    say(&pair.a, "x", 1);
    loop_run(pair.loop);
    assert_null(pair.b.connection);
    pair.a.stop_on = BIT(CONNECTION_END);
    loop_run(pair.loop);
    pair.a.stop_on = BIT(CONNECTION_FAILED); // told in a turn of its own
    say(&pair.a, "y", 1);
    assert_false(pair.a.seen & BIT(CONNECTION_FAILED));
    loop_run(pair.loop);
    assert_int_equal(connection_error_number(pair.a.connection), EPIPE);
    pair_close(&pair);
}

static void closing_sends_what_is_queued(void **state)
{
    (void)state;
    for (int linger = 0; linger < 2; linger++) {
        struct pair pair;
        pair_open(&pair);
        char *text = allocate(BIG);
        pair.a.stop_on = BIT(CONNECTION_END);
        buffer_add(connection_output(pair.b.connection), text, BIG);
        connection_close(&pair.b.connection, linger);
        assert_null(pair.b.connection);
        loop_run(pair.loop);
        assert_int_equal(buffer_size(&pair.a.got), BIG);
        free(text);
        connection_destroy(&pair.a.connection);
        pair.a.stop_on = 0;
        turn(pair.loop); // a lingering end sees that nobody is left, and goes
        pair_close(&pair);
    }
}

static void a_deadline_passes_once_and_can_be_moved(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    int64_t start = loop_now_ms(pair.loop);
    connection_deadline(pair.a.connection, start + 20);
    connection_deadline(pair.a.connection, start + 60);
    pair.a.stop_on = BIT(CONNECTION_LATE);
    loop_run(pair.loop);
    assert_true(loop_now_ms(pair.loop) >= start + 60);
    connection_deadline(pair.a.connection, start + 5000);
    connection_deadline(pair.a.connection, start + 80);
    loop_run(pair.loop);
    assert_true(loop_now_ms(pair.loop) < start + 4000);
    pair_close(&pair);
}

static void reading_rests_at_the_limit(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    connection_reading(pair.b.connection, 0);
    say(&pair.a, "hello", 5);
    connection_deadline(pair.a.connection, loop_now_ms(pair.loop) + 20);
    pair.a.stop_on = BIT(CONNECTION_LATE);
    loop_run(pair.loop);
    assert_false(pair.b.seen & BIT(CONNECTION_DATA));
    connection_reading(pair.b.connection, 1);
    pair.b.stop_at = 5;
    loop_run(pair.loop);
    pair_close(&pair);
}

static int listen_somewhere(struct sockaddr_in *ret)
{
    socklen_t size = sizeof(*ret);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)ret, sizeof(*ret)), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &size), 0);
    return fd;
}

static void connecting_opens_or_fails(void **state)
{
    (void)state;
    struct end end = {.loop = loop_new()};
    struct sockaddr_in address;
    int fd = listen_somewhere(&address);
    end.stop_on = BIT(CONNECTION_OPEN) | BIT(CONNECTION_FAILED);
    end.connection = connection_connect(end.loop, (struct sockaddr *)&address, sizeof(address),
                                        NULL, 0, on_event, &end);
    assert_non_null(end.connection);
    assert_int_equal(end.seen, 0);
    loop_run(end.loop);
    assert_int_equal(end.seen, BIT(CONNECTION_OPEN));
    connection_destroy(&end.connection);
    close(fd);
    end.seen = 0;
    end.connection = connection_connect(end.loop, (struct sockaddr *)&address, sizeof(address),
                                        NULL, 0, on_event, &end);
    if (end.connection) {
        loop_run(end.loop);
        assert_int_equal(end.seen, BIT(CONNECTION_FAILED));
        assert_int_equal(connection_error_number(end.connection), ECONNREFUSED);
    }
    connection_destroy(&end.connection);
    loop_destroy(&end.loop);
}

static int set_up(void **state)
{
    (void)state;
    struct certificate other;
    char error[256];
    certificate_make(&certificate);
    certificate_make(&other);
    server_tls = tls_server_new(certificate.chain, certificate.key, error, sizeof(error));
    client_tls = tls_client_new(certificate.chain, error, sizeof(error));
    other_tls = tls_client_new(other.chain, error, sizeof(error));
    int wrong = tls_server_new(certificate.chain, other.key, error, sizeof(error)) != NULL ||
                tls_server_new("/nonexistent", other.key, error, sizeof(error)) != NULL;
    certificate_remove(&certificate);
    certificate_remove(&other);
    return server_tls && client_tls && other_tls && !wrong ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    tls_release(&server_tls);
    tls_release(&client_tls);
    tls_release(&other_tls);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_bytes_come_back),
        cmocka_unit_test(many_bytes_come_back_over_tls),
        cmocka_unit_test(a_certificate_must_fit),
        cmocka_unit_test(bytes_in_the_clear_do_not_survive_the_handshake),
        cmocka_unit_test(a_handshake_that_is_none_fails),
        cmocka_unit_test(a_callback_may_destroy),
        cmocka_unit_test(closing_sends_what_is_queued),
        cmocka_unit_test(a_deadline_passes_once_and_can_be_moved),
        cmocka_unit_test(reading_rests_at_the_limit),
        cmocka_unit_test(connecting_opens_or_fails),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
