// SPDX-License-Identifier: Apache-2.0
// The queue in a world of its own: each way in which a mail can end, and what its records and words
// are then.
#include "tests/unit/delivery/world.h"

static const uint32_t first_two[] = {0, 1};

static struct ulid name(uint8_t number)
{
    struct ulid id = {{0}};
    id.bytes[0] = 1;
    id.bytes[15] = number;
    return id;
}

static void test_delivered_leaves_no_record(void **state)
{
    (void)state;
    struct world *world = world_new(1);
    struct ulid id = name(1);
    world_job(world, &id, first_two, 2, POSTERN__ACTION__ACTION_ACCEPT);
    assert_int_equal(world->delivering_count, 1);
    world_result(world, RESULT_DELIVERED);
    world_commit(world);
    assert_int_equal(world->outcome_count, 2);
    assert_int_equal(world->outcomes[0].disposition, POSTERN__DISPOSITION__DISPOSITION_DELIVERED);
    assert_int_equal(world->record_count, 0);
    assert_int_equal(queue_claims(world->queue), 1); // kept until it is acknowledged
    world_acknowledge(world);
    assert_true(queue_empty(world->queue));
    world_destroy(world);
}

static void test_deferred_is_told_only_when_durable(void **state)
{
    (void)state;
    struct world *world = world_new(2);
    struct ulid id = name(1);
    world_job(world, &id, first_two, 2, POSTERN__ACTION__ACTION_ACCEPT);
    world_result(world, RESULT_DEFERRED);
    queue_flush(world->queue);
    assert_int_equal(world->outcome_count, 0);
    world_hello(world);
    assert_int_equal(world->holding_count, 2); // it is claimed meanwhile
    world_commit(world);
    assert_int_equal(world->outcome_count, 2);
    assert_int_equal(world->outcomes[0].disposition, POSTERN__DISPOSITION__DISPOSITION_DEFERRED);
    assert_int_equal(queue_held(world->queue), 1);
    assert_int_equal(world->events[POSTERN__KIND__KIND_DEFERRED], 2);

    world_pass(world, 30000);
    assert_int_equal(world->delivering_count, 0);
    world_pass(world, 60000);
    assert_int_equal(world->delivering_count, 1);
    world_result(world, RESULT_DELIVERED);
    world_commit(world);
    assert_int_equal(world->events[POSTERN__KIND__KIND_DELIVERED], 2);
    assert_true(world_live(world) > 0); // its outcome is not acknowledged
    world_acknowledge(world);
    assert_int_equal(world_live(world), 0);
    assert_true(queue_empty(world->queue));
    world_destroy(world);
}

// The loop has others to serve between the parts; an acknowledgement may come there, too.
static void test_a_long_report_leaves_in_parts(void **state)
{
    (void)state;
    enum { MAILS = 1200, PART = 500 };
    static const uint32_t one[] = {0};
    struct world *world = world_new(2);
    for (unsigned i = 0; i < MAILS; i++) {
        struct ulid id = name((uint8_t)i);
        id.bytes[14] = (uint8_t)(i >> 8);
        world_job(world, &id, one, 1, POSTERN__ACTION__ACTION_ACCEPT);
        world_result(world, RESULT_DELIVERED);
    }
    world->ingress_incarnation++; // the ingress died, and asks what is held for it
    world->reported = 0;
    world->outcome_count = 0;
    Postern__Hello hello = POSTERN__HELLO__INIT;
    hello.stage = STAGE_INGRESS;
    hello.slot = WORLD_INGRESS;
    hello.incarnation = world->ingress_incarnation;
    hello.round = ++world->round;
    queue_hello(world->queue, &hello);
    assert_int_equal(world->holding_count, PART);
    queue_hello(world->queue, &hello); // once more: it is being answered
    assert_int_equal(world->holding_count, PART);
    unsigned next = MAILS - 1 - PART; // the newest was said first
    struct ulid gone = name((uint8_t)next);
    gone.bytes[14] = (uint8_t)(next >> 8);
    uint32_t recipient[] = {0};
    Postern__OutcomeAck ack = POSTERN__OUTCOME_ACK__INIT;
    ack.id = (ProtobufCBinaryData){ULID_SIZE, gone.bytes};
    ack.delivery = WORLD_SLOT;
    ack.ingress = WORLD_INGRESS;
    ack.receiver = world->incarnation;
    ack.recipients = recipient;
    ack.n_recipients = 1;
    queue_acknowledged(world->queue, &ack);
    assert_int_equal(queue_flush(world->queue), 1);
    assert_int_equal(world->holding_count, 2 * PART);
    assert_int_equal(world->outcome_count, 0);
    assert_int_equal(queue_flush(world->queue), 0);
    assert_int_equal(world->holding_count, MAILS - 1);
    assert_int_equal(world->reported, 1);
    queue_flush(world->queue);
    queue_flush(world->queue);
    assert_int_equal(world->outcome_count, MAILS - 1);
    world_destroy(world);
}

// One job, three fates: each recipient its own outcome.
static void test_a_refusal_bounces(void **state)
{
    (void)state;
    struct world *world = world_new(3);
    struct ulid id = name(1);
    world_job(world, &id, first_two, 2, POSTERN__ACTION__ACTION_ACCEPT);
    world_result(world, RESULT_FAILED);
    queue_flush(world->queue);
    assert_int_equal(world->outcome_count, 0);
    world_commit(world);
    assert_int_equal(world->outcome_count, 2);
    assert_int_equal(world->outcomes[0].disposition, POSTERN__DISPOSITION__DISPOSITION_BOUNCED);
    assert_int_equal(world->events[POSTERN__KIND__KIND_BOUNCED], 2);
    world_acknowledge(world);
    world_pass(world, 1000);
    assert_int_equal(world->delivering_count, 1); // the notification
    const struct queued *notice = world->delivering[0];
    assert_int_equal(notice->envelope->reverse_path.len, 0);
    assert_memory_equal(notice->envelope->recipients[0]->address.data, "sender@a.example", 16);
    world_result(world, RESULT_FAILED); // and nothing follows a notification that bounces
    world_commit(world);
    assert_true(queue_empty(world->queue));
    assert_int_equal(world_live(world), 0);
    world_destroy(world);
}

static void test_no_notification_about_the_null_sender_or_for_never(void **state)
{
    (void)state;
    static const struct {
        const char *sender;
        uint32_t notify;
    } rows[] = {{"", 0}, {"sender@a.example", 1}, {"sender@a.example", 2 | 8}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct world *world = world_new(4);
        struct ulid id = name(1);
        world_spool(world, rows[i].sender, rows[i].notify);
        world_job(world, &id, first_two, 2, POSTERN__ACTION__ACTION_ACCEPT);
        world_result(world, RESULT_FAILED);
        world_commit(world);
        world_acknowledge(world);
        world_pass(world, 1000);
        assert_int_equal(world->delivering_count, 0);
        assert_true(queue_empty(world->queue));
        world_destroy(world);
    }
}

static void test_expired_mail_bounces(void **state)
{
    (void)state;
    struct world *world = world_new(5);
    struct ulid id = name(1);
    world_job(world, &id, first_two, 1, POSTERN__ACTION__ACTION_ACCEPT);
    world_result(world, RESULT_DEFERRED);
    world_commit(world);
    world_acknowledge(world);
    for (int tries = 0; world->events[POSTERN__KIND__KIND_BOUNCED] == 0; tries++) {
        assert_in_range(tries, 0, 400);
        world_pass(world, 300000);
        while (world->delivering_count > 0)
            world_result(world, RESULT_DEFERRED);
        world_commit(world);
    }
    assert_true(world->now_ms - 1700000000000 >= 86400000);
    assert_true(world->events[POSTERN__KIND__KIND_ATTEMPT] > 100);
    world_destroy(world);
}

// Past a quarter of an hour the bytes lie in a file, and the first record may go.
static void test_long_held_mail_moves_to_a_file(void **state)
{
    (void)state;
    struct world *world = world_new(6);
    struct ulid id = name(1);
    world_job(world, &id, first_two, 2, POSTERN__ACTION__ACTION_ACCEPT);
    world_result(world, RESULT_DEFERRED);
    world_commit(world);
    world_acknowledge(world);
    for (int i = 0; i < 20; i++) {
        world_pass(world, 60000);
        while (world->delivering_count > 0)
            world_result(world, RESULT_DEFERRED);
        world_commit(world);
    }
    assert_int_equal(world->records[0].type, RECORD_HELD);
    assert_int_equal(world->records[0].life, LIFE_RELEASED);
    for (int restart = 0; restart < 2; restart++) {
        world_pass(world, 700000);
        assert_int_equal(world->delivering_count, 1);
        const struct body *body = &world->delivering[0]->body;
        assert_int_equal(body->size, 13 + 24);
        assert_memory_equal(body->pieces[0].iov_base,
                            "Received: x\r\nSubject: test\r\n\r\nhello\r\n", 37);
        world_result(world, RESULT_DEFERRED);
        world_commit(world);
        world_crash(world);
        world_start(world);
    }
    world_pass(world, 700000);
    world_result(world, RESULT_DELIVERED);
    world_commit(world);
    world_hello(world);
    world_acknowledge(world);
    world_commit(world);
    assert_true(queue_empty(world->queue));
    world_destroy(world);
}

static void defer_many(struct world *world, unsigned first, unsigned count)
{
    static const uint32_t one[] = {0};
    for (unsigned i = first; i < first + count; i++) {
        struct ulid id = name((uint8_t)i);
        world_job(world, &id, one, 1, POSTERN__ACTION__ACTION_ACCEPT);
        world_result(world, RESULT_DEFERRED);
    }
    world_commit(world);
    world_acknowledge(world);
}

static void test_a_long_queue_moves_in_parts(void **state)
{
    (void)state;
    enum { MAILS = 120, PART = 50, HOUR_MS = 3600 * 1000 };
    static const struct schedule late = {
        .first_ms = 20 * HOUR_MS, .factor = 1, .most_ms = 20 * HOUR_MS, .expire_ms = 24 * HOUR_MS};
    struct world *world = world_new(7);
    queue_reschedule(world->queue, &late);
    defer_many(world, 0, MAILS);
    world->now_ms += HOUR_MS;
    for (size_t left = MAILS; left > 0; left -= left < PART ? left : PART) {
        queue_tick(world->queue);
        assert_int_equal(world->work_count, left < PART ? left : PART);
        world_commit(world);
    }
    queue_tick(world->queue);
    assert_int_equal(world->work_count, 0);
    world_destroy(world);
}

static void test_the_oldest_is_known_whatever_ends_first(void **state)
{
    (void)state;
    struct world *world = world_new(8);
    int64_t first_ms = world->now_ms;
    defer_many(world, 0, 3);
    world->now_ms += 5000;
    world_spool(world, "sender@a.example", 0); // received now
    defer_many(world, 3, 3);
    assert_int_equal(queue_oldest_ms(world->queue), first_ms);
    for (uint8_t i = 0; i < 6; i++) {
        struct ulid id = name(i);
        assert_int_equal(queue_oldest_ms(world->queue), i < 3 ? first_ms : first_ms + 5000);
        assert_int_equal(queue_discard(world->queue, &id), 1);
        world_commit(world);
    }
    assert_int_equal(queue_oldest_ms(world->queue), 0);
    world_destroy(world);
}

static void test_jobs_of_others_are_dropped(void **state)
{
    (void)state;
    struct world *world = world_new(7);
    struct ulid id = name(1);
    world->incarnation++; // made for another receiver
    world_job(world, &id, first_two, 2, POSTERN__ACTION__ACTION_ACCEPT);
    world->incarnation--;
    assert_int_equal(world->delivering_count, 0);
    world->ingress_incarnation++;
    world_hello(world);
    world->ingress_incarnation--; // by a sender that has died
    world_job(world, &id, first_two, 2, POSTERN__ACTION__ACTION_ACCEPT);
    assert_int_equal(world->delivering_count, 0);
    world_hello(world); // its last, that the next one's first has overtaken
    world_job(world, &id, first_two, 2, POSTERN__ACTION__ACTION_ACCEPT);
    assert_int_equal(world->delivering_count, 0);
    world->ingress_incarnation++;
    world_job(world, &id, first_two, 2, POSTERN__ACTION__ACTION_ACCEPT);
    assert_int_equal(world->delivering_count, 1);
    world_job(world, &id, first_two, 2,
              POSTERN__ACTION__ACTION_ACCEPT); // once more: it is under way
    assert_int_equal(world->delivering_count, 1);
    assert_int_equal(queue_claims(world->queue), 1);
    world_destroy(world);
}

static void test_outcomes_are_told_again(void **state)
{
    (void)state;
    struct world *world = world_new(8);
    struct ulid id = name(1);
    world_job(world, &id, first_two, 1, POSTERN__ACTION__ACTION_ACCEPT);
    world_result(world, RESULT_DELIVERED);
    world_commit(world);
    assert_int_equal(world->outcome_count, 1);
    world_hello(world); // the same incarnation, soon: not again
    assert_int_equal(world->outcome_count, 1);
    world->now_ms += 4000;
    world_hello(world);
    assert_int_equal(world->outcome_count, 2);
    world->ingress_incarnation++; // a new one: its report, then its outcomes
    world->reported = 0;
    world_hello(world);
    assert_int_equal(world->outcome_count, 3);
    assert_int_equal(world->holding_count, 1);
    world_acknowledge(world);
    assert_true(queue_empty(world->queue));
    world_destroy(world);
}

static void test_a_full_disk_loses_nothing(void **state)
{
    (void)state;
    struct world *world = world_new(9);
    struct ulid id = name(1);
    world->append_fails = 1;
    world_job(world, &id, first_two, 1, POSTERN__ACTION__ACTION_ACCEPT);
    world_result(world, RESULT_DEFERRED);
    world_pass(world, 1000);
    assert_int_equal(world->outcome_count, 0);
    world->append_fails = 0;
    world_pass(world, 1000);
    assert_int_equal(world->outcome_count, 1);
    assert_int_equal(queue_held(world->queue), 1);
    world_destroy(world);
}

static void test_operator_holds_retries_and_deletes(void **state)
{
    (void)state;
    struct world *world = world_new(10);
    struct ulid id = name(1), other = name(2);
    world_job(world, &id, first_two, 1, POSTERN__ACTION__ACTION_ACCEPT);
    world_result(world, RESULT_DEFERRED);
    world_commit(world);
    world_acknowledge(world);
    assert_int_equal(queue_freeze(world->queue, &other), 0);
    assert_int_equal(queue_freeze(world->queue, &id), 1);
    world_commit(world);
    world_crash(world);
    world_start(world);
    world_hello(world);
    world_acknowledge(world);
    world_pass(world, 700000);
    assert_int_equal(world->delivering_count, 0); // held back, over a restart too
    assert_int_equal(queue_retry(world->queue, NULL), 1);
    world_pass(world, 1000);
    assert_int_equal(world->delivering_count, 1);
    assert_int_equal(queue_discard(world->queue, &id), 0); // under way
    world_result(world, RESULT_DEFERRED);
    world_commit(world);
    assert_int_equal(queue_discard(world->queue, &id), 1);
    world_commit(world);
    assert_int_equal(world->events[POSTERN__KIND__KIND_DISCARDED], 1);
    assert_true(queue_empty(world->queue));
    world_destroy(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delivered_leaves_no_record),
        cmocka_unit_test(test_deferred_is_told_only_when_durable),
        cmocka_unit_test(test_a_long_report_leaves_in_parts),
        cmocka_unit_test(test_a_refusal_bounces),
        cmocka_unit_test(test_no_notification_about_the_null_sender_or_for_never),
        cmocka_unit_test(test_expired_mail_bounces),
        cmocka_unit_test(test_long_held_mail_moves_to_a_file),
        cmocka_unit_test(test_a_long_queue_moves_in_parts),
        cmocka_unit_test(test_the_oldest_is_known_whatever_ends_first),
        cmocka_unit_test(test_jobs_of_others_are_dropped),
        cmocka_unit_test(test_outcomes_are_told_again),
        cmocka_unit_test(test_a_full_disk_loses_nothing),
        cmocka_unit_test(test_operator_holds_retries_and_deletes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
