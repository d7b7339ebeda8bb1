// SPDX-License-Identifier: Apache-2.0
// How long a mail waits while there is no analyzer, above all one that an earlier process left.
#include "core/journal/record.h"
#include "ingress/custody.h"
#include "mail/spooled.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TICK_MS = 100, SECOND_MS = 1000, MINUTE_MS = 60 * SECOND_MS, HOUR_MS = 60 * MINUTE_MS };
enum { INCARNATION = 7 };

static const struct custody_limits limits = {.verdict_wait_ms = 20 * SECOND_MS,
                                             .job_timeout_ms = MINUTE_MS,
                                             .analysis_wait_ms = HOUR_MS,
                                             .silent_ms = 30 * SECOND_MS,
                                             .looked_at_once = 500};

struct world {
    int64_t now;
    unsigned analyses; // jobs sent to the analyzer
    unsigned unseen;   // quarantined without one
    struct custody *custody;
};

static int64_t world_now(void *io)
{
    return ((struct world *)io)->now;
}

static int world_append(void *io, unsigned type, const struct iovec *pieces, int count,
                        journal_fn *fn, void *context, struct position *ret_where)
{
    (void)io, (void)type, (void)pieces, (void)count, (void)fn, (void)context;
    *ret_where = (struct position){2, 0, 1};
    return 0;
}

static void world_release(void *io, struct position where)
{
    (void)io, (void)where;
}

static void world_release_two(void *io, struct position ended, struct position end)
{
    (void)io, (void)ended, (void)end;
}

static void world_committed(void *io, struct position where, const void *event, size_t size)
{
    (void)io, (void)where, (void)event, (void)size;
}

static int world_send(void *io, enum stage stage, unsigned slot, enum bus_type type,
                      const ProtobufCMessage *message)
{
    struct world *self = io;
    (void)stage, (void)slot;
    if (type == BUS_ANALYZER_JOB) {
        self->analyses++;
    } else if (type == BUS_DELIVERY_JOB) {
        const Postern__DeliveryJob *job = (const Postern__DeliveryJob *)message;
        assert_int_equal(job->action, POSTERN__ACTION__ACTION_QUARANTINE);
        assert_memory_equal(job->reason.data, "analysis-unavailable", job->reason.len);
        self->unseen++;
    }
    return 0;
}

static int world_locked(void *io, enum stage stage, unsigned slot)
{
    (void)io, (void)stage, (void)slot;
    return 1;
}

static uint64_t world_existing(void *io, enum stage stage)
{
    (void)io, (void)stage;
    return 1;
}

static void world_ended(void *io, const Postern__Envelope *envelope)
{
    (void)io, (void)envelope;
}

static void world_judged(void *io, const Postern__Envelope *envelope,
                         const Postern__Verdict *verdict)
{
    (void)io, (void)envelope, (void)verdict;
}

static const struct custody_ops world_ops = {
    .now_ms = world_now,
    .append = world_append,
    .release = world_release,
    .release_ended = world_release_two,
    .release_after = world_release_two,
    .committed = world_committed,
    .send = world_send,
    .locked = world_locked,
    .existing = world_existing,
    .ended = world_ended,
    .judged = world_judged,
};

static void replay_one(struct world *self, int64_t received_ms)
{
    Postern__Recipient recipient = POSTERN__RECIPIENT__INIT, *recipients[] = {&recipient};
    Postern__Envelope envelope = POSTERN__ENVELOPE__INIT;
    struct ulid id = ulid_new(received_ms);
    envelope.id = (ProtobufCBinaryData){ULID_SIZE, id.bytes};
    envelope.received_ms = received_ms;
    envelope.n_recipients = 1;
    envelope.recipients = recipients;
    size_t size;
    void *head = spooled_head(&envelope, &size);
    custody_replay(self->custody, RECORD_MESSAGE, (struct position){1, 0, (uint32_t)size}, head);
    free(head);
}

static void welcome(struct world *self, enum stage stage, unsigned credit)
{
    Postern__Welcome message = POSTERN__WELCOME__INIT;
    message.stage = stage;
    message.incarnation = 9;
    message.to = INCARNATION;
    message.round = 1;
    message.credit = credit;
    message.last = 1;
    custody_welcome(self->custody, &message);
}

// A process that took over one mail, of so long ago; every delivery has reported.
static void setup_world(struct world *self, int64_t age_ms)
{
    *self = (struct world){.now = 1700000000000};
    self->custody = custody_new(&world_ops, self, 0, INCARNATION, &limits);
    replay_one(self, self->now - age_ms);
    custody_recovered(self->custody);
    custody_peer(self->custody, STAGE_DELIVERY, 0, 1);
    welcome(self, STAGE_DELIVERY, 4);
}

static void pass(struct world *self, int64_t ms)
{
    for (int64_t end = self->now + ms; self->now < end;) {
        self->now += TICK_MS;
        custody_tick(self->custody);
    }
}

static void old_mail_that_is_replayed_waits_for_an_analyzer(void **state)
{
    (void)state;
    struct world world;
    setup_world(&world, 2 * HOUR_MS);
    pass(&world, SECOND_MS);
    assert_int_equal(world.unseen, 0);
    custody_peer(world.custody, STAGE_ANALYZER, 0, 1);
    welcome(&world, STAGE_ANALYZER, 4);
    assert_int_equal(world.analyses, 1);
    custody_destroy(&world.custody);
}

static void without_any_analyzer_the_policy_decides_in_the_end(void **state)
{
    (void)state;
    struct world world;
    setup_world(&world, 2 * HOUR_MS);
    pass(&world, HOUR_MS - SECOND_MS);
    assert_int_equal(world.unseen, 0);
    pass(&world, 2 * SECOND_MS);
    assert_int_equal(world.unseen, 1);
    custody_destroy(&world.custody);
}

static void the_wait_begins_anew_with_each_life_of_an_analyzer(void **state)
{
    (void)state;
    struct world world;
    setup_world(&world, 0);
    pass(&world, HOUR_MS - MINUTE_MS);
    custody_peer(world.custody, STAGE_ANALYZER, 0, 1);
    welcome(&world, STAGE_ANALYZER, 0); // alive for a moment, but it takes no job
    pass(&world, HOUR_MS - MINUTE_MS);
    assert_int_equal(world.analyses, 0);
    assert_int_equal(world.unseen, 0);
    pass(&world, 2 * MINUTE_MS);
    assert_int_equal(world.unseen, 1);
    custody_destroy(&world.custody);
}

static void a_sleep_of_the_machine_is_no_wait(void **state)
{
    (void)state;
    struct world world;
    setup_world(&world, 0);
    pass(&world, SECOND_MS);
    world.now += 5 * (int64_t)HOUR_MS;
    custody_tick(world.custody);
    assert_int_equal(world.unseen, 0);
    custody_destroy(&world.custody);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_mail_that_is_replayed_waits_for_an_analyzer),
        cmocka_unit_test(without_any_analyzer_the_policy_decides_in_the_end),
        cmocka_unit_test(the_wait_begins_anew_with_each_life_of_an_analyzer),
        cmocka_unit_test(a_sleep_of_the_machine_is_no_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
