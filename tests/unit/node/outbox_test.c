// SPDX-License-Identifier: Apache-2.0
#include "node/outbox.h"

#include "core/base/loop.h"
#include "core/base/slot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { JOURNAL = 0x1234, WAIT_MS = 5000, EVENTS_MOST = 4096 };
static const char key[] = "key of the master";

// An outbox in a temporary folder; what it published, and the cursor it told last.
static struct world {
    char folder[64], journal[80];
    struct loop *loop;
    struct outbox *outbox;
    struct timer *late;
    uint64_t published[EVENTS_MOST]; // sequence -> the event's time_ms
    uint64_t last, epoch;
    unsigned frames, topics, epochs;
    Postern__Taken taken;
    unsigned takens;
    int (*until)(void);
} world;

static void check(void)
{
    if (world.until && world.until())
        loop_stop(world.loop);
}

static void publish(void *context, enum topic topic, const Postern__Publication *publication)
{
    (void)context;
    assert_true(publication->first == world.last + 1 || publication->epoch != world.epoch);
    world.epoch = publication->epoch;
    world.frames++;
    world.topics |= 1u << topic;
    for (size_t i = 0; i < publication->n_events; i++) {
        Postern__Event *event =
            postern__event__unpack(NULL, publication->events[i].len, publication->events[i].data);
        assert_non_null(event);
        world.last = publication->first + i;
        assert_true(world.last < EVENTS_MOST);
        world.published[world.last] = (uint64_t)event->time_ms;
        postern__event__free_unpacked(event, NULL);
    }
    check();
}

static void taken(void *context, unsigned stage, unsigned slot, const Postern__Taken *message)
{
    (void)context;
    assert_int_equal(stage, STAGE_INGRESS);
    assert_int_equal(slot, 3);
    world.taken = *message;
    world.takens++;
    check();
}

static void epoch_changed(void *context)
{
    (void)context;
    world.epochs++;
}

static void late(void *context)
{
    (void)context;
    loop_stop(world.loop);
}

static void run(int (*until)(void))
{
    world.until = until;
    if (!until()) {
        timer_start(world.late, WAIT_MS);
        loop_run(world.loop);
        timer_stop(world.late);
    }
    assert_true(until());
    world.until = NULL;
}

static void open_outbox(void)
{
    const char *const masters[] = {key};
    const struct outbox_ops ops = {publish, taken, epoch_changed, NULL};
    world.loop = loop_new();
    world.late = timer_new(world.loop, late, NULL);
    world.outbox = outbox_new(world.loop, world.journal, "node", masters, 1, &ops);
    assert_non_null(world.outbox);
    outbox_hurry(world.outbox, 1);
}

static void close_outbox(void)
{
    outbox_destroy(&world.outbox);
    timer_destroy(&world.late);
    loop_destroy(&world.loop);
}

static int make_world(void **state)
{
    (void)state;
    world = (struct world){0};
    snprintf(world.folder, sizeof(world.folder), "/tmp/outbox-test-XXXXXX");
    if (!mkdtemp(world.folder))
        return -1;
    snprintf(world.journal, sizeof(world.journal), "%s/journal", world.folder);
    open_outbox();
    return 0;
}

static int remove_world(void **state)
{
    char command[128];
    (void)state;
    close_outbox();
    snprintf(command, sizeof(command), "rm -rf %s", world.folder);
    return system(command);
}

// Records `from` .. `to` of the ingress's journal, which follow on `after`.
static void give(uint32_t after, uint32_t from, uint32_t to, Postern__Kind kind)
{
    Postern__Taking taking = POSTERN__TAKING__INIT;
    Postern__TakenRecord records[64], *list[64];
    uint8_t packed[64][64];
    taking.stage = STAGE_INGRESS;
    taking.slot = 3;
    taking.journal = JOURNAL;
    taking.after_segment = after ? 1 : 0;
    taking.after_offset = after;
    for (uint32_t i = from; i <= to && to; i++) {
        Postern__Event event = POSTERN__EVENT__INIT;
        size_t at = taking.n_records++;
        event.kind = kind;
        event.time_ms = i;
        postern__taken_record__init(&records[at]);
        records[at].segment = 1;
        records[at].offset = i;
        records[at].event =
            (ProtobufCBinaryData){postern__event__pack(&event, packed[at]), packed[at]};
        list[at] = &records[at];
    }
    taking.records = list;
    outbox_take(world.outbox, &taking);
}

static int is_quiet(void)
{
    return outbox_quiet(world.outbox);
}

static void assert_published(uint32_t from, uint32_t to)
{
    assert_int_equal(world.last, to - from + 1);
    for (uint32_t i = from; i <= to; i++)
        assert_int_equal(world.published[i - from + 1], i);
}

static void events_are_published_once_durable_and_their_cursor_is_told(void **state)
{
    (void)state;
    give(0, 1, 10, POSTERN__KIND__KIND_DONE);
    assert_int_equal(world.last, 0);
    run(is_quiet);
    assert_published(1, 10);
    assert_int_equal(world.frames, 1);
    assert_int_equal(world.taken.offset, 10);
    assert_int_equal(outbox_producer(world.outbox)->last, 10);
}

static void a_record_that_comes_again_is_no_second_event(void **state)
{
    (void)state;
    give(0, 1, 5, POSTERN__KIND__KIND_DONE);
    give(0, 1, 7, POSTERN__KIND__KIND_DONE);
    run(is_quiet);
    give(3, 4, 9, POSTERN__KIND__KIND_DONE);
    run(is_quiet);
    assert_published(1, 9);
}

static void records_after_a_gap_are_not_taken(void **state)
{
    (void)state;
    give(0, 1, 3, POSTERN__KIND__KIND_DONE);
    give(5, 6, 8, POSTERN__KIND__KIND_DONE); // 4 and 5 are missing
    run(is_quiet);
    assert_published(1, 3);
    give(3, 4, 8, POSTERN__KIND__KIND_DONE);
    run(is_quiet);
    assert_published(1, 8);
}

static void an_empty_word_asks_for_the_cursor(void **state)
{
    (void)state;
    give(0, 1, 0, POSTERN__KIND__KIND_DONE);
    assert_int_equal(world.takens, 1);
    assert_true(world.taken.none);
    give(0, 1, 2, POSTERN__KIND__KIND_DONE);
    run(is_quiet);
    give(0, 1, 0, POSTERN__KIND__KIND_DONE);
    assert_false(world.taken.none);
    assert_int_equal(world.taken.offset, 2);
}

static void sequence_and_cursors_survive_a_restart(void **state)
{
    (void)state;
    give(0, 1, 20, POSTERN__KIND__KIND_DONE);
    run(is_quiet);
    uint64_t epoch = outbox_producer(world.outbox)->epoch;
    close_outbox();
    open_outbox();
    assert_int_equal(outbox_producer(world.outbox)->epoch, epoch);
    assert_int_equal(outbox_producer(world.outbox)->last, 20);
    give(10, 11, 25, POSTERN__KIND__KIND_DONE);
    run(is_quiet);
    assert_published(1, 25);
}

static void each_kind_has_its_topic_and_some_are_not_for_masters(void **state)
{
    (void)state;
    give(0, 1, 1, POSTERN__KIND__KIND_DONE);
    give(1, 2, 2, POSTERN__KIND__KIND_QUARANTINED);
    give(2, 3, 3, POSTERN__KIND__KIND_NODE);
    give(3, 4, 4, POSTERN__KIND__KIND_NONE);
    run(is_quiet);
    assert_published(1, 3);
    assert_int_equal(world.topics, 7);
    assert_int_equal(world.taken.offset, 4);
}

static void say_hello(uint64_t epoch, uint64_t watermark)
{
    Postern__MasterHello hello = POSTERN__MASTER_HELLO__INIT;
    hello.incarnation = 5;
    hello.epoch = epoch;
    hello.watermark = watermark;
    outbox_hello(world.outbox, 0, &hello);
}

static void acknowledge(uint64_t upto)
{
    Postern__Ack ack = POSTERN__ACK__INIT;
    ack.incarnation = 5;
    ack.epoch = outbox_producer(world.outbox)->epoch;
    ack.upto = upto;
    outbox_acknowledge(world.outbox, 0, &ack);
}

static void what_the_master_has_is_trimmed(void **state)
{
    (void)state;
    say_hello(0, 0);
    for (uint32_t i = 0; i < 4; i++) {
        give(i * 10, i * 10 + 1, i * 10 + 10, POSTERN__KIND__KIND_DONE);
        run(is_quiet);
    }
    const struct producer *producer = outbox_producer(world.outbox);
    assert_int_equal(producer_first_kept(producer), 1);
    acknowledge(25);
    assert_int_equal(producer_first_kept(producer), 21);
    acknowledge(40);
    assert_int_equal(producer_first_kept(producer), 31); // the newest knows the cursors
}

static void a_master_that_is_ahead_means_a_new_epoch(void **state)
{
    (void)state;
    give(0, 1, 10, POSTERN__KIND__KIND_DONE);
    run(is_quiet);
    uint64_t epoch = outbox_producer(world.outbox)->epoch;
    say_hello(epoch, 11);
    assert_int_equal(world.epochs, 0); // not told before it is durable
    assert_false(outbox_settled(world.outbox));
    assert_true(outbox_producer(world.outbox)->epoch != epoch);
    assert_int_equal(outbox_producer(world.outbox)->last, 0);
    run(is_quiet);
    assert_int_equal(world.epochs, 1);
    assert_true(outbox_settled(world.outbox));
    assert_int_equal(world.last, 2); // the alarm, and what was cut
    give(10, 11, 11, POSTERN__KIND__KIND_DONE);
    run(is_quiet);
    assert_int_equal(world.published[3], 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(events_are_published_once_durable_and_their_cursor_is_told,
                                        make_world, remove_world),
        cmocka_unit_test_setup_teardown(a_record_that_comes_again_is_no_second_event, make_world,
                                        remove_world),
        cmocka_unit_test_setup_teardown(records_after_a_gap_are_not_taken, make_world,
                                        remove_world),
        cmocka_unit_test_setup_teardown(an_empty_word_asks_for_the_cursor, make_world,
                                        remove_world),
        cmocka_unit_test_setup_teardown(sequence_and_cursors_survive_a_restart, make_world,
                                        remove_world),
        cmocka_unit_test_setup_teardown(each_kind_has_its_topic_and_some_are_not_for_masters,
                                        make_world, remove_world),
        cmocka_unit_test_setup_teardown(what_the_master_has_is_trimmed, make_world, remove_world),
        cmocka_unit_test_setup_teardown(a_master_that_is_ahead_means_a_new_epoch, make_world,
                                        remove_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
