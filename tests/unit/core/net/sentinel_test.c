// SPDX-License-Identifier: Apache-2.0
#include "core/base/loop.h"
#include "core/net/redis.h"
#include "core/net/sentinel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000, CONNECTIONS_MOST = 16, PAUSE_MS = 5 };

// Something that speaks as a test wants: on the same loop, so that all happens in one thread.
struct fake {
    struct loop *loop;
    int listener, fds[CONNECTIONS_MOST];
    struct watch *accepting, *watches[CONNECTIONS_MOST];
    unsigned count, questions;
    char address[32];
    const char *primary; // the answer to SENTINEL; NULL: it is silent
    const char *role;    // the answer to ROLE; NULL: none
};

struct heard {
    struct fake *fake;
    unsigned at;
};

static struct heard heard[64];
static unsigned heard_count;

static void say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void on_bytes(void *context, int events)
{
    const struct heard *self = context;
    struct fake *fake = self->fake;
    char text[1024];
    (void)events;
    ssize_t size = read(fake->fds[self->at], text, sizeof(text) - 1);
    if (size <= 0) {
        watch_events(fake->watches[self->at], 0);
        return;
    }
    text[size] = 0;
    if (fake->primary && strstr(text, "SENTINEL")) {
        fake->questions++;
        say(fake->fds[self->at], fake->primary);
    }
    if (fake->primary && strstr(text, "SUBSCRIBE"))
        say(fake->fds[self->at], "*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n");
    if (strstr(text, "ROLE") && fake->role)
        say(fake->fds[self->at], fake->role);
}

static void on_connection(void *context, int events)
{
    struct fake *self = context;
    (void)events;
    assert_true(self->count < CONNECTIONS_MOST && heard_count < 64);
    self->fds[self->count] = accept4(self->listener, NULL, NULL, SOCK_NONBLOCK);
    heard[heard_count] = (struct heard){self, self->count};
    self->watches[self->count] =
        watch_new(self->loop, self->fds[self->count], LOOP_READ, on_bytes, &heard[heard_count++]);
    self->count++;
}

static void fake_open(struct fake *self, struct loop *loop, const char *primary)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(to);
    *self = (struct fake){.loop = loop, .primary = primary, .role = "*1\r\n$6\r\nmaster\r\n"};
    self->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(self->listener, (struct sockaddr *)&to, size), 0);
    assert_int_equal(listen(self->listener, 16), 0);
    assert_int_equal(getsockname(self->listener, (struct sockaddr *)&to, &size), 0);
    snprintf(self->address, sizeof(self->address), "127.0.0.1:%d", ntohs(to.sin_port));
    self->accepting = watch_new(loop, self->listener, LOOP_READ, on_connection, self);
}

static void fake_close(struct fake *self)
{
    watch_destroy(&self->accepting);
    close(self->listener);
    for (unsigned i = 0; i < self->count; i++) {
        watch_destroy(&self->watches[i]);
        close(self->fds[i]);
    }
}

static void tell_switch(struct fake *self, const char *words)
{
    char text[512];
    snprintf(text, sizeof(text), "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$%zu\r\n%s\r\n",
             strlen(words), words);
    say(self->fds[self->count - 1], text);
}

// "$9\r\n127.0.0.1\r\n$4\r\nPORT\r\n" of an address like "127.0.0.1:1234".
static const char *named(const char *address, char ret[128])
{
    const char *port = strchr(address, ':') + 1;
    snprintf(ret, 128, "*2\r\n$9\r\n127.0.0.1\r\n$%zu\r\n%s\r\n", strlen(port), port);
    return ret;
}

// -- Sentinels alone

struct world {
    struct loop *loop;
    struct timer *patience, *soon;
    struct sentinel *sentinel;
    struct redis *redis;
    char told[144];
    unsigned times;
};

static void out_of_patience(void *context)
{
    (void)context;
    fail_msg("nothing happened for too long");
}

static void world_open(struct world *self)
{
    *self = (struct world){.loop = loop_new()};
    self->patience = timer_new(self->loop, out_of_patience, self);
    timer_start(self->patience, PATIENCE_MS);
}

static void world_close(struct world *self)
{
    redis_destroy(&self->redis);
    sentinel_destroy(&self->sentinel);
    timer_destroy(&self->patience);
    timer_destroy(&self->soon);
    loop_destroy(&self->loop);
    heard_count = 0;
}

static void run_ms(struct world *self, int64_t ms)
{
    struct timer *rest = timer_new(self->loop, (loop_fn *)loop_stop, self->loop);
    timer_start(rest, ms);
    loop_run(self->loop);
    timer_destroy(&rest);
}

static void on_primary(void *context, const struct endpoint *primary)
{
    struct world *self = context;
    snprintf(self->told, sizeof(self->told), "%s", primary->text);
    self->times++;
    loop_stop(self->loop);
}

static void listen_to(struct world *self, const char *const *addresses, size_t count)
{
    struct sentinel_options options = {
        .loop = self->loop, .addresses = addresses, .address_count = count, .master_name = "mail"};
    self->sentinel = sentinel_new(&options, on_primary, self);
    assert_non_null(self->sentinel);
}

#define GOOD "*2\r\n$9\r\n192.0.2.1\r\n$4\r\n6379\r\n"

static void one_that_does_not_know_is_left_for_the_next(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "*-1\r\n",                                       // never heard of it
        "$-1\r\n",                                       //
        "-IDONTKNOW No such master\r\n",                 //
        "*2\r\n$9\r\n192.0.2.1\r\n$5\r\n99999\r\n",      // no port
        "*2\r\n$9\r\n192.0.2.1\r\n$5\r\n63 79\r\n",      //
        "*2\r\n$13\r\nredis.example\r\n$4\r\n6379\r\n",  // a name
        "*2\r\n:1\r\n:2\r\n",                            // no texts
        "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n",       // too many
        "*2\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n", // nested
        "*2147483647\r\n",                               // would cost memory
        "HTTP/1.1 400 Bad Request\r\n\r\n",              // no Redis at all
        "*2\r\n$3\r\n\0\0\0\r\n$4\r\n6379\r\n",          //
    };
    for (size_t i = 0; i < ARRAY_LENGTH(answers); i++) {
        struct world world;
        struct fake bad, good;
        world_open(&world);
        fake_open(&bad, world.loop, answers[i]);
        fake_open(&good, world.loop, GOOD);
        listen_to(&world, (const char *const[]){bad.address, good.address}, 2);
        loop_run(world.loop);
        assert_string_equal(world.told, "192.0.2.1:6379");
        assert_int_equal(bad.questions, 1);
        assert_int_equal(world.times, 1);
        fake_close(&bad);
        fake_close(&good);
        world_close(&world);
    }
}

static void one_that_is_away_or_silent_is_left_for_the_next(void **state)
{
    (void)state;
    struct world world;
    struct fake silent, good;
    world_open(&world);
    fake_open(&silent, world.loop, NULL);
    fake_open(&good, world.loop, GOOD);
    listen_to(&world, (const char *const[]){"127.0.0.1:1", silent.address, good.address}, 3);
    loop_run(world.loop);
    assert_string_equal(world.told, "192.0.2.1:6379");
    assert_int_equal(silent.count, 1);
    fake_close(&silent);
    fake_close(&good);
    world_close(&world);
}

static void a_round_in_vain_is_followed_by_a_rest(void **state)
{
    (void)state;
    struct world world;
    struct fake one, two;
    world_open(&world);
    fake_open(&one, world.loop, "*-1\r\n");
    fake_open(&two, world.loop, "*-1\r\n");
    listen_to(&world, (const char *const[]){one.address, two.address}, 2);
    run_ms(&world, 700);
    assert_int_equal(one.questions, 1);
    assert_int_equal(two.questions, 1);
    two.primary = GOOD;
    loop_run(world.loop);
    assert_int_equal(one.questions, 2);
    fake_close(&one);
    fake_close(&two);
    world_close(&world);
}

static void a_switch_is_told_if_it_is_ours_and_whole(void **state)
{
    (void)state;
    struct world world;
    struct fake fake;
    world_open(&world);
    fake_open(&fake, world.loop, GOOD);
    listen_to(&world, (const char *const[]){fake.address}, 1);
    loop_run(world.loop);
    static const char *const others[] = {
        "other 192.0.2.1 6379 192.0.2.9 6379", "mail 192.0.2.1 6379 192.0.2.9",   "mail",
        "mail 192.0.2.1 6379 nowhere 6379",    "mail 192.0.2.1 6379 192.0.2.9 x", ""};
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++)
        tell_switch(&fake, others[i]);
    tell_switch(&fake, "mail 192.0.2.1 6379 2001:db8::2 6380");
    loop_run(world.loop);
    assert_string_equal(world.told, "[2001:db8::2]:6380");
    assert_int_equal(world.times, 2);
    fake_close(&fake);
    world_close(&world);
}

static void one_that_falls_silent_is_left_for_the_next(void **state)
{
    (void)state;
    struct world world;
    struct fake one, two;
    world_open(&world);
    fake_open(&one, world.loop, GOOD); // answers no PING
    fake_open(&two, world.loop, GOOD);
    listen_to(&world, (const char *const[]){one.address, two.address}, 2);
    loop_run(world.loop);
    loop_run(world.loop);
    assert_int_equal(two.questions, 1);
    fake_close(&one);
    fake_close(&two);
    world_close(&world);
}

static void addresses_are_checked(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    const char *many[SENTINELS_MOST + 1];
    for (size_t i = 0; i < ARRAY_LENGTH(many); i++)
        many[i] = "127.0.0.1:1";
    struct sentinel_options options = {.loop = loop, .addresses = many, .master_name = "m"};
    static const size_t counts[] = {0, SENTINELS_MOST + 1};
    for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
        options.address_count = counts[i];
        assert_null(sentinel_new(&options, on_primary, NULL));
        assert_int_equal(errno, EINVAL);
    }
    many[1] = "sentinel.example:26379";
    options.address_count = 2;
    assert_null(sentinel_new(&options, on_primary, NULL));
    loop_destroy(&loop);
}

// -- Redis by Sentinels

static void look(void *context)
{
    struct world *self = context;
    if (redis_answers(self->redis))
        loop_stop(self->loop);
    timer_start(self->soon, PAUSE_MS);
}

static void open_redis(struct world *self, const char *const *addresses, size_t count)
{
    struct sentinel_options sentinels = {
        .addresses = addresses, .address_count = count, .master_name = "mail"};
    struct redis_options options = {.loop = self->loop, .sentinels = &sentinels};
    self->redis = redis_new(&options);
    assert_non_null(self->redis);
    self->soon = timer_new(self->loop, look, self);
    timer_start(self->soon, PAUSE_MS);
}

// A Sentinel that was cut off still names the old primary; that one's role tells better.
static void a_named_primary_that_is_none_sends_to_the_next_sentinel(void **state)
{
    (void)state;
    struct world world;
    struct fake stale, good, replica, primary;
    char names[2][128];
    world_open(&world);
    fake_open(&replica, world.loop, "");
    fake_open(&primary, world.loop, "");
    replica.role = "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:1\r\n$9\r\nconnected\r\n:1\r\n";
    fake_open(&stale, world.loop, named(replica.address, names[0]));
    fake_open(&good, world.loop, named(primary.address, names[1]));
    open_redis(&world, (const char *const[]){stale.address, good.address}, 2);
    loop_run(world.loop);
    assert_int_equal(stale.questions, 1);
    assert_int_equal(good.questions, 1);
    assert_int_equal(replica.count, 1);
    fake_close(&stale);
    fake_close(&good);
    fake_close(&replica);
    fake_close(&primary);
    world_close(&world);
}

static void on_nothing(void *context, const struct redisReply *reply)
{
    assert_null(reply);
    ++*(unsigned *)context;
}

static void a_switch_is_followed_at_once_and_open_questions_end(void **state)
{
    (void)state;
    static const struct span ping[] = {{"PING", 4}};
    struct world world;
    struct fake sentinel, first, second;
    char name[128], words[128];
    unsigned ended = 0;
    world_open(&world);
    fake_open(&first, world.loop, "");
    fake_open(&second, world.loop, "");
    fake_open(&sentinel, world.loop, named(first.address, name));
    open_redis(&world, (const char *const[]){sentinel.address}, 1);
    loop_run(world.loop);
    assert_non_null(redis_ask(world.redis, ping, 1, 0, on_nothing, &ended)); // it never answers
    snprintf(words, sizeof(words), "mail 127.0.0.1 %s 127.0.0.1 %s", strchr(first.address, ':') + 1,
             strchr(second.address, ':') + 1);
    tell_switch(&sentinel, words);
    int64_t start = loop_now_ms(world.loop);
    while (!second.count)
        run_ms(&world, PAUSE_MS);
    assert_int_equal(ended, 1);
    loop_run(world.loop);
    assert_in_range(loop_now_ms(world.loop) - start, 0, 1000);
    assert_true(redis_answers(world.redis));
    fake_close(&sentinel);
    fake_close(&first);
    fake_close(&second);
    world_close(&world);
}

static void roles_are_read_with_care(void **state)
{
    (void)state;
    static const char *const roles[] = {
        "*0\r\n",        "*1\r\n:1\r\n", "*1\r\n$8\r\nsentinel\r\n", "+master\r\n",
        "$-1\r\n",       "-ERR no\r\n",  "*1\r\n$7\r\nmasters\r\n",  "*1\r\n*1\r\n$6\r\nmaster\r\n",
        "+OK\r\n+OK\r\n"};
    for (size_t i = 0; i < ARRAY_LENGTH(roles); i++) {
        struct world world;
        struct fake server;
        world_open(&world);
        fake_open(&server, world.loop, "");
        server.role = roles[i];
        struct redis_options options = {.loop = world.loop, .address = server.address};
        world.redis = redis_new(&options);
        run_ms(&world, 80);
        assert_int_equal(server.count, 1);
        assert_false(redis_answers(world.redis));
        fake_close(&server);
        world_close(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_does_not_know_is_left_for_the_next),
        cmocka_unit_test(one_that_is_away_or_silent_is_left_for_the_next),
        cmocka_unit_test(a_round_in_vain_is_followed_by_a_rest),
        cmocka_unit_test(a_switch_is_told_if_it_is_ours_and_whole),
        cmocka_unit_test(one_that_falls_silent_is_left_for_the_next),
        cmocka_unit_test(addresses_are_checked),
        cmocka_unit_test(a_named_primary_that_is_none_sends_to_the_next_sentinel),
        cmocka_unit_test(a_switch_is_followed_at_once_and_open_questions_end),
        cmocka_unit_test(roles_are_read_with_care),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
