// SPDX-License-Identifier: Apache-2.0
#include "node/roll.h"

#include "core/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char run[64];

static int make_run(void **state)
{
    char folder[96];
    (void)state;
    snprintf(run, sizeof(run), "/tmp/roll-test-XXXXXX");
    if (!mkdtemp(run))
        return -1;
    snprintf(folder, sizeof(folder), "%s/node", run);
    return mkdir(folder, 0700);
}

static void write_text(const char *text)
{
    char path[96];
    snprintf(path, sizeof(path), "%s/node/stages", run);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    struct roll roll = {0}, read;
    roll.pid[STAGE_INGRESS][0] = 4711;
    roll.pid[STAGE_ANALYZER][1] = 4712;
    roll.pid[STAGE_DELIVERY][63] = 4713;
    assert_int_equal(roll_write(&roll, run), 0);
    roll_read(&read, run);
    assert_memory_equal(&roll, &read, sizeof(roll));
}

static void a_roll_that_makes_no_sense_names_nobody(void **state)
{
    (void)state;
    static const char *const texts[] = {"",        "no numbers\n", "0 0 5\n",
                                        "4 0 5\n", "1 64 5\n",     "1 0 0\n",
                                        "1 0 1\n", "1 0 -5\n",     "1 0"};
    const struct roll none = {0};
    struct roll read;
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        write_text(texts[i]);
        roll_read(&read, run);
        assert_memory_equal(&none, &read, sizeof(none));
    }
    write_text("nonsense\n2 3 99\n");
    roll_read(&read, run);
    assert_int_equal(read.pid[STAGE_ANALYZER][3], 99);
}

static void a_roll_that_is_missing_names_nobody(void **state)
{
    (void)state;
    const struct roll none = {0};
    struct roll read;
    roll_read(&read, "/tmp/there-is-no-such-folder");
    assert_memory_equal(&none, &read, sizeof(none));
    assert_int_equal(roll_write(&none, "/tmp/there-is-no-such-folder"), -1);
}

static int remove_run(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", run);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(a_roll_that_makes_no_sense_names_nobody),
        cmocka_unit_test(a_roll_that_is_missing_names_nobody),
    };
    return cmocka_run_group_tests(tests, make_run, remove_run);
}
