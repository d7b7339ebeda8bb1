// SPDX-License-Identifier: Apache-2.0
#include "node/apply.h"

#include "core/base/file.h"
#include "core/config/edit.h"
#include "core/config/transfer.h"
#include "mail/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

// Two stages (ingress 0, delivery 1), a disk thread whose work is done at once or held back, and a
// record of what was said.
static struct world {
    char state[64];
    uint64_t present[STAGE_NODE];
    int busy; // the disk thread takes nothing
    unsigned reloads, requests;
    char report[600]; // "revision" or "revision: reason"
    char applied[REVISION_NAME_SIZE];
    // A master.
    struct config *master;
    struct edit_maker maker;
    struct sign_keys keys;
    struct batch returned; // what it was given back
    struct transfer transfer;
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

static void request(void *context, unsigned master, const struct names *holds)
{
    (void)context;
    (void)master;
    (void)holds;
    world.requests++;
}

static int give_back(void *context, unsigned master, const Postern__ConfigRevisions *message)
{
    (void)context;
    (void)master;
    transfer_take(&world.transfer, message, &world.returned);
    return 0;
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

static const struct apply_ops ops = {work, reload, request, give_back, report, applied, NULL};

// The master lets pass what nodes refuse.
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

// Its Hello, with the key that it signs with.
static void greet(struct apply *apply)
{
    char sign[SIGN_TEXT_SIZE];
    sign_public_format(world.keys.public_key, sign);
    apply_master_holds(apply, 0, NULL, 0, span_of(sign));
}

static int make_world(void **state)
{
    char path[96];
    world = (struct world){0};
    world.present[STAGE_INGRESS] = 1;
    world.present[STAGE_DELIVERY] = 2;
    snprintf(world.state, sizeof(world.state), "/tmp/apply-test-XXXXXX");
    if (!mkdtemp(world.state))
        return -1;
    snprintf(path, sizeof(path), "%s/sign.key", world.state);
    world.master = config_new(anything, NULL);
    strcpy(world.maker.origin.master, "m");
    world.maker.origin.start = 1;
    if (sign_keys_make(path, &world.keys) < 0)
        return -1;
    *state = apply_new(world.state, &ops);
    greet(*state);
    return 0;
}

static int remove_world(void **state)
{
    char command[128];
    struct apply *apply = *state;
    apply_destroy(&apply);
    config_destroy(&world.master);
    batch_free(&world.returned);
    snprintf(command, sizeof(command), "rm -rf %s", world.state);
    return system(command);
}

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

// A revision that makes the ingress document this; its name is "m.1.<number>", from 1. Not sent.
static const struct revision *make_revision(const char *ingress)
{
    json_t *changes = json_pack("{s:o}", "ingress", json_loads(ingress, 0, NULL)), *stale = NULL;
    struct edit edit = {changes, 0, 0, NULL, "somebody", ""};
    struct revision *revision = NULL;
    char error[128];
    assert_int_equal(
        edit_make(world.master, &world.maker, &edit, 1000, &revision, &stale, error, sizeof(error)),
        EDIT_MADE);
    assert_int_equal(revision_sign(revision, &world.keys), 0);
    const struct revision *made = revision;
    assert_int_equal(config_add(world.master, &revision), 0);
    config_merge(world.master);
    json_decref(changes);
    return made;
}

static void send_bytes(struct apply *apply, const uint8_t *bytes, size_t size)
{
    Postern__ConfigRevisions message = POSTERN__CONFIG_REVISIONS__INIT;
    ProtobufCBinaryData item = {size, (uint8_t *)(uintptr_t)bytes};
    message.n_revisions = 1;
    message.revisions = &item;
    apply_revisions(apply, 0, &message);
}

static void give(struct apply *apply, const char *ingress)
{
    const struct revision *revision = make_revision(ingress);
    send_bytes(apply, revision->packed, revision->packed_size);
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

static void apply_whole(struct apply *apply, const char *ingress, const char *revision)
{
    give(apply, ingress);
    answer(apply, STAGE_INGRESS, 0, revision, "");
    answer(apply, STAGE_DELIVERY, 1, revision, "");
}

static void a_tree_is_written_told_and_reported(void **state)
{
    struct apply *apply = *state;
    assert_string_equal(apply_revision(apply), "0");
    give(apply, "{\"line_max\":1000}");
    assert_string_equal(world.applied, "m.1.1");
    assert_on_disk("m.1.1");
    answer(apply, STAGE_INGRESS, 0, "m.1.1", "");
    assert_string_equal(world.report, ""); // the delivery has not answered
    answer(apply, STAGE_DELIVERY, 1, "0", "");
    assert_string_equal(world.report, ""); // that was about an older one
    answer(apply, STAGE_DELIVERY, 1, "m.1.1", "");
    assert_string_equal(world.report, "m.1.1");
    assert_string_equal(apply_revision(apply), "m.1.1");
}

static void it_is_there_after_a_restart(void **state)
{
    struct apply *apply = *state;
    char tree[2 * TREE_HASH + 1];
    apply_whole(apply, "{\"line_max\":1000}", "m.1.1");
    snprintf(tree, sizeof(tree), "%s", apply_tree(apply));
    apply_destroy(&apply);
    *state = apply = apply_new(world.state, &ops);
    assert_string_equal(apply_revision(apply), "m.1.1");
    assert_string_equal(apply_tree(apply), tree);
    assert_true(names_hold(apply_holds(apply), &world.maker.origin, 1));
}

// A crash between the two files: what is held is made to run.
static void what_is_held_runs_after_a_restart(void **state)
{
    struct apply *apply = *state;
    char path[96];
    apply_whole(apply, "{\"line_max\":1000}", "m.1.1");
    apply_destroy(&apply);
    snprintf(path, sizeof(path), "%s/config/current", world.state);
    assert_int_equal(unlink(path), 0);
    *state = apply = apply_new(world.state, &ops);
    assert_string_equal(apply_revision(apply), "0");
    apply_second(apply);
    assert_string_equal(apply_revision(apply), "m.1.1");
}

static void a_torn_record_is_left_out(void **state)
{
    struct apply *apply = *state;
    char path[96];
    apply_whole(apply, "{\"line_max\":1000}", "m.1.1");
    apply_whole(apply, "{\"line_max\":2000}", "m.1.2");
    apply_destroy(&apply);
    snprintf(path, sizeof(path), "%s/config/revisions", world.state);
    size_t size;
    char *bytes = file_read(path, 1 << 20, &size);
    assert_int_equal(truncate(path, (off_t)size - 5), 0);
    free(bytes);
    *state = apply = apply_new(world.state, &ops);
    assert_true(names_hold(apply_holds(apply), &world.maker.origin, 1));
    assert_false(names_hold(apply_holds(apply), &world.maker.origin, 2));
    assert_string_equal(apply_revision(apply), "m.1.2"); // the last good one runs on
    greet(apply);
    const struct revision *second = config_at(world.master, 1)->revision;
    send_bytes(apply, second->packed, second->packed_size);
    assert_true(names_hold(apply_holds(apply), &world.maker.origin, 2));
}

// RELIABILITY attack 34.
static void what_no_master_signed_changes_nothing(void **state)
{
    struct apply *apply = *state;
    apply_whole(apply, "{\"line_max\":1000}", "m.1.1");
    const struct revision *revision = make_revision("{\"line_max\":2000}");
    uint8_t *bytes = duplicate_bytes(revision->packed, revision->packed_size);
    for (size_t i = 0; i < revision->packed_size; i++) {
        bytes[i] ^= 0x10;
        send_bytes(apply, bytes, revision->packed_size);
        bytes[i] ^= 0x10;
    }
    send_bytes(apply, bytes, 3);
    free(bytes);
    assert_string_equal(apply_revision(apply), "m.1.1");
    assert_on_disk("m.1.1");
}

// The tree that the nodes of a cluster run is valid for each of them: this one holds it out.
static void a_bad_document_is_held_out(void **state)
{
    struct apply *apply = *state;
    apply_whole(apply, "{\"line_max\":1000}", "m.1.1");
    give(apply, "{\"line_max\":\"much\"}");
    assert_int_equal(apply_settings(apply)->line_max, 1000);
    char before[2 * TREE_HASH + 1];
    snprintf(before, sizeof(before), "%s", apply_tree(apply));
    answer(apply, STAGE_INGRESS, 0, "m.1.2", "");
    answer(apply, STAGE_DELIVERY, 1, "m.1.2", "");
    apply_whole(apply, "{\"line_max\":3000}", "m.1.3");
    assert_int_equal(apply_settings(apply)->line_max, 3000);
    assert_string_not_equal(apply_tree(apply), before);
}

static void what_a_stage_refuses_is_put_back(void **state)
{
    struct apply *apply = *state;
    apply_whole(apply, "{}", "m.1.1");
    give(apply, "{\"line_max\":1000}");
    answer(apply, STAGE_INGRESS, 0, "m.1.1", "the certificate cannot be read");
    assert_string_equal(world.report, "m.1.2: ingress 0: the certificate cannot be read");
    assert_string_equal(apply_revision(apply), "m.1.1");
    assert_on_disk("m.1.1");
    answer(apply, STAGE_INGRESS, 0, "m.1.1", "");
    answer(apply, STAGE_DELIVERY, 1, "m.1.1", "");
    assert_non_null(strstr(world.report, "m.1.2: ingress 0")); // the last word to the masters
    apply_whole(apply, "{\"line_max\":2000}", "m.1.3");
    assert_string_equal(world.report, "m.1.3");
}

static void a_stage_that_went_is_not_waited_for(void **state)
{
    struct apply *apply = *state;
    give(apply, "{}");
    answer(apply, STAGE_INGRESS, 0, "m.1.1", "");
    apply_stage_gone(apply, STAGE_DELIVERY, 1);
    assert_string_equal(world.report, "m.1.1");
}

static void a_stage_that_does_not_answer_is_asked_again_and_given_up(void **state)
{
    struct apply *apply = *state;
    give(apply, "{}");
    unsigned before = world.reloads;
    for (int i = 0; i < 5; i++)
        apply_second(apply);
    assert_int_equal(world.reloads, before + 5);
    assert_string_equal(world.report, "");
    for (int i = 0; i < 10; i++)
        apply_second(apply);
    assert_string_equal(world.report, "m.1.1");
}

static void revisions_wait_for_the_disk_and_are_merged_together(void **state)
{
    struct apply *apply = *state;
    world.busy = 1;
    give(apply, "{}");
    give(apply, "{\"line_max\":1000}");
    assert_string_equal(apply_revision(apply), "0");
    world.busy = 0;
    apply_second(apply);
    assert_string_equal(apply_revision(apply), "m.1.2");
    assert_string_equal(world.applied, "m.1.2");
}

static void announce(struct apply *apply, uint64_t upto)
{
    struct names names = {0};
    names_add(&names, &world.maker.origin, 1, upto);
    Postern__ConfigNames **list = names_pack(&names);
    apply_master_holds(apply, 0, list, names.count, (struct span){NULL, 0});
    names_packed_free(&list, names.count);
    names_free(&names);
}

static void what_is_lacking_is_asked_for_without_haste(void **state)
{
    struct apply *apply = *state;
    apply_whole(apply, "{}", "m.1.1");
    announce(apply, 1);
    assert_int_equal(world.requests, 0);
    announce(apply, 2);
    announce(apply, 2);
    assert_int_equal(world.requests, 1);
    apply_second(apply);
    apply_second(apply);
    announce(apply, 2);
    assert_int_equal(world.requests, 2);
    Postern__ConfigRevisions end = POSTERN__CONFIG_REVISIONS__INIT;
    apply_revisions(apply, 0, &end); // that was all
    announce(apply, 2);
    assert_int_equal(world.requests, 3);
}

// A master that was put back to an older state is given what it has lost.
static void what_a_master_lacks_is_given_back(void **state)
{
    struct apply *apply = *state;
    apply_whole(apply, "{}", "m.1.1");
    apply_whole(apply, "{\"line_max\":1000}", "m.1.2");
    Postern__ConfigRequest request = POSTERN__CONFIG_REQUEST__INIT;
    struct names names = {0};
    names_add(&names, &world.maker.origin, 1, 1);
    request.n_holds = names.count;
    request.holds = names_pack(&names);
    apply_wanted(apply, 0, &request);
    assert_int_equal(world.returned.count, 1);
    const struct revision *second = config_at(world.master, 1)->revision;
    assert_int_equal(world.returned.items[0].size, second->packed_size);
    assert_memory_equal(world.returned.items[0].data, second->packed, second->packed_size);
    names_packed_free(&request.holds, request.n_holds);
    names_free(&names);
}

#define APPLY_TEST(test) cmocka_unit_test_setup_teardown(test, make_world, remove_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        APPLY_TEST(a_tree_is_written_told_and_reported),
        APPLY_TEST(it_is_there_after_a_restart),
        APPLY_TEST(what_is_held_runs_after_a_restart),
        APPLY_TEST(a_torn_record_is_left_out),
        APPLY_TEST(what_no_master_signed_changes_nothing),
        APPLY_TEST(a_bad_document_is_held_out),
        APPLY_TEST(what_a_stage_refuses_is_put_back),
        APPLY_TEST(a_stage_that_went_is_not_waited_for),
        APPLY_TEST(a_stage_that_does_not_answer_is_asked_again_and_given_up),
        APPLY_TEST(revisions_wait_for_the_disk_and_are_merged_together),
        APPLY_TEST(what_is_lacking_is_asked_for_without_haste),
        APPLY_TEST(what_a_master_lacks_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
