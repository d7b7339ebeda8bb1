// SPDX-License-Identifier: Apache-2.0
#include "core/config/revision.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const struct revision_origin origin = {"a", 7};
static char path[] = "/tmp/postern-sign-XXXXXX";
static struct sign_keys keys;

static int make_keys(void **state)
{
    (void)state;
    close(mkstemp(path));
    return sign_keys_make(path, &keys);
}

static int drop_keys(void **state)
{
    (void)state;
    return unlink(path);
}

static struct revision *make(void)
{
    struct revision *revision =
        revision_new(&origin, 3, (struct config_clock){1000, 2}, "somebody", "why");
    struct revision_change *change =
        revision_add_change(revision, "domain/example.org", CHANGE_SET);
    change->body = json_pack("{s:s}", "description", "ours");
    names_add(&change->seen, &origin, 1, 2);
    change = revision_add_change(revision, "list/spammers", CHANGE_ADD);
    change_add_entry(change, "@bad.example");
    change_add_entry(change, "@worse.example");
    revision_add_change(revision, "route/old", CHANGE_DELETE);
    return revision;
}

static void a_signed_revision_reads_as_it_was_made(void **state)
{
    (void)state;
    struct revision *revision = make();
    const char *reason = NULL;
    char name[REVISION_NAME_SIZE];
    assert_int_equal(revision_sign(revision, &keys), 0);
    struct revision *again = revision_read(revision->packed, revision->packed_size, &reason);
    assert_non_null(again);
    revision_name(again, name);
    assert_string_equal(name, "a.7.3");
    assert_int_equal(again->clock.ms, 1000);
    assert_int_equal(again->clock.count, 2);
    assert_string_equal(again->author, "somebody");
    assert_string_equal(again->comment, "why");
    assert_int_equal(again->change_count, 3);
    assert_true(json_equal(again->changes[0].body, revision->changes[0].body));
    assert_true(names_hold(&again->changes[0].seen, &origin, 2));
    assert_int_equal(again->changes[1].entry_count, 2);
    assert_string_equal(again->changes[1].entries[1], "@worse.example");
    assert_int_equal(again->changes[2].kind, CHANGE_DELETE);
    assert_true(revision_signed_by(again, keys.public_key));
    revision_destroy(&again);
    revision_destroy(&revision);
}

// RELIABILITY attack 34: one bit flipped anywhere is no valid revision of this master.
static void no_flipped_bit_passes_for_signed(void **state)
{
    (void)state;
    struct revision *revision = make();
    const char *reason;
    assert_int_equal(revision_sign(revision, &keys), 0);
    for (size_t bit = 0; bit < 8 * revision->packed_size; bit++) {
        revision->packed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct revision *again = revision_read(revision->packed, revision->packed_size, &reason);
        assert_false(again && revision_signed_by(again, keys.public_key));
        revision_destroy(&again);
        revision->packed[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    revision_destroy(&revision);
}

static void another_masters_signature_does_not_hold(void **state)
{
    (void)state;
    struct revision *revision = make();
    struct sign_keys other = keys;
    other.secret_key[5] ^= 1;
    assert_int_equal(revision_sign(revision, &other), 0);
    assert_false(revision_signed_by(revision, keys.public_key));
    revision_destroy(&revision);
}

static void every_prefix_is_refused(void **state)
{
    (void)state;
    struct revision *revision = make();
    const char *reason;
    assert_int_equal(revision_sign(revision, &keys), 0);
    for (size_t size = 0; size < revision->packed_size; size++) {
        struct revision *again = revision_read(revision->packed, size, &reason);
        assert_false(again && revision_signed_by(again, keys.public_key));
        revision_destroy(&again);
    }
    revision_destroy(&revision);
}

static struct revision *read_back(struct revision *revision, const char **ret_reason)
{
    assert_int_equal(revision_sign(revision, &keys), 0);
    struct revision *again = revision_read(revision->packed, revision->packed_size, ret_reason);
    revision_destroy(&revision);
    return again;
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    const char *reason = NULL;
    struct revision *revision = make();
    revision_add_change(revision, "route/old", CHANGE_DELETE);
    assert_null(read_back(revision, &reason));
    assert_string_equal(reason, "it changes something twice");
    revision = make();
    names_add(&revision->changes[0].seen, &origin, 3, 3);
    assert_null(read_back(revision, &reason));
    assert_string_equal(reason, "a change has seen itself");
    revision = make();
    change_add_entry(revision_add_change(revision, "domain/x", CHANGE_ADD), "e");
    assert_null(read_back(revision, &reason));
    revision = make();
    change_add_entry(revision_add_change(revision, "list/x", CHANGE_ADD), "two\nlines");
    assert_null(read_back(revision, &reason));
    revision = make();
    revision->number = 0;
    assert_null(read_back(revision, &reason));
    revision = make();
    revision->clock.ms = UINT64_MAX;
    assert_null(read_back(revision, &reason));
}

static void keys_are_kept_to_oneself(void **state)
{
    (void)state;
    struct sign_keys read;
    uint8_t public_key[SIGN_PUBLIC];
    char text[SIGN_TEXT_SIZE];
    assert_int_equal(sign_keys_read(path, &read), 0);
    assert_memory_equal(&read, &keys, sizeof(keys));
    sign_public_format(keys.public_key, text);
    assert_int_equal(sign_public_parse(text, public_key), 0);
    assert_memory_equal(public_key, keys.public_key, SIGN_PUBLIC);
    text[3] = '*';
    assert_int_equal(sign_public_parse(text, public_key), -1);
    assert_int_equal(sign_public_parse("", public_key), -1);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(sign_keys_read(path, &read), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(chmod(path, 0600), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signed_revision_reads_as_it_was_made),
        cmocka_unit_test(no_flipped_bit_passes_for_signed),
        cmocka_unit_test(another_masters_signature_does_not_hold),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(keys_are_kept_to_oneself),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
