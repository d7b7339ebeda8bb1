// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/core/journal/folder.h"

#include "core/journal/segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { SIZE = 1024 * 1024 + 512 };

static struct folder folder;

static int set_up(void **state)
{
    (void)state;
    return make_folder(&folder);
}

static int tear_down(void **state)
{
    (void)state;
    remove_folder(&folder);
    return 0;
}

static int exists(uint64_t number)
{
    char name[SEGMENT_NAME], path[128];
    struct stat status;
    segment_name(number, name);
    snprintf(path, sizeof(path), "%s/%s", folder.path, name);
    return stat(path, &status) == 0;
}

static int make_whole(struct segment *ret, uint64_t number)
{
    int filled;
    if (segment_create(ret, &folder.io, number, SIZE) < 0)
        return -1;
    while ((filled = segment_fill(ret, &folder.io)) == 0) {
    }
    return filled > 0 ? 0 : -1;
}

static void only_its_own_names_are_segments(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t number;
    } names[] = {
        {"0000000000000001.segment", 1},
        {"00000000000000ff.segment", 255},
        {"ffffffffffffffff.segment", UINT64_MAX},
        {"00000000000000FF.segment", 0}, // else two names for one number
        {"1.segment", 0},
        {"0000000000000000.segment", 0},
        {"0000000000000001.segment~", 0},
        {"0000000000000001", 0},
        {"x000000000000001.segment", 0},
        {" 000000000000001.segment", 0},
        {"-000000000000001.segment", 0},
        {"corrupt", 0},
        {"..", 0},
        {"", 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        assert_int_equal(segment_number(names[i].name), names[i].number);
}

static void they_are_listed_in_order(void **state)
{
    (void)state;
    static const char *names[] = {"0000000000000100.segment", "0000000000000002.segment", "notes",
                                  "00000000000000ff.segment"};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        int fd = folder.io.open(folder.io.context, names[i], 1);
        assert_true(fd >= 0);
        folder.io.close(folder.io.context, fd);
    }
    uint64_t *numbers = NULL;
    size_t count = 0;
    assert_int_equal(segment_numbers(&folder.io, &numbers, &count), 0);
    assert_int_equal(count, 3);
    assert_int_equal(numbers[0], 2);
    assert_int_equal(numbers[1], 255);
    assert_int_equal(numbers[2], 256);
    free(numbers);
}

static void a_made_segment_is_zeros_and_synced(void **state)
{
    (void)state;
    struct segment segment;
    assert_int_equal(make_whole(&segment, 5), 0);
    assert_true(folder.syncs > 0);
    uint32_t size = 0;
    uint64_t unreadable = 0;
    unsigned char *bytes = segment_read(&folder.io, 5, UINT32_MAX, &size, &unreadable);
    assert_non_null(bytes);
    assert_int_equal(size, SIZE);
    for (uint32_t i = 0; i < SIZE; i++)
        assert_int_equal(bytes[i], 0);
    free(bytes);
    struct segment again;
    assert_int_equal(segment_create(&again, &folder.io, 5, SIZE), -1);
    assert_int_equal(errno, EEXIST);
    assert_true(exists(5));
    segment_discard(&segment, &folder.io);
    assert_false(exists(5));
    assert_int_equal(segment.number, 0);
}

static void one_that_cannot_be_filled_leaves_nothing(void **state)
{
    (void)state;
    struct segment segment;
    folder.write_errno = ENOSPC;
    assert_int_equal(make_whole(&segment, 1), -1);
    assert_int_equal(errno, ENOSPC);
    assert_false(exists(1));
    folder.write_errno = 0;
    folder.sync_errno = EIO;
    assert_int_equal(make_whole(&segment, 1), -1);
    assert_int_equal(errno, EIO);
    assert_false(exists(1));
}

static void short_writes_are_gone_on_with(void **state)
{
    (void)state;
    struct segment segment;
    uint32_t size = 0;
    uint64_t unreadable = 0;
    assert_int_equal(make_whole(&segment, 1), 0);
    folder.short_writes = 1;
    assert_int_equal(segment_write(&segment, &folder.io, "a longer text", 13, 4090), 0);
    segment_close(&segment, &folder.io);
    unsigned char *bytes = segment_read(&folder.io, 1, 4200, &size, &unreadable);
    assert_int_equal(size, 4200);
    assert_memory_equal(bytes + 4090, "a longer text", 13);
    assert_int_equal(unreadable, 0);
    free(bytes);
}

static void only_the_blocks_that_cannot_be_read_are_lost(void **state)
{
    (void)state;
    struct segment segment;
    uint32_t size = 0;
    uint64_t unreadable = 0;
    static unsigned char ones[SIZE];
    memset(ones, 1, sizeof(ones));
    assert_int_equal(make_whole(&segment, 1), 0);
    assert_int_equal(segment_write(&segment, &folder.io, ones, sizeof(ones), 0), 0);
    segment_close(&segment, &folder.io);
    folder.read_errno = EIO;
    folder.bad_block = 3;
    unsigned char *bytes = segment_read(&folder.io, 1, UINT32_MAX, &size, &unreadable);
    assert_non_null(bytes);
    assert_int_equal(size, SIZE);
    assert_int_equal(unreadable, 1);
    for (uint32_t i = 0; i < SIZE; i++)
        assert_int_equal(bytes[i], i / 4096 != 3);
    free(bytes);
}

static void one_that_is_missing_is_an_error(void **state)
{
    (void)state;
    uint32_t size;
    uint64_t unreadable = 0;
    assert_null(segment_read(&folder.io, 9, UINT32_MAX, &size, &unreadable));
    assert_int_equal(errno, ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_its_own_names_are_segments),
        cmocka_unit_test_setup_teardown(they_are_listed_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_made_segment_is_zeros_and_synced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_cannot_be_filled_leaves_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(short_writes_are_gone_on_with, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_the_blocks_that_cannot_be_read_are_lost, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(one_that_is_missing_is_an_error, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
