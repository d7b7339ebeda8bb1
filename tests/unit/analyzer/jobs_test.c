// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/analyzer/examine.h"

#include "analyzer/jobs.h"
#include "mail/spooled.h"
#include <errno.h>

enum { OWN_SLOT = 2, OWN_INCARNATION = 77, INGRESS = 3, ASKER = 500, SENT_MOST = 64 };

struct sent {
    enum bus_type type;
    unsigned ingress;
    uint32_t credit, attempt, round;
    uint64_t receiver;
    size_t holding, recipients;
    char finding[32];
};

// The pipes and the spool of a test.
struct world {
    struct loop *loop;
    struct settings *settings;
    struct engine *engine;
    struct jobs *jobs;
    struct slot slot;
    struct sent sent[SENT_MOST];
    size_t count;
    int refuse; // errno of every send
    int unreadable;
    unsigned mapped;
    void *record;
    size_t record_size;
    struct timer *end;
};

static void note_verdict(struct sent *sent, const Postern__Verdict *verdict)
{
    sent->attempt = verdict->attempt;
    sent->receiver = verdict->receiver;
    sent->recipients = verdict->n_recipients;
    assert_int_equal(verdict->sender, OWN_INCARNATION);
    assert_int_equal(verdict->ingress, sent->ingress);
    if (verdict->n_findings > 0)
        snprintf(sent->finding, sizeof(sent->finding), "%.*s", (int)verdict->findings[0]->name.len,
                 (char *)verdict->findings[0]->name.data);
}

static int send_it(void *io, unsigned ingress, enum bus_type type, const ProtobufCMessage *message)
{
    struct world *world = io;
    if (world->refuse == EMSGSIZE ? ((const Postern__Verdict *)message)->n_recipients > 0
                                  : world->refuse != 0) {
        errno = world->refuse;
        return -1;
    }
    assert_true(world->count < SENT_MOST);
    struct sent *sent = &world->sent[world->count++];
    *sent = (struct sent){.type = type, .ingress = ingress};
    if (type == BUS_WELCOME) {
        const Postern__Welcome *welcome = (const Postern__Welcome *)message;
        sent->credit = welcome->credit;
        sent->holding = welcome->n_holding;
        sent->round = welcome->round;
        sent->receiver = welcome->to;
        assert_int_equal(welcome->to_slot, ingress);
        assert_int_equal(welcome->slot, OWN_SLOT);
        assert_true(welcome->last);
    } else if (type == BUS_VERDICT) {
        note_verdict(sent, (const Postern__Verdict *)message);
    }
    return 0;
}

static const void *map(void *io, unsigned ingress, struct position where, void **ret_handle)
{
    struct world *world = io;
    assert_int_equal(ingress, INGRESS);
    if (world->unreadable) {
        errno = EBADMSG;
        return NULL;
    }
    assert_int_equal(where.length, world->record_size);
    world->mapped++;
    *ret_handle = world;
    return world->record;
}

static void unmap(void *io, unsigned ingress, void *handle)
{
    struct world *world = io;
    (void)ingress;
    assert_ptr_equal(handle, world);
    world->mapped--;
}

static const struct jobs_ops ops = {send_it, map, unmap};

static void stop(void *context)
{
    loop_stop(context);
}

static void run_for(struct world *self, int64_t ms)
{
    timer_start(self->end, ms);
    loop_run(self->loop);
}

static void open_world(struct world *self, const char *documents)
{
    static const char message[] = "From: a@b\r\nDate: x\r\n\r\nhello\r\n";
    *self = (struct world){.loop = loop_new(), .settings = test_settings(documents)};
    self->slot =
        (struct slot){.stage = STAGE_ANALYZER, .number = OWN_SLOT, .incarnation = OWN_INCARNATION};
    self->engine = engine_new(self->loop, self->settings);
    self->jobs =
        jobs_new(self->loop, self->engine, &ops, self, &self->slot, "/nowhere", "mx.test.example");
    self->end = timer_new(self->loop, stop, self->loop);
    Postern__Recipient row = POSTERN__RECIPIENT__INIT, *list[] = {&row};
    Postern__Envelope envelope = POSTERN__ENVELOPE__INIT;
    envelope.recipients = list;
    envelope.n_recipients = 1;
    size_t head_size;
    char *head = spooled_head(&envelope, &head_size);
    self->record_size = head_size + sizeof(message) - 1;
    self->record = allocate(self->record_size);
    memcpy(self->record, head, head_size);
    memcpy((char *)self->record + head_size, message, sizeof(message) - 1);
    free(head);
}

static void close_world(struct world *self)
{
    jobs_destroy(&self->jobs);
    engine_destroy(&self->engine);
    assert_int_equal(self->mapped, 0);
    settings_release(&self->settings);
    timer_destroy(&self->end);
    free(self->record);
    loop_destroy(&self->loop);
}

static void hello(struct world *self, uint64_t incarnation, uint32_t round)
{
    Postern__Hello hello = POSTERN__HELLO__INIT;
    hello.stage = STAGE_INGRESS;
    hello.slot = INGRESS;
    hello.incarnation = incarnation;
    hello.round = round;
    jobs_hello(self->jobs, &hello);
}

static void give(struct world *self, uint64_t sender, uint64_t receiver, uint32_t attempt)
{
    uint8_t id[16] = {9};
    Postern__Place place = POSTERN__PLACE__INIT;
    Postern__AnalyzerJob job = POSTERN__ANALYZER_JOB__INIT;
    place.length = (uint32_t)self->record_size;
    job.id = (ProtobufCBinaryData){sizeof(id), id};
    job.attempt = attempt;
    job.ingress = INGRESS;
    job.sender = sender;
    job.receiver = receiver;
    job.place = &place;
    job.deadline_ms = 1000;
    jobs_take(self->jobs, &job);
}

static size_t count_of(const struct world *self, enum bus_type type)
{
    size_t count = 0;
    for (size_t i = 0; i < self->count; i++)
        count += self->sent[i].type == type;
    return count;
}

static void a_job_is_begun_and_then_answered(void **state)
{
    struct world world;
    (void)state;
    open_world(&world, NULL);
    hello(&world, ASKER, 4);
    assert_int_equal(world.sent[0].type, BUS_WELCOME);
    assert_int_equal(world.sent[0].credit, JOBS_CREDIT);
    assert_int_equal(world.sent[0].round, 4);
    assert_int_equal(world.sent[0].receiver, ASKER);
    give(&world, ASKER, OWN_INCARNATION, 1);
    // Said before it is examined: what follows comes in a later turn of the loop.
    assert_int_equal(world.sent[1].type, BUS_ANALYZER_BEGUN);
    assert_int_equal(world.count, 2);
    hello(&world, ASKER, 5);
    assert_int_equal(world.sent[2].holding, 1);
    run_for(&world, 20);
    assert_int_equal(world.count, 4);
    assert_int_equal(world.sent[3].type, BUS_VERDICT);
    assert_int_equal(world.sent[3].attempt, 1);
    assert_int_equal(world.sent[3].receiver, ASKER);
    assert_int_equal(world.sent[3].recipients, 1);
    assert_true(jobs_idle(world.jobs, 0));
    close_world(&world);
}

static void strangers_jobs_are_dropped(void **state)
{
    struct world world;
    (void)state;
    open_world(&world, NULL);
    give(&world, ASKER, OWN_INCARNATION, 1); // nobody said Hello
    hello(&world, ASKER, 1);
    give(&world, ASKER + 1, OWN_INCARNATION, 1); // another sender
    give(&world, ASKER, OWN_INCARNATION + 1, 1); // for another analyzer
    assert_int_equal(jobs_held(world.jobs), 0);
    run_for(&world, 10);
    assert_int_equal(world.count, 1);
    close_world(&world);
}

static void a_newer_hello_ends_the_older_senders_jobs(void **state)
{
    struct world world;
    (void)state;
    open_world(&world, NULL);
    hello(&world, ASKER, 1);
    give(&world, ASKER, OWN_INCARNATION, 1);
    hello(&world, ASKER + 1, 1);
    assert_int_equal(jobs_held(world.jobs), 0);
    hello(&world, ASKER, 2); // the older one's, late on its own pipe
    assert_int_equal(count_of(&world, BUS_WELCOME), 2);
    give(&world, ASKER, OWN_INCARNATION, 2);
    give(&world, ASKER + 1, OWN_INCARNATION, 1);
    run_for(&world, 20);
    assert_int_equal(count_of(&world, BUS_VERDICT), 1);
    assert_int_equal(world.sent[world.count - 1].receiver, ASKER + 1);
    close_world(&world);
}

static void a_verdict_that_no_pipe_takes_is_kept(void **state)
{
    struct world world;
    (void)state;
    open_world(&world, NULL);
    hello(&world, ASKER, 1);
    give(&world, ASKER, OWN_INCARNATION, 1);
    world.refuse = EAGAIN;
    run_for(&world, 20);
    assert_int_equal(jobs_held(world.jobs), 1);
    world.refuse = 0;
    jobs_connected(world.jobs, INGRESS + 1);
    assert_int_equal(count_of(&world, BUS_VERDICT), 0);
    jobs_connected(world.jobs, INGRESS);
    assert_int_equal(count_of(&world, BUS_VERDICT), 1);
    assert_int_equal(jobs_held(world.jobs), 0);

    // Without a reconnect it is tried again by itself.
    give(&world, ASKER, OWN_INCARNATION, 2);
    world.refuse = EAGAIN;
    run_for(&world, 20);
    world.refuse = 0;
    run_for(&world, 200);
    assert_int_equal(count_of(&world, BUS_VERDICT), 2);

    // After its deadline its ingress has taken the job back.
    give(&world, ASKER, OWN_INCARNATION, 3);
    world.refuse = EAGAIN;
    run_for(&world, 1300);
    assert_int_equal(jobs_held(world.jobs), 0);
    close_world(&world);
}

static void a_verdict_too_big_for_a_frame_means_quarantine(void **state)
{
    struct world world;
    (void)state;
    open_world(&world, NULL);
    hello(&world, ASKER, 1);
    give(&world, ASKER, OWN_INCARNATION, 1);
    world.refuse = EMSGSIZE;
    run_for(&world, 20);
    const struct sent *last = &world.sent[world.count - 1];
    assert_int_equal(last->type, BUS_VERDICT);
    assert_int_equal(last->recipients, 0);
    assert_string_equal(last->finding, "verdict-limit");
    close_world(&world);
}

static void an_unreadable_message_is_said_to_be_so(void **state)
{
    struct world world;
    (void)state;
    open_world(&world, NULL);
    hello(&world, ASKER, 1);
    world.unreadable = 1;
    give(&world, ASKER, OWN_INCARNATION, 1);
    run_for(&world, 20);
    const struct sent *last = &world.sent[world.count - 1];
    assert_int_equal(last->type, BUS_VERDICT);
    assert_int_equal(last->recipients, 0);
    assert_string_equal(last->finding, "message-unreadable");
    close_world(&world);
}

static void draining_takes_the_credit_back_and_finishes(void **state)
{
    struct world world;
    (void)state;
    open_world(&world, NULL);
    hello(&world, ASKER, 1);
    for (uint32_t i = 1; i <= JOBS_CREDIT; i++)
        give(&world, ASKER, OWN_INCARNATION, i);
    jobs_drain(world.jobs);
    const struct sent *last = &world.sent[world.count - 1];
    assert_int_equal(last->type, BUS_WELCOME);
    assert_int_equal(last->credit, 0);
    assert_int_equal(last->holding, JOBS_CREDIT);
    assert_false(jobs_idle(world.jobs, 0));
    run_for(&world, 100);
    assert_int_equal(count_of(&world, BUS_VERDICT), JOBS_CREDIT);
    assert_true(jobs_idle(world.jobs, 20));
    assert_false(jobs_idle(world.jobs, 5000));
    close_world(&world);
}

static void a_world_that_ends_frees_what_it_held(void **state)
{
    struct world world;
    (void)state;
    open_world(&world, NULL);
    hello(&world, ASKER, 1);
    give(&world, ASKER, OWN_INCARNATION, 1);
    world.refuse = EAGAIN;
    run_for(&world, 20);
    world.refuse = 0;
    give(&world, ASKER, OWN_INCARNATION, 2);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_begun_and_then_answered),
        cmocka_unit_test(strangers_jobs_are_dropped),
        cmocka_unit_test(a_newer_hello_ends_the_older_senders_jobs),
        cmocka_unit_test(a_verdict_that_no_pipe_takes_is_kept),
        cmocka_unit_test(a_verdict_too_big_for_a_frame_means_quarantine),
        cmocka_unit_test(an_unreadable_message_is_said_to_be_so),
        cmocka_unit_test(draining_takes_the_credit_back_and_finishes),
        cmocka_unit_test(a_world_that_ends_frees_what_it_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
