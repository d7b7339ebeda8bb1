// SPDX-License-Identifier: Apache-2.0
#include "master/cluster.h"
#include "master/config.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct world {
    char folder[64];
    sqlite3 *db;
};

static int start(void **state)
{
    struct world *self = allocate(sizeof(*self));
    char error[256];
    snprintf(self->folder, sizeof(self->folder), "/tmp/postern-config-XXXXXX");
    assert_non_null(mkdtemp(self->folder));
    self->db = cluster_open(self->folder, error, sizeof(error));
    assert_non_null(self->db);
    *state = self;
    return 0;
}

static int stop(void **state)
{
    struct world *self = *state;
    char command[128];
    cluster_close(&self->db);
    snprintf(command, sizeof(command), "rm -rf '%s'", self->folder);
    assert_int_equal(system(command), 0);
    free(self);
    return 0;
}

// JSON with ' for ".
static json_t *json_of(const char *text)
{
    char *json = duplicate(text);
    for (char *at = json; *at; at++)
        if (*at == '\'')
            *at = '"';
    json_t *value = json_loads(json, 0, NULL);
    assert_non_null(value);
    free(json);
    return value;
}

static enum config_result apply(struct world *self, const char *changes, int64_t base, int replace,
                                char *ret_error, size_t error_size)
{
    json_t *documents = json_of(changes), *tree = NULL;
    struct config_edit edit = {documents, replace, base, "anna", "why"};
    enum config_result result = config_apply(self->db, &edit, &tree, ret_error, error_size);
    json_decref(documents);
    json_decref(tree);
    return result;
}

static void assert_documents(struct world *self, const char *revision, const char *documents)
{
    json_t *tree = config_tree(self->db), *wanted = json_of(documents);
    assert_string_equal(json_string_value(json_object_get(tree, "revision")), revision);
    assert_true(json_equal(json_object_get(tree, "documents"), wanted));
    json_decref(tree);
    json_decref(wanted);
}

// One after the other; what is in force afterwards.
static const struct {
    const char *changes;
    int64_t base;
    int replace;
    enum config_result result;
    const char *error; // how it begins
    const char *revision, *documents;
} edits[] = {
    {"{}", -1, 0, CONFIG_DONE, "", "0", "{}"},
    {"{'stages': {'analyzer': 2}}", 0, 0, CONFIG_DONE, "", "1", "{'stages': {'analyzer': 2}}"},
    {"{'stages': {'analyzer': 2}}", 0, 0, CONFIG_DONE, "", "1", "{'stages': {'analyzer': 2}}"},
    {"{'stages': {'analyzer': 3}}", 0, 0, CONFIG_STALE,
     "stages: revision 1 changed it since 0, which you had seen", "1",
     "{'stages': {'analyzer': 2}}"},
    {"{'relay': {}}", 0, 0, CONFIG_DONE, "", "2", "{'stages': {'analyzer': 2}, 'relay': {}}"},
    {"{'relay': null, 'redis': {'address': 'x'}}", -1, 0, CONFIG_REFUSED, "redis.address: ", "2",
     "{'stages': {'analyzer': 2}, 'relay': {}}"},
    {"{'domain/a.org': {'route': 'r'}}", -1, 0, CONFIG_REFUSED, "domain/a.org.route: ", "2",
     "{'stages': {'analyzer': 2}, 'relay': {}}"},
    {"{'relay': null}", -1, 0, CONFIG_DONE, "", "3", "{'stages': {'analyzer': 2}}"},
    {"{'relay': null}", -1, 0, CONFIG_DONE, "", "3", "{'stages': {'analyzer': 2}}"},
    {"{'relay': {}}", 3, 1, CONFIG_DONE, "", "4", "{'relay': {}}"},
    {"{'node/w': {'site': 's'}}", 4, 0, CONFIG_DONE, "", "5",
     "{'relay': {}, 'node/w': {'site': 's'}}"},
};

static void make_edits(struct world *self)
{
    for (size_t i = 0; i < ARRAY_LENGTH(edits); i++) {
        char error[512] = "";
        enum config_result result =
            apply(self, edits[i].changes, edits[i].base, edits[i].replace, error, sizeof(error));
        if (result != edits[i].result || strncmp(error, edits[i].error, strlen(edits[i].error)))
            fail_msg("edit %zu: %d %s", i, (int)result, error);
        assert_documents(self, edits[i].revision, edits[i].documents);
    }
}

static void test_edits_are_applied_or_refused_whole(void **state)
{
    make_edits(*state);
}

static void test_the_configuration_survives(void **state)
{
    struct world *self = *state;
    char error[256];
    make_edits(self);
    cluster_close(&self->db);
    self->db = cluster_open(self->folder, error, sizeof(error));
    assert_documents(self, "5", "{'relay': {}, 'node/w': {'site': 's'}}");
}

static void test_the_history_is_kept_newest_first(void **state)
{
    struct world *self = *state;
    make_edits(self);
    json_t *all = config_history(self->db, 0), *two = config_history(self->db, 2);
    assert_int_equal(json_array_size(all), 5);
    assert_int_equal(json_array_size(two), 2);
    const json_t *newest = json_array_get(two, 0), *before = json_array_get(two, 1);
    assert_string_equal(json_string_value(json_object_get(newest, "revision")), "5");
    assert_string_equal(json_string_value(json_object_get(newest, "author")), "anna");
    assert_string_equal(json_string_value(json_object_get(newest, "comment")), "why");
    json_t *names = json_of("['relay', 'stages']");
    assert_true(json_equal(json_object_get(before, "documents"), names));
    json_decref(names);
    json_decref(all);
    json_decref(two);
}

static const struct {
    int64_t from, to;
    const char *difference; // NULL: no such revision
} differences[] = {
    {0, 0, "[]"},
    {0, 1, "[{'document': 'stages', 'before': null, 'after': {'analyzer': 2}}]"},
    {1, 0, "[{'document': 'stages', 'before': {'analyzer': 2}, 'after': null}]"},
    {1, 3, "[]"},
    {2, 3, "[{'document': 'relay', 'before': {}, 'after': null}]"},
    {4, 5, "[{'document': 'node/w', 'before': null, 'after': {'site': 's'}}]"},
    {5, 6, NULL},
    {-1, 5, NULL},
};

static void test_any_two_revisions_can_be_compared(void **state)
{
    struct world *self = *state;
    make_edits(self);
    for (size_t i = 0; i < ARRAY_LENGTH(differences); i++) {
        json_t *found = config_difference(self->db, differences[i].from, differences[i].to);
        json_t *wanted = differences[i].difference ? json_of(differences[i].difference) : NULL;
        if (!found != !wanted || (found && !json_equal(found, wanted)))
            fail_msg("difference %zu: %s", i, found ? json_dumps(found, 0) : "none");
        json_decref(found);
        json_decref(wanted);
    }
}

static const struct {
    int64_t revision;
    const char *documents; // NULL: no such revision
} rollbacks[] = {
    {5, "{'relay': {}, 'node/w': {'site': 's'}}"},
    {2, "{'relay': {}, 'stages': {'analyzer': 2}, 'node/w': {'site': 's'}}"},
    {0, "{'node/w': {'site': 's'}}"}, // a node's own documents stay
    {99, NULL},
    {-1, NULL},
};

static void test_any_revision_can_be_rolled_back_to(void **state)
{
    struct world *self = *state;
    char error[512];
    make_edits(self);
    for (size_t i = 0; i < ARRAY_LENGTH(rollbacks); i++) {
        json_t *changes = config_changes_to(self->db, rollbacks[i].revision), *tree = NULL;
        assert_int_equal(changes != NULL, rollbacks[i].documents != NULL);
        if (!changes)
            continue;
        struct config_edit edit = {changes, 0, -1, "anna", "back"};
        assert_int_equal(config_apply(self->db, &edit, &tree, error, sizeof(error)), CONFIG_DONE);
        json_t *wanted = json_of(rollbacks[i].documents);
        assert_true(json_equal(json_object_get(tree, "documents"), wanted));
        json_decref(wanted);
        json_decref(tree);
        json_decref(changes);
    }
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_edits_are_applied_or_refused_whole),
        WORLD_TEST(test_the_configuration_survives),
        WORLD_TEST(test_the_history_is_kept_newest_first),
        WORLD_TEST(test_any_two_revisions_can_be_compared),
        WORLD_TEST(test_any_revision_can_be_rolled_back_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
