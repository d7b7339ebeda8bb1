// SPDX-License-Identifier: Apache-2.0
#include "core/base/file.h"
#include "core/base/slot.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/postern-slot-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

static int second_has_records(const char *path)
{
    return strcmp(path + strlen(path) - 2, "/2") == 0;
}

static void the_lowest_free_slot_is_taken_and_the_next_after_it(void **state)
{
    (void)state;
    struct slot first, second;
    assert_int_equal(slot_locked(folder, STAGE_INGRESS, 0), 0);
    assert_int_equal(slot_take(&first, folder, STAGE_INGRESS, -1, NULL), 0);
    assert_int_equal(slot_take(&second, folder, STAGE_INGRESS, -1, NULL), 0);
    assert_int_equal(first.number, 0);
    assert_int_equal(second.number, 1);
    assert_int_not_equal(first.incarnation, second.incarnation);
    assert_int_equal(slot_locked(folder, STAGE_INGRESS, 0), 1);
    assert_int_equal(slot_locked(folder, STAGE_INGRESS, 0), 1); // asking took nothing away
    assert_int_equal(slot_existing(folder, STAGE_INGRESS), 3);
    struct slot again;
    assert_int_equal(slot_take(&again, folder, STAGE_INGRESS, 0, NULL), -1);
    assert_int_equal(errno, EBUSY);
    slot_release(&first);
    assert_int_equal(slot_locked(folder, STAGE_INGRESS, 0), 0);
    assert_int_equal(slot_take(&again, folder, STAGE_INGRESS, 0, NULL), 0);
    slot_release(&again);
    slot_release(&second);
}

static void a_removed_slot_exists_no_more(void **state)
{
    (void)state;
    struct slot slot;
    char path[128];
    assert_int_equal(slot_take(&slot, folder, STAGE_DELIVERY, 1, NULL), 0);
    assert_int_equal(slot_remove(&slot), 0);
    assert_int_equal(slot_existing(folder, STAGE_DELIVERY), 0);

    assert_int_equal(slot_take(&slot, folder, STAGE_DELIVERY, 1, NULL), 0);
    snprintf(path, sizeof(path), "%s/journal", slot.path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(slot_remove(&slot), -1); // something lies there: it stays, free
    assert_int_equal(slot_existing(folder, STAGE_DELIVERY), 2);
    assert_int_equal(slot_locked(folder, STAGE_DELIVERY, 1), 0);
}

static void a_slot_with_live_records_comes_first(void **state)
{
    (void)state;
    struct slot made, taken;
    assert_int_equal(slot_take(&made, folder, STAGE_DELIVERY, 2, NULL), 0);
    assert_int_equal(slot_take(&taken, folder, STAGE_DELIVERY, -1, second_has_records), 0);
    assert_int_equal(taken.number, 0); // 2 is held
    slot_release(&taken);
    slot_release(&made);
    assert_int_equal(slot_take(&taken, folder, STAGE_DELIVERY, -1, second_has_records), 0);
    assert_int_equal(taken.number, 2);
    slot_release(&taken);
}

static void the_kernel_frees_the_slot_of_a_killed_process(void **state)
{
    (void)state;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct slot slot;
        char said = slot_take(&slot, folder, STAGE_ANALYZER, 5, NULL) == 0 ? 'y' : 'n';
        if (write(ready[1], &said, 1) == 1)
            pause();
        _exit(1);
    }
    char said = 0;
    assert_int_equal(read(ready[0], &said, 1), 1);
    assert_int_equal(said, 'y');
    assert_int_equal(slot_locked(folder, STAGE_ANALYZER, 5), 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(slot_locked(folder, STAGE_ANALYZER, 5), 0);
    close(ready[0]);
    close(ready[1]);
}

static void a_lock_on_a_removed_file_does_not_count(void **state)
{
    (void)state;
    struct slot drained, heir;
    char path[128];
    assert_int_equal(slot_take(&drained, folder, STAGE_INGRESS, 7, NULL), 0);
    snprintf(path, sizeof(path), "%s/lock", drained.path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(slot_take(&heir, folder, STAGE_INGRESS, 7, NULL), 0);
    slot_release(&drained);
    assert_int_equal(slot_locked(folder, STAGE_INGRESS, 7), 1);
    slot_release(&heir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_lowest_free_slot_is_taken_and_the_next_after_it,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_removed_slot_exists_no_more, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_slot_with_live_records_comes_first, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(the_kernel_frees_the_slot_of_a_killed_process, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_lock_on_a_removed_file_does_not_count, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
