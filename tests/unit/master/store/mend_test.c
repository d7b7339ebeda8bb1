// SPDX-License-Identifier: Apache-2.0
#include "master/store/day.h"
#include "tests/unit/master/store/folder.h"
#include <sys/stat.h>

#define DAY "messages-2026-11-23.db"

enum { MAILS = 2000 };

// What is done to a file F.
static const char rubbish[] = "echo rubbish > $F";
static const char emptied[] = "truncate -s 0 $F";
static const char cut_short[] = "truncate -s 40960 $F";
// One page in the midst.
static const char page[] =
    "yes | dd of=$F bs=4096 count=1 seek=150 iflag=fullblock conv=notrunc status=none";

static void spoil(const struct world *self, const char *file, const char *how)
{
    char command[400];
    snprintf(command, sizeof(command), "F='%s/%s'; %s", self->folder, file, how);
    assert_int_equal(system(command), 0);
}

static struct fact one_mail(void)
{
    return (struct fact){.id = ulid_new(NOON),
                         .kind = POSTERN__KIND__KIND_DONE,
                         .disposition = POSTERN__DISPOSITION__DISPOSITION_DELIVERED,
                         .time_ms = NOON,
                         .sender = "a@client.example",
                         .address = "b@example.org",
                         .message_id = "<m@client.example>",
                         .recipient = 1};
}

static void fill(struct world *self, int count)
{
    for (int i = 0; i < count; i++) {
        struct fact fact = one_mail();
        world_add(self, &fact);
    }
    assert_int_equal(store_watermark(self->store, "worker-1", 1, self->sequence, 33), 0);
    assert_int_equal(store_commit(self->store), 0);
}

// Adding a mail to a damaged day fails, or its commit does.
static int add_fails(struct world *self, const struct fact *fact)
{
    Postern__Event event = POSTERN__EVENT__INIT;
    uint8_t packed[256];
    event.kind = fact->kind;
    event.time_ms = fact->time_ms;
    event.id = (ProtobufCBinaryData){ULID_SIZE, (uint8_t *)(uintptr_t)fact->id.bytes};
    size_t size = postern__event__pack(&event, packed);
    struct store_event at = {"worker-1", 1, 1, {(const char *)packed, size}, &event};
    int rc = store_add(self->store, &at) < 0 || store_commit(self->store) < 0;
    store_rollback(self->store);
    return rc;
}

static void count_watermark(void *context, const char *node, uint64_t epoch, uint64_t sequence,
                            uint64_t mark)
{
    (void)node;
    (void)epoch;
    (void)sequence;
    (void)mark;
    ++*(int *)context;
}

static int watermarks(struct world *self)
{
    int count = 0;
    assert_int_equal(store_watermarks(self->store, count_watermark, &count), 0);
    return count;
}

static size_t rows(struct world *self)
{
    struct store_query query = {.limit = 0};
    json_t *list = messages_of(self, &query);
    size_t count = json_array_size(list);
    json_decref(list);
    return count;
}

static int64_t last_commit(const struct world *self)
{
    struct store_reader *reader = store_reader_open(self->folder);
    int64_t last = store_last_commit(reader);
    store_reader_close(&reader);
    return last;
}

// Tells the same `count` mails' list entries anew, as a replay would.
static void tell_again(struct world *self, uint64_t count)
{
    for (uint64_t i = 1; i <= count; i++) {
        struct fact fact = one_mail();
        fact.nameless = 1;
        store_fact(self->store, &fact, "worker-1", 1, i);
    }
    assert_int_equal(store_commit(self->store), 0);
}

static int start(void **state)
{
    world_start(state);
    struct world *self = *state;
    char folder[80];
    // ../corrupt must be the test's own.
    snprintf(folder, sizeof(folder), "%s/messages", self->folder);
    store_close(&self->store);
    assert_int_equal(mkdir(folder, 0700), 0);
    strcat(self->folder, "/messages");
    world_reopen(self);
    return 0;
}

static int stop(void **state)
{
    struct world *self = *state;
    *strrchr(self->folder, '/') = 0;
    return world_stop(state);
}

static uint64_t mend(struct world *self, const char *file)
{
    struct store_damage damage;
    assert_int_equal(store_mend(self->store, &damage), 1);
    assert_string_equal(damage.file, file);
    assert_int_equal(access(damage.copy, F_OK), 0);
    assert_int_equal(store_mend(self->store, &damage), 0);
    return damage.saved;
}

static void test_a_broken_page_costs_what_stands_on_it(void **state)
{
    struct world *self = *state;
    fill(self, MAILS);
    uint64_t incarnation = store_incarnation(self->store);
    store_close(&self->store);
    spoil(self, DAY, page);
    world_reopen(self);
    assert_int_equal(watermarks(self), 1);
    assert_int_equal(store_suspect(self->store, "2026-11-23"), 1);
    mend(self, DAY);
    assert_true(rows(self) >= MAILS - 100);
    assert_int_equal(watermarks(self), 0);
    assert_true(store_incarnation(self->store) != incarnation);
}

static void test_what_comes_again_is_not_listed_twice(void **state)
{
    struct world *self = *state;
    fill(self, 100);
    store_close(&self->store);
    spoil(self, DAY, rubbish);
    world_reopen(self);
    struct fact fact = one_mail();
    assert_true(add_fails(self, &fact));
    assert_int_equal(mend(self, DAY), 0);
    assert_int_equal(rows(self), 0);
    tell_again(self, 101);
    assert_int_equal(last_commit(self), 101);
}

static void assert_day_is_mended(struct world *self, const char *how)
{
    fill(self, MAILS);
    store_close(&self->store);
    spoil(self, DAY, how);
    world_reopen(self);
    struct fact fact = one_mail();
    assert_true(add_fails(self, &fact));
    mend(self, DAY);
    fill(self, 1);
    assert_true(rows(self) >= 1);
}

static void test_an_emptied_day_is_no_new_one(void **state)
{
    assert_day_is_mended(*state, emptied);
}

static void test_a_day_cut_short_is_set_aside(void **state)
{
    assert_day_is_mended(*state, cut_short);
}

static void test_a_whole_day_is_above_suspicion(void **state)
{
    struct world *self = *state;
    struct store_damage damage;
    fill(self, 10);
    assert_int_equal(store_suspect(self->store, "2026-11-23"), 0);
    assert_int_equal(store_suspect(self->store, "2026-11-24"), 0); // there is none
    assert_int_equal(store_suspect(self->store, "stream"), 0);
    assert_int_equal(store_mend(self->store, &damage), 0);
}

static void note_file(void *context, const char *file)
{
    snprintf(context, DAY_TEXT, "%s", file);
}

static void test_a_reader_tells_which_file_it_stumbled_over(void **state)
{
    struct world *self = *state;
    char told[DAY_TEXT] = "";
    struct store_query query = {.limit = 0};
    fill(self, 10);
    store_close(&self->store);
    spoil(self, DAY, rubbish);
    world_reopen(self);
    struct store_reader *reader = store_reader_open(self->folder);
    store_reader_on_damage(reader, note_file, told);
    json_decref(rows_of(store_list_messages(reader, &query)));
    assert_string_equal(told, "2026-11-23");
    assert_int_equal(store_suspect(self->store, told), 1);
    mend(self, DAY);
    fill(self, 3);
    json_t *list = rows_of(store_list_messages(reader, &query)); // of the new file
    assert_int_equal(json_array_size(list), 3);
    json_decref(list);
    store_reader_close(&reader);
}

static void test_the_list_is_made_anew_and_its_numbers_go_on(void **state)
{
    struct world *self = *state;
    fill(self, 100);
    store_close(&self->store);
    spoil(self, "stream.db", rubbish);
    world_reopen(self);
    mend(self, "stream.db");
    assert_int_equal(watermarks(self), 0);
    fill(self, 1);
    assert_true(last_commit(self) > 100);
    assert_int_equal(rows(self), 101);
}

static void test_a_list_with_a_broken_page_keeps_the_rest(void **state)
{
    struct world *self = *state;
    fill(self, 20000);
    store_close(&self->store);
    spoil(self, "stream.db", page);
    world_reopen(self);
    assert_int_equal(store_suspect(self->store, "stream"), 1);
    assert_true(mend(self, "stream.db") > 19000);
    fill(self, 1);
    assert_int_equal(last_commit(self), 20001);
}

#define MEND_TEST(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEND_TEST(test_a_broken_page_costs_what_stands_on_it),
        MEND_TEST(test_what_comes_again_is_not_listed_twice),
        MEND_TEST(test_an_emptied_day_is_no_new_one),
        MEND_TEST(test_a_day_cut_short_is_set_aside),
        MEND_TEST(test_a_whole_day_is_above_suspicion),
        MEND_TEST(test_a_reader_tells_which_file_it_stumbled_over),
        MEND_TEST(test_the_list_is_made_anew_and_its_numbers_go_on),
        MEND_TEST(test_a_list_with_a_broken_page_keeps_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
