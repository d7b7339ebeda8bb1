// SPDX-License-Identifier: Apache-2.0
#include "core/base/file.h"
#include "core/bus/keys.h"
#include "tests/unit/core/bus/spin.h"

#include <errno.h>
#include <sys/stat.h>

static char folder[64], path[80];

static int set_up(void **state)
{
    (void)state;
    make_folder(folder);
    snprintf(path, sizeof(path), "%s/curve.key", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove_folder(folder);
    return 0;
}

static void test_what_is_made_is_read(void **state)
{
    (void)state;
    struct curve_keys made, got;
    struct stat status;
    assert_int_equal(curve_keys_make(path, &made), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(curve_keys_read(path, &got), 0);
    assert_memory_equal(&made, &got, sizeof(made));
    assert_int_equal(strlen(got.secret_key), 40);
    curve_keys_wipe(&got);
    assert_int_equal(got.secret_key[0], 0);
}

static void test_file_others_may_read_is_refused(void **state)
{
    (void)state;
    static const mode_t modes[] = {0640, 0604, 0660, 0666};
    struct curve_keys keys;
    assert_int_equal(curve_keys_make(path, &keys), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(modes); i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(curve_keys_read(path, &keys), -1);
        assert_int_equal(errno, EPERM);
    }
}

struct bad_file {
    const char *name, *text;
    int error;
};

static const struct bad_file bad_files[] = {
    {"empty", "", EINVAL},
    {"one line", "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\n", EINVAL},
    {"the client key of zmq_curve(7)",
     "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\nD:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs\n",
     EKEYREJECTED},
    {"the server key of zmq_curve(7)",
     "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\nJTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6\n",
     EKEYREJECTED},
    {"not Z85",
     "########################################"
     "\n\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\n",
     EINVAL},
    {"keys that do not belong together",
     "########################################\n0000000000000000000000000000000000000000\n",
     EINVAL},
};

static void test_bad_files_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad_files); i++) {
        const struct bad_file *bad = &bad_files[i];
        struct curve_keys keys = {.public_key = "untouched"};
        assert_int_equal(file_write_atomic(path, bad->text, strlen(bad->text), 0600), 0);
        if (curve_keys_read(path, &keys) != -1 || errno != bad->error)
            fail_msg("%s: errno %d", bad->name, errno);
        assert_string_equal(keys.public_key, "untouched");
    }
    unlink(path);
    assert_int_equal(symlink("/dev/zero", path), 0);
    struct curve_keys keys;
    assert_int_equal(curve_keys_read(path, &keys), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_made_is_read),
        cmocka_unit_test(test_file_others_may_read_is_refused),
        cmocka_unit_test(test_bad_files_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
