// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/core/journal/image.h"

#include "core/journal/outline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void add_mark(struct image *image, enum mark_kind kind, struct position synced,
                     struct position sealed)
{
    struct batch *batch = batch_new();
    struct mark mark = {.kind = kind, .synced = synced, .sealed = sealed};
    batch_begin(batch, IMAGE_SEGMENT, image->used);
    batch_mark(batch, IMAGE_BIRTH, &mark);
    add_text(batch, RECORD_MESSAGE, "a message");
    image_add(image, batch);
    batch_destroy(&batch);
}

static void a_segment_is_read_by_its_marks(void **state)
{
    (void)state;
    static struct image image;
    struct outline outline;
    add_mark(&image, MARK_REPLAY, (struct position){2, 500, 0}, (struct position){0});
    outline_read(&outline, image.bytes, IMAGE_SIZE, IMAGE_BIRTH, IMAGE_SEGMENT);
    assert_false(outline.complete);
    assert_int_equal(outline.synced.segment, 2);
    uint32_t first = image.used;
    add_mark(&image, MARK_BATCH, (struct position){2, 900, 0}, (struct position){1, 40, 0});
    add_mark(&image, MARK_BATCH, (struct position){IMAGE_SEGMENT, first, 0},
             (struct position){1, 40, 0});
    outline_read(&outline, image.bytes, IMAGE_SIZE, IMAGE_BIRTH, IMAGE_SEGMENT);
    assert_true(outline.complete);
    assert_int_equal(outline.complete_to, first + MARK_SIZE);
    assert_int_equal(outline.sealed.segment, 1);
    assert_int_equal(outline.sealed.offset, 40);
    assert_int_equal(outline.synced.segment, IMAGE_SEGMENT);
    assert_int_equal(outline.synced.offset, first);
    assert_int_equal(outline.before.segment, 2);
    assert_int_equal(outline.before.offset, 900);
    image.bytes[first + 40] ^= 1; // one flipped bit calls nothing back
    outline_read(&outline, image.bytes, IMAGE_SIZE, IMAGE_BIRTH, IMAGE_SEGMENT);
    assert_true(outline.complete);
    assert_int_equal(outline.sealed.offset, 40);
}

static void an_origin_says_nothing_of_syncs(void **state)
{
    (void)state;
    static struct image image;
    struct outline outline;
    add_mark(&image, MARK_ORIGIN, (struct position){2, 500, 0}, (struct position){2, 1, 0});
    outline_read(&outline, image.bytes, IMAGE_SIZE, IMAGE_BIRTH, IMAGE_SEGMENT);
    assert_false(outline.complete);
    assert_int_equal(outline.synced.segment, 0);
}

static void marks_of_another_journal_say_nothing(void **state)
{
    (void)state;
    static struct image image;
    struct outline outline;
    add_mark(&image, MARK_BATCH, (struct position){2, 500, 0}, (struct position){0});
    outline_read(&outline, image.bytes, IMAGE_SIZE, IMAGE_BIRTH + 1, IMAGE_SEGMENT);
    assert_false(outline.complete);
    outline_read(&outline, image.bytes, 0, IMAGE_BIRTH, IMAGE_SEGMENT);
    assert_false(outline.complete);
}

// What follows from two segments together.
static void the_word_of_a_later_segment_voids(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct outline older, newer;
        struct position synced, anew;
        uint32_t void_from, sound_to;
    } cases[] = {
        {"an ordinary turn: the next segment says how far the last one was synced",
         {.segment = 1,
          .complete = 1,
          .complete_to = 64,
          .sealed = {1, 0, 0},
          .synced = {1, 200, 0}},
         {.segment = 2,
          .complete = 1,
          .complete_to = 64,
          .sealed = {2, 0, 0},
          .synced = {2, 80, 0},
          .before = {1, 900, 0}},
         {2, 80, 0},
         {2, 80, 0},
         UINT32_MAX,
         900},
        {"a failed sync: what lay above it is void",
         {.segment = 1,
          .complete = 1,
          .complete_to = 64,
          .sealed = {1, 0, 0},
          .synced = {1, 200, 0}},
         {.segment = 2,
          .complete = 1,
          .complete_to = 64,
          .sealed = {1, 500, 0},
          .synced = {2, 80, 0},
          .before = {1, 500, 0}},
         {2, 80, 0},
         {2, 80, 0},
         500,
         500},
        {"a replay that was cut off voids nothing",
         {.segment = 1,
          .complete = 1,
          .complete_to = 64,
          .sealed = {1, 0, 0},
          .synced = {1, 200, 0}},
         {.segment = 2, .complete = 0, .synced = {1, 200, 0}, .before = {1, 200, 0}},
         {1, 200, 0},
         {1, 200, 0},
         UINT32_MAX,
         200},
        {"a replay whose completion may be lost yet is done again from where it began",
         {.segment = 1,
          .complete = 1,
          .complete_to = 64,
          .sealed = {1, 0, 0},
          .synced = {1, 200, 0}},
         {.segment = 2,
          .complete = 1,
          .complete_to = 700,
          .sealed = {1, 200, 0},
          .synced = {2, 600, 0},
          .before = {1, 200, 0}},
         {2, 600, 0},
         {1, 200, 0},
         200,
         200},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct outline outlines[2] = {cases[i].older, cases[i].newer};
        outlines[0].void_from = outlines[1].void_from = UINT32_MAX;
        struct plan plan = outline_plan(outlines, 2);
        print_message("%s\n", cases[i].what);
        assert_int_equal(plan.synced.segment, cases[i].synced.segment);
        assert_int_equal(plan.synced.offset, cases[i].synced.offset);
        assert_int_equal(plan.anew.segment, cases[i].anew.segment);
        assert_int_equal(plan.anew.offset, cases[i].anew.offset);
        assert_int_equal(outlines[0].void_from, cases[i].void_from);
        assert_int_equal(outlines[0].sound_to, cases[i].sound_to);
        assert_int_equal(outlines[0].voided_by, cases[i].void_from == UINT32_MAX ? 0 : 2);
        assert_int_equal(outlines[1].void_from, UINT32_MAX);
    }
}

static void no_segments_plan_nothing(void **state)
{
    (void)state;
    struct plan plan = outline_plan(NULL, 0);
    assert_int_equal(plan.synced.segment, 0);
    assert_int_equal(plan.anew.segment, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_is_read_by_its_marks),
        cmocka_unit_test(an_origin_says_nothing_of_syncs),
        cmocka_unit_test(marks_of_another_journal_say_nothing),
        cmocka_unit_test(the_word_of_a_later_segment_voids),
        cmocka_unit_test(no_segments_plan_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
