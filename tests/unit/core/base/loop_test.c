// SPDX-License-Identifier: Apache-2.0
#include "core/base/loop.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

struct pair {
    struct loop *loop;
    struct watch *watches[2];
    int called;
};

static void on_either(void *context, int events)
{
    struct pair *self = context;
    assert_int_equal(events, LOOP_READ);
    self->called++;
    watch_destroy(&self->watches[0]);
    watch_destroy(&self->watches[1]);
}

static void stop(void *context)
{
    loop_stop(context);
}

static void destroying_a_watch_mid_batch_silences_its_pending_events(void **state)
{
    (void)state;
    struct pair pair = {.loop = loop_new()};
    int pipes[2][2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipe(pipes[i]), 0);
        assert_int_equal(write(pipes[i][1], "x", 1), 1); // both are ready in the same turn
        pair.watches[i] = watch_new(pair.loop, pipes[i][0], LOOP_READ, on_either, &pair);
    }
    struct timer *timer = timer_new(pair.loop, stop, pair.loop);
    timer_start(timer, 20);
    loop_run(pair.loop);
    assert_int_equal(pair.called, 1);
    timer_destroy(&timer);
    loop_destroy(&pair.loop);
    for (int i = 0; i < 2; i++) {
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
}

struct timers {
    struct loop *loop;
    struct timer *first, *second;
    int called;
};

static void on_timer(void *context)
{
    struct timers *self = context;
    self->called++;
    timer_destroy(&self->first);
    timer_destroy(&self->second);
}

static void destroying_a_timer_in_its_own_callback_is_allowed(void **state)
{
    (void)state;
    struct timers timers = {.loop = loop_new()};
    timers.first = timer_new(timers.loop, on_timer, &timers);
    timers.second = timer_new(timers.loop, on_timer, &timers);
    timer_start(timers.first, 1);
    timer_start(timers.second, 1);
    assert_true(timer_active(timers.first));
    struct timer *end = timer_new(timers.loop, stop, timers.loop);
    timer_start(end, 10);
    loop_run(timers.loop);
    assert_int_equal(timers.called, 1);
    assert_false(timer_active(end));
    timer_destroy(&end);
    loop_destroy(&timers.loop);
}

static void a_paused_watch_stays_silent_until_it_is_resumed(void **state)
{
    (void)state;
    struct pair pair = {.loop = loop_new()};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    pair.watches[0] = watch_new(pair.loop, ends[0], 0, on_either, &pair);
    struct timer *end = timer_new(pair.loop, stop, pair.loop);
    timer_start(end, 5);
    loop_run(pair.loop);
    assert_int_equal(pair.called, 0);
    watch_events(pair.watches[0], LOOP_READ);
    timer_start(end, 5);
    loop_run(pair.loop);
    assert_int_equal(pair.called, 1);
    timer_destroy(&end);
    loop_destroy(&pair.loop);
    close(ends[0]);
    close(ends[1]);
}

static void count(void *context)
{
    ++*(int *)context;
}

static void hooks_run_before_the_wait_and_signals_arrive(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    int turns = 0, caught = 0;
    struct hook *hook = hook_new(loop, count, &turns);
    loop_on_signal(loop, SIGUSR1, count, &caught);
    struct timer *end = timer_new(loop, stop, loop);
    timer_start(end, 10);
    raise(SIGUSR1);
    loop_run(loop);
    assert_true(turns >= 1);
    assert_int_equal(caught, 1);
    hook_destroy(&hook);
    timer_destroy(&end);
    loop_destroy(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(destroying_a_watch_mid_batch_silences_its_pending_events),
        cmocka_unit_test(destroying_a_timer_in_its_own_callback_is_allowed),
        cmocka_unit_test(a_paused_watch_stays_silent_until_it_is_resumed),
        cmocka_unit_test(hooks_run_before_the_wait_and_signals_arrive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
