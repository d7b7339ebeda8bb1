// SPDX-License-Identifier: Apache-2.0
#include "core/base/loop.h"
#include "core/base/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ITEMS = 10000 };

struct reading {
    struct loop *loop;
    uintptr_t next;
};

static void on_item(void *context, void *item)
{
    struct reading *self = context;
    assert_int_equal((uintptr_t)item, self->next);
    if (++self->next == ITEMS)
        loop_stop(self->loop);
}

static void *put_all(void *context)
{
    for (uintptr_t i = 0; i < ITEMS; i++)
        while (mailbox_put(context, (void *)i) < 0)
            sched_yield();
    return NULL;
}

static void a_loop_gets_every_item_in_order(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_new(16);
    struct reading reading = {.loop = loop_new()};
    mailbox_attach(mailbox, reading.loop, on_item, &reading);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, put_all, mailbox), 0);
    loop_run(reading.loop);
    pthread_join(thread, NULL);
    assert_int_equal(reading.next, ITEMS);
    mailbox_destroy(&mailbox);
    loop_destroy(&reading.loop);
}

static void *take_all(void *context)
{
    uintptr_t sum = 0;
    for (void *item; (item = mailbox_wait(context, -1));)
        sum += (uintptr_t)item;
    return (void *)sum;
}

static void a_thread_gets_what_was_put_before_the_close(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_new(4);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, take_all, mailbox), 0);
    for (uintptr_t i = 1; i <= 100; i++)
        while (mailbox_put(mailbox, (void *)i) < 0)
            sched_yield();
    mailbox_close(mailbox);
    void *sum;
    pthread_join(thread, &sum);
    assert_int_equal((uintptr_t)sum, 5050);
    mailbox_destroy(&mailbox);
}

static void a_full_or_closed_one_refuses_and_an_empty_one_times_out(void **state)
{
    (void)state;
    struct mailbox *mailbox = mailbox_new(1);
    assert_null(mailbox_wait(mailbox, 1));
    assert_int_equal(mailbox_put(mailbox, state), 0);
    assert_int_equal(mailbox_put(mailbox, state), -1);
    assert_int_equal(errno, EAGAIN);
    mailbox_close(mailbox);
    assert_int_equal(mailbox_put(mailbox, state), -1);
    assert_int_equal(errno, EPIPE);
    assert_ptr_equal(mailbox_wait(mailbox, 0), state);
    assert_null(mailbox_wait(mailbox, -1));
    mailbox_destroy(&mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_gets_every_item_in_order),
        cmocka_unit_test(a_thread_gets_what_was_put_before_the_close),
        cmocka_unit_test(a_full_or_closed_one_refuses_and_an_empty_one_times_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
