// SPDX-License-Identifier: Apache-2.0
#include "master/cluster.h"
#include "master/config.h"
#include "master/store/database.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct world {
    char folder[64];
    sqlite3 *db;
    struct sign_keys keys;
    struct configuration *configuration;
    char made[16][REVISION_NAME_SIZE]; // names of revisions, by the order of their making
    size_t made_count;
};

static void open_world(struct world *self)
{
    char error[256];
    self->db = cluster_open(self->folder, error, sizeof(error));
    assert_non_null(self->db);
    self->configuration =
        configuration_open(self->db, "master-a", &self->keys, error, sizeof(error));
    assert_non_null(self->configuration);
}

static void close_world(struct world *self)
{
    configuration_close(&self->configuration);
    cluster_close(&self->db);
}

static int start(void **state)
{
    struct world *self = allocate(sizeof(*self));
    char path[96];
    snprintf(self->folder, sizeof(self->folder), "/tmp/postern-config-XXXXXX");
    assert_non_null(mkdtemp(self->folder));
    snprintf(path, sizeof(path), "%s/sign.key", self->folder);
    assert_int_equal(sign_keys_make(path, &self->keys), 0);
    open_world(self);
    *state = self;
    return 0;
}

static int stop(void **state)
{
    struct world *self = *state;
    char command[128];
    close_world(self);
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

static void note_made(struct world *self, const json_t *tree)
{
    const char *made = json_string_value(json_object_get(tree, "made"));
    if (made)
        snprintf(self->made[self->made_count++], REVISION_NAME_SIZE, "%s", made);
}

// `base`: of the one document that is changed, the number of the edit that was seen; 0: none;
// -1: whatever is in force.
static enum config_result apply(struct world *self, const char *changes, int base, int replace,
                                char *ret_error, size_t error_size)
{
    json_t *documents = json_of(changes), *tree = NULL, *bases = json_object(), *unused;
    const char *name;
    json_object_foreach(documents, name, unused)
    {
        if (base >= 0)
            json_object_set_new(bases, name,
                                base ? json_string(self->made[base - 1]) : json_null());
    }
    struct config_edit edit = {documents, replace, 0, bases, "anna", "why"};
    enum config_result result =
        config_apply(self->configuration, &edit, &tree, ret_error, error_size);
    if (result == CONFIG_DONE)
        note_made(self, tree);
    json_decref(documents);
    json_decref(bases);
    json_decref(tree);
    return result;
}

static void assert_documents(struct world *self, size_t revision, const char *documents)
{
    json_t *tree = config_tree(self->configuration), *wanted = json_of(documents);
    assert_string_equal(json_string_value(json_object_get(tree, "revision")),
                        revision ? self->made[revision - 1] : "0");
    assert_true(json_equal(json_object_get(tree, "documents"), wanted));
    json_decref(tree);
    json_decref(wanted);
}

// One after the other; what is in force afterwards.
static const struct {
    const char *changes;
    int base;
    int replace;
    enum config_result result;
    const char *error; // how it begins
    size_t revision;   // made so far
    const char *documents;
} edits[] = {
    {"{}", -1, 0, CONFIG_DONE, "", 0, "{}"},
    {"{'stages': {'analyzer': 2}}", 0, 0, CONFIG_DONE, "", 1, "{'stages': {'analyzer': 2}}"},
    {"{'stages': {'analyzer': 2}}", 1, 0, CONFIG_DONE, "", 1, "{'stages': {'analyzer': 2}}"},
    {"{'stages': {'analyzer': 3}}", 0, 0, CONFIG_STALE, "stages: it is at version master-a.", 1,
     "{'stages': {'analyzer': 2}}"},
    {"{'relay': {}}", 0, 0, CONFIG_DONE, "", 2, "{'stages': {'analyzer': 2}, 'relay': {}}"},
    {"{'relay': null, 'redis': {'address': 'x'}}", -1, 0, CONFIG_REFUSED, "redis.address: ", 2,
     "{'stages': {'analyzer': 2}, 'relay': {}}"},
    {"{'domain/a.org': {'route': 'r'}}", -1, 0, CONFIG_REFUSED, "domain/a.org.route: ", 2,
     "{'stages': {'analyzer': 2}, 'relay': {}}"},
    {"{'relay': null}", -1, 0, CONFIG_DONE, "", 3, "{'stages': {'analyzer': 2}}"},
    {"{'relay': null}", -1, 0, CONFIG_DONE, "", 3, "{'stages': {'analyzer': 2}}"},
    {"{'relay': {}}", 3, 1, CONFIG_DONE, "", 4, "{'relay': {}}"},
    {"{'node/w': {'site': 's'}}", 0, 0, CONFIG_DONE, "", 5,
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
    make_edits(self);
    close_world(self);
    open_world(self);
    assert_documents(self, 5, "{'relay': {}, 'node/w': {'site': 's'}}");
}

static void test_the_history_is_kept_newest_first(void **state)
{
    struct world *self = *state;
    make_edits(self);
    json_t *all = config_history(self->configuration, 0);
    json_t *two = config_history(self->configuration, 2);
    assert_int_equal(json_array_size(all), 5);
    assert_int_equal(json_array_size(two), 2);
    const json_t *newest = json_array_get(two, 0), *before = json_array_get(two, 1);
    assert_string_equal(json_string_value(json_object_get(newest, "revision")), self->made[4]);
    assert_string_equal(json_string_value(json_object_get(newest, "author")), "anna");
    assert_string_equal(json_string_value(json_object_get(newest, "comment")), "why");
    assert_int_equal(json_array_size(json_object_get(before, "documents")), 2);
    json_decref(all);
    json_decref(two);
}

static const struct {
    int from, to; // by the order of their making; 0: not given
    const char *difference;
} differences[] = {
    {1, 1, "[]"},
    {0, 1, "[{'document': 'stages', 'before': null, 'after': {'analyzer': 2}}]"},
    {2, 1, "[{'document': 'relay', 'before': {}, 'after': null}]"},
    {1, 3, "[]"},
    {2, 3, "[{'document': 'relay', 'before': {}, 'after': null}]"},
    {4, 0, "[{'document': 'node/w', 'before': null, 'after': {'site': 's'}}]"},
    {0, 0, "[{'document': 'node/w', 'before': null, 'after': {'site': 's'}}]"},
};

static void test_any_two_revisions_can_be_compared(void **state)
{
    struct world *self = *state;
    make_edits(self);
    for (size_t i = 0; i < ARRAY_LENGTH(differences); i++) {
        int from = differences[i].from, to = differences[i].to;
        json_t *found = config_difference(self->configuration, from ? self->made[from - 1] : NULL,
                                          to ? self->made[to - 1] : NULL);
        json_t *wanted = json_of(differences[i].difference);
        if (!found || !json_equal(found, wanted))
            fail_msg("difference %zu: %s", i, found ? json_dumps(found, 0) : "none");
        json_decref(found);
        json_decref(wanted);
    }
    assert_null(config_difference(self->configuration, "master-a.1.99", NULL));
    assert_null(config_difference(self->configuration, NULL, "5"));
}

static const struct {
    int revision;
    const char *documents;
} rollbacks[] = {
    {5, "{'relay': {}, 'node/w': {'site': 's'}}"},
    {2, "{'relay': {}, 'stages': {'analyzer': 2}, 'node/w': {'site': 's'}}"},
    {1, "{'stages': {'analyzer': 2}, 'node/w': {'site': 's'}}"}, // members stay
};

static void test_any_revision_can_be_rolled_back_to(void **state)
{
    struct world *self = *state;
    char error[512];
    make_edits(self);
    for (size_t i = 0; i < ARRAY_LENGTH(rollbacks); i++) {
        json_t *changes =
            config_changes_to(self->configuration, self->made[rollbacks[i].revision - 1]);
        json_t *tree = NULL;
        assert_non_null(changes);
        struct config_edit edit = {changes, 0, 0, NULL, "anna", "back"};
        assert_int_equal(config_apply(self->configuration, &edit, &tree, error, sizeof(error)),
                         CONFIG_DONE);
        json_t *wanted = json_of(rollbacks[i].documents);
        assert_true(json_equal(json_object_get(tree, "documents"), wanted));
        json_decref(wanted);
        json_decref(tree);
        json_decref(changes);
    }
    assert_null(config_changes_to(self->configuration, "5"));
}

// A secret is seen as a fingerprint; giving the fingerprint back changes nothing.
static void test_secrets_are_not_shown(void **state)
{
    struct world *self = *state;
    char error[512];
    assert_int_equal(apply(self, "{'secret/s': {'value': 'hunter2'}}", -1, 0, error, sizeof(error)),
                     CONFIG_DONE);
    json_t *shown = config_shown(config_documents(config_set(self->configuration)));
    json_t *rows = config_difference(self->configuration, NULL, NULL);
    json_t *shown_rows = config_shown_rows(rows);
    char *text = json_dumps(shown, 0), *more = json_dumps(shown_rows, 0);
    assert_null(strstr(text, "hunter2"));
    assert_null(strstr(more, "hunter2"));
    assert_non_null(strstr(text, "sha256:"));
    struct config_edit edit = {shown, 0, 0, NULL, "anna", ""};
    json_t *tree = NULL;
    assert_int_equal(config_apply(self->configuration, &edit, &tree, error, sizeof(error)),
                     CONFIG_DONE);
    assert_null(json_object_get(tree, "made"));
    free(text);
    free(more);
    json_decref(tree);
    json_decref(rows);
    json_decref(shown_rows);
    json_decref(shown);
}

// RELIABILITY attack 39: what would stop all mail is told to whoever asks for it.
static const struct {
    const char *before, *after, *warning; // NULL: none
} warnings[] = {
    {"{}", "{'policy/p': {'reject': 15}}", NULL},
    {"{}", "{'policy/p': {'reject': 0}}", "policy/p.reject: all mail is rejected now"},
    {"{}", "{'policy/p': {'quarantine': -1}}", "policy/p.quarantine: all mail is quarantined now"},
    {"{}", "{'policy/p': {'reject': null}}", NULL},
    {"{'policy/p': {'reject': 0}}", "{'policy/p': {'reject': 0}, 'relay': {}}", NULL},
    {"{'domain/a.org': {}, 'domain/b.org': {}, 'domain/c.org': {}, 'domain/d.org': {}}",
     "{'domain/a.org': {}}", "3 of 4 domains are gone"},
    {"{'domain/a.org': {}, 'domain/b.org': {}, 'domain/c.org': {}, 'domain/d.org': {}}",
     "{'domain/a.org': {}, 'domain/b.org': {}, 'domain/c.org': {}}", NULL},
    {"{'domain/a.org': {}}", "{}", NULL},
};

static void test_what_stops_all_mail_is_warned_of(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(warnings); i++) {
        json_t *before = json_of(warnings[i].before), *after = json_of(warnings[i].after);
        json_t *list = config_warnings(before, after);
        const char *said = json_string_value(json_array_get(list, 0));
        if (warnings[i].warning ? !said || !strstr(said, warnings[i].warning) : said != NULL)
            fail_msg("row %zu: %s", i, said ? said : "nothing");
        json_decref(list);
        json_decref(before);
        json_decref(after);
    }
}

// RELIABILITY attack 34: nothing that no master of this cluster signed changes anything.
static void test_only_what_a_master_signed_is_taken(void **state)
{
    struct world *self = *state;
    struct sign_keys other;
    char path[96];
    static const struct revision_origin origin = {"master-b", 7};
    struct revision *revision = revision_new(&origin, 1, (struct config_clock){1000, 0}, "eve", "");
    revision_add_change(revision, "relay", CHANGE_SET)->body = json_object();
    snprintf(path, sizeof(path), "%s/other.key", self->folder);
    assert_int_equal(sign_keys_make(path, &other), 0);
    assert_int_equal(revision_sign(revision, &other), 0);
    struct span item = {(const char *)revision->packed, revision->packed_size};
    struct batch batch = {&item, 1};
    assert_null(config_take(self->configuration, &batch));
    assert_documents(self, 0, "{}");
    config_trust(self->configuration, other.public_key);
    json_t *tree = config_take(self->configuration, &batch);
    assert_string_equal(json_string_value(json_object_get(tree, "revision")), "master-b.7.1");
    json_decref(tree);
    assert_null(config_take(self->configuration, &batch)); // it is known
    revision_destroy(&revision);
}

// What cluster.db held before there were revisions of this kind.
static const char old_tables[] =
    "CREATE TABLE documents(name TEXT PRIMARY KEY, body TEXT NOT NULL);"
    "CREATE TABLE revisions(number INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL,"
    " author TEXT NOT NULL, comment TEXT NOT NULL);"
    "CREATE TABLE changes(revision INTEGER NOT NULL, document TEXT NOT NULL,"
    " before TEXT, after TEXT, PRIMARY KEY(revision, document)) WITHOUT ROWID;"
    "INSERT INTO revisions VALUES(1,1000,'anna','first'),(2,2000,'bert','');"
    "INSERT INTO changes "
    "VALUES(1,'relay',NULL,'{}'),(1,'list/l',NULL,'{\"entries\":[\"@b.org\"]}'),"
    "(2,'relay','{}',NULL),(2,'stages',NULL,'{\"analyzer\":2}');"
    "INSERT INTO documents VALUES('list/l','{\"entries\":[\"@b.org\"]}'),"
    "('stages','{\"analyzer\":2}');";

static void test_numbered_trees_become_revisions(void **state)
{
    struct world *self = *state;
    configuration_close(&self->configuration);
    assert_int_equal(database_execute(self->db, old_tables), 0);
    cluster_close(&self->db);
    for (int i = 0; i < 2; i++) { // a second start changes nothing more
        open_world(self);
        snprintf(self->made[0], REVISION_NAME_SIZE, "master-a.0.2");
        assert_documents(self, 1, "{'list/l': {'entries': ['@b.org']}, 'stages': {'analyzer': 2}}");
        json_t *history = config_history(self->configuration, 0);
        assert_int_equal(json_array_size(history), 2);
        assert_string_equal(
            json_string_value(json_object_get(json_array_get(history, 1), "author")), "anna");
        json_decref(history);
        close_world(self);
    }
    open_world(self);
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
        WORLD_TEST(test_secrets_are_not_shown),
        cmocka_unit_test(test_what_stops_all_mail_is_warned_of),
        WORLD_TEST(test_only_what_a_master_signed_is_taken),
        WORLD_TEST(test_numbered_trees_become_revisions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
