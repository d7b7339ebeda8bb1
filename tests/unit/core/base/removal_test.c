// SPDX-License-Identifier: Apache-2.0
#include "core/base/removal.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { MEGABYTE = 1024 * 1024, SIZE = 10 * MEGABYTE };

static void make(struct removal *self)
{
    *self = (struct removal){.path = "/tmp/postern-removal-XXXXXX", .fd = -1};
    int fd = mkstemp(self->path);
    assert_true(fd >= 0);
    char *bytes = malloc(SIZE);
    assert_non_null(bytes);
    memset(bytes, 'x', SIZE);
    assert_int_equal(write(fd, bytes, SIZE), SIZE);
    free(bytes);
    close(fd);
}

static int64_t size_of(int fd)
{
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    return status.st_size;
}

static void a_big_file_goes_in_steps(void **state)
{
    (void)state;
    struct removal removal;
    make(&removal);
    assert_int_equal(removal_step(&removal), 0);
    assert_int_equal(access(removal.path, F_OK), -1);
    int64_t before = SIZE;
    unsigned steps = 1;
    for (; removal_goes_on(&removal); steps++) {
        assert_int_equal(size_of(removal.fd), before);
        before -= 4 * MEGABYTE;
        assert_int_equal(removal_step(&removal), 0);
    }
    assert_int_equal(steps, 3); // unlinked, 6 MiB, 2 MiB and closed
}

static void a_file_that_another_has_mapped_keeps_its_bytes(void **state)
{
    (void)state;
    struct removal removal;
    make(&removal);
    int fd = open(removal.path, O_RDONLY);
    const char *bytes = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(bytes, MAP_FAILED);
    close(fd);
    assert_int_equal(removal_step(&removal), 0);
    assert_int_equal(access(removal.path, F_OK), -1);
    assert_false(removal_goes_on(&removal));
    for (int at = 0; at < SIZE; at += 4096)
        assert_int_equal(bytes[at], 'x');
    munmap((void *)(uintptr_t)bytes, SIZE);
}

static void a_second_name_keeps_its_bytes(void **state)
{
    (void)state;
    struct removal removal;
    char other[600];
    make(&removal);
    snprintf(other, sizeof(other), "%s.other", removal.path);
    assert_int_equal(link(removal.path, other), 0);
    assert_int_equal(removal_step(&removal), 0);
    assert_false(removal_goes_on(&removal));
    struct stat status;
    assert_int_equal(stat(other, &status), 0);
    assert_int_equal(status.st_size, SIZE);
    unlink(other);
}

static void a_file_that_is_gone_is_no_error(void **state)
{
    (void)state;
    struct removal removal = {.path = "/tmp/postern-removal-none", .fd = -1};
    assert_int_equal(removal_step(&removal), 0);
    assert_false(removal_goes_on(&removal));
    struct removal folder = {.path = "/tmp", .fd = -1};
    assert_int_not_equal(removal_step(&folder), 0);
    assert_false(removal_goes_on(&folder));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_big_file_goes_in_steps),
        cmocka_unit_test(a_file_that_another_has_mapped_keeps_its_bytes),
        cmocka_unit_test(a_second_name_keeps_its_bytes),
        cmocka_unit_test(a_file_that_is_gone_is_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
