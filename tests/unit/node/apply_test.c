// SPDX-License-Identifier: Apache-2.0
#include "node/apply.h"

#include "core/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// Two stages (ingress 0, delivery 1), a disk thread whose work is done at once or held back, and a
// record of what was said.
static struct world {
    char state[64];
    uint64_t present[STAGE_NODE];
    int busy; // the disk thread takes nothing
    unsigned reloads, requests;
    char report[600]; // "revision" or "revision: reason"
    char applied[64];
} world;

static int work(void *context, journal_work_fn *fn, journal_worked_fn *done, void *subject)
{
    (void)context;
    if (world.busy)
        return -1;
    done(subject, fn(subject));
    return 0;
}

static void reload(void *context, const char *revision, uint64_t ret_told[STAGE_NODE])
{
    (void)context;
    (void)revision;
    memcpy(ret_told, world.present, sizeof(world.present));
    world.reloads++;
}

static void request(void *context, unsigned master, const char *have)
{
    (void)context;
    (void)master;
    (void)have;
    world.requests++;
}

static void report(void *context, const char *revision, const char *reason)
{
    (void)context;
    snprintf(world.report, sizeof(world.report), "%s%s%.500s", revision, reason ? ": " : "",
             reason ? reason : "");
}

static void applied(void *context, const struct settings *settings)
{
    (void)context;
    snprintf(world.applied, sizeof(world.applied), "%s", settings->revision);
}

static const struct apply_ops ops = {work, reload, request, report, applied, NULL};

static int make_world(void **state)
{
    world = (struct world){0};
    world.present[STAGE_INGRESS] = 1;
    world.present[STAGE_DELIVERY] = 2;
    snprintf(world.state, sizeof(world.state), "/tmp/apply-test-XXXXXX");
    if (!mkdtemp(world.state))
        return -1;
    *state = apply_new(world.state, &ops);
    return 0;
}

static int remove_world(void **state)
{
    char command[128];
    struct apply *apply = *state;
    apply_destroy(&apply);
    snprintf(command, sizeof(command), "rm -rf %s", world.state);
    return system(command);
}

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

// A tree of that revision whose ingress document is `ingress`.
static void give(struct apply *apply, const char *revision, const char *ingress)
{
    char json[256];
    snprintf(json, sizeof(json), "{\"revision\":\"%s\",\"documents\":{\"ingress\":%s}}", revision,
             ingress);
    Postern__ConfigTree tree = POSTERN__CONFIG_TREE__INIT;
    tree.revision = bytes_of(revision);
    tree.json = bytes_of(json);
    apply_tree(apply, &tree);
}

static void answer(struct apply *apply, enum stage stage, unsigned slot, const char *revision,
                   const char *error)
{
    Postern__StageReloaded reloaded = POSTERN__STAGE_RELOADED__INIT;
    reloaded.stage = stage;
    reloaded.slot = slot;
    reloaded.revision = bytes_of(revision);
    reloaded.error = bytes_of(error);
    apply_reloaded(apply, &reloaded);
}

static void assert_on_disk(const char *revision)
{
    char error[512];
    struct settings *settings = settings_read(world.state, error, sizeof(error));
    assert_non_null(settings);
    assert_string_equal(settings->revision, revision);
    settings_release(&settings);
}

static void apply_whole(struct apply *apply, const char *revision)
{
    give(apply, revision, "{}");
    answer(apply, STAGE_INGRESS, 0, revision, "");
    answer(apply, STAGE_DELIVERY, 1, revision, "");
}

static void a_tree_is_written_told_and_reported(void **state)
{
    struct apply *apply = *state;
    assert_string_equal(apply_revision(apply), "0");
    give(apply, "7", "{\"line_max\":1000}");
    assert_string_equal(world.applied, "7");
    assert_on_disk("7");
    answer(apply, STAGE_INGRESS, 0, "7", "");
    assert_string_equal(world.report, ""); // the delivery has not answered
    answer(apply, STAGE_DELIVERY, 1, "6", "");
    assert_string_equal(world.report, ""); // that was about an older one
    answer(apply, STAGE_DELIVERY, 1, "7", "");
    assert_string_equal(world.report, "7");
    assert_string_equal(apply_revision(apply), "7");
}

static void it_is_there_after_a_restart(void **state)
{
    struct apply *apply = *state;
    apply_whole(apply, "7");
    apply_destroy(&apply);
    *state = apply = apply_new(world.state, &ops);
    assert_string_equal(apply_revision(apply), "7");
}

static const struct {
    const char *revision, *json, *reason;
} refused[] = {
    {"8", "no JSON", "line 1"},
    {"8", "{\"revision\":\"8\",\"documents\":{\"ingress\":{\"line_max\":\"much\"}}}",
     "ingress.line_max"},
    {"8", "{\"revision\":\"9\",\"documents\":{}}", "revision"},
};

static void a_bad_tree_is_refused_and_the_old_one_stays(void **state)
{
    struct apply *apply = *state;
    apply_whole(apply, "7");
    for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
        Postern__ConfigTree tree = POSTERN__CONFIG_TREE__INIT;
        tree.revision = bytes_of(refused[i].revision);
        tree.json = bytes_of(refused[i].json);
        apply_tree(apply, &tree);
        if (!strstr(world.report, refused[i].reason))
            fail_msg("reported: %s", world.report);
        assert_string_equal(apply_revision(apply), "7");
        assert_on_disk("7");
    }
}

static void what_a_stage_refuses_is_put_back(void **state)
{
    struct apply *apply = *state;
    apply_whole(apply, "7");
    give(apply, "8", "{}");
    answer(apply, STAGE_INGRESS, 0, "7", "the certificate cannot be read");
    assert_string_equal(world.report, "8: ingress 0: the certificate cannot be read");
    assert_string_equal(apply_revision(apply), "7");
    assert_on_disk("7");
    answer(apply, STAGE_INGRESS, 0, "7", "");
    answer(apply, STAGE_DELIVERY, 1, "7", "");
    assert_non_null(strstr(world.report, "8: ingress 0")); // the last word to the masters
    apply_whole(apply, "9");
    assert_string_equal(world.report, "9");
}

static void a_stage_that_went_is_not_waited_for(void **state)
{
    struct apply *apply = *state;
    give(apply, "7", "{}");
    answer(apply, STAGE_INGRESS, 0, "7", "");
    apply_stage_gone(apply, STAGE_DELIVERY, 1);
    assert_string_equal(world.report, "7");
}

static void a_stage_that_does_not_answer_is_asked_again_and_given_up(void **state)
{
    struct apply *apply = *state;
    give(apply, "7", "{}");
    unsigned before = world.reloads;
    for (int i = 0; i < 5; i++)
        apply_second(apply);
    assert_int_equal(world.reloads, before + 5);
    assert_string_equal(world.report, "");
    for (int i = 0; i < 10; i++)
        apply_second(apply);
    assert_string_equal(world.report, "7");
}

static void a_tree_waits_for_the_disk_and_the_newest_wins(void **state)
{
    struct apply *apply = *state;
    world.busy = 1;
    give(apply, "7", "{}");
    give(apply, "8", "{}");
    assert_string_equal(apply_revision(apply), "0");
    world.busy = 0;
    apply_second(apply);
    assert_string_equal(apply_revision(apply), "8");
}

static void announce(struct apply *apply, const char *revision)
{
    apply_announced(apply, 0, span_of(revision));
}

static void another_revision_is_asked_for_without_haste(void **state)
{
    struct apply *apply = *state;
    apply_whole(apply, "7");
    announce(apply, "7");
    announce(apply, "0");
    assert_int_equal(world.requests, 0);
    announce(apply, "8");
    announce(apply, "8");
    assert_int_equal(world.requests, 1);
    apply_second(apply);
    apply_second(apply);
    announce(apply, "8");
    assert_int_equal(world.requests, 2);
}

static void what_was_refused_is_not_asked_for_again_and_again(void **state)
{
    struct apply *apply = *state;
    give(apply, "8", "{\"line_max\":0}");
    assert_non_null(strstr(world.report, "8: "));
    for (int i = 0; i < 59; i++) {
        apply_second(apply);
        announce(apply, "8");
    }
    assert_int_equal(world.requests, 0);
    apply_second(apply);
    announce(apply, "8");
    assert_int_equal(world.requests, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_tree_is_written_told_and_reported, make_world,
                                        remove_world),
        cmocka_unit_test_setup_teardown(it_is_there_after_a_restart, make_world, remove_world),
        cmocka_unit_test_setup_teardown(a_bad_tree_is_refused_and_the_old_one_stays, make_world,
                                        remove_world),
        cmocka_unit_test_setup_teardown(what_a_stage_refuses_is_put_back, make_world, remove_world),
        cmocka_unit_test_setup_teardown(a_stage_that_went_is_not_waited_for, make_world,
                                        remove_world),
        cmocka_unit_test_setup_teardown(a_stage_that_does_not_answer_is_asked_again_and_given_up,
                                        make_world, remove_world),
        cmocka_unit_test_setup_teardown(a_tree_waits_for_the_disk_and_the_newest_wins, make_world,
                                        remove_world),
        cmocka_unit_test_setup_teardown(another_revision_is_asked_for_without_haste, make_world,
                                        remove_world),
        cmocka_unit_test_setup_teardown(what_was_refused_is_not_asked_for_again_and_again,
                                        make_world, remove_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
