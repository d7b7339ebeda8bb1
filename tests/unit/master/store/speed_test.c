// SPDX-License-Identifier: Apache-2.0
// How long searches take. 20,000 mails by default; POSTERN_TEST_ROWS=1000000 for the figures of
// docs/operations.md.
#include "core/base/clock.h"
#include "tests/unit/master/store/folder.h"

enum { ROWS = 20000, SENDERS = 5000, RECIPIENTS = 2000, BATCH = 500, SLOW_MS = 1000 };

static unsigned rows_wanted(void)
{
    const char *text = getenv("POSTERN_TEST_ROWS");
    return text ? (unsigned)strtoul(text, NULL, 10) : ROWS;
}

// One in a hundred is bounced, one in ten thousand discarded; ten a millisecond.
static void fill(struct world *self, unsigned rows)
{
    int64_t begun_ms = clock_monotonic_ms();
    for (unsigned i = 0; i < rows; i++) {
        char sender[64], address[64], message_id[64];
        struct fact fact = {.kind = POSTERN__KIND__KIND_DONE, .time_ms = NOON + i / 100};
        snprintf(sender, sizeof(sender), "user%u@client%u.example", i % SENDERS, i % 50);
        snprintf(address, sizeof(address), "staff%u@example.org", i % RECIPIENTS);
        snprintf(message_id, sizeof(message_id), "<%u@client.example>", i);
        fact.id = ulid_new(fact.time_ms);
        fact.sender = sender;
        fact.address = address;
        fact.message_id = message_id;
        fact.reply = "250 2.0.0 taken";
        fact.disposition = i % 10000 == 5  ? POSTERN__DISPOSITION__DISPOSITION_DISCARDED
                           : i % 100 == 50 ? POSTERN__DISPOSITION__DISPOSITION_BOUNCED
                                           : POSTERN__DISPOSITION__DISPOSITION_DELIVERED;
        world_add(self, &fact);
        if (i % BATCH == BATCH - 1)
            assert_int_equal(store_commit(self->store), 0);
    }
    assert_int_equal(store_commit(self->store), 0);
    int64_t took_ms = clock_monotonic_ms() - begun_ms;
    print_message("%u mails stored in %lld ms\n", rows, (long long)took_ms);
}

static const struct {
    const char *what;
    struct store_query query;
    size_t least; // rows
} searches[] = {
    {"the newest 100", {.limit = 100}, 100},
    {"one Message-ID", {.message_id = "<4711@client.example>", .limit = 100}, 1},
    {"a sender's newest 100", {.sender = "USER7@client7.example", .limit = 100}, 4},
    {"a recipient's newest 100", {.recipient = "staff7@example.org", .limit = 100}, 10},
    {"the newest 100 delivered", {.disposition = "delivered", .limit = 100}, 100},
    {"the newest 100 bounced", {.disposition = "bounced", .limit = 100}, 100},
    {"all that were discarded", {.disposition = "discarded", .limit = 0}, 2},
    {"a disposition that none has", {.disposition = "quarantined", .limit = 100}, 0},
    {"a sender, bounced", {.sender = "user50@client0.example", .disposition = "bounced"}, 4},
    {"a recipient, delivered since",
     {.recipient = "staff7@example.org", .disposition = "delivered", .since_ms = NOON + 100},
     5},
    {"the first second", {.since_ms = NOON, .until_ms = NOON + 9, .limit = 100}, 100},
    {"a domain's newest 100", {.sender = "@client7.example", .limit = 100}, 100},
    {"a domain that none has", {.sender = "@nobody.example", .limit = 100}, 0},
    {"a node's newest 100", {.node = "worker-1", .limit = 100}, 100},
};

static void test_searches_are_fast(void **state)
{
    struct world *self = *state;
    fill(self, rows_wanted());
    for (size_t i = 0; i < ARRAY_LENGTH(searches); i++) {
        int64_t begun_ms = clock_monotonic_ms();
        json_t *rows = messages_of(self, &searches[i].query);
        int64_t took_ms = clock_monotonic_ms() - begun_ms;
        print_message("%-30s %6zu rows %6lld ms\n", searches[i].what, json_array_size(rows),
                      (long long)took_ms);
        assert_true(json_array_size(rows) >= searches[i].least);
        assert_true(took_ms < SLOW_MS);
        json_decref(rows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_searches_are_fast, world_start, world_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
