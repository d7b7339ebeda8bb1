// SPDX-License-Identifier: Apache-2.0
#include "master/store/public.h"
#include "tests/unit/master/store/folder.h"

#define KIND(name) POSTERN__KIND__KIND_##name
#define FATE(name) POSTERN__DISPOSITION__DISPOSITION_##name

static json_t *one_message(struct world *self, const struct ulid *id)
{
    char text[ULID_TEXT];
    struct store_reader *reader = store_reader_open(self->folder);
    ulid_format(id, text);
    json_t *message = store_message(reader, text);
    store_reader_close(&reader);
    return message;
}

static void assert_recipient(const json_t *message, size_t number, const char *disposition,
                             const char *reply)
{
    const json_t *recipient = json_array_get(json_object_get(message, "recipients"), number);
    assert_string_equal(json_string_value(json_object_get(recipient, "disposition")), disposition);
    assert_string_equal(json_string_value(json_object_get(recipient, "reply")), reply);
}

// The life of a mail that was deferred twice, bounced to one and delivered to the other.
static void life_of(const struct ulid *id, struct fact facts[6])
{
    const struct fact both = {.id = *id, .ingress = 1, .time_ms = NOON};
    for (size_t i = 0; i < 6; i++) {
        facts[i] = both;
        facts[i].time_ms += (int64_t)i * 1000;
        facts[i].recipient = i % 2;
        facts[i].address = i % 2 ? "carl@example.org" : "bert@example.org";
    }
    facts[0].kind = KIND(DONE), facts[0].disposition = FATE(DEFERRED), facts[0].moved = 1;
    facts[0].sender = "anna@client.example", facts[0].message_id = "<one@client.example>";
    facts[1].kind = KIND(DONE), facts[1].disposition = FATE(DEFERRED), facts[1].moved = 1;
    facts[2].kind = KIND(DEFERRED), facts[2].reply = "451 later";
    facts[3].kind = KIND(DEFERRED), facts[3].reply = "451 later";
    facts[4].kind = KIND(DELIVERED), facts[4].reply = "250 taken";
    facts[5].kind = KIND(BOUNCED), facts[5].reply = "550 nobody";
}

// Every order of the six events, each event maybe twice, must end the same.
static void test_the_order_of_events_does_not_matter(void **state)
{
    struct world *self = *state;
    for (unsigned permutation = 0; permutation < 720; permutation += 7) {
        struct ulid id = ulid_new(NOON + permutation);
        struct fact facts[6];
        unsigned left[6] = {0, 1, 2, 3, 4, 5}, rest = permutation;
        life_of(&id, facts);
        for (unsigned count = 6; count > 0; count--) {
            unsigned pick = rest % count, at = left[pick];
            rest /= count;
            memmove(&left[pick], &left[pick + 1], (5 - pick) * sizeof(left[0]));
            store_fact(self->store, &facts[at], "worker-1", permutation + 1, at + 1);
            if (permutation % 2)
                store_fact(self->store, &facts[at], "worker-1", permutation + 1, at + 1);
        }
        assert_int_equal(store_commit(self->store), 0);
        json_t *message = one_message(self, &id);
        assert_recipient(message, 0, "delivered", "250 taken");
        assert_recipient(message, 1, "bounced", "550 nobody");
        assert_string_equal(json_string_value(json_object_get(message, "sender")),
                            "anna@client.example");
        assert_int_equal(json_array_size(json_object_get(message, "timeline")), 6);
        json_decref(message);
    }
}

// What was turned away has no id of its own; it is one row however often it comes.
static void test_a_refusal_that_comes_again_is_one_row(void **state)
{
    struct world *self = *state;
    struct fact fact = {.nameless = 1,
                        .kind = KIND(REFUSED),
                        .time_ms = NOON,
                        .sender = "anna@client.example",
                        .address = "nobody@example.org"};
    struct store_query query = {.rejected = 1};
    store_fact(self->store, &fact, "worker-1", 1, 7);
    assert_int_equal(store_commit(self->store), 0);
    (void)ulid_new(NOON + 1000); // ids of this process have gone on meanwhile
    store_fact(self->store, &fact, "worker-1", 1, 7);
    assert_int_equal(store_commit(self->store), 0);
    json_t *rows = messages_of(self, &query);
    assert_int_equal(json_array_size(rows), 1);
    json_decref(rows);
    store_fact(self->store, &fact, "worker-1", 1, 8);
    store_fact(self->store, &fact, "worker-2", 1, 7);
    assert_int_equal(store_commit(self->store), 0);
    rows = messages_of(self, &query);
    assert_int_equal(json_array_size(rows), 3);
    json_decref(rows);
}

static void test_what_was_not_committed_is_not_there(void **state)
{
    struct world *self = *state;
    struct fact fact = {.id = ulid_new(NOON),
                        .kind = KIND(DONE),
                        .disposition = FATE(DELIVERED),
                        .address = "bert@example.org",
                        .time_ms = NOON};
    world_add(self, &fact);
    assert_int_equal(store_watermark(self->store, "worker-1", 1, 1, 33), 0);
    store_rollback(self->store);
    assert_null(one_message(self, &fact.id));
    world_add(self, &fact);
    world_reopen(self); // as a crash before the commit
    assert_null(one_message(self, &fact.id));
    world_add(self, &fact);
    assert_int_equal(store_commit(self->store), 0);
    json_t *message = one_message(self, &fact.id);
    assert_non_null(message);
    json_decref(message);
}

struct mark {
    uint64_t epoch, sequence;
    int count;
};

static void see_mark(void *context, const char *node, uint64_t epoch, uint64_t sequence,
                     uint64_t mark)
{
    struct mark *seen = context;
    assert_string_equal(node, "worker-1");
    assert_true(mark == 33);
    *seen = (struct mark){epoch, sequence, seen->count + 1};
}

static void test_watermarks_and_incarnation_survive(void **state)
{
    struct world *self = *state;
    uint64_t incarnation = store_incarnation(self->store);
    struct mark mark = {0};
    assert_int_equal(store_watermark(self->store, "worker-1", UINT64_MAX, 7, 33), 0);
    assert_int_equal(store_watermark(self->store, "worker-1", UINT64_MAX, 9, 33), 0);
    assert_int_equal(store_commit(self->store), 0);
    world_reopen(self);
    assert_int_equal(store_watermarks(self->store, see_mark, &mark), 0);
    assert_int_equal(mark.count, 1);
    assert_true(mark.epoch == UINT64_MAX && mark.sequence == 9);
    assert_true(store_incarnation(self->store) == incarnation);
    assert_int_equal(store_new_incarnation(self->store), 0);
    assert_true(store_incarnation(self->store) != incarnation);
}

static void test_mails_of_many_days_lie_in_files_of_their_days(void **state)
{
    struct world *self = *state;
    const int64_t day_ms = 86400000;
    for (int day = 0; day < 20; day++) {
        struct fact fact = {.id = ulid_new(NOON + day * day_ms),
                            .kind = KIND(DONE),
                            .disposition = FATE(DELIVERED),
                            .time_ms = NOON + day * day_ms,
                            .address = "bert@example.org",
                            .ingress = 1};
        world_add(self, &fact);
    }
    assert_int_equal(store_commit(self->store), 0);
    char path[128];
    snprintf(path, sizeof(path), "%s/messages-2026-11-23.db", self->folder);
    assert_int_equal(access(path, F_OK), 0);
    snprintf(path, sizeof(path), "%s/messages-2026-12-12.db", self->folder);
    assert_int_equal(access(path, F_OK), 0);
    struct store_query query = {.limit = 0};
    json_t *rows = messages_of(self, &query);
    assert_int_equal(json_array_size(rows), 20);
    const char *first = json_string_value(json_object_get(json_array_get(rows, 0), "received_at"));
    assert_string_equal(first, "2026-12-12T12:00:00.000Z");
    json_decref(rows);
}

static void test_bytes_of_strangers_become_text(void **state)
{
    struct world *self = *state;
    struct fact fact = {.id = ulid_new(NOON),
                        .kind = KIND(DONE),
                        .disposition = FATE(DELIVERED),
                        .time_ms = NOON,
                        .sender = "\xff\xfe\"<script>'; DROP TABLE messages",
                        .address = "b\xc3\xbcrger@example.org",
                        .message_id = "\xc3"};
    world_add(self, &fact);
    assert_int_equal(store_commit(self->store), 0);
    json_t *message = one_message(self, &fact.id);
    assert_string_equal(json_string_value(json_object_get(message, "sender")),
                        "??\"<script>'; DROP TABLE messages");
    const json_t *recipient = json_array_get(json_object_get(message, "recipients"), 0);
    assert_string_equal(json_string_value(json_object_get(recipient, "address")),
                        "b\xc3\xbcrger@example.org");
    json_decref(message);
}

static int add_line(void *context, const Postern__PublicEvent *event)
{
    public_json(event, context);
    return 0;
}

static size_t lines_in(const struct buffer *out)
{
    size_t lines = 0;
    for (size_t i = 0; i < buffer_size(out); i++)
        lines += buffer_bytes(out)[i] == '\n';
    return lines;
}

static void test_events_are_read_in_the_order_of_their_commit(void **state)
{
    struct world *self = *state;
    struct fact fact = {.id = ulid_new(NOON),
                        .kind = KIND(DONE),
                        .disposition = FATE(DELIVERED),
                        .time_ms = NOON,
                        .message_id = "<one@b>",
                        .address = "bert@example.org"};
    for (int i = 0; i < 10; i++)
        world_add(self, &fact);
    assert_int_equal(store_commit(self->store), 0);
    struct store_reader *reader = store_reader_open(self->folder);
    const struct public_filter any = {0};
    struct buffer out;
    buffer_init(&out);
    assert_int_equal(store_first_commit(reader), 1);
    assert_int_equal(store_last_commit(reader), 10);
    assert_int_equal(store_events(reader, 4, 3, &any, add_line, &out), 7);
    assert_int_equal(lines_in(&out), 3);
    assert_true(strncmp(buffer_bytes(&out),
                        "{\"commit\":5,\"node\":\"worker-1\",\"epoch\":"
                        "\"0000000000000001\",\"sequence\":5,",
                        60) == 0);
    buffer_clear(&out);
    assert_int_equal(store_events(reader, 10, 100, &any, add_line, &out), 10);
    assert_int_equal(lines_in(&out), 0);
    buffer_free(&out);
    store_reader_close(&reader);
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, world_start, world_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_the_order_of_events_does_not_matter),
        WORLD_TEST(test_a_refusal_that_comes_again_is_one_row),
        WORLD_TEST(test_what_was_not_committed_is_not_there),
        WORLD_TEST(test_watermarks_and_incarnation_survive),
        WORLD_TEST(test_mails_of_many_days_lie_in_files_of_their_days),
        WORLD_TEST(test_bytes_of_strangers_become_text),
        WORLD_TEST(test_events_are_read_in_the_order_of_their_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
