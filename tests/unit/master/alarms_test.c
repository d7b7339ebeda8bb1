// SPDX-License-Identifier: Apache-2.0
#include "master/alarms.h"
#include "master/store/public.h"
#include "tests/unit/master/world.h"

enum { SKEW_MS = 3600 * 1000, LONG_S = 70 };

// What the master's list of events says of one alarm.
struct heard {
    struct world *world;
    const char *name;
    unsigned raised, cleared, want_raised, want_cleared;
    char detail[256];
};

static int hear(void *context, const Postern__PublicEvent *event)
{
    struct heard *self = context;
    if (event->alarm.len != strlen(self->name) ||
        memcmp(event->alarm.data, self->name, event->alarm.len) != 0)
        return 0;
    assert_string_equal(event->node, "master-a");
    assert_string_equal(event->kind, "node");
    *(event->clear ? &self->cleared : &self->raised) += 1;
    snprintf(self->detail, sizeof(self->detail), "%.*s", (int)event->detail.len,
             (char *)event->detail.data);
    return 0;
}

static int is_heard(void *context)
{
    struct heard *self = context;
    const struct public_filter any = {0};
    char path[256];
    snprintf(path, sizeof(path), "%s/master/messages", self->world->folder);
    struct store_reader *reader = store_reader_open(path);
    self->raised = self->cleared = 0;
    (void)store_events(reader, 0, 10000, &any, hear, self);
    store_reader_close(&reader);
    return self->raised == self->want_raised && self->cleared == self->want_cleared;
}

static void wait_heard(struct world *world, const char *name, unsigned raised, unsigned cleared,
                       const char *detail)
{
    struct heard heard = {
        .world = world, .name = name, .want_raised = raised, .want_cleared = cleared};
    if (!spin_until(world->loop, is_heard, &heard, WORLD_WAIT_MS))
        fail_msg("%s: raised %u, cleared %u", name, heard.raised, heard.cleared);
    if (!strstr(heard.detail, detail))
        fail_msg("\"%s\" is not in \"%s\"", detail, heard.detail);
}

static int stands(struct world *self, const char *text)
{
    json_t *list = alarms_json(self->master.alarms), *one;
    int found = 0;
    size_t i;
    json_array_foreach(list, i, one) found |= strcmp(json_string_value(one), text) == 0;
    json_decref(list);
    return found;
}

static void seconds(struct world *self, unsigned count)
{
    while (count--)
        alarms_second(self->master.alarms);
}

static struct member *worker_of(struct world *self)
{
    struct member *member = members_by_name(&self->master.members, "worker-1");
    assert_non_null(member);
    return member;
}

static void nothing(struct member *member, struct world *world)
{
    member->heard_ms = loop_now_ms(world->loop);
    member->lag_ms = member->clock_ahead_ms = 0;
    member->tracker.held_count = 0;
}

static void be_lost(struct member *member, struct world *world)
{
    member->heard_ms = loop_now_ms(world->loop) - MEMBER_LOST_MS - 1000;
}

static void have_gap(struct member *member, struct world *world)
{
    (void)world;
    member->tracker.held_count = 1;
}

static void lag(struct member *member, struct world *world)
{
    (void)world;
    member->lag_ms = 61000;
}

static void go_wrong(struct member *member, struct world *world)
{
    (void)world;
    member->clock_ahead_ms = -SKEW_MS;
}

static void each_alarm_is_an_event_when_it_begins_and_when_it_is_over(void **state)
{
    struct world *self = *state;
    static const struct {
        const char *name, *text, *detail;
        void (*make)(struct member *member, struct world *world);
    } cases[] = {
        {"node-lost", "node-lost: worker-1", "worker-1: silent for ten seconds", be_lost},
        {"stream-gap", "stream-gap: worker-1", "worker-1: its stream waits for event ", have_gap},
        {"stream-lag", "stream-lag: worker-1", "events behind for over a minute", lag},
        {"clock-skew", "clock-skew: worker-1", "its clock is 3600 s behind ours", go_wrong},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct member *member = worker_of(self);
        nothing(member, self);
        seconds(self, LONG_S);
        assert_false(stands(self, cases[i].text));
        cases[i].make(member, self);
        seconds(self, LONG_S);
        member->tracker.held_count = 0; // nothing is held: it only seemed so
        assert_true(stands(self, cases[i].text));
        wait_heard(self, cases[i].name, 1, 0, cases[i].detail);
        nothing(worker_of(self), self);
        seconds(self, 1);
        assert_false(stands(self, cases[i].text));
        wait_heard(self, cases[i].name, 1, 1, "it is over");
    }
}

static void what_is_so_for_a_moment_only_is_no_alarm(void **state)
{
    struct world *self = *state;
    struct alarms *alarms = self->master.alarms;
    for (int i = 0; i < 200; i++)
        alarms_see(alarms, MASTER_ALARM_STREAM_GAP, "worker-1", i % 10 != 9, "");
    assert_false(stands(self, "stream-gap: worker-1"));
}

static void a_member_that_left_has_no_alarm(void **state)
{
    struct world *self = *state;
    be_lost(worker_of(self), self);
    seconds(self, 1);
    assert_true(stands(self, "node-lost: worker-1"));
    assert_int_equal(world_change(self, json_pack("{s:n}", "node/worker-1")), 200);
    seconds(self, 2);
    assert_false(stands(self, "node-lost: worker-1"));
    wait_heard(self, "node-lost", 1, 1, "it left");
}

static void beat_an_hour_ahead(struct world *self, int64_t ahead_ms)
{
    Postern__Heartbeat beat = POSTERN__HEARTBEAT__INIT;
    beat.node = world_bytes("worker-1");
    beat.epoch = self->worker.epoch;
    beat.clock_ms = clock_wall_ms() + ahead_ms;
    stream_send(self->worker.publish, "node.worker-1", CONTROL_HEARTBEAT, &beat.base);
}

static int clock_is_seen(void *context)
{
    struct world *self = context;
    beat_an_hour_ahead(self, SKEW_MS);
    return stands(self, "clock-skew: worker-1");
}

static int clock_is_right(void *context)
{
    struct world *self = context;
    beat_an_hour_ahead(self, 0);
    return !stands(self, "clock-skew: worker-1");
}

static void a_heartbeat_tells_a_wrong_clock(void **state)
{
    struct world *self = *state;
    worker_connect(&self->worker);
    assert_true(spin_until(self->loop, clock_is_seen, self, WORLD_WAIT_MS));
    assert_true(spin_until(self->loop, clock_is_right, self, WORLD_WAIT_MS));
    wait_heard(self, "clock-skew", 1, 1, "it is over");
    worker_disconnect(&self->worker);
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, world_start, world_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(each_alarm_is_an_event_when_it_begins_and_when_it_is_over),
        WORLD_TEST(what_is_so_for_a_moment_only_is_no_alarm),
        WORLD_TEST(a_member_that_left_has_no_alarm),
        WORLD_TEST(a_heartbeat_tells_a_wrong_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
