// SPDX-License-Identifier: Apache-2.0
#include "core/config/edit.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

// A route's domain must be there.
static int valid(void *context, const json_t *documents, const char *const *changed, size_t count,
                 char *ret_error, size_t error_size)
{
    (void)context;
    (void)changed;
    (void)count;
    const char *name;
    json_t *body;
    json_object_foreach((json_t *)documents, name, body)
    {
        char domain[64];
        const char *of = json_string_value(json_object_get(body, "domain"));
        snprintf(domain, sizeof(domain), "domain/%s", of ? of : "");
        if (!of || json_object_get(documents, domain))
            continue;
        snprintf(ret_error, error_size, "%s: there is no %s", name, domain);
        return -1;
    }
    return 0;
}

static int anything(void *context, const json_t *documents, const char *const *changed,
                    size_t count, char *ret_error, size_t error_size)
{
    (void)context;
    (void)documents;
    (void)changed;
    (void)count;
    (void)ret_error;
    (void)error_size;
    return 0;
}

static const struct sign_keys keys;

struct master {
    struct config *config;
    struct edit_maker maker;
};

static struct master master_new(const char *name, config_valid_fn *fn)
{
    struct master self = {config_new(fn, NULL), {.origin = {.start = 1}}};
    snprintf(self.maker.origin.master, sizeof(self.maker.origin.master), "%s", name);
    return self;
}

static json_t *read_json(const char *text)
{
    char copy[512];
    snprintf(copy, sizeof(copy), "%s", text);
    for (char *at = copy; *at; at++)
        if (*at == '\'')
            *at = '"';
    json_t *value = json_loads(copy, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    return value;
}

static void give(struct master *to, const struct revision *revision)
{
    const char *reason;
    struct revision *copy = revision_read(revision->packed, revision->packed_size, &reason);
    assert_non_null(copy);
    edit_maker_saw(&to->maker, copy);
    (void)!config_add(to->config, &copy);
    config_merge(to->config);
}

static enum edit_result change(struct master *self, uint64_t now_ms, json_t *changes, json_t *bases,
                               int settles)
{
    struct edit edit = {changes, 0, settles, bases, "somebody", ""};
    struct revision *revision = NULL;
    json_t *stale = NULL;
    char error[256];
    enum edit_result result = edit_make(self->config, &self->maker, &edit, now_ms, &revision,
                                        &stale, error, sizeof(error));
    if (result == EDIT_MADE) {
        assert_int_equal(revision_sign(revision, &keys), 0);
        give(self, revision);
    }
    revision_destroy(&revision);
    json_decref(stale);
    json_decref(changes);
    json_decref(bases);
    return result;
}

static void set(struct master *self, uint64_t now_ms, const char *changes)
{
    assert_int_equal(change(self, now_ms, read_json(changes), NULL, 0), EDIT_MADE);
}

static void meet(struct master *a, struct master *b)
{
    for (size_t i = 0; i < config_count(a->config); i++)
        give(b, config_at(a->config, i)->revision);
    for (size_t i = 0; i < config_count(b->config); i++)
        give(a, config_at(b->config, i)->revision);
}

static void expect(const struct master *self, const char *documents)
{
    json_t *wanted = read_json(documents);
    char *got = json_dumps(config_documents(self->config), JSON_SORT_KEYS | JSON_COMPACT);
    char *text = json_dumps(wanted, JSON_SORT_KEYS | JSON_COMPACT);
    assert_string_equal(got, text);
    free(got);
    free(text);
    json_decref(wanted);
}

static size_t conflicts(const struct master *self)
{
    json_t *list = config_conflicts(self->config);
    size_t count = json_array_size(list);
    json_decref(list);
    return count;
}

static void end(struct master *a, struct master *b)
{
    uint8_t left[TREE_HASH], right[TREE_HASH];
    config_hash(a->config, config_documents(a->config), left);
    config_hash(b->config, config_documents(b->config), right);
    assert_memory_equal(left, right, TREE_HASH);
    assert_int_equal(conflicts(a), conflicts(b));
    config_destroy(&a->config);
    config_destroy(&b->config);
}

static void the_later_clock_wins_and_the_other_is_a_conflict_until_it_is_settled(void **state)
{
    (void)state;
    struct master a = master_new("a", valid), b = master_new("b", valid);
    set(&a, 10, "{'domain/x':{'v':'0'}}");
    meet(&a, &b);
    set(&a, 20, "{'domain/x':{'v':'a'}}");
    set(&b, 30, "{'domain/x':{'v':'b'}}");
    meet(&a, &b);
    expect(&a, "{'domain/x':{'v':'b'}}");
    assert_int_equal(conflicts(&a), 1);
    assert_int_equal(change(&b, 40, read_json("{'domain/x':{'v':'a'}}"), NULL, 1), EDIT_MADE);
    meet(&a, &b);
    expect(&a, "{'domain/x':{'v':'a'}}");
    assert_int_equal(conflicts(&a), 0);
    end(&a, &b);
}

static void the_same_change_on_both_sides_is_no_conflict(void **state)
{
    (void)state;
    struct master a = master_new("a", valid), b = master_new("b", valid);
    set(&a, 20, "{'domain/x':{'v':'1'}}");
    set(&b, 30, "{'domain/x':{'v':'1'}}");
    meet(&a, &b);
    assert_int_equal(conflicts(&a), 0);
    end(&a, &b);
}

static void a_deletion_is_a_version(void **state)
{
    (void)state;
    struct master a = master_new("a", valid), b = master_new("b", valid);
    set(&a, 10, "{'domain/x':{}}");
    meet(&a, &b);
    set(&a, 20, "{'domain/x':null}");
    set(&b, 15, "{'domain/x':{'v':'b'}}");
    meet(&a, &b);
    expect(&b, "{}");
    assert_int_equal(conflicts(&b), 1);
    end(&a, &b);
}

static void a_stale_edit_is_refused(void **state)
{
    (void)state;
    struct master a = master_new("a", valid);
    char version[REVISION_NAME_SIZE];
    set(&a, 10, "{'domain/x':{}}");
    revision_name(config_version(a.config, "domain/x"), version);
    json_t *base = json_pack("{s:s}", "domain/x", version);
    set(&a, 20, "{'domain/x':{'v':'1'}}");
    assert_int_equal(change(&a, 30, read_json("{'domain/x':{'v':'2'}}"), json_incref(base), 0),
                     EDIT_STALE);
    assert_int_equal(change(&a, 30, read_json("{'domain/x':null}"), json_incref(base), 0),
                     EDIT_STALE);
    assert_int_equal(
        change(&a, 30, read_json("{'domain/x':{'v':'2'}}"), read_json("{'domain/x':null}"), 0),
        EDIT_STALE);
    assert_int_equal(change(&a, 30, read_json("{'domain/y':{}}"), base, 0), EDIT_MADE);
    expect(&a, "{'domain/x':{'v':'1'},'domain/y':{}}");
    config_destroy(&a.config);
}

static void an_edit_that_changes_nothing_makes_no_revision(void **state)
{
    (void)state;
    struct master a = master_new("a", valid);
    set(&a, 10, "{'list/l':{'entries':['b','a','a']}}");
    expect(&a, "{'list/l':{'entries':['a','b']}}");
    assert_int_equal(change(&a, 20, read_json("{'list/l':{'entries':['b','a']}}"), NULL, 0),
                     EDIT_SAME);
    assert_int_equal(change(&a, 20, read_json("{'route/r':null}"), NULL, 0), EDIT_SAME);
    config_destroy(&a.config);
}

static void lists_merge_by_entry(void **state)
{
    (void)state;
    struct master a = master_new("a", valid), b = master_new("b", valid);
    set(&a, 10,
        "{'list/b':{'kind':'block','entries':['x','y']},"
        "'list/a':{'kind':'allow','entries':['x','y']}}");
    meet(&a, &b);
    set(&a, 20,
        "{'list/b':{'kind':'block','entries':['x','z']},"
        "'list/a':{'kind':'allow','entries':['x','z']}}");
    set(&b, 30,
        "{'list/b':{'kind':'block','entries':['y','w']},"
        "'list/a':{'kind':'allow','entries':['y','w']}}");
    meet(&a, &b);
    expect(&a, "{'list/b':{'kind':'block','entries':['w','z']},"
               "'list/a':{'kind':'allow','entries':['w','z']}}");
    // Here one side takes away and adds again what the other takes away.
    set(&a, 40,
        "{'list/b':{'kind':'block','entries':['z']},"
        "'list/a':{'kind':'allow','entries':['z']}}");
    set(&a, 50,
        "{'list/b':{'kind':'block','entries':['w','z']},"
        "'list/a':{'kind':'allow','entries':['w','z']}}");
    set(&b, 60,
        "{'list/b':{'kind':'block','entries':['z']},"
        "'list/a':{'kind':'allow','entries':['z']}}");
    meet(&a, &b);
    expect(&b, "{'list/b':{'kind':'block','entries':['w','z']},"
               "'list/a':{'kind':'allow','entries':['z']}}");
    assert_int_equal(conflicts(&a), 0);
    end(&a, &b);
}

static void a_lists_other_keys_conflict_like_a_document(void **state)
{
    (void)state;
    struct master a = master_new("a", valid), b = master_new("b", valid);
    set(&a, 10, "{'list/b':{'kind':'block','entries':['x']}}");
    meet(&a, &b);
    set(&a, 20, "{'list/b':{'kind':'block','of':'client','entries':['x']}}");
    set(&b, 30, "{'list/b':{'kind':'block','of':'sender','entries':['x','y']}}");
    meet(&a, &b);
    expect(&a, "{'list/b':{'kind':'block','of':'sender','entries':['x','y']}}");
    assert_int_equal(conflicts(&a), 1);
    end(&a, &b);
}

// Adding wins: the block list stands again for what its deleter had not seen. An allow list stays
// deleted, and the entry is shown until somebody settles it.
static void a_deleted_list_and_an_entry_added_meanwhile(void **state)
{
    (void)state;
    struct master a = master_new("a", valid), b = master_new("b", valid);
    set(&a, 10,
        "{'list/b':{'kind':'block','entries':['x']},"
        "'list/a':{'kind':'allow','entries':['x']}}");
    meet(&a, &b);
    set(&a, 30, "{'list/b':null,'list/a':null}");
    set(&b, 20,
        "{'list/b':{'kind':'block','entries':['x','y']},"
        "'list/a':{'kind':'allow','entries':['x','y']}}");
    meet(&a, &b);
    expect(&a, "{'list/b':{'kind':'block','entries':['y']}}");
    assert_int_equal(conflicts(&b), 1);
    end(&a, &b);
}

static void a_revocation_only_grows(void **state)
{
    (void)state;
    struct master a = master_new("a", valid), b = master_new("b", valid);
    set(&a, 10, "{'revoked/00':{}}");
    set(&b, 20, "{'revoked/00':{}, 'node/w':{}}");
    assert_int_equal(change(&a, 30, read_json("{'revoked/00':null}"), NULL, 0), EDIT_INVALID);
    meet(&a, &b);
    json_t *nothing = json_object(), *back = edit_rollback(a.config, nothing);
    assert_int_equal(json_object_size(back), 0);
    json_decref(back);
    json_decref(nothing);
    expect(&b, "{'node/w':{},'revoked/00':{}}");
    end(&a, &b);
}

static void what_would_break_the_tree_is_held_whole_but_for_entries_and_members(void **state)
{
    (void)state;
    struct master a = master_new("a", valid), b = master_new("b", valid);
    set(&a, 10, "{'domain/x':{}, 'list/l':{'kind':'block'}}");
    meet(&a, &b);
    set(&a, 20, "{'domain/x':null}");
    set(&b, 30,
        "{'route/r':{'domain':'x'}, 'domain/z':{}, 'node/w':{},"
        "'list/l':{'kind':'block','entries':['e']}}");
    meet(&a, &b);
    expect(&a, "{'list/l':{'kind':'block','entries':['e']},'node/w':{}}");
    assert_non_null(config_newest(a.config));
    assert_non_null(config_at(a.config, 2)->held);
    assert_int_equal(conflicts(&a), 2);
    // The domain comes back: so does what was held.
    set(&a, 40, "{'domain/x':{'v':'again'}}");
    meet(&a, &b);
    expect(&b, "{'domain/x':{'v':'again'},'domain/z':{},"
               "'list/l':{'kind':'block','entries':['e']},'node/w':{},"
               "'route/r':{'domain':'x'}}");
    assert_null(config_at(b.config, 2)->held);
    end(&a, &b);
}

// RELIABILITY attack 34: a clock of ten years ahead is merged; those who saw it stay ahead of it.
static void a_clock_far_ahead_is_merged_and_kept_ahead_of(void **state)
{
    (void)state;
    struct master a = master_new("a", valid), b = master_new("b", valid);
    uint64_t years = 10ull * 365 * 24 * 3600 * 1000;
    set(&a, years, "{'domain/x':{'v':'future'}}");
    meet(&a, &b);
    set(&b, 1000, "{'domain/x':{'v':'now'}}");
    meet(&a, &b);
    expect(&a, "{'domain/x':{'v':'now'}}");
    assert_int_equal(conflicts(&a), 0);
    end(&a, &b);
}

static void what_an_author_had_seen_stays_short(void **state)
{
    (void)state;
    struct master a = master_new("a", anything);
    char text[64];
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof(text), "{'domain/x':{'v':'%d'}, 'domain/d%d':{}}", i, i);
        set(&a, (uint64_t)i, text);
        set(&a, (uint64_t)i, "{'domain/y':{}}");
        set(&a, (uint64_t)i, "{'domain/y':null}");
    }
    const struct revision *last = config_version(a.config, "domain/x");
    assert_int_equal(last->changes[0].seen.count, 1);
    assert_int_equal(last->changes[0].seen.origins[0].count, 1);
    assert_true(last->packed_size < 256);
    config_destroy(&a.config);
}

static void twenty_thousand_documents_and_thousands_of_revisions_stay_quick(void **state)
{
    (void)state;
    struct master a = master_new("a", anything), b = master_new("b", anything);
    json_t *all = json_object();
    char text[64];
    clock_t begun = clock();
    for (int i = 0; i < 20000; i++) {
        snprintf(text, sizeof(text), "domain/d%d.example", i);
        json_object_set_new(all, text, json_pack("{s:s}", "description", text));
    }
    assert_int_equal(change(&a, 1, all, NULL, 0), EDIT_MADE);
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof(text), "{'domain/d%d.example':{'v':'%d'}}", 7 * i, i);
        set(&a, 2 + (uint64_t)i, text);
    }
    give(&b, config_at(a.config, 0)->revision);
    for (size_t i = config_count(a.config); i > 1; i--)
        give(&b, config_at(a.config, i - 1)->revision);
    // Ten times what a slow machine takes; a quadratic mistake takes minutes.
    assert_true((double)(clock() - begun) / CLOCKS_PER_SEC < 60);
    end(&a, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_later_clock_wins_and_the_other_is_a_conflict_until_it_is_settled),
        cmocka_unit_test(the_same_change_on_both_sides_is_no_conflict),
        cmocka_unit_test(a_deletion_is_a_version),
        cmocka_unit_test(a_stale_edit_is_refused),
        cmocka_unit_test(an_edit_that_changes_nothing_makes_no_revision),
        cmocka_unit_test(lists_merge_by_entry),
        cmocka_unit_test(a_lists_other_keys_conflict_like_a_document),
        cmocka_unit_test(a_deleted_list_and_an_entry_added_meanwhile),
        cmocka_unit_test(a_revocation_only_grows),
        cmocka_unit_test(what_would_break_the_tree_is_held_whole_but_for_entries_and_members),
        cmocka_unit_test(a_clock_far_ahead_is_merged_and_kept_ahead_of),
        cmocka_unit_test(what_an_author_had_seen_stays_short),
        cmocka_unit_test(twenty_thousand_documents_and_thousands_of_revisions_stay_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
