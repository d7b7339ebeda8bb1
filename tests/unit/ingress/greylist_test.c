// SPDX-License-Identifier: Apache-2.0
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "core/net/redis.h"
#include "ingress/greylist.h"
#include "ingress/limits.h"
#include "ingress/reputation.h"
#include "ingress/sharing.h"
#include "mail/settings.h"
#include "tests/unit/core/net/redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int passes(struct greylist *list, const char *client, struct span sender,
                  struct span recipient, unsigned delay_s, int64_t now_ms)
{
    enum greylist_answer answer =
        greylist_ask(list, client, sender, recipient, delay_s, now_ms, NULL, NULL, NULL);
    assert_int_not_equal(answer, GREYLIST_LATER);
    return answer == GREYLIST_PASSES;
}

static const int64_t day = 24 * 3600 * 1000;

static void a_triple_must_come_back(void **state)
{
    (void)state;
    struct greylist *list = greylist_new(100);
    struct span sender = span_of("a@client.example"), recipient = span_of("b@example.org");
    assert_false(passes(list, "192.0.2.1", sender, recipient, 60, 1000));
    assert_false(passes(list, "192.0.2.1", sender, recipient, 60, 60999));
    assert_false(passes(list, "192.0.2.1", sender, span_of("c@example.org"), 60, 61000));
    assert_false(passes(list, "198.51.100.1", sender, recipient, 60, 61000));
    assert_true(passes(list, "192.0.2.200", sender, span_of("B@Example.org"), 60, 61000));
    assert_true(passes(list, "192.0.2.1", sender, recipient, 60, 61000 + 35 * day));
    assert_true(passes(list, "192.0.2.1", sender, recipient, 60, 61000 + 70 * day));
    assert_false(passes(list, "192.0.2.1", sender, recipient, 60, 61000 + 107 * day));
    greylist_destroy(&list);
}

static void a_triple_that_came_too_late_begins_anew(void **state)
{
    (void)state;
    struct greylist *list = greylist_new(100);
    struct span none = {"", 0}, recipient = span_of("b@example.org");
    assert_false(passes(list, "192.0.2.1", none, recipient, 60, 1000));
    assert_false(passes(list, "192.0.2.1", none, recipient, 60, 2000 + day));
    assert_true(passes(list, "192.0.2.1", none, recipient, 60, 62000 + day));
    greylist_destroy(&list);
}

// -- with Redis

// Two workers that share one Redis.
struct worker {
    struct greylist *greylist;
    struct limits *limits;
    struct reputation *reputation;
    struct sharing *sharing;
};

struct world {
    struct redis_server server;
    struct loop *loop;
    struct settings *settings;
    struct worker a, b;
    int answered, passed;
};

static void worker_open(struct worker *self, struct world *world)
{
    self->greylist = greylist_new(1000);
    self->limits = limits_new();
    self->reputation = reputation_new(1000);
    self->sharing = sharing_new(world->loop, self->greylist, self->limits, self->reputation);
    sharing_settings(self->sharing, world->settings);
}

static void worker_close(struct worker *self)
{
    sharing_destroy(&self->sharing);
    greylist_destroy(&self->greylist);
    limits_destroy(&self->limits);
    reputation_destroy(&self->reputation);
}

static void run_ms(struct world *self, int64_t ms)
{
    struct timer *timer = timer_new(self->loop, (loop_fn *)loop_stop, self->loop);
    timer_start(timer, ms);
    loop_run(self->loop);
    timer_destroy(&timer);
}

static void nobody_cares(void *context, int passed)
{
    (void)context;
    (void)passed;
}

// Until its Redis answers.
static void wait_shared(struct world *self, struct worker *worker)
{
    struct greylist_question *question;
    struct span probe = span_of("probe@client.example");
    while (greylist_ask(worker->greylist, "192.0.2.1", probe, probe, 3600, loop_now_ms(self->loop),
                        nobody_cares, NULL, &question) != GREYLIST_LATER)
        run_ms(self, 5);
    greylist_forget(question);
}

static int set_up(void **state)
{
    static struct world world;
    char json[256], error[256];
    world = (struct world){.loop = loop_new()};
    redis_server_start(&world.server, "");
    snprintf(json, sizeof(json),
             "{\"revision\":\"1\",\"documents\":{\"redis\":{\"address\":\"%s\"}}}",
             world.server.address);
    world.settings = settings_parse(json, strlen(json), error, sizeof(error));
    worker_open(&world.a, &world);
    worker_open(&world.b, &world);
    wait_shared(&world, &world.a);
    wait_shared(&world, &world.b);
    *state = &world;
    return world.settings ? 0 : -1;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    worker_close(&world->a);
    worker_close(&world->b);
    settings_release(&world->settings);
    loop_destroy(&world->loop);
    redis_server_stop(&world->server);
    return 0;
}

static void on_answer(void *context, int passed)
{
    struct world *world = context;
    world->answered++;
    world->passed += passed;
    loop_stop(world->loop);
}

static int asked(struct world *self, struct worker *worker, const char *sender, unsigned delay_s)
{
    struct greylist_question *question;
    int passed = self->passed;
    enum greylist_answer answer =
        greylist_ask(worker->greylist, "192.0.2.1", span_of(sender), span_of("b@example.org"),
                     delay_s, loop_now_ms(self->loop), on_answer, self, &question);
    if (answer != GREYLIST_LATER)
        return answer == GREYLIST_PASSES;
    loop_run(self->loop);
    return self->passed > passed;
}

// A busy machine may answer late, and then a try is put off as if Redis were gone.
static int passes_soon(struct world *self, struct worker *worker, const char *sender,
                       unsigned delay_s)
{
    for (int i = 0; i < 20; i++) {
        wait_shared(self, worker);
        if (asked(self, worker, sender, delay_s))
            return 1;
        run_ms(self, 20);
    }
    return 0;
}

static void a_triple_may_come_back_to_another_worker(void **state)
{
    struct world *world = *state;
    assert_false(asked(world, &world->a, "s@client.example", 1));
    assert_false(asked(world, &world->b, "s@client.example", 1));
    assert_int_equal(world->answered, 2);
    run_ms(world, 1050);
    struct worker late; // knows nothing of its own
    worker_open(&late, world);
    assert_true(passes_soon(world, &late, "s@client.example", 1));
    int answered = world->answered;
    assert_in_range(answered, 3, 22);
    assert_true(asked(world, &late, "s@client.example", 1)); // known here by now
    assert_int_equal(world->answered, answered);
    worker_close(&late);
}

static void a_pass_decided_alone_is_told_to_the_others(void **state)
{
    struct world *world = *state;
    assert_false(asked(world, &world->a, "t@client.example", 1));
    run_ms(world, 1050);
    wait_shared(world, &world->a);
    assert_true(asked(world, &world->a, "t@client.example", 1)); // by its own memory
    assert_int_equal(world->answered, 1);
    assert_true(passes_soon(world, &world->b, "t@client.example", 3600));
}

static void without_redis_each_goes_on_alone(void **state)
{
    struct world *world = *state;
    kill(world->server.pid, SIGSTOP);
    int64_t start = loop_now_ms(world->loop);
    assert_false(asked(world, &world->a, "u@client.example", 1));
    assert_in_range(loop_now_ms(world->loop) - start, 240, 2000);
    for (int i = 0; i < 5; i++)
        (void)asked(world, &world->a, "v@client.example", 1);
    start = loop_now_ms(world->loop);
    assert_false(asked(world, &world->a, "w@client.example", 1)); // the breaker is open
    assert_in_range(loop_now_ms(world->loop) - start, 0, 200);
    run_ms(world, 1050);
    assert_int_equal(metric_value(metric("degraded", "what=\"redis\"")), 1);
    assert_true(asked(world, &world->a, "u@client.example", 1));
    kill(world->server.pid, SIGCONT);
    wait_shared(world, &world->a); // the breaker rests for 5 s
    run_ms(world, 1100);
    assert_int_equal(metric_value(metric("degraded", "what=\"redis\"")), 0);
}

static void a_forgotten_question_is_not_answered(void **state)
{
    struct world *world = *state;
    struct greylist_question *question;
    assert_int_equal(greylist_ask(world->a.greylist, "192.0.2.1", span_of("x@client.example"),
                                  span_of("b@example.org"), 1, 1000, on_answer, world, &question),
                     GREYLIST_LATER);
    greylist_forget(question);
    run_ms(world, 300);
    assert_int_equal(world->answered, 0);
}

static void a_change_of_settings_leaves_nobody_waiting(void **state)
{
    struct world *world = *state;
    struct greylist_question *question;
    char error[256];
    static const char none[] = "{\"revision\":\"2\",\"documents\":{}}";
    struct settings *settings = settings_parse(none, sizeof(none) - 1, error, sizeof(error));
    kill(world->server.pid, SIGSTOP);
    assert_int_equal(greylist_ask(world->a.greylist, "192.0.2.1", span_of("y@client.example"),
                                  span_of("b@example.org"), 1, loop_now_ms(world->loop), on_answer,
                                  world, &question),
                     GREYLIST_LATER);
    sharing_settings(world->a.sharing, settings);
    assert_int_equal(world->answered, 1);
    assert_false(asked(world, &world->a, "y@client.example", 1));
    assert_int_equal(world->answered, 1);
    settings_release(&settings);
}

static void rates_are_those_of_all_workers(void **state)
{
    struct world *world = *state;
    enum { PER_MINUTE = 10 };
    int64_t now = loop_now_ms(world->loop);
    for (int i = 0; i < 6; i++)
        assert_true(limits_message(world->a.limits, "192.0.2.1", PER_MINUTE, now));
    for (int i = 0; i < 3; i++)
        assert_true(limits_message(world->b.limits, "192.0.2.1", PER_MINUTE, now));
    run_ms(world, 2200); // each told its own, and heard the other's when it told the next
    now = loop_now_ms(world->loop);
    (void)limits_message(world->a.limits, "192.0.2.1", PER_MINUTE, now);
    (void)limits_message(world->b.limits, "192.0.2.1", PER_MINUTE, now);
    run_ms(world, 1100);
    now = loop_now_ms(world->loop);
    assert_false(limits_message(world->a.limits, "192.0.2.1", PER_MINUTE, now));
    assert_false(limits_message(world->b.limits, "192.0.2.1", PER_MINUTE, now));
    assert_true(limits_message(world->b.limits, "192.0.2.1", PER_MINUTE, now + 12000));
}

static void reputation_is_that_of_all_workers(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 10; i++)
        reputation_note(world->a.reputation, "192.0.2.1", 0);
    for (int i = 0; i < 12; i++)
        reputation_note(world->a.reputation, "198.51.100.1", 1);
    run_ms(world, 1200);
    // Who is good passes at a worker that never saw it, what is asked for anew too.
    assert_int_equal(reputation_of(world->b.reputation, "192.0.2.1"), STANDING_UNKNOWN);
    assert_true(passes_soon(world, &world->b, "never-seen@client.example", 3600));
    assert_true(passes_soon(world, &world->b, "nor-this@client.example", 3600));
    // Who is bad is known a second after the first mail.
    reputation_note(world->b.reputation, "198.51.100.1", 1);
    run_ms(world, 1200);
    assert_int_equal(reputation_of(world->b.reputation, "198.51.100.1"), STANDING_BAD);
}

static void reputation_is_asked_only_where_it_counts(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 10; i++)
        reputation_note(world->a.reputation, "192.0.2.1", 0);
    run_ms(world, 1200);
    struct worker *b = &world->b;
    world->settings->reputation = 0;
    sharing_settings(b->sharing, world->settings);
    assert_false(asked(world, b, "o@client.example", 3600));
    world->settings->reputation = 1;
}

#define SHARED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(a_triple_must_come_back),
        cmocka_unit_test(a_triple_that_came_too_late_begins_anew),
    };
    const struct CMUnitTest shared[] = {
        SHARED(a_triple_may_come_back_to_another_worker),
        SHARED(a_pass_decided_alone_is_told_to_the_others),
        SHARED(without_redis_each_goes_on_alone),
        SHARED(a_forgotten_question_is_not_answered),
        SHARED(a_change_of_settings_leaves_nobody_waiting),
        SHARED(rates_are_those_of_all_workers),
        SHARED(reputation_is_that_of_all_workers),
        SHARED(reputation_is_asked_only_where_it_counts),
    };
    int failed = cmocka_run_group_tests(alone, NULL, NULL);
    return failed + (redis_server_present() ? cmocka_run_group_tests(shared, NULL, NULL) : 0);
}
