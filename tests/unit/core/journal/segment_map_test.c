// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/core/journal/folder.h"
#include "tests/unit/core/journal/image.h"

#include "core/journal/journal.h"
#include "core/journal/segment.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static struct folder folder;
static struct segment_map *map;

static struct position put_text(uint64_t number, const char *text)
{
    struct batch *batch = batch_new();
    struct segment segment;
    batch_begin(batch, number, 0);
    struct mark mark = {.kind = MARK_BATCH};
    batch_mark(batch, IMAGE_BIRTH, &mark);
    struct position where = add_text(batch, RECORD_MESSAGE, text);
    assert_int_equal(segment_create(&segment, &folder.io, number, IMAGE_SIZE), 0);
    assert_int_equal(segment_write(&segment, &folder.io, batch->bytes, batch->size, 0), 0);
    segment_close(&segment, &folder.io);
    batch_destroy(&batch);
    return where;
}

// A segment with one record: its number as text.
static struct position put_segment(uint64_t number, char *text)
{
    snprintf(text, 24, "record of %lu", (unsigned long)number);
    return put_text(number, text);
}

static void take_away(uint64_t number)
{
    char name[SEGMENT_NAME];
    segment_name(number, name);
    assert_int_equal(folder.io.unlink(folder.io.context, name), 0);
}

static int set_up(void **state)
{
    (void)state;
    if (make_folder(&folder) < 0)
        return -1;
    map = segment_map_new(folder.path, 2);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    segment_map_destroy(&map);
    remove_folder(&folder);
    return map != NULL;
}

static void a_record_is_given_at_its_place_only(void **state)
{
    (void)state;
    char text[24];
    void *handle = NULL;
    struct position where = put_segment(1, text);
    const char *bytes = segment_map_get(map, where, &handle);
    assert_non_null(bytes);
    assert_memory_equal(bytes, text, where.length);
    segment_map_done(map, handle);
    const struct position wrong[] = {
        {1, where.offset + 8, where.length},
        {1, where.offset, where.length + 1},
        {1, where.offset, 0},
        {1, IMAGE_SIZE - 8, 8},
        {1, UINT32_MAX, UINT32_MAX},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        errno = 0;
        assert_null(segment_map_get(map, wrong[i], &handle));
        assert_int_equal(errno, EBADMSG);
    }
    where.segment = 2;
    assert_null(segment_map_get(map, where, &handle));
    assert_int_equal(errno, ENOENT);
}

static void a_number_that_begins_anew_is_another_file(void **state)
{
    (void)state;
    void *before, *after;
    struct position where = put_text(1, "the old one");
    const char *old = segment_map_get(map, where, &before);
    take_away(1);
    assert_int_equal(put_text(1, "the new one").offset, where.offset);
    const char *new = segment_map_get(map, where, &after);
    assert_non_null(new);
    assert_memory_equal(new, "the new one", where.length);
    assert_memory_equal(old, "the old one", where.length); // whoever uses it keeps it
    segment_map_done(map, before);
    segment_map_done(map, after);
}

static void a_flipped_bit_is_noticed(void **state)
{
    (void)state;
    char text[24], path[128], name[SEGMENT_NAME];
    void *handle = NULL;
    struct position where = put_segment(1, text);
    segment_name(1, name);
    snprintf(path, sizeof(path), "%s/%s", folder.path, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "R", 1, where.offset + RECORD_HEADER_SIZE), 1);
    close(fd);
    assert_null(segment_map_get(map, where, &handle));
    assert_int_equal(errno, EBADMSG);
}

static void an_empty_file_is_corrupt(void **state)
{
    (void)state;
    char name[SEGMENT_NAME];
    void *handle = NULL;
    segment_name(4, name);
    int fd = folder.io.open(folder.io.context, name, 1);
    folder.io.close(folder.io.context, fd);
    assert_null(segment_map_get(map, (struct position){4, 0, 0}, &handle));
    assert_int_equal(errno, EBADMSG);
}

// What a job names stays readable until it is done, though the file has gone and others were read.
static void bytes_in_use_outlive_file_and_map(void **state)
{
    (void)state;
    char texts[5][24];
    void *handles[5];
    const char *bytes[5];
    struct position places[5];
    for (uint64_t i = 0; i < 5; i++) {
        places[i] = put_segment(i + 1, texts[i]);
        bytes[i] = segment_map_get(map, places[i], &handles[i]);
        assert_non_null(bytes[i]);
        take_away(i + 1);
    }
    for (int i = 0; i < 5; i++)
        assert_memory_equal(bytes[i], texts[i], places[i].length);
    segment_map_done(map, handles[0]);
    void *again = NULL;
    assert_null(segment_map_get(map, places[0], &again)); // two others are kept
    assert_int_equal(errno, ENOENT);
    assert_ptr_equal(segment_map_get(map, places[4], &again), bytes[4]);
    segment_map_done(map, again);
    segment_map_destroy(&map);
    for (int i = 1; i < 5; i++) {
        assert_memory_equal(bytes[i], texts[i], places[i].length);
        segment_map_done(NULL, handles[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_record_is_given_at_its_place_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_number_that_begins_anew_is_another_file, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_flipped_bit_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_file_is_corrupt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_in_use_outlive_file_and_map, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
