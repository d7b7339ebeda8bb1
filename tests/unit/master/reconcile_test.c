// SPDX-License-Identifier: Apache-2.0
// Two real stores, compared and made equal by the real questions and answers.
#include "master/reconcile.h"
#include "master/store/inventory.h"
#include "tests/unit/master/store/folder.h"

enum { ROUND = 77, MANY = 5000 };

// What is to be told to the comparison next; answers never come from within a question.
struct told {
    enum { NOTHING, THEIRS, OURS, STORED } kind;
    enum control_type type;
    Postern__PeerAnswer *answer;
};

struct two {
    struct world *ours, *theirs;
    struct reconcile *reconcile;
    struct told next;
    struct reconcile_report report;
    unsigned asked, done;
    int forge; // the peer's events are not what was asked for
};

static int ask(void *context, enum control_type type, const Postern__PeerAsk *question)
{
    struct two *self = context;
    self->asked++;
    self->next = (struct told){THEIRS, type, holdings_answer(self->theirs->store, type, question)};
    assert_non_null(self->next.answer);
    if (self->forge && type == CONTROL_PEER_EVENTS)
        self->next.answer->rows[0]->sequence++;
    return 0;
}

static int look(void *context, enum control_type type, const Postern__PeerAsk *question)
{
    struct two *self = context;
    self->next = (struct told){OURS, type, holdings_answer(self->ours->store, type, question)};
    return 0;
}

static int keep(void *context, const char *node, uint64_t epoch, const Postern__PeerAnswer *answer)
{
    struct two *self = context;
    for (size_t i = 0; i < answer->n_rows; i++) {
        const ProtobufCBinaryData *packed = &answer->rows[i]->event;
        Postern__Event *event = postern__event__unpack(NULL, packed->len, packed->data);
        struct store_event at = {
            node, epoch, answer->rows[i]->sequence, {(char *)packed->data, packed->len}, event};
        assert_int_equal(store_add(self->ours->store, &at), 0);
        postern__event__free_unpacked(event, NULL);
    }
    assert_int_equal(store_commit(self->ours->store), 0);
    self->next = (struct told){.kind = STORED};
    return 0;
}

static void done(void *context, const struct reconcile_report *report)
{
    struct two *self = context;
    self->report = *report;
    self->done++;
}

static void tell_next(struct two *self)
{
    struct told told = self->next;
    self->next.kind = NOTHING;
    if (told.kind == THEIRS)
        reconcile_theirs(self->reconcile, told.type, told.answer);
    else if (told.kind == OURS)
        reconcile_ours(self->reconcile, told.answer);
    else if (told.kind == STORED)
        reconcile_stored(self->reconcile);
}

static void compare(struct two *self, int fetch, const struct reconcile_limit *limits, size_t count)
{
    const struct reconcile_ops ops = {ask, look, keep, done, self};
    self->asked = self->done = 0;
    self->reconcile = reconcile_new(ROUND, fetch, limits, count, &ops);
    reconcile_start(self->reconcile);
    while (self->next.kind != NOTHING)
        tell_next(self);
    assert_int_equal(self->done, 1);
    reconcile_destroy(&self->reconcile);
}

static int two_start(void **state)
{
    struct two *self = allocate(sizeof(*self));
    void *world;
    world_start(&world);
    self->ours = world;
    world_start(&world);
    self->theirs = world;
    *state = self;
    return 0;
}

static int two_stop(void **state)
{
    struct two *self = *state;
    void *world = self->ours;
    world_stop(&world);
    world = self->theirs;
    world_stop(&world);
    free(self);
    return 0;
}

// Event `sequence` of a stream; every tenth is a node's own, which no day keeps.
static void hold(struct world *world, const char *node, uint64_t epoch, uint64_t sequence,
                 const char *reply)
{
    struct fact fact = {.kind = sequence % 10 ? POSTERN__KIND__KIND_DONE : POSTERN__KIND__KIND_NODE,
                        .time_ms = NOON + (int64_t)(sequence / 2000) * 86400000,
                        .sender = "anna@client.example",
                        .address = "bert@example.org",
                        .reply = reply,
                        .disposition = POSTERN__DISPOSITION__DISPOSITION_DELIVERED,
                        .nameless = sequence % 10 == 0};
    for (size_t i = 0; i < ULID_SIZE; i++)
        fact.id.bytes[i] = i < 6 ? (uint8_t)((uint64_t)fact.time_ms >> (40 - 8 * i))
                                 : (uint8_t)(sequence >> (8 * (i - 6)));
    store_fact(world->store, &fact, node, epoch, sequence);
}

static void hold_range(struct world *world, const char *node, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i <= to; i++)
        hold(world, node, 1, i, "250 taken");
    assert_int_equal(store_commit(world->store), 0);
}

static void assert_equal(struct two *self)
{
    compare(self, 0, NULL, 0);
    assert_true(self->report.complete && self->report.missing_here == 0 &&
                self->report.missing_there == 0);
    assert_int_equal(self->asked, 1); // the digests of the streams say it all
}

static void test_what_we_lack_is_named_and_fetched(void **state)
{
    struct two *self = *state;
    hold_range(self->ours, "worker-1", 1, 700);
    hold_range(self->ours, "worker-1", 4000, MANY);
    hold_range(self->theirs, "worker-1", 1, MANY);
    hold_range(self->theirs, "worker-2", 1, 5);
    compare(self, 0, NULL, 0);
    assert_true(self->report.complete);
    assert_int_equal(self->report.missing_here, 3299 + 5);
    assert_int_equal(self->report.missing_there, 0);
    assert_int_equal(self->report.fetched, 0);
    assert_int_equal(self->report.streams, 2);
    compare(self, 1, NULL, 0);
    assert_int_equal(self->report.fetched, 3299 + 5);
    assert_equal(self);
    world_reopen(self->ours);
    assert_equal(self);
}

// Nobody is asked to take anything: each fetches for itself.
static void test_what_the_peer_lacks_is_named(void **state)
{
    struct two *self = *state;
    hold_range(self->ours, "worker-1", 1, 30);
    hold_range(self->theirs, "worker-1", 1, 10);
    hold_range(self->theirs, "worker-1", 15, 30);
    compare(self, 1, NULL, 0);
    assert_int_equal(self->report.missing_there, 4);
    assert_int_equal(self->report.fetched, 0);
    assert_int_equal(self->report.difference_count, 1);
    assert_string_equal(self->report.differences[0].node, "worker-1");
    assert_true(self->report.differences[0].first == 11 && self->report.differences[0].last == 14);
}

// What a living worker is still to bring is not fetched from the peer.
static void test_limits_end_the_comparison_of_a_stream(void **state)
{
    struct two *self = *state;
    const struct reconcile_limit limit = {"worker-1", 1, 1500};
    hold_range(self->ours, "worker-1", 1, 1000);
    hold_range(self->ours, "worker-1", 1002, 1500);
    hold_range(self->theirs, "worker-1", 1, MANY);
    compare(self, 1, &limit, 1);
    assert_int_equal(self->report.missing_here, 1);
    assert_int_equal(self->report.fetched, 1);
    assert_true(self->report.reach_count == 1 && self->report.reach[0].upto == MANY);
    compare(self, 1, &limit, 1);
    assert_int_equal(self->asked, 1);
}

// One sequence, two events: whoever was first, both masters end with both.
static void test_forks_are_kept_on_both_sides(void **state)
{
    struct two *self = *state, other;
    hold_range(self->ours, "worker-1", 1, 20);
    hold_range(self->theirs, "worker-1", 1, 18);
    hold(self->theirs, "worker-1", 1, 19, "250 another");
    hold(self->theirs, "worker-1", 1, 20, "250 another");
    assert_int_equal(store_commit(self->theirs->store), 0);
    compare(self, 1, NULL, 0);
    assert_int_equal(self->report.missing_here, 2);
    assert_int_equal(self->report.missing_there, 2);
    other = (struct two){.ours = self->theirs, .theirs = self->ours};
    compare(&other, 1, NULL, 0);
    assert_int_equal(other.report.fetched, 2);
    assert_equal(self);
}

static void test_forged_events_are_not_taken(void **state)
{
    struct two *self = *state;
    hold_range(self->theirs, "worker-1", 1, 3);
    self->forge = 1;
    compare(self, 1, NULL, 0);
    assert_false(self->report.complete);
    self->forge = 0;
    compare(self, 0, NULL, 0);
    assert_int_equal(self->report.missing_here, 3);
}

static void test_senseless_questions_have_no_answer(void **state)
{
    struct two *self = *state;
    Postern__PeerAsk ask_of = POSTERN__PEER_ASK__INIT;
    char long_name[100] = {0};
    memset(long_name, 'x', sizeof(long_name) - 1);
    const char *const names[] = {"", long_name};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        ask_of.node = fact_bytes(names[i]);
        assert_null(holdings_answer(self->ours->store, CONTROL_PEER_ROWS, &ask_of));
    }
    assert_null(holdings_answer(self->ours->store, CONTROL_PEER_HELLO, &ask_of));
    ask_of.node = fact_bytes("worker-1");
    ask_of.epoch = ask_of.upto = ask_of.from = UINT64_MAX;
    for (int type = CONTROL_PEER_RANGES; type <= CONTROL_PEER_EVENTS; type++) {
        hold_range(self->ours, "worker-1", 1, 2);
        ask_of.epoch = 1;
        Postern__PeerAnswer *answer =
            holdings_answer(self->ours->store, (enum control_type)type, &ask_of);
        assert_true(answer && answer->n_rows == 0 && answer->n_digests == 0);
        postern__peer_answer__free_unpacked(answer, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_we_lack_is_named_and_fetched, two_start,
                                        two_stop),
        cmocka_unit_test_setup_teardown(test_what_the_peer_lacks_is_named, two_start, two_stop),
        cmocka_unit_test_setup_teardown(test_limits_end_the_comparison_of_a_stream, two_start,
                                        two_stop),
        cmocka_unit_test_setup_teardown(test_forks_are_kept_on_both_sides, two_start, two_stop),
        cmocka_unit_test_setup_teardown(test_forged_events_are_not_taken, two_start, two_stop),
        cmocka_unit_test_setup_teardown(test_senseless_questions_have_no_answer, two_start,
                                        two_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
