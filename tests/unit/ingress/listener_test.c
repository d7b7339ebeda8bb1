// SPDX-License-Identifier: Apache-2.0
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/net/connection.h"
#include "core/net/tls.h"
#include "ingress/fd_server.h"
#include "ingress/listener.h"
#include "mail/settings.h"
#include "tests/unit/core/net/certificate.h"
#include "tests/unit/ingress/fake_spool.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 10000, SETTLE_MS = 30 };

static struct certificate certificate;
static struct tls *client_tls;

struct bench {
    struct loop *loop;
    struct spool spool;
    struct settings *settings;
    struct listener *listener;
    struct timer *patience;
    struct sockaddr_in plain, implicit;
    int fds[2];
    unsigned refused, drained;
};

// A client in the same loop.
struct caller {
    struct bench *bench;
    struct connection *connection;
    struct buffer heard;
    const char *wanted; // the loop stops when the last line begins with it
    int ended, secure;
};

static int last_line_begins(const struct caller *self)
{
    const char *bytes = buffer_bytes(&self->heard);
    size_t size = buffer_size(&self->heard), wanted = strlen(self->wanted);
    if (size < 2 || bytes[size - 1] != '\n')
        return 0;
    const char *before = memrchr(bytes, '\n', size - 1);
    const char *line = before ? before + 1 : bytes;
    return (size_t)(bytes + size - line) >= wanted && !memcmp(line, self->wanted, wanted);
}

static void on_event(void *context, enum connection_event event)
{
    struct caller *self = context;
    struct buffer *input = connection_input(self->connection);
    buffer_add(&self->heard, buffer_bytes(input), buffer_size(input));
    buffer_take(input, buffer_size(input));
    self->secure |= event == CONNECTION_SECURE;
    self->ended |= event == CONNECTION_END || event == CONNECTION_FAILED;
    if (self->ended || event == CONNECTION_SECURE || (self->wanted && last_line_begins(self)))
        loop_stop(self->bench->loop);
}

static void call(struct caller *self, struct bench *bench, const struct sockaddr_in *to)
{
    *self = (struct caller){.bench = bench};
    self->connection = connection_connect(bench->loop, (const struct sockaddr *)to, sizeof(*to),
                                          NULL, 0, on_event, self);
    assert_non_null(self->connection);
}

static void hang_up(struct caller *self)
{
    connection_destroy(&self->connection);
    buffer_free(&self->heard);
}

// Says something and waits for a reply whose last line begins with `wanted`; "": for the end.
static void talk(struct caller *self, const char *text, const char *wanted)
{
    buffer_add_text(connection_output(self->connection), text);
    connection_flush(self->connection);
    self->wanted = wanted[0] ? wanted : NULL;
    while (wanted[0] ? !last_line_begins(self) && !self->ended : !self->ended)
        loop_run(self->bench->loop);
    if (wanted[0] && !last_line_begins(self))
        fail_msg("wanted %s, heard %.*s", wanted, (int)buffer_size(&self->heard),
                 buffer_bytes(&self->heard));
    buffer_clear(&self->heard);
}

static void secure(struct caller *self)
{
    connection_secure(self->connection, client_tls, "mx.test.example", 1);
    while (!self->secure && !self->ended)
        loop_run(self->bench->loop);
    assert_true(self->secure);
}

static void out_of_patience(void *context)
{
    (void)context;
    fail_msg("nothing happened for too long");
}

static void stop(void *context)
{
    loop_stop(context);
}

static void settle(struct bench *self)
{
    struct timer *timer = timer_new(self->loop, stop, self->loop);
    timer_start(timer, SETTLE_MS);
    loop_run(self->loop);
    timer_destroy(&timer);
}

static void on_refused(void *context, const char *client, const char *helo, struct span sender,
                       struct span recipient, const char *reply)
{
    (void)client;
    (void)helo;
    (void)sender;
    (void)recipient;
    (void)reply;
    ((struct bench *)context)->refused++;
}

static int listen_somewhere(struct sockaddr_in *ret)
{
    socklen_t size = sizeof(*ret);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)ret, sizeof(*ret)), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &size), 0);
    return fd;
}

static struct settings *settings_with(const char *ingress)
{
    char text[1024], error[512];
    int size = snprintf(text, sizeof(text),
                        "{\"revision\":\"1\",\"documents\":{\"domain/example.org\":{},"
                        "\"ingress\":{\"tls_certificate\":\"%s\",\"tls_key\":\"%s\"%s}}}",
                        certificate.chain, certificate.key, ingress);
    struct settings *settings = settings_parse(text, (size_t)size, error, sizeof(error));
    if (!settings)
        fail_msg("%s", error);
    return settings;
}

static void bench_open(struct bench *self, const char *ingress)
{
    char error[256];
    *self = (struct bench){.loop = loop_new(),
                           .spool = {.message_max = 1 << 20, .text = "ID"},
                           .settings = settings_with(ingress)};
    self->fds[0] = listen_somewhere(&self->plain);
    self->fds[1] = listen_somewhere(&self->implicit);
    struct listener_options options = {.loop = self->loop,
                                       .node = "mx1",
                                       .settings = self->settings,
                                       .hostname = "mx.test.example",
                                       .spool = &self->spool,
                                       .fds = &self->fds[0],
                                       .fd_count = 1,
                                       .tls_fds = &self->fds[1],
                                       .tls_fd_count = 1,
                                       .refused = on_refused,
                                       .refused_context = self};
    self->listener = listener_new(&options, error, sizeof(error));
    assert_non_null(self->listener);
    self->patience = timer_new(self->loop, out_of_patience, self);
    timer_start(self->patience, PATIENCE_MS);
}

static void bench_close(struct bench *self)
{
    listener_destroy(&self->listener);
    assert_int_equal(self->spool.open, 0);
    fake_spool_forget(&self->spool);
    settings_release(&self->settings);
    settle(self); // lingering connections go
    timer_destroy(&self->patience);
    close(self->fds[0]);
    close(self->fds[1]);
    loop_destroy(&self->loop);
}

static const char start[] = "MAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n";

static void a_mail_is_taken(void **state)
{
    (void)state;
    struct bench bench;
    struct caller caller;
    bench_open(&bench, "");
    call(&caller, &bench, &bench.plain);
    talk(&caller, "", "220 mx.test.example ESMTP");
    assert_int_equal(listener_count(bench.listener), 1);
    talk(&caller, "EHLO client.example\r\n", "250 ");
    talk(&caller, start, "354 ");
    talk(&caller, "x\r\n.\r\n", "250 2.0.0 Ok: queued as 01HF");
    talk(&caller, "QUIT\r\n", "221 ");
    talk(&caller, "", "");
    assert_int_equal(bench.spool.committed, 1);
    assert_int_equal(listener_count(bench.listener), 0);
    hang_up(&caller);
    bench_close(&bench);
}

static void a_late_answer_reaches_the_client(void **state)
{
    (void)state;
    struct bench bench;
    struct caller caller;
    bench_open(&bench, "");
    bench.spool.late = 1;
    call(&caller, &bench, &bench.plain);
    talk(&caller, "", "220 ");
    talk(&caller, "EHLO client.example\r\n", "250 ");
    talk(&caller, start, "354 ");
    buffer_add_text(connection_output(caller.connection), "x\r\n.\r\nRSET\r\nNOOP\r\n");
    connection_flush(caller.connection);
    settle(&bench);
    assert_int_equal(buffer_size(&caller.heard), 0);
    bench.spool.fn(bench.spool.context, ANSWER_REJECTED, "spam");
    settle(&bench);
    buffer_add(&caller.heard, "", 1);
    assert_string_equal(buffer_bytes(&caller.heard),
                        "550 5.7.1 spam\r\n250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n");
    hang_up(&caller);
    settle(&bench);
    bench_close(&bench);
}

static void close_unanswered(void *context)
{
    struct bench *bench = context;
    bench->spool.fn(bench->spool.context, ANSWER_CLOSE, NULL);
}

static void a_session_may_end_unanswered(void **state)
{
    (void)state;
    struct bench bench;
    struct caller caller;
    bench_open(&bench, "");
    bench.spool.late = 1;
    call(&caller, &bench, &bench.plain);
    talk(&caller, "", "220 ");
    talk(&caller, "EHLO client.example\r\n", "250 ");
    talk(&caller, start, "354 ");
    struct timer *timer = timer_new(bench.loop, close_unanswered, &bench);
    timer_start(timer, SETTLE_MS);
    talk(&caller, "x\r\n.\r\n", "");
    assert_int_equal(listener_count(bench.listener), 0);
    timer_destroy(&timer);
    hang_up(&caller);
    bench_close(&bench);
}

static void a_client_that_leaves_is_forgotten(void **state)
{
    (void)state;
    struct bench bench;
    struct caller caller;
    bench_open(&bench, "");
    call(&caller, &bench, &bench.plain);
    talk(&caller, "", "220 ");
    talk(&caller, "EHLO client.example\r\n", "250 ");
    talk(&caller, start, "354 ");
    assert_int_equal(bench.spool.open, 1);
    hang_up(&caller);
    settle(&bench);
    assert_int_equal(bench.spool.open, 0);
    assert_int_equal(listener_count(bench.listener), 0);
    bench_close(&bench);
}

static void starttls_secures_the_session(void **state)
{
    (void)state;
    struct bench bench;
    struct caller caller;
    bench_open(&bench, "");
    call(&caller, &bench, &bench.plain);
    talk(&caller, "", "220 ");
    talk(&caller, "EHLO client.example\r\n", "250 ");
    talk(&caller, "STARTTLS\r\n", "220 ");
    secure(&caller);
    talk(&caller, "EHLO client.example\r\n", "250 ");
    talk(&caller, start, "354 ");
    talk(&caller, "x\r\n.\r\n", "250 ");
    assert_memory_equal(bench.spool.envelope->protocol.data, "ESMTPS", 6);
    assert_memory_equal(bench.spool.envelope->tls.data, "TLSv1.3 ", 8);
    hang_up(&caller);
    settle(&bench);
    bench_close(&bench);
}

static void implicit_tls_greets_after_the_handshake(void **state)
{
    (void)state;
    struct bench bench;
    struct caller caller;
    bench_open(&bench, "");
    call(&caller, &bench, &bench.implicit);
    settle(&bench);
    assert_int_equal(buffer_size(&caller.heard), 0);
    secure(&caller);
    talk(&caller, "", "220 ");
    talk(&caller, "EHLO client.example\r\n", "250 ");
    hang_up(&caller);
    settle(&bench);
    bench_close(&bench);
}

static void an_early_talker_is_turned_away(void **state)
{
    (void)state;
    struct bench bench;
    struct caller caller;
    bench_open(&bench, "");
    listener_pause(bench.listener, 1);
    call(&caller, &bench, &bench.plain);
    buffer_add_text(connection_output(caller.connection), "EHLO client.example\r\n");
    settle(&bench);
    assert_int_equal(listener_count(bench.listener), 0);
    listener_pause(bench.listener, 0);
    talk(&caller, "", "554 ");
    hang_up(&caller);
    bench_close(&bench);
}

static void connections_of_a_client_are_limited(void **state)
{
    (void)state;
    struct bench bench;
    struct caller callers[3];
    bench_open(&bench, ",\"connections_per_client\":2");
    for (int i = 0; i < 3; i++) {
        call(&callers[i], &bench, &bench.plain);
        talk(&callers[i], "", i < 2 ? "220 " : "421 4.7.0");
    }
    assert_int_equal(bench.refused, 1);
    hang_up(&callers[0]);
    settle(&bench);
    hang_up(&callers[2]);
    call(&callers[2], &bench, &bench.plain);
    talk(&callers[2], "", "220 ");
    hang_up(&callers[1]);
    hang_up(&callers[2]);
    bench_close(&bench);
}

static void a_silent_client_is_put_out(void **state)
{
    (void)state;
    struct bench bench;
    struct caller caller;
    bench_open(&bench, ",\"command_timeout_s\":1");
    call(&caller, &bench, &bench.plain);
    talk(&caller, "", "220 ");
    talk(&caller, "", "421 4.4.2");
    hang_up(&caller);
    bench_close(&bench);
}

static void on_drained(void *context)
{
    ((struct bench *)context)->drained = 1;
}

static void draining_waits_for_transactions(void **state)
{
    (void)state;
    struct bench bench;
    struct caller idle, busy;
    bench_open(&bench, "");
    call(&idle, &bench, &bench.plain);
    talk(&idle, "", "220 ");
    call(&busy, &bench, &bench.plain);
    talk(&busy, "", "220 ");
    talk(&busy, "EHLO client.example\r\n", "250 ");
    talk(&busy, start, "354 ");
    listener_drain(bench.listener, on_drained, &bench);
    talk(&idle, "", "421 4.3.2");
    assert_int_equal(bench.drained, 0);
    talk(&busy, "x\r\n.\r\n", "421 4.3.2");
    settle(&bench);
    assert_int_equal(bench.drained, 1);
    assert_int_equal(bench.spool.committed, 1);
    hang_up(&idle);
    hang_up(&busy);
    bench_close(&bench);
}

static void a_bad_certificate_leaves_the_old_one(void **state)
{
    (void)state;
    static const char bad[] =
        "{\"revision\":\"2\",\"documents\":{\"ingress\":{"
        "\"tls_certificate\":\"/nonexistent\",\"tls_key\":\"/nonexistent\"}}}";
    struct bench bench;
    struct caller caller;
    char error[256];
    bench_open(&bench, "");
    struct settings *settings = settings_parse(bad, sizeof(bad) - 1, error, sizeof(error));
    assert_non_null(settings);
    assert_int_equal(listener_settings(bench.listener, settings, error, sizeof(error)), -1);
    assert_non_null(strstr(error, "/nonexistent"));
    settings_release(&settings);
    call(&caller, &bench, &bench.implicit);
    settle(&bench);
    secure(&caller);
    talk(&caller, "", "220 ");
    hang_up(&caller);
    bench_close(&bench);
}

static void listening_sockets_are_given_away(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct bench turns = {.loop = loop};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct sockaddr_in where, given;
    socklen_t size = sizeof(given);
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(FD_SERVER_MOST * sizeof(int))];
    } control = {0};
    char byte = 0;
    int fd = listen_somewhere(&where), got;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/fd", certificate.folder);
    struct fd_server *server = fd_server_new(loop, address.sun_path, &fd, 1);
    assert_non_null(server);
    int caller = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(caller, (struct sockaddr *)&address, sizeof(address)), 0);
    settle(&turns);
    struct iovec text = {&byte, 1};
    struct msghdr message = {.msg_iov = &text,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    assert_int_equal(recvmsg(caller, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT), 1);
    assert_int_equal(byte, 'F');
    assert_non_null(CMSG_FIRSTHDR(&message));
    memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(got));
    assert_int_equal(getsockname(got, (struct sockaddr *)&given, &size), 0);
    assert_int_equal(given.sin_port, where.sin_port);
    fd_server_destroy(&server);
    assert_int_equal(access(address.sun_path, F_OK), -1);
    close(caller);
    close(got);
    close(fd);
    loop_destroy(&loop);
}

static int set_up(void **state)
{
    (void)state;
    char error[256];
    log_start("test", LOG_ERROR);
    certificate_make(&certificate);
    client_tls = tls_client_new(certificate.chain, error, sizeof(error));
    return client_tls ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    tls_release(&client_tls);
    certificate_remove(&certificate);
    log_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mail_is_taken),
        cmocka_unit_test(a_late_answer_reaches_the_client),
        cmocka_unit_test(a_session_may_end_unanswered),
        cmocka_unit_test(a_client_that_leaves_is_forgotten),
        cmocka_unit_test(starttls_secures_the_session),
        cmocka_unit_test(implicit_tls_greets_after_the_handshake),
        cmocka_unit_test(an_early_talker_is_turned_away),
        cmocka_unit_test(connections_of_a_client_are_limited),
        cmocka_unit_test(a_silent_client_is_put_out),
        cmocka_unit_test(draining_waits_for_transactions),
        cmocka_unit_test(a_bad_certificate_leaves_the_old_one),
        cmocka_unit_test(listening_sockets_are_given_away),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
