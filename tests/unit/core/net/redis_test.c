// SPDX-License-Identifier: Apache-2.0
#include "core/base/loop.h"
#include "core/net/redis.h"
#include "core/net/redis_reader.h"
#include "core/net/tls.h"
#include "tests/unit/core/net/certificate.h"
#include "tests/unit/core/net/redis_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000, PAUSE_MS = 5, SLACK_MS = 1500 };

struct asking {
    struct loop *loop;
    struct redis *redis;
    struct timer *patience, *soon;
    unsigned answered, unanswered; // with a reply, without
    unsigned wanted;               // the loop stops when so many are told
    int state_wanted;              // or when redis_answers says so; -1: not
    char last[256];
};

static void out_of_patience(void *context)
{
    (void)context;
    fail_msg("nothing happened for too long");
}

static void look(void *context)
{
    struct asking *self = context;
    if (redis_answers(self->redis) == self->state_wanted)
        loop_stop(self->loop);
    timer_start(self->soon, PAUSE_MS);
}

static void asking_open_with(struct asking *self, struct redis_options options)
{
    *self = (struct asking){.loop = loop_new(), .state_wanted = -1};
    options.loop = self->loop;
    self->redis = redis_new(&options);
    assert_non_null(self->redis);
    self->patience = timer_new(self->loop, out_of_patience, self);
    timer_start(self->patience, PATIENCE_MS);
    self->soon = timer_new(self->loop, look, self);
    timer_start(self->soon, PAUSE_MS);
}

static void asking_open(struct asking *self, const char *address)
{
    asking_open_with(self, (struct redis_options){.address = address});
}

static void asking_close(struct asking *self)
{
    redis_destroy(&self->redis);
    timer_destroy(&self->patience);
    timer_destroy(&self->soon);
    loop_destroy(&self->loop);
}

static void wait_state(struct asking *self, int answers)
{
    self->state_wanted = answers;
    loop_run(self->loop);
    self->state_wanted = -1;
}

static void run_ms(struct asking *self, int64_t ms)
{
    struct timer *rest = timer_new(self->loop, (loop_fn *)loop_stop, self->loop);
    timer_start(rest, ms);
    loop_run(self->loop);
    timer_destroy(&rest);
}

static void on_answer(void *context, const struct redisReply *reply)
{
    struct asking *self = context;
    if (reply)
        self->answered++;
    else
        self->unanswered++;
    if (reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS ||
                  reply->type == REDIS_REPLY_ERROR))
        snprintf(self->last, sizeof(self->last), "%s", reply->str);
    if (self->wanted && self->answered + self->unanswered >= self->wanted)
        loop_stop(self->loop);
}

// Words are split at blanks.
static struct redis_question *ask(struct asking *self, const char *text)
{
    struct span words[8];
    size_t count = 0;
    while (*text) {
        size_t size = strcspn(text, " ");
        words[count++] = (struct span){text, size};
        text += size + (text[size] != 0);
    }
    return redis_ask(self->redis, words, count, 0, on_answer, self);
}

static void wait_answers(struct asking *self, unsigned count)
{
    self->wanted = self->answered + self->unanswered + count;
    loop_run(self->loop);
    self->wanted = 0;
}

static void words_may_hold_any_bytes(void **state)
{
    struct redis_server *server = *state;
    struct asking asking;
    static const char value[] = "a\r\nSET b c\r\n\0\xff";
    struct span set[] = {{"SET", 3}, {"k\r\ney", 5}, {value, sizeof(value)}};
    struct span length[] = {{"STRLEN", 6}, {"k\r\ney", 5}};
    asking_open(&asking, server->address);
    assert_null(ask(&asking, "PING")); // not yet connected: no waiting for it
    wait_state(&asking, 1);
    assert_non_null(redis_ask(asking.redis, set, 3, 0, NULL, NULL));
    assert_non_null(redis_ask(asking.redis, length, 2, 0, on_answer, &asking));
    assert_non_null(ask(&asking, "GET b"));
    assert_non_null(ask(&asking, "ECHO hello"));
    wait_answers(&asking, 3);
    assert_string_equal(asking.last, "hello");
    assert_int_equal(asking.answered, 3);
    asking_close(&asking);
}

static void a_command_may_fail_alone(void **state)
{
    struct redis_server *server = *state;
    struct asking asking;
    asking_open(&asking, server->address);
    wait_state(&asking, 1);
    (void)ask(&asking, "EVALSHA ffffffffffffffffffffffffffffffffffffffff 0");
    wait_answers(&asking, 1);
    assert_int_equal(strncmp(asking.last, "NOSCRIPT", 8), 0);
    assert_true(redis_answers(asking.redis));
    asking_close(&asking);
}

static void a_forgotten_question_is_not_answered(void **state)
{
    struct redis_server *server = *state;
    struct asking asking;
    asking_open(&asking, server->address);
    wait_state(&asking, 1);
    redis_forget(ask(&asking, "ECHO forgotten"));
    (void)ask(&asking, "ECHO asked");
    wait_answers(&asking, 1);
    assert_string_equal(asking.last, "asked");
    assert_int_equal(asking.answered, 1);
    asking_close(&asking);
}

static void a_server_that_hangs_costs_a_deadline_then_nothing(void **state)
{
    struct redis_server *server = *state;
    struct asking asking;
    asking_open(&asking, server->address);
    wait_state(&asking, 1);
    kill(server->pid, SIGSTOP);
    int64_t start = loop_now_ms(asking.loop);
    unsigned asked = 0;
    while (ask(&asking, "ECHO x"))
        asked++;
    assert_int_equal(asked, 1000); // bounded
    wait_answers(&asking, 1000);
    assert_int_equal(asking.unanswered, 1000);
    assert_in_range(loop_now_ms(asking.loop) - start, 250, 250 + SLACK_MS);
    assert_false(redis_answers(asking.redis));
    assert_null(ask(&asking, "ECHO x"));
    kill(server->pid, SIGCONT);
    wait_state(&asking, 1);
    (void)ask(&asking, "ECHO back");
    wait_answers(&asking, 1);
    assert_string_equal(asking.last, "back");
    asking_close(&asking);
}

static void a_late_answer_is_told_once_and_the_next_is_heard(void **state)
{
    struct redis_server *server = *state;
    struct asking asking;
    asking_open(&asking, server->address);
    wait_state(&asking, 1);
    (void)ask(&asking, "EVAL local#t=redis.call('TIME')[1] 0"); // an error, but an answer
    wait_answers(&asking, 1);
    kill(server->pid, SIGSTOP);
    (void)ask(&asking, "ECHO late");
    wait_answers(&asking, 1);
    assert_int_equal(asking.unanswered, 1);
    kill(server->pid, SIGCONT);
    (void)ask(&asking, "ECHO next");
    wait_answers(&asking, 1);
    assert_string_equal(asking.last, "next");
    assert_int_equal(asking.answered, 2);
    asking_close(&asking);
}

static void a_killed_server_is_found_again(void **state)
{
    struct redis_server *server = *state;
    struct asking asking;
    asking_open(&asking, server->address);
    wait_state(&asking, 1);
    kill(server->pid, SIGSTOP);
    (void)ask(&asking, "ECHO x");
    redis_server_kill(server);
    wait_answers(&asking, 1);
    assert_int_equal(asking.unanswered, 1);
    assert_false(redis_answers(asking.redis));
    redis_server_launch(server, "");
    wait_state(&asking, 1);
    asking_close(&asking);
}

static void a_replica_is_not_asked(void **state)
{
    struct redis_server *server = *state;
    struct asking asking;
    asking_open(&asking, server->address);
    wait_state(&asking, 1);
    (void)ask(&asking, "REPLICAOF 127.0.0.1 1");
    (void)ask(&asking, "SET a b");
    wait_answers(&asking, 2);
    assert_int_equal(asking.unanswered, 1);
    assert_false(redis_answers(asking.redis));
    struct asking other;
    asking_open(&other, server->address);
    run_ms(&other, 200);
    assert_false(redis_answers(other.redis)); // nor when it says so at once
    asking_close(&other);
    redis_server_tell(server, "REPLICAOF NO ONE\r\n");
    wait_state(&asking, 1);
    (void)ask(&asking, "SET a b");
    wait_answers(&asking, 1);
    assert_string_equal(asking.last, "OK");
    asking_close(&asking);
}

static void users_need_their_password(void **state)
{
    static const struct {
        const char *user, *password;
        int answers;
    } cases[] = {{NULL, NULL, 0},         {NULL, "secret", 1},     {NULL, "wrong", 0},
                 {"mail", "wrong", 0},    {"mail", "a b\r\nc", 1}, {"nobody", "secret", 0},
                 {"default", "secret", 1}};
    struct redis_server *server = *state;
    struct asking asking;
    struct span user[] = {{"ACL", 3}, {"SETUSER", 7}, {"mail", 4},     {"on", 2},
                          {"~*", 2},  {"+@all", 5},   {">a b\r\nc", 7}};
    asking_open(&asking, server->address);
    wait_state(&asking, 1);
    assert_non_null(redis_ask(asking.redis, user, ARRAY_LENGTH(user), 0, on_answer, &asking));
    (void)ask(&asking, "CONFIG SET requirepass secret");
    wait_answers(&asking, 2);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct asking other;
        asking_open_with(&other,
                         (struct redis_options){.address = server->address,
                                                .login = {cases[i].user, cases[i].password}});
        if (cases[i].answers) {
            wait_state(&other, 1);
        } else {
            run_ms(&other, 100);
            assert_false(redis_answers(other.redis));
        }
        asking_close(&other);
    }
    (void)ask(&asking, "CONFIG SET requirepass ");
    asking_close(&asking);
}

static void answers_come_over_tls(void **state)
{
    (void)state;
    struct certificate certificate;
    struct redis_server server;
    char options[300], error[256], address[32];
    int port = 20000 + getpid() % 10000;
    certificate_make(&certificate);
    snprintf(options, sizeof(options),
             "--port 0 --bind 127.0.0.1 --tls-port %d --tls-cert-file %s --tls-key-file %s "
             "--tls-auth-clients no",
             port, certificate.chain, certificate.key);
    snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    redis_server_start(&server, options);
    struct tls *tls = tls_client_new(certificate.chain, error, sizeof(error));
    assert_non_null(tls);
    static const struct {
        const char *host;
        int answers;
    } cases[] = {{"mx.test.example", 1}, {"other.example", 0}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct asking asking;
        asking_open_with(&asking,
                         (struct redis_options){.address = address,
                                                .login = {.tls = tls, .host = cases[i].host}});
        if (cases[i].answers) {
            wait_state(&asking, 1);
            (void)ask(&asking, "ECHO secure");
            wait_answers(&asking, 1);
            assert_string_equal(asking.last, "secure");
        } else {
            run_ms(&asking, 200);
            assert_false(redis_answers(asking.redis));
        }
        asking_close(&asking);
    }
    tls_release(&tls);
    redis_server_stop(&server);
    certificate_remove(&certificate);
}

static void addresses_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"",          "redis",        "redis.example:6379",
                                      "127.0.0.1", "127.0.0.1:0",  "127.0.0.1:70000",
                                      "[::1]",     "[127.0.0.1]:1"};
    struct loop *loop = loop_new();
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        struct redis_options options = {.loop = loop, .address = bad[i]};
        if (redis_new(&options))
            fail_msg("%s was taken", bad[i]);
        assert_int_equal(errno, EINVAL);
    }
    loop_destroy(&loop);
}

// What a hostile server may say: each ends the reader, none costs more memory than was sent.
static void hostile_replies_are_refused(void **state)
{
    (void)state;
    static const char *const said[] = {
        "*2147483647\r\n",
        "*1001\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        "HTTP/1.1 200 OK\r\n",
        "\r\n",
        ":x\r\n",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(said); i++) {
        struct redis_reader *reader = redis_reader_new();
        redis_reader_feed(reader, said[i], strlen(said[i]));
        struct redisReply *reply = redis_reader_next(reader);
        if (reply || !redis_reader_failed(reader))
            fail_msg("%s was borne", said[i]);
        redis_reader_destroy(&reader);
    }
}

static void a_reply_without_end_is_refused(void **state)
{
    (void)state;
    char block[4096];
    struct redis_reader *reader = redis_reader_new();
    memset(block, 'x', sizeof(block));
    redis_reader_feed(reader, "$500000000\r\n", 12);
    size_t fed = 0;
    while (!redis_reader_failed(reader)) {
        redis_reader_feed(reader, block, sizeof(block));
        assert_null(redis_reader_next(reader));
        fed += sizeof(block);
    }
    assert_in_range(fed, 1, 1024 * 1024 + sizeof(block));
    redis_reader_destroy(&reader);
}

static int set_up(void **state)
{
    static struct redis_server server;
    redis_server_start(&server, "");
    *state = &server;
    return 0;
}

static int tear_down(void **state)
{
    redis_server_stop(*state);
    return 0;
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest reader[] = {
        cmocka_unit_test(addresses_are_checked),
        cmocka_unit_test(hostile_replies_are_refused),
        cmocka_unit_test(a_reply_without_end_is_refused),
    };
    const struct CMUnitTest server[] = {
        WITH_SERVER(words_may_hold_any_bytes),
        WITH_SERVER(a_command_may_fail_alone),
        WITH_SERVER(a_forgotten_question_is_not_answered),
        WITH_SERVER(a_server_that_hangs_costs_a_deadline_then_nothing),
        WITH_SERVER(a_late_answer_is_told_once_and_the_next_is_heard),
        WITH_SERVER(a_killed_server_is_found_again),
        WITH_SERVER(a_replica_is_not_asked),
        WITH_SERVER(users_need_their_password),
        cmocka_unit_test(answers_come_over_tls),
    };
    int failed = cmocka_run_group_tests(reader, NULL, NULL);
    return failed + (redis_server_present() ? cmocka_run_group_tests(server, NULL, NULL) : 0);
}
