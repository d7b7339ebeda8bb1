// SPDX-License-Identifier: Apache-2.0
#include "core/base/heir.h"
#include "core/base/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct estate {
    char state[64];
    struct loop *loop;
    struct timer *timer;
    struct heir *heir;
    pthread_t loop_thread;
    struct slot slot;   // what was opened
    atomic_int go_on;   // until it is set, opening takes its time
    int on_loop_thread; // opening was
    unsigned turns;     // of the loop, while the slot was being opened
    unsigned opened;
    atomic_uint closed;
    int waiting; // the loop stops after each turn
};

static int has_records(const char *path)
{
    return strcmp(path + strlen(path) - 2, "/7") == 0;
}

static void *open_slowly(void *context, struct slot *slot, const atomic_int *cancelled)
{
    struct estate *self = context;
    self->on_loop_thread = pthread_equal(pthread_self(), self->loop_thread);
    self->slot = *slot;
    while (!self->go_on && !*cancelled)
        usleep(1000);
    if (!*cancelled)
        return self;
    slot_release(&self->slot);
    return NULL;
}

static void opened(void *context, void *what)
{
    struct estate *self = context;
    assert_ptr_equal(what, self);
    self->opened++;
    loop_stop(self->loop);
}

static void close_it(void *what)
{
    struct estate *self = what;
    slot_release(&self->slot);
    self->closed++;
}

static const struct heir_ops ops = {has_records, open_slowly, opened, close_it};

static void turn(void *context)
{
    struct estate *self = context;
    self->turns++;
    if (self->turns == 20)
        self->go_on = 1;
    timer_start(self->timer, 1);
    if (self->waiting)
        loop_stop(self->loop);
}

static int make_estate(void **state)
{
    struct estate *self = allocate(sizeof(*self));
    struct slot slot;
    snprintf(self->state, sizeof(self->state), "/tmp/postern-heir-XXXXXX");
    if (!mkdtemp(self->state))
        return -1;
    for (int number = 6; number <= 7; number++) { // folders of two that died
        if (slot_take(&slot, self->state, STAGE_INGRESS, number, NULL) < 0)
            return -1;
        slot_release(&slot);
    }
    self->loop = loop_new();
    self->loop_thread = pthread_self();
    self->timer = timer_new(self->loop, turn, self);
    self->heir = heir_new(self->loop, self->state, STAGE_INGRESS, &ops, self);
    *state = self;
    return 0;
}

static int remove_estate(void **state)
{
    struct estate *self = *state;
    char command[96];
    heir_destroy(&self->heir);
    timer_destroy(&self->timer);
    loop_destroy(&self->loop);
    snprintf(command, sizeof(command), "rm -r %s", self->state);
    free(self);
    return system(command);
}

static void wait_for_thread(struct estate *self)
{
    while (heir_busy(self->heir)) { // its last word comes by the loop
        self->waiting = 1;
        timer_start(self->timer, 1);
        loop_run(self->loop);
    }
}

static void the_loop_turns_while_a_dead_slot_is_opened(void **state)
{
    struct estate *self = *state;
    timer_start(self->timer, 1);
    heir_look(self->heir);
    loop_run(self->loop);
    assert_int_equal(self->opened, 1);
    assert_int_equal(self->slot.number, 7);
    assert_false(self->on_loop_thread);
    assert_true(self->turns >= 20);
    assert_int_equal(slot_locked(self->state, STAGE_INGRESS, 6), 0); // nothing to inherit
    assert_int_equal(slot_locked(self->state, STAGE_INGRESS, 7), 1);

    wait_for_thread(self); // it has looked again, and found nobody
    heir_close(self->heir, self);
    wait_for_thread(self);
    assert_int_equal(self->closed, 1);
    assert_int_equal(self->opened, 1);
    assert_int_equal(slot_locked(self->state, STAGE_INGRESS, 7), 0);
}

static void a_slot_that_is_alive_is_left_alone(void **state)
{
    struct estate *self = *state;
    struct slot alive;
    assert_int_equal(slot_take(&alive, self->state, STAGE_INGRESS, 7, NULL), 0);
    self->go_on = 1;
    heir_look(self->heir);
    wait_for_thread(self);
    assert_int_equal(self->opened, 0);
    slot_release(&alive);
}

static void the_end_cancels_an_opening_under_way(void **state)
{
    struct estate *self = *state;
    heir_look(self->heir);
    while (slot_locked(self->state, STAGE_INGRESS, 7) == 0)
        usleep(1000);
    heir_destroy(&self->heir); // would wait for ever if the thread were not told
    assert_int_equal(self->opened, 0);
    assert_int_equal(slot_locked(self->state, STAGE_INGRESS, 7), 0);
}

static void what_was_opened_and_not_taken_is_closed_at_the_end(void **state)
{
    struct estate *self = *state;
    self->go_on = 1;
    heir_look(self->heir);
    while (slot_locked(self->state, STAGE_INGRESS, 7) == 0)
        usleep(1000);
    usleep(20000); // the thread ends; the loop does not turn
    heir_destroy(&self->heir);
    assert_int_equal(self->opened, 0);
    assert_int_equal(slot_locked(self->state, STAGE_INGRESS, 7), 0);
}

#define WITH_ESTATE(test) cmocka_unit_test_setup_teardown(test, make_estate, remove_estate)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ESTATE(the_loop_turns_while_a_dead_slot_is_opened),
        WITH_ESTATE(a_slot_that_is_alive_is_left_alone),
        WITH_ESTATE(the_end_cancels_an_opening_under_way),
        WITH_ESTATE(what_was_opened_and_not_taken_is_closed_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
