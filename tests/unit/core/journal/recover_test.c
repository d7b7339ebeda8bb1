// SPDX-License-Identifier: Apache-2.0
// Recoveries of segments that are put down by hand.
#include "tests/unit/core/journal/folder.h"
#include "tests/unit/core/journal/image.h"

#include "core/journal/recover.h"
#include "core/journal/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { SIZE = 64 * 1024, SEEN_MOST = 16 };
static struct journal_options options = {.segment_size = SIZE};

static struct folder folder;
static struct batch *batch;
static struct segment segment;
static struct position end; // of the last batch put down

static struct {
    unsigned type;
    struct position where;
    char text[32];
} seen[SEEN_MOST];
static size_t seen_count;

static void visit(void *context, unsigned type, struct position where, const void *payload)
{
    (void)context;
    assert_true(seen_count < SEEN_MOST && where.length < sizeof(seen[0].text));
    seen[seen_count].type = type;
    seen[seen_count].where = where;
    memcpy(seen[seen_count].text, payload, where.length);
    seen[seen_count++].text[where.length] = '\0';
}

static int set_up(void **state)
{
    (void)state;
    batch = batch_new();
    end = (struct position){0};
    return make_folder(&folder);
}

static int tear_down(void **state)
{
    (void)state;
    segment_close(&segment, &folder.io);
    batch_destroy(&batch);
    remove_folder(&folder);
    return 0;
}

static void begin_segment(uint64_t number)
{
    int filled;
    segment_close(&segment, &folder.io);
    assert_int_equal(segment_create(&segment, &folder.io, number, SIZE), 0);
    while ((filled = segment_fill(&segment, &folder.io)) == 0) {
    }
    assert_true(filled > 0);
    end = (struct position){number, 0, 0};
}

// Puts down a batch with one record, whose mark says that all before it was synced.
static struct position put(unsigned type, const char *text, struct position sealed)
{
    static struct position synced;
    if (end.segment == 1 && end.offset == 0)
        synced = (struct position){0};
    struct mark mark = {.kind = MARK_BATCH, .synced = synced, .sealed = sealed};
    batch_begin(batch, segment.number, end.offset);
    batch_mark(batch, IMAGE_BIRTH, &mark);
    struct position where = add_text(batch, type, text);
    assert_int_equal(segment_write(&segment, &folder.io, batch->bytes, batch->size, end.offset), 0);
    end = synced = batch_end(batch);
    return where;
}

static struct recovered recover_all(void)
{
    struct recovered recovered;
    seen_count = 0;
    assert_int_equal(recover(&recovered, &folder.io, &options, visit, NULL), 0);
    return recovered;
}

static void done_with(struct recovered *recovered)
{
    segment_close(&recovered->current, &folder.io);
    ledger_free(&recovered->ledger);
    free(recovered->origins);
    free(recovered->outlines);
}

static void assert_seen(const char *texts)
{
    char text[SEEN_MOST * 32] = "";
    for (size_t i = 0; i < seen_count; i++) {
        strcat(text, seen[i].text);
        strcat(text, " ");
    }
    assert_string_equal(text, texts);
}

static const struct position first_of_all = {1, 0, 0};

static void an_empty_folder_becomes_a_journal(void **state)
{
    (void)state;
    struct recovered recovered = recover_all();
    assert_int_equal(seen_count, 0);
    assert_int_equal(recovered.current.number, 1);
    assert_true(recovered.birth != 0);
    assert_int_equal(recovered.report.torn + recovered.report.corrupt, 0);
    uint64_t birth = recovered.birth;
    done_with(&recovered);
    recovered = recover_all();
    assert_int_equal(recovered.birth, birth); // the same journal
    assert_int_equal(recovered.current.number, 2);
    done_with(&recovered);
}

static void what_is_above_the_mark_is_appended_anew(void **state)
{
    (void)state;
    begin_segment(1);
    struct position below = put(RECORD_MESSAGE, "one", first_of_all);
    struct position above = put(RECORD_DONE, "two", first_of_all);
    struct recovered recovered = recover_all();
    assert_seen("one two ");
    assert_int_equal(recovered.report.replayed_again, 1);
    assert_int_equal(recovered.ledger.live, 2);
    assert_int_equal(seen[0].where.segment, below.segment);
    assert_int_equal(seen[0].where.offset, below.offset);
    assert_int_equal(seen[1].where.segment, 2); // its new place
    assert_int_equal(recovered.origin_count, 1);
    assert_int_equal(recovered.origins[0].old.offset, above.offset);
    assert_int_equal(recovered.origins[0].copy.offset, seen[1].where.offset);
    assert_int_equal(ledger_find(&recovered.ledger, 2)->last_event, seen[1].where.offset);
    done_with(&recovered);
    struct position copy = seen[1].where;
    // No mark says yet that the end of that replay was synced, so its copies are copied again.
    recovered = recover_all();
    assert_seen("one two ");
    assert_int_equal(seen[1].where.segment, 3);
    assert_int_equal(recovered.report.torn + recovered.report.corrupt, 0);
    assert_int_equal(recovered.origin_count, 2); // a cursor may name either place
    assert_int_equal(recovered.origins[0].old.offset, above.offset);
    assert_int_equal(recovered.origins[1].old.segment, copy.segment);
    assert_int_equal(recovered.origins[1].old.offset, copy.offset);
    done_with(&recovered);
}

static void spoil(uint64_t number, uint32_t offset)
{
    char path[128], name[SEGMENT_NAME];
    segment_name(number, name);
    snprintf(path, sizeof(path), "%s/%s", folder.path, name);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, offset, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, offset, SEEK_SET);
    fputc(byte ^ 4, file);
    fclose(file);
}

static void a_bad_record_is_rot_below_the_mark_and_torn_above(void **state)
{
    (void)state;
    begin_segment(1);
    struct position first = put(RECORD_MESSAGE, "one", first_of_all);
    put(RECORD_MESSAGE, "two", first_of_all);
    struct position last = put(RECORD_MESSAGE, "three", first_of_all);
    struct stat status;
    spoil(1, first.offset + RECORD_HEADER_SIZE);
    spoil(1, last.offset + RECORD_HEADER_SIZE);
    struct recovered recovered = recover_all();
    assert_seen("two ");
    assert_int_equal(recovered.report.corrupt, 1);
    assert_int_equal(recovered.report.torn, 1);
    assert_int_equal(stat(recovered.report.corrupt_file, &status), 0);
    assert_int_equal(status.st_size, record_size(5));
    assert_int_equal(recovered.ledger.live, 1);
    done_with(&recovered);
}

static void a_sealed_stretch_never_comes_back(void **state)
{
    (void)state;
    begin_segment(1);
    put(RECORD_MESSAGE, "one", first_of_all);
    struct position sealed = end;
    put(RECORD_MESSAGE, "failed", first_of_all);
    begin_segment(2);
    put(RECORD_MESSAGE, "again", sealed);
    put(RECORD_MESSAGE, "two", sealed);
    struct recovered recovered = recover_all();
    assert_seen("one again two ");
    assert_int_equal(ledger_find(&recovered.ledger, 2)->pins, 1); // it must outlive segment 1
    done_with(&recovered);
    recovered = recover_all();
    assert_seen("one again two ");
    done_with(&recovered);
}

static void one_damaged_first_header_costs_no_segment(void **state)
{
    (void)state;
    begin_segment(1);
    put(RECORD_MESSAGE, "one", first_of_all);
    put(RECORD_MESSAGE, "two", first_of_all);
    spoil(1, 0);
    struct recovered recovered = recover_all();
    assert_seen("one two ");
    assert_int_equal(recovered.birth, IMAGE_BIRTH);
    assert_int_equal(recovered.report.corrupt, 1);
    done_with(&recovered);
}

static void a_cancelled_opening_gives_up_and_changes_nothing_old(void **state)
{
    (void)state;
    atomic_int cancelled = 1;
    struct recovered recovered;
    begin_segment(1);
    put(RECORD_MESSAGE, "one", first_of_all);
    options.cancelled = &cancelled;
    assert_int_equal(recover(&recovered, &folder.io, &options, visit, NULL), -1);
    assert_int_equal(errno, ECANCELED);
    options.cancelled = NULL;
    recovered = recover_all();
    assert_seen("one ");
    done_with(&recovered);
}

static void a_failing_disk_fails_the_opening_and_changes_nothing_old(void **state)
{
    (void)state;
    struct recovered recovered;
    begin_segment(1);
    put(RECORD_MESSAGE, "one", first_of_all);
    put(RECORD_MESSAGE, "two", first_of_all);
    folder.sync_errno = EIO;
    assert_int_equal(recover(&recovered, &folder.io, &options, visit, NULL), -1);
    assert_int_equal(errno, EIO);
    seen_count = 0;
    folder.write_errno = ENOSPC;
    assert_int_equal(recover(&recovered, &folder.io, &options, visit, NULL), -1);
    assert_int_equal(errno, ENOSPC);
    folder.write_errno = 0;
    recovered = recover_all();
    assert_seen("one two ");
    done_with(&recovered);
}

static void an_unreadable_block_is_an_alarm_and_the_rest_is_there(void **state)
{
    (void)state;
    begin_segment(1);
    put(RECORD_MESSAGE, "one", first_of_all);
    end.offset = 8192; // as if a long record lay between
    put(RECORD_MESSAGE, "two", first_of_all);
    put(RECORD_MESSAGE, "three", first_of_all);
    folder.read_errno = EIO;
    folder.bad_block = 0;
    struct recovered recovered = recover_all();
    assert_true(recovered.report.corrupt >= 1);
    assert_seen("two three ");
    done_with(&recovered);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(an_empty_folder_becomes_a_journal),
        WITH_FOLDER(what_is_above_the_mark_is_appended_anew),
        WITH_FOLDER(a_bad_record_is_rot_below_the_mark_and_torn_above),
        WITH_FOLDER(a_sealed_stretch_never_comes_back),
        WITH_FOLDER(one_damaged_first_header_costs_no_segment),
        WITH_FOLDER(a_cancelled_opening_gives_up_and_changes_nothing_old),
        WITH_FOLDER(a_failing_disk_fails_the_opening_and_changes_nothing_old),
        WITH_FOLDER(an_unreadable_block_is_an_alarm_and_the_rest_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
