// SPDX-License-Identifier: Apache-2.0
#include "core/net/http.h"
#include "tests/unit/master/ask.h"
#include <sys/stat.h>
#include <sys/wait.h>

// Asked one after the other of one master; `holds` stands in the answer.
static const struct {
    const char *head, *body;
    unsigned status;
    const char *holds;
} requests[] = {
    {"GET /", NULL, 404, "no such path"},
    {"GET /api/v1", NULL, 404, "no such path"},
    {"GET /api/v1/", NULL, 404, "no such path"},
    {"GET /api/v1/nothing", NULL, 404, "no such path"},
    {"GET /api/v1/../v1/status", NULL, 404, "no such path"},
    {"DELETE /api/v1/status", NULL, 405, "no such method"},
    {"GET /api/v1/status", NULL, 200, "\"role\":\"master\""},
    {"GET /api/v1/messages", NULL, 200, "[]"},
    {"GET /api/v1/messages?limit=", NULL, 400, "limit: give a whole number"},
    {"GET /api/v1/messages?limit=-1", NULL, 400, "limit: give a whole number"},
    {"GET /api/v1/messages?limit=99999999999999999999", NULL, 400, "limit: "},
    {"GET /api/v1/messages?limit=9999999999", NULL, 200, "[]"},
    {"GET /api/v1/messages?since=yesterday", NULL, 400, "since: give a date"},
    {"GET /api/v1/messages?since=2026-11-23T08:00:00%2B01:00&until=60", NULL, 200, "[]"},
    {"GET /api/v1/messages?disposition=eaten", NULL, 400, "disposition: there is no \\\"eaten\\\""},
    {"GET /api/v1/messages/xyz", NULL, 404, "no message has the id xyz"},
    {"GET /api/v1/messages/%ff%fe", NULL, 404, "error"},
    {"GET /api/v1/messages/01M85TJ7V55RAH2FRY1D2B3RX3", NULL, 404, "no message has the id"},
    {"GET /api/v1/events", NULL, 200, ""},
    {"GET /api/v1/events?after=x", NULL, 400, "after: "},
    {"GET /api/v1/quarantine", NULL, 200, "[]"},
    {"GET /api/v1/quarantine/xyz", NULL, 404, "no quarantined mail"},
    {"GET /api/v1/quarantine/../../etc/passwd", NULL, 404, "no quarantined mail"},
    {"POST /api/v1/quarantine/xyz", NULL, 404, "no such path"},
    {"POST /api/v1/quarantine/xyz/eat", NULL, 404, "no such path"},
    {"POST /api/v1/quarantine/xyz/release", NULL, 404, "no quarantined mail"},
    {"POST /api/v1/quarantine/xyz/release", "[]", 400, "give an object"},
    {"GET /api/v1/queue", NULL, 200, "\"rows\":[]"},
    {"GET /api/v1/queue?node=nobody", NULL, 404, "there is no node of that name"},
    {"GET /api/v1/queue/xyz", NULL, 404, "xyz is no id"},
    {"POST /api/v1/queue", "{\"action\": \"delete\"}", 400, "only \\\"retry\\\""},
    {"POST /api/v1/queue/xyz/retry", NULL, 404, "xyz is no id"},
    {"POST /api/v1/queue/xyz/eat", NULL, 404, "no such path"},
    {"GET /api/v1/nodes", NULL, 200, "\"name\":\"master-a\""},
    {"POST /api/v1/nodes", NULL, 400, "line 1"},
    {"POST /api/v1/nodes", "{}", 422, "name: give 1 to 63"},
    {"POST /api/v1/nodes", "{\"name\": \"w\", \"key\": \"short\"}", 422, "key: give the 40"},
    {"POST /api/v1/nodes",
     "{\"name\": \"w\", \"key\": \"DkZ?&oehuM)OX!:5xQ2:8G/J?+0&)}]7uYKm3WlE\", \"role\": \"cook\"}",
     422, "role: give worker"},
    {"POST /api/v1/nodes",
     "{\"name\": \"worker-1\", \"key\": \"DkZ?&oehuM)OX!:5xQ2:8G/J?+0&)}]7uYKm3WlE\"}", 409,
     "is taken"},
    {"POST /api/v1/nodes",
     "{\"name\": \"master-a\", \"key\": \"DkZ?&oehuM)OX!:5xQ2:8G/J?+0&)}]7uYKm3WlE\"}", 409,
     "is taken"},
    {"POST /api/v1/nodes",
     "{\"name\": \"w\", \"key\": \"DkZ?&oehuM)OX!:5xQ2:8G/J?+0&)}]7uYKm3WlE\"}", 201, "\"w\""},
    {"GET /api/v1/nodes/w", NULL, 200, "\"document\":{"},
    {"GET /api/v1/nodes/nobody", NULL, 404, "no node of that name"},
    {"POST /api/v1/nodes/w", NULL, 404, "no such path"},
    {"POST /api/v1/nodes/w/eat", NULL, 404, "no such path"},
    {"POST /api/v1/nodes/nobody/drain", NULL, 404, "no node of that name"},
    {"POST /api/v1/nodes/master-a/drain", NULL, 422, "only workers take mail"},
    {"POST /api/v1/nodes/w/rename", "{\"to\": \"W W\"}", 422, "name: give 1 to 63"},
    {"POST /api/v1/nodes/w/rename", "{\"to\": \"worker-1\"}", 409, "has or had that name"},
    {"POST /api/v1/nodes/master-a/rename", "{\"to\": \"m\"}", 422, "only a worker"},
    {"DELETE /api/v1/nodes/master-a", NULL, 409, "ask the other one"},
    {"DELETE /api/v1/nodes/w", NULL, 200, "\"w\""},
    {"DELETE /api/v1/nodes/w", NULL, 404, "no node of that name"},
    {"POST /api/v1/nodes",
     "{\"name\": \"w\", \"key\": \"DkZ?&oehuM)OX!:5xQ2:8G/J?+0&)}]7uYKm3WlE\"}", 409,
     "was revoked"},
    {"POST /api/v1/tokens", "{\"role\": \"monitor\"}", 422, "role: give worker or master"},
    {"POST /api/v1/tokens", "{\"lifetime_s\": 0}", 422, "lifetime_s: give 1"},
    {"POST /api/v1/tokens", "{\"lifetime_s\": 60, \"name\": \"w\"}", 201, "\"token\":\""},
    {"GET /api/v1/tokens", NULL, 405, "no such method"},
    {"GET /api/v1/config", NULL, 200, "\"revision\":\"#4\""},
    {"GET /api/v1/config/documents/stages", NULL, 404, "there is no document stages"},
    {"PUT /api/v1/config/documents/stages", "{\"analyzer\": 2", 400, "line 1, column"},
    {"PUT /api/v1/config/documents/stages", "{\"analyzer\": 2, \"analyzer\": 2}", 400, "line 1"},
    {"PUT /api/v1/config/documents/stages", "{\"analyzer\": 2}", 200, "\"revision\":\"#5\""},
    {"PUT /api/v1/config/documents/stages", "{\"analyzer\": 2}", 200, "\"revision\":\"#5\""},
    {"PUT /api/v1/config/documents/stages?base=#4", "{\"analyzer\": 3}", 409, "read it again"},
    {"PUT /api/v1/config/documents/stages?base=#5", "{\"analyzer\": 3}", 200,
     "\"revision\":\"#6\""},
    {"PUT /api/v1/config/documents/stages", "{\"analyzer\": -1}", 422, "stages.analyzer: "},
    {"PUT /api/v1/config/documents/stages", "{\"cook\": 1}", 422, "stages.cook: "},
    {"PUT /api/v1/config/documents/stage", "{}", 422, "stage: there is no such kind"},
    {"GET /api/v1/config/documents/stages", NULL, 200, "{\"analyzer\":3}"},
    {"POST /api/v1/config/apply", "{}", 400, "documents: they are missing"},
    {"POST /api/v1/config/apply", "{\"documents\": {\"redis\": {\"address\": \"x\"}}}", 422,
     "redis.address: "},
    {"POST /api/v1/config/apply", "{\"documents\": {\"relay\": {}}}", 200, "\"revision\":\"#7\""},
    {"GET /api/v1/config/history", NULL, 200, "[{\"revision\":\"#7\""},
    {"GET /api/v1/config/history?limit=1", NULL, 200, "\"documents\":[\"relay\"]}]"},
    {"GET /api/v1/config/diff?from=#5&to=#6", NULL, 200, "\"after\":{\"analyzer\":3}}]"},
    {"GET /api/v1/config/diff?from=77", NULL, 404, "there is no such revision; see"},
    {"POST /api/v1/config/rollback", "{\"revision\": 5}", 400, "revision: "},
    {"POST /api/v1/config/rollback", "{\"revision\": \"99\"}", 422, "there is no revision 99"},
    {"POST /api/v1/config/rollback", "{\"revision\": \"#5\"}", 200, "\"revision\":\"#8\""},
    {"DELETE /api/v1/config/documents/stages", NULL, 200, "\"revision\":\"#9\""},
    {"GET /api/v1/config", NULL, 200, "\"cluster\":{\"id\":"},
    {"GET /api/v1/config/conflicts", NULL, 200, "[]"},
    {"POST /api/v1/config/resolve", "{\"document\": \"stages\"}", 400, "give document and version"},
    {"POST /api/v1/config/resolve", "{\"document\": \"stages\", \"version\": \"current\"}", 404,
     "stages has no conflict"},
};

// Of a text, with "#4" put as the name of the master's fourth revision. From malloc.
static char *with_names(const struct world *world, const char *text)
{
    int origin = (int)(strrchr(world->master.revision, '.') - world->master.revision);
    struct buffer filled;
    buffer_init(&filled);
    for (; *text; text++) {
        if (*text == '#')
            buffer_printf(&filled, "%.*s.", origin, world->master.revision);
        else
            buffer_add(&filled, text, 1);
    }
    buffer_add(&filled, "", 1);
    return filled.data;
}

static void test_requests_are_answered_as_they_should(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(requests); i++) {
        char *head = with_names(world, requests[i].head), *text;
        char *body = requests[i].body ? with_names(world, requests[i].body) : NULL;
        char *holds = with_names(world, requests[i].holds);
        unsigned status = ask_bytes(world, head, body, body ? strlen(body) : 0, &text);
        if (status != requests[i].status || !strstr(text, holds))
            fail_msg("%s %s: %u %s", head, body ? body : "", status, text);
        free(text);
        free(head);
        free(body);
        free(holds);
    }
}

static void test_what_is_too_big_is_refused(void **state)
{
    struct world *world = *state;
    size_t size = HTTP_BODY_MOST + 1;
    char *big = allocate(size + 1), *text;
    memset(big, ' ', size);
    unsigned status = ask_bytes(world, "POST /api/v1/config/apply", big, size, &text);
    assert_int_equal(status, 413);
    free(text);
    memset(big, '[', size);
    status = ask_bytes(world, "POST /api/v1/config/apply", big, 1 << 20, &text);
    assert_int_equal(status, 400);
    assert_non_null(strstr(text, "levels"));
    free(text);
    free(big);
    unsigned after;
    json_t *value = ask(world, "GET /api/v1/status", NULL, &after);
    assert_int_equal(after, 200);
    json_decref(value);
}

static void test_a_stranger_on_the_socket_is_turned_away(void **state)
{
    struct world *world = *state;
    char path[100], answer[256] = "";
    int ends[2], status;
    if (geteuid() != 0)
        skip();
    snprintf(path, sizeof(path), "%s/api.sock", world->folder);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(chmod(world->folder, 0755), 0);
    assert_int_equal(chmod(path, 0666), 0); // what keeps him out first is the mode
    pid_t child = fork();
    if (child == 0) {
        static const char request[] = "GET /api/v1/status HTTP/1.0\r\nHost: x\r\n\r\n";
        int fd = setgid(65534) == 0 && setuid(65534) == 0 ? ask_connect(path) : -1;
        ask_write(fd, request, sizeof(request) - 1);
        ssize_t got = read(fd, answer, sizeof(answer) - 1);
        _exit(got > 0 && write(ends[1], answer, (size_t)got) == got ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(read(ends[0], answer, sizeof(answer) - 1) > 0);
    assert_non_null(strstr(answer, " 403 "));
    close(ends[0]);
    close(ends[1]);
}

static size_t warnings_of(struct world *world, const char *head, const char *body)
{
    unsigned status;
    json_t *value = ask(world, head, body, &status);
    assert_in_range(status, 200, 201);
    const json_t *list = json_object_get(value, "warnings");
    assert_true(json_is_array(list));
    size_t count = json_array_size(list);
    if (count > 0)
        assert_non_null(strstr(json_string_value(json_array_get(list, 0)), "65 workers"));
    json_decref(value);
    return count;
}

static void test_the_65th_worker_is_warned_of(void **state)
{
    struct world *world = *state;
    json_t *changes = json_object();
    for (int i = 2; i < WORKERS_TESTED; i++) { // worker-1 is there
        char document[32];
        snprintf(document, sizeof(document), "node/w%d", i);
        json_object_set_new(changes, document, json_pack("{s:o}", "key", json_sprintf("%040d", i)));
    }
    assert_int_equal(world_change(world, changes), 200);
    static const char monitor[] =
        "{\"name\":\"m\",\"key\":\"0000000000000000000000000000000000000097\",\"role\":"
        "\"monitor\"}";
    static const char one[] =
        "{\"name\":\"x\",\"key\":\"0000000000000000000000000000000000000098\"}";
    static const char another[] =
        "{\"name\":\"y\",\"key\":\"0000000000000000000000000000000000000099\"}";
    assert_int_equal(warnings_of(world, "POST /api/v1/nodes", one), 0);
    assert_int_equal(warnings_of(world, "POST /api/v1/nodes", monitor), 0);
    assert_int_equal(warnings_of(world, "GET /api/v1/status", NULL), 0);
    assert_int_equal(warnings_of(world, "POST /api/v1/nodes", another), 1);
    assert_int_equal(warnings_of(world, "GET /api/v1/status", NULL), 1);
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, world_start, world_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_requests_are_answered_as_they_should),
        WORLD_TEST(test_what_is_too_big_is_refused),
        WORLD_TEST(test_the_65th_worker_is_warned_of),
        WORLD_TEST(test_a_stranger_on_the_socket_is_turned_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
