// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/master/store/folder.h"

#define KIND(name) POSTERN__KIND__KIND_##name
#define FATE(name) POSTERN__DISPOSITION__DISPOSITION_##name
#define MINUTE 60000
#define DAY (24 * 60 * MINUTE)

// The mails of the record, oldest first; their Message-ID is the letter. Of f only the delivery has
// told yet.
static const struct {
    char letter;
    int64_t at_ms;
    const char *sender, *address;
    Postern__Kind kind;
    Postern__Disposition disposition;
    unsigned ingress;
} mails[] = {
    {'a', -DAY, "anna@client.example", "bert@example.org", KIND(DONE), FATE(DELIVERED), 0},
    {'b', 0, "anna@client.example", "carl@example.org", KIND(DONE), FATE(BOUNCED), 0},
    {'c', MINUTE, "Anna@Client.example", "bert@example.org", KIND(DONE), FATE(REJECTED), 0},
    {'d', 2 * MINUTE, "x_y%z@other.example", "bert@example.org", KIND(DONE), FATE(DELIVERED), 0},
    {'e', 3 * MINUTE, "", "anna@client.example", KIND(DELIVERED), FATE(DELIVERED), 0},
    {'f', 4 * MINUTE, "xxyyz@other.example", "Bert@example.org", KIND(QUARANTINED),
     FATE(QUARANTINED), 1},
    {'g', DAY, "anna@client.example", "bert@sub.example.org", KIND(DONE), FATE(DELIVERED), 0},
};

static void fill(struct world *self)
{
    for (size_t i = 0; i < ARRAY_LENGTH(mails); i++) {
        char message_id[] = {'<', mails[i].letter, '@', 'm', '>', 0};
        struct fact fact = {.id = ulid_new(NOON + mails[i].at_ms),
                            .kind = mails[i].kind,
                            .disposition = mails[i].disposition,
                            .time_ms = NOON + mails[i].at_ms,
                            .sender = mails[i].sender,
                            .address = mails[i].address,
                            .message_id = message_id,
                            .ingress = mails[i].ingress};
        world_add(self, &fact);
    }
    assert_int_equal(store_commit(self->store), 0);
}

static const struct {
    struct store_query query;
    const char *letters; // of what is found, newest first
} searches[] = {
    {{.limit = 0}, "gfdba"},
    {{.limit = 2}, "gf"},
    {{.limit = 0, .rejected = 1}, "gfdcba"},
    {{.limit = 0, .notices = 1}, "gfedcba"},
    {{.sender = "anna@client.example"}, "gba"},
    {{.sender = "ANNA@CLIENT.EXAMPLE", .rejected = 1}, "gcba"},
    {{.sender = "@client.example"}, "gba"},
    {{.sender = "*@other*"}, "fd"},
    {{.sender = "x_y%z@*"}, "d"},
    {{.sender = "' OR 1=1 --"}, ""},
    {{.recipient = "bert@example.org"}, "fda"},
    {{.recipient = "@example.org"}, "fdba"},
    {{.recipient = "*example.org"}, "gfdba"},
    {{.message_id = "<d@m>"}, "d"},
    {{.message_id = "d@m"}, "d"},
    {{.message_id = "<z@m>"}, ""},
    {{.disposition = "delivered"}, "gda"},
    {{.disposition = "rejected"}, "c"},
    {{.disposition = "quarantined"}, "f"},
    {{.disposition = "deferred"}, ""},
    {{.disposition = "delivered", .sender = "anna@client.example"}, "ga"},
    {{.disposition = "delivered", .sender = "@client.example"}, "ga"},
    {{.disposition = "delivered", .limit = 1}, "g"},
    {{.node = "worker-1", .limit = 1}, "g"},
    {{.node = "worker-2"}, ""},
    {{.since_ms = NOON + 2 * MINUTE}, "gfd"},
    {{.until_ms = NOON + 2 * MINUTE}, "dba"},
    {{.since_ms = NOON, .until_ms = NOON + 4 * MINUTE}, "fdb"},
    {{.since_ms = NOON + 2 * DAY}, ""},
};

static void assert_letters(size_t number, json_t *rows, const char *letters)
{
    char found[16] = "";
    json_t *row;
    size_t i;
    json_array_foreach(rows, i, row) found[i] =
        json_string_value(json_object_get(row, "message_id"))[1];
    if (strcmp(found, letters) != 0)
        fail_msg("search %zu found %s, not %s", number, found, letters);
    json_decref(rows);
}

static void test_searches_find_what_they_should(void **state)
{
    struct world *self = *state;
    fill(self);
    for (size_t i = 0; i < ARRAY_LENGTH(searches); i++)
        assert_letters(i, messages_of(self, &searches[i].query), searches[i].letters);
}

static void test_the_quarantine_lists_what_is_still_held(void **state)
{
    struct world *self = *state;
    struct store_query all = {.limit = 0}, other = {.recipient = "carl@example.org"};
    struct store_reader *reader = store_reader_open(self->folder);
    struct fact held[3];
    fill(self);
    for (int i = 0; i < 3; i++) { // ids never go back, so these are the newest
        held[i] = (struct fact){.id = ulid_new(NOON + (int64_t)i * MINUTE),
                                .kind = KIND(QUARANTINED),
                                .time_ms = NOON,
                                .message_id = i == 0   ? "<x@m>"
                                              : i == 1 ? "<y@m>"
                                                       : "<z@m>",
                                .address = "bert@example.org",
                                .ingress = 1};
        world_add(self, &held[i]);
    }
    assert_int_equal(store_commit(self->store), 0);
    assert_letters(0, rows_of(store_list_quarantine(reader, &all)), "zyxf");
    held[0].kind = KIND(RELEASED), held[0].disposition = FATE(DELIVERED), held[0].order = "k";
    held[1].kind = KIND(DELETED), held[1].disposition = FATE(DISCARDED), held[1].order = "k";
    held[2].kind = KIND(RELEASED), held[2].disposition = FATE(BOUNCED), held[2].order = "k";
    for (int i = 0; i < 3; i++)
        world_add(self, &held[i]);
    assert_int_equal(store_commit(self->store), 0);
    assert_letters(1, rows_of(store_list_quarantine(reader, &all)), "zf");
    assert_letters(2, rows_of(store_list_quarantine(reader, &other)), "");
    store_reader_close(&reader);
}

// More than a page, over a day's end, in full and without repetition.
static void test_long_lists_come_whole(void **state)
{
    struct world *self = *state;
    struct store_query all = {.limit = 0}, many = {.limit = 450};
    for (int i = 0; i < 1000; i++) {
        char message_id[24];
        struct fact fact = {.kind = KIND(DONE), .disposition = FATE(DELIVERED)};
        fact.time_ms = NOON + DAY / 2 + (i - 500) * 7;
        fact.id = ulid_new(fact.time_ms);
        snprintf(message_id, sizeof(message_id), "<%04d@m>", i);
        fact.message_id = message_id;
        world_add(self, &fact);
    }
    assert_int_equal(store_commit(self->store), 0);
    json_t *rows = messages_of(self, &all), *row;
    size_t i;
    assert_int_equal(json_array_size(rows), 1000);
    json_array_foreach(rows, i, row) assert_int_equal(
        atoi(json_string_value(json_object_get(row, "message_id")) + 1), 999 - (int)i);
    json_decref(rows);
    rows = messages_of(self, &many);
    assert_int_equal(json_array_size(rows), 450);
    json_decref(rows);
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, world_start, world_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_searches_find_what_they_should),
        WORLD_TEST(test_the_quarantine_lists_what_is_still_held),
        WORLD_TEST(test_long_lists_come_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
