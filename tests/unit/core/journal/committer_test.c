// SPDX-License-Identifier: Apache-2.0
// The disk thread's rounds, done by hand, and once by the thread itself.
#include "tests/unit/core/journal/folder.h"
#include "tests/unit/core/journal/image.h"

#include "core/journal/committer.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { SIZE = 64 * 1024, TOLD_MOST = 2048 };

static struct folder folder;
static struct committer *committer;
static struct batch *batch;
static char told[TOLD_MOST]; // a letter a notice: W, C, P, w; x after one with an error
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;

static void take_notice(void *context, struct notice *notice)
{
    static const char letters[] = {'W', 'C', 'P', 'w'};
    (void)context;
    pthread_mutex_lock(&lock);
    size_t length = strlen(told);
    int error =
        notice->kind == NOTICE_COMMITTED ? ((struct batch *)notice->subject)->error : notice->error;
    assert_true(length + 2 < sizeof(told));
    told[length] = letters[notice->kind];
    told[length + 1] = error ? 'x' : '\0';
    if (notice->kind == NOTICE_WORKED)
        free(notice->subject);
    pthread_cond_signal(&more);
    pthread_mutex_unlock(&lock);
    free(notice);
}

static int set_up(void **state)
{
    (void)state;
    struct segment first;
    int filled;
    if (make_folder(&folder) < 0 || segment_create(&first, &folder.io, 1, SIZE) < 0)
        return -1;
    while ((filled = segment_fill(&first, &folder.io)) == 0) {
    }
    batch = batch_new();
    memset(told, 0, sizeof(told));
    committer = committer_new(&folder.io, SIZE, first, take_notice, NULL);
    folder.syncs = 0;
    return filled > 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    committer_stop(committer);
    committer_destroy(&committer);
    batch_destroy(&batch);
    remove_folder(&folder);
    return 0;
}

static void fill(uint64_t segment, const char *text)
{
    struct mark mark = {.kind = MARK_BATCH};
    batch_begin(batch, segment, 0);
    batch_mark(batch, IMAGE_BIRTH, &mark);
    add_text(batch, RECORD_MESSAGE, text);
}

static void all_rounds(void)
{
    while (committer_round(committer)) {
    }
}

static void assert_on_disk(uint64_t segment)
{
    uint32_t size = 0;
    uint64_t unreadable = 0;
    unsigned char *bytes =
        segment_read(&folder.io, segment, (uint32_t)batch->size, &size, &unreadable);
    assert_non_null(bytes);
    assert_int_equal(size, batch->size);
    assert_memory_equal(bytes, batch->bytes, batch->size);
    free(bytes);
}

static void a_batch_is_told_when_written_and_when_synced(void **state)
{
    (void)state;
    assert_false(committer_round(committer));
    fill(1, "a message");
    committer_commit(committer, batch);
    all_rounds();
    assert_string_equal(told, "WC");
    assert_int_equal(batch->error, 0);
    assert_int_equal(committer_syncs(committer), 1);
    assert_int_equal(folder.syncs, 1); // a lone message waits for exactly one
    assert_on_disk(1);
}

static void a_failed_sync_is_never_tried_again(void **state)
{
    (void)state;
    fill(1, "a message");
    folder.sync_errno = EIO;
    committer_commit(committer, batch);
    all_rounds();
    assert_string_equal(told, "WCx");
    assert_int_equal(batch->error, EIO);
    assert_int_equal(folder.syncs, 1);
}

static void a_failed_write_is_not_synced(void **state)
{
    (void)state;
    fill(1, "a message");
    folder.write_errno = ENOSPC;
    committer_commit(committer, batch);
    all_rounds();
    assert_string_equal(told, "Cx");
    assert_int_equal(batch->error, ENOSPC);
    assert_int_equal(folder.syncs, 0);
}

static void the_next_segment_is_made_before_it_is_needed(void **state)
{
    (void)state;
    committer_prepare(committer, 2);
    all_rounds();
    assert_string_equal(told, "P");
    int syncs = folder.syncs;
    fill(2, "in the next one");
    committer_commit(committer, batch);
    all_rounds();
    assert_string_equal(told, "PWC");
    assert_int_equal(folder.syncs - syncs, 1);
    assert_on_disk(2);
}

static void a_batch_makes_the_segment_that_nobody_asked_for(void **state)
{
    (void)state;
    fill(2, "after a failed sync");
    committer_commit(committer, batch);
    all_rounds();
    assert_string_equal(told, "PWC");
    assert_on_disk(2);
    committer_prepare(committer, 2); // asked for too late
    all_rounds();
    assert_string_equal(told, "PWCP");
    assert_on_disk(2);
}

static void a_segment_that_was_given_up_is_made_anew(void **state)
{
    (void)state;
    int fd = folder.io.open(folder.io.context, "0000000000000002.segment", 1);
    folder.io.close(folder.io.context, fd);
    fill(2, "a message");
    committer_commit(committer, batch);
    all_rounds();
    assert_string_equal(told, "PWC");
    assert_on_disk(2);
}

static void a_segment_that_cannot_be_made_is_told(void **state)
{
    (void)state;
    folder.write_errno = ENOSPC;
    committer_prepare(committer, 2);
    all_rounds();
    assert_string_equal(told, "Px");
    folder.write_errno = 0;
    committer_prepare(committer, 2);
    all_rounds();
    assert_string_equal(told, "PxP");
}

static int order[8], order_count;

static int note_first(void *context)
{
    (void)context;
    order[order_count++] = 1;
    return 0;
}

static int note_second(void *context)
{
    (void)context;
    order[order_count++] = 2;
    return EACCES;
}

static void work_is_done_in_order_and_its_result_told(void **state)
{
    (void)state;
    struct work first = {.fn = note_first}, second = {.fn = note_second};
    order_count = 0;
    assert_int_equal(committer_work(committer, &first), 0);
    assert_int_equal(committer_work(committer, &second), 0);
    assert_int_equal(committer_work(committer, &first), 0);
    fill(1, "mail goes first");
    committer_commit(committer, batch);
    all_rounds();
    assert_string_equal(told, "WCwwxw");
    assert_int_equal(order_count, 3);
    assert_int_equal(order[0] * 100 + order[1] * 10 + order[2], 121);
}

static void a_full_queue_says_so(void **state)
{
    (void)state;
    struct work work = {.fn = note_second};
    int taken = 0;
    while (committer_work(committer, &work) == 0)
        assert_true(++taken < 100000);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(taken, 1024);
    order_count = 0;
    assert_true(committer_round(committer));
    assert_int_equal(committer_work(committer, &work), 0);
}

static void the_thread_ends_with_all_it_was_given_done(void **state)
{
    (void)state;
    struct work work = {.fn = note_first};
    order_count = 0;
    committer_start(committer);
    fill(1, "a message");
    committer_commit(committer, batch);
    pthread_mutex_lock(&lock);
    while (!strchr(told, 'C'))
        pthread_cond_wait(&more, &lock);
    pthread_mutex_unlock(&lock);
    assert_int_equal(committer_work(committer, &work), 0);
    assert_int_equal(committer_work(committer, &work), 0);
    committer_stop(committer);
    assert_string_equal(told, "WCww");
    assert_int_equal(order_count, 2);
    assert_on_disk(1);
    assert_int_equal(committer_free_percent(committer), 50);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(a_batch_is_told_when_written_and_when_synced),
        WITH_FOLDER(a_failed_sync_is_never_tried_again),
        WITH_FOLDER(a_failed_write_is_not_synced),
        WITH_FOLDER(the_next_segment_is_made_before_it_is_needed),
        WITH_FOLDER(a_batch_makes_the_segment_that_nobody_asked_for),
        WITH_FOLDER(a_segment_that_was_given_up_is_made_anew),
        WITH_FOLDER(a_segment_that_cannot_be_made_is_told),
        WITH_FOLDER(work_is_done_in_order_and_its_result_told),
        WITH_FOLDER(a_full_queue_says_so),
        WITH_FOLDER(the_thread_ends_with_all_it_was_given_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
