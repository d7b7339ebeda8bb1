// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/master/ask.h"

enum { QUEUED = 333 };

// A quarantined mail with two recipients, known to the master.
static void quarantine(struct world *self, char ret_id[ULID_TEXT])
{
    Postern__Event event = POSTERN__EVENT__INIT;
    Postern__EventRecipient recipients[2], *list[] = {&recipients[0], &recipients[1]};
    struct ulid id = ulid_new(clock_wall_ms());
    event.kind = POSTERN__KIND__KIND_QUARANTINED;
    event.time_ms = clock_wall_ms();
    event.id = (ProtobufCBinaryData){ULID_SIZE, id.bytes};
    event.quarantine_day = world_bytes("2026-11-24");
    event.ingress = 1;
    for (unsigned i = 0; i < 2; i++) {
        postern__event_recipient__init(&recipients[i]);
        recipients[i].recipient = i;
        recipients[i].address = world_bytes(i ? "carl@example.org" : "bert@example.org");
    }
    event.recipients = list;
    event.n_recipients = 2;
    ulid_format(&id, ret_id);
    worker_publish(&self->worker, worker_add(&self->worker, &event), 1);
    wait_until(self, all_acknowledged);
}

// What the worker tells of an order's end.
static void tell_end(struct world *self, const char *id_text, const char *order, Postern__Kind kind,
                     Postern__Disposition disposition, unsigned number)
{
    Postern__Event event = POSTERN__EVENT__INIT;
    Postern__EventRecipient recipient = POSTERN__EVENT_RECIPIENT__INIT, *list[] = {&recipient};
    struct ulid id;
    assert_int_equal(ulid_parse(id_text, strlen(id_text), &id), 0);
    event.kind = kind;
    event.time_ms = clock_wall_ms();
    event.id = (ProtobufCBinaryData){ULID_SIZE, id.bytes};
    event.order = world_bytes(order);
    recipient.recipient = number;
    recipient.disposition = disposition;
    recipient.reply = world_bytes("250 2.0.0 taken \xe2\x82\xac");
    event.recipients = list;
    event.n_recipients = 1;
    worker_publish(&self->worker, worker_add(&self->worker, &event), 1);
    wait_until(self, all_acknowledged);
}

static json_t *order(struct world *self, const char *id, const char *action, const char *body,
                     unsigned wanted)
{
    char head[128];
    unsigned status;
    snprintf(head, sizeof(head), "POST /api/v1/quarantine/%s/%s", id, action);
    json_t *answer = ask(self, head, body, &status);
    assert_int_equal(status, wanted);
    return answer;
}

static json_t *shown(struct world *self, const char *id)
{
    char head[128];
    unsigned status;
    snprintf(head, sizeof(head), "GET /api/v1/quarantine/%s", id);
    json_t *answer = ask(self, head, NULL, &status);
    assert_int_equal(status, 200);
    return answer;
}

static const char *text_at(const json_t *value, const char *list, size_t i, const char *key)
{
    const json_t *row = json_array_get(json_object_get(value, list), i);
    const char *text = json_string_value(json_object_get(row, key));
    return text ? text : "";
}

static char *say_pending(void *context, const json_t *command, int *ret_failed)
{
    (void)context;
    (void)command;
    (void)ret_failed;
    return duplicate("{\"outcome\": \"pending\"}");
}

static void test_a_release_is_ordered_once_and_ends_by_its_event(void **state)
{
    struct world *self = *state;
    char id[ULID_TEXT], key[64];
    self->worker.answer = say_pending;
    begin_session(self);
    quarantine(self, id);
    snprintf(key, sizeof(key), "%s|0|1", id);
    for (int i = 0; i < 5; i++) {
        json_t *answer = order(self, id, "release", "{\"recipient\": \"BERT@example.org\"}", 202);
        assert_int_equal(json_array_size(json_object_get(answer, "orders")), 1);
        assert_string_equal(text_at(answer, "orders", 0, "order"), key);
        assert_string_equal(text_at(answer, "orders", 0, "outcome"), "");
        json_decref(answer);
    }
    spin_for(self->loop, 100);
    assert_int_equal(self->worker.commands, 1);
    assert_non_null(strstr(self->worker.command, "\"quarantine.release\""));
    assert_int_equal(orders_open(self->master.orders), 1);
    tell_end(self, id, key, POSTERN__KIND__KIND_RELEASED,
             POSTERN__DISPOSITION__DISPOSITION_DELIVERED, 0);
    assert_int_equal(orders_open(self->master.orders), 0);
    json_t *mail = shown(self, id);
    assert_int_equal(json_array_size(json_object_get(mail, "orders")), 1);
    assert_string_equal(text_at(mail, "orders", 0, "outcome"), "delivered");
    assert_string_equal(text_at(mail, "orders", 0, "reply"), "250 2.0.0 taken \xe2\x82\xac");
    assert_string_equal(text_at(mail, "states", 0, "state"), "released");
    assert_string_equal(text_at(mail, "states", 1, "state"), "held");
    json_decref(mail);
    json_decref(order(self, id, "release", "{\"recipient\": \"bert@example.org\"}", 202));
    assert_int_equal(self->worker.commands, 1);
    json_decref(
        order(self, id, "release", "{\"recipient\": \"bert@example.org\", \"again\": true}", 202));
    spin_for(self->loop, 100);
    assert_int_equal(self->worker.commands, 2);
    assert_non_null(strstr(self->worker.command, "\"round\":2"));
}

static void test_an_order_outlives_the_master_and_is_given_again(void **state)
{
    struct world *self = *state;
    char id[ULID_TEXT], key[64];
    begin_session(self);
    quarantine(self, id);
    json_decref(order(self, id, "delete", NULL, 202));
    spin_for(self->loop, 100);
    assert_int_equal(self->worker.commands, 2); // one for each recipient
    master_close(&self->master);
    self->worker.hellos = self->worker.commands = 0;
    self->worker.answer = say_pending;
    world_open_master(self);
    assert_int_equal(orders_open(self->master.orders), 2);
    for (int i = 0; i < 300 && self->worker.commands < 2; i++)
        spin_for(self->loop, 20);
    assert_int_equal(self->worker.commands, 2);
    snprintf(key, sizeof(key), "%s|1|delete", id);
    tell_end(self, id, key, POSTERN__KIND__KIND_DELETED,
             POSTERN__DISPOSITION__DISPOSITION_DISCARDED, 1);
    assert_int_equal(orders_open(self->master.orders), 1);
}

static char *say_released(void *context, const json_t *command, int *ret_failed)
{
    (void)context;
    (void)command;
    (void)ret_failed;
    return duplicate("{\"outcome\": \"released\"}");
}

static int no_order_open(void *context)
{
    const struct world *self = context;
    return orders_open(self->master.orders) == 0;
}

// The event may lie beyond a cut of the stream: the node's word is enough.
static void test_an_order_ends_by_the_nodes_word(void **state)
{
    struct world *self = *state;
    char id[ULID_TEXT];
    self->worker.answer = say_released;
    begin_session(self);
    quarantine(self, id);
    json_decref(order(self, id, "release", NULL, 202));
    wait_until(self, no_order_open);
    json_t *mail = shown(self, id);
    assert_string_equal(text_at(mail, "orders", 0, "outcome"), "delivered");
    assert_string_equal(text_at(mail, "orders", 1, "outcome"), "delivered");
    json_decref(mail);
    json_decref(order(self, id, "release", "{\"recipient\": \"nobody@example.org\"}", 404));
}

// Ids of the queue, highest first; two deliveries hold the mails whose number ends with 0.
static void queued_id(int number, char ret[ULID_TEXT])
{
    snprintf(ret, ULID_TEXT, "01M85TJ7V55RAH2FRY1D2B%04u", (unsigned)number % 10000);
}

static char *answer_queue(void *context, const json_t *command, int *ret_failed)
{
    (void)context;
    const char *before = json_string_value(json_object_get(command, "before"));
    json_int_t limit = json_integer_value(json_object_get(command, "limit"));
    json_t *rows = json_array();
    *ret_failed = 0;
    for (int number = QUEUED; number > 0; number--) {
        char id[ULID_TEXT];
        queued_id(number, id);
        if (before && strcmp(id, before) >= 0)
            continue;
        for (int copy = number % 10 == 0; copy >= 0; copy--)
            if ((json_int_t)json_array_size(rows) < limit)
                json_array_append_new(rows, json_pack("{s:s}", "id", id));
    }
    json_t *answer = json_pack("{s:o}", "queue", rows);
    char *text = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    return text;
}

// A day without any row of the list lies before the end of the list.
static void test_a_list_without_rows_ends(void **state)
{
    struct world *self = *state;
    begin_session(self);
    worker_publish(&self->worker, worker_add_mail(&self->worker, "<a@b>"), 1);
    wait_until(self, all_acknowledged);
    for (int i = 0; i < 20; i++) {
        unsigned status;
        json_t *answer = ask(self, "GET /api/v1/quarantine?limit=0", NULL, &status);
        assert_int_equal(status, 200);
        assert_true(json_is_array(answer));
        assert_int_equal(json_array_size(answer), 0);
        json_decref(answer);
    }
}

static const struct {
    const char *head;
    size_t rows;
} lists[] = {
    {"GET /api/v1/queue?limit=0", QUEUED + QUEUED / 10},
    {"GET /api/v1/queue?limit=1", 1},
    {"GET /api/v1/queue", 100},
    {"GET /api/v1/queue?limit=150", 150},
    {"GET /api/v1/queue?node=worker-1&limit=200", 200},
};

static void test_a_long_queue_comes_whole_page_by_page(void **state)
{
    struct world *self = *state;
    self->worker.answer = answer_queue;
    begin_session(self);
    for (size_t i = 0; i < ARRAY_LENGTH(lists); i++) {
        unsigned status;
        json_t *answer = ask(self, lists[i].head, NULL, &status), *row;
        int number = QUEUED;
        size_t k;
        assert_int_equal(status, 200);
        assert_int_equal(json_array_size(json_object_get(answer, "rows")), lists[i].rows);
        json_array_foreach(json_object_get(answer, "rows"), k, row)
        {
            char id[ULID_TEXT];
            queued_id(number, id);
            assert_string_equal(json_string_value(json_object_get(row, "id")), id);
            const json_t *next = json_array_get(json_object_get(answer, "rows"), k + 1);
            number -= !next || !json_equal(next, row);
        }
        json_decref(answer);
    }
}

static char *say_error(void *context, const json_t *command, int *ret_failed)
{
    (void)context;
    (void)command;
    *ret_failed = 1;
    return duplicate("{\"error\": \"no delivery runs\"}");
}

static void test_a_queue_that_cannot_be_asked_is_named(void **state)
{
    struct world *self = *state;
    unsigned status;
    json_t *answer = ask(self, "GET /api/v1/queue", NULL, &status);
    assert_string_equal(text_at(answer, "errors", 0, "error"), "the node is not connected");
    json_decref(answer);
    self->worker.answer = say_error;
    begin_session(self);
    answer = ask(self, "GET /api/v1/queue", NULL, &status);
    assert_int_equal(status, 200);
    assert_string_equal(text_at(answer, "errors", 0, "node"), "worker-1");
    assert_string_equal(text_at(answer, "errors", 0, "error"), "no delivery runs");
    json_decref(answer);
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, world_start, world_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_a_release_is_ordered_once_and_ends_by_its_event),
        WORLD_TEST(test_an_order_outlives_the_master_and_is_given_again),
        WORLD_TEST(test_an_order_ends_by_the_nodes_word),
        WORLD_TEST(test_a_list_without_rows_ends),
        WORLD_TEST(test_a_long_queue_comes_whole_page_by_page),
        WORLD_TEST(test_a_queue_that_cannot_be_asked_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
