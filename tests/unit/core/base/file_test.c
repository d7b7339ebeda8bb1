// SPDX-License-Identifier: Apache-2.0
#include "core/base/file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[128];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/postern-file-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/a/b/c", folder);
    return file_make_folders(path, 0750);
}

static int remove_folder(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

static void a_file_is_replaced_whole_with_the_mode_asked_for(void **state)
{
    (void)state;
    struct stat status;
    size_t size;
    snprintf(path, sizeof(path), "%s/a/b/c/file", folder);
    assert_int_equal(file_write_atomic(path, "one", 3, 0600), 0);
    assert_int_equal(file_write_atomic(path, "second", 6, 0640), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
    char *text = file_read(path, 6, &size);
    assert_non_null(text);
    assert_string_equal(text, "second");
    assert_int_equal(size, 6);
    free(text);
}

static void reading_is_bounded_and_says_why_it_failed(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "%s/file", folder);
    assert_null(file_read(path, 10, NULL));
    assert_int_equal(errno, ENOENT);
    assert_int_equal(file_write_atomic(path, "0123456789", 10, 0600), 0);
    assert_null(file_read(path, 9, NULL));
    assert_int_equal(errno, EFBIG);
    char *text = file_read("/proc/self/stat", 4096, NULL); // has no size
    assert_non_null(text);
    assert_true(strlen(text) > 10);
    free(text);
}

static void folders_may_exist_but_not_as_files(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "%s/a/b/c", folder);
    assert_int_equal(file_make_folders(path, 0750), 0);
    snprintf(path, sizeof(path), "%s/file", folder);
    assert_int_equal(file_write_atomic(path, "", 0, 0600), 0);
    snprintf(path, sizeof(path), "%s/file/x", folder);
    assert_int_equal(file_make_folders(path, 0750), -1);
    assert_int_equal(errno, ENOTDIR);
    assert_int_equal(file_write_atomic(path, "x", 1, 0600), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_replaced_whole_with_the_mode_asked_for,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(reading_is_bounded_and_says_why_it_failed, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(folders_may_exist_but_not_as_files, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
