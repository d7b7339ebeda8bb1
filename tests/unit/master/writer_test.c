// SPDX-License-Identifier: Apache-2.0
#include "core/base/ulid.h"
#include "master/writer.h"
#include "tests/unit/core/bus/spin.h"

// 2026-11-23T12:00:00Z
#define NOON 1795435200000

struct world {
    struct loop *loop;
    struct writer *writer;
    char folder[64];
    uint64_t committed; // of worker-1
    uint64_t renewed;   // the incarnation after a damage
    int failures, jobs_done;
    uint64_t events_when_run; // of the store, as a job saw it
};

static void on_committed(void *context, const char *node, uint64_t epoch, uint64_t sequence,
                         uint64_t mark)
{
    struct world *self = context;
    (void)mark;
    assert_string_equal(node, "worker-1");
    assert_true(epoch == 1 || sequence == 0);
    self->failures += sequence == 0;
    self->committed = sequence;
}

static void on_outcome(void *context, const char *order)
{
    (void)context;
    (void)order;
}

static void open_writer(struct world *self)
{
    char error[256];
    self->writer =
        writer_new(self->loop, self->folder, on_committed, on_outcome, self, error, sizeof(error));
    if (!self->writer)
        fail_msg("%s", error);
}

static int start(void **state)
{
    struct world *self = allocate(sizeof(*self));
    char command[128];
    make_folder(self->folder);
    snprintf(command, sizeof(command), "mkdir '%s/messages'", self->folder);
    assert_int_equal(system(command), 0);
    self->loop = loop_new();
    open_writer(self);
    *state = self;
    return 0;
}

static int stop(void **state)
{
    struct world *self = *state;
    writer_destroy(&self->writer);
    loop_destroy(&self->loop);
    remove_folder(self->folder);
    free(self);
    return 0;
}

static Postern__Publication *publication(uint64_t first, size_t count)
{
    Postern__Publication *self = allocate(sizeof(*self));
    postern__publication__init(self);
    self->first = first;
    self->n_events = count;
    self->events = allocate((count + 1) * sizeof(*self->events));
    for (size_t i = 0; i < count; i++) {
        Postern__Event event = POSTERN__EVENT__INIT;
        struct ulid id = ulid_new(NOON);
        event.kind = POSTERN__KIND__KIND_DONE;
        event.time_ms = NOON;
        event.id = (ProtobufCBinaryData){ULID_SIZE, id.bytes};
        size_t size = postern__event__get_packed_size(&event);
        self->events[i].data = allocate(size);
        self->events[i].len = postern__event__pack(&event, self->events[i].data);
    }
    return self;
}

static void put(struct world *self, uint64_t previous, uint64_t first, size_t count, size_t skip,
                int begins)
{
    struct writer_events *events = allocate(sizeof(*events));
    snprintf(events->node, sizeof(events->node), "worker-1");
    events->epoch = 1;
    events->previous = previous;
    events->first = first;
    events->skip = skip;
    events->begins = begins;
    events->publication = publication(first, count);
    assert_int_equal(writer_put_events(self->writer, events), 0);
}

// How many events the store's list holds.
static int64_t listed(const struct world *self)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/messages", self->folder);
    struct store_reader *reader = store_reader_open(path);
    int64_t last = store_last_commit(reader);
    store_reader_close(&reader);
    return last;
}

static int is_committed_to_30(void *context)
{
    return ((struct world *)context)->committed == 30;
}

static void test_events_are_committed_once_whatever_comes(void **state)
{
    struct world *self = *state;
    put(self, 0, 1, 10, 0, 1);
    put(self, 0, 1, 10, 0, 1);   // once more
    put(self, 10, 6, 10, 5, 0);  // overlapping, as the loop had skipped
    put(self, 10, 11, 10, 0, 0); // overlapping, as after a failure
    put(self, 20, 21, 10, 0, 0);
    assert_true(spin_until(self->loop, is_committed_to_30, self, 5000));
    assert_int_equal(self->failures, 0);
    assert_int_equal(listed(self), 30);
}

static int has_failed(void *context)
{
    return ((struct world *)context)->failures > 0;
}

static void test_events_beyond_a_gap_are_not_taken(void **state)
{
    struct world *self = *state;
    put(self, 0, 1, 10, 0, 1);
    put(self, 12, 13, 10, 0, 0);
    assert_true(spin_until(self->loop, has_failed, self, 5000));
    put(self, 10, 11, 20, 0, 0);
    assert_true(spin_until(self->loop, is_committed_to_30, self, 5000));
    assert_int_equal(listed(self), 30);
}

static void test_a_store_that_fails_loses_and_doubles_nothing(void **state)
{
    struct world *self = *state;
    char command[256];
    snprintf(command, sizeof(command), "mkdir '%s/messages/messages-2026-11-23.db'", self->folder);
    assert_int_equal(system(command), 0);
    put(self, 0, 1, 10, 0, 1);
    put(self, 10, 11, 10, 0, 0);
    assert_true(spin_until(self->loop, has_failed, self, 5000));
    assert_int_equal(listed(self), 0);
    snprintf(command, sizeof(command), "rmdir '%s/messages/messages-2026-11-23.db'", self->folder);
    assert_int_equal(system(command), 0);
    spin_for(self->loop, 2500); // it waits a second after a failure
    put(self, 0, 1, 30, 0, 1);
    assert_true(spin_until(self->loop, is_committed_to_30, self, 5000));
    assert_int_equal(listed(self), 30);
}

static void on_damaged(void *context, const struct store_damage *damage, uint64_t incarnation)
{
    struct world *self = context;
    assert_string_equal(damage->file, "messages-2026-11-23.db");
    self->renewed = incarnation;
}

static int is_renewed(void *context)
{
    return ((struct world *)context)->renewed != 0;
}

static void test_a_damaged_day_stops_nothing(void **state)
{
    struct world *self = *state;
    char command[256];
    uint64_t before = store_incarnation(writer_databases(self->writer)->store);
    snprintf(command, sizeof(command), "echo rubbish > '%s/messages/messages-2026-11-23.db'",
             self->folder);
    assert_int_equal(system(command), 0);
    writer_on_damage(self->writer, on_damaged);
    put(self, 0, 1, 10, 0, 1);
    assert_true(spin_until(self->loop, is_renewed, self, 5000));
    assert_true(self->renewed != before);
    put(self, 0, 1, 30, 0, 1);
    assert_true(spin_until(self->loop, is_committed_to_30, self, 5000));
    assert_int_equal(listed(self), 30);
}

static void test_a_file_under_suspicion_is_checked(void **state)
{
    struct world *self = *state;
    char command[256];
    writer_on_damage(self->writer, on_damaged);
    writer_suspect(self->writer, "stream"); // it is whole
    spin_for(self->loop, 100);
    assert_false(is_renewed(self));
    snprintf(command, sizeof(command), "echo rubbish > '%s/messages/messages-2026-11-23.db'",
             self->folder);
    assert_int_equal(system(command), 0);
    writer_suspect(self->writer, "2026-11-23");
    assert_true(spin_until(self->loop, is_renewed, self, 5000));
}

struct looking_job {
    struct writer_job job;
    struct world *world;
};

static void look(struct writer_job *job, struct writer_databases *databases)
{
    struct looking_job *self = (struct looking_job *)job;
    assert_non_null(databases->cluster);
    self->world->events_when_run = (uint64_t)listed(self->world);
}

static void looked(struct writer_job *job)
{
    struct looking_job *self = (struct looking_job *)job;
    self->world->jobs_done++;
    free(self);
}

static int job_is_done(void *context)
{
    return ((struct world *)context)->jobs_done > 0;
}

static void test_a_job_sees_all_that_came_before_it(void **state)
{
    struct world *self = *state;
    struct looking_job *job = allocate(sizeof(*job));
    *job = (struct looking_job){{look, looked}, self};
    put(self, 0, 1, 7, 0, 1);
    assert_int_equal(writer_put(self->writer, &job->job), 0);
    put(self, 7, 8, 1, 0, 0);
    assert_true(spin_until(self->loop, job_is_done, self, 5000));
    assert_true(self->events_when_run == 7);
}

static void test_stopping_commits_what_was_taken(void **state)
{
    struct world *self = *state;
    put(self, 0, 1, 30, 0, 1);
    writer_destroy(&self->writer);
    assert_true(self->committed == 30);
    assert_int_equal(listed(self), 30);
    open_writer(self);
    put(self, 0, 1, 30, 0, 0); // known from the watermark
    put(self, 30, 31, 5, 0, 0);
    writer_destroy(&self->writer);
    assert_int_equal(listed(self), 35);
    open_writer(self);
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_events_are_committed_once_whatever_comes),
        WORLD_TEST(test_events_beyond_a_gap_are_not_taken),
        WORLD_TEST(test_a_store_that_fails_loses_and_doubles_nothing),
        WORLD_TEST(test_a_damaged_day_stops_nothing),
        WORLD_TEST(test_a_file_under_suspicion_is_checked),
        WORLD_TEST(test_a_job_sees_all_that_came_before_it),
        WORLD_TEST(test_stopping_commits_what_was_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
