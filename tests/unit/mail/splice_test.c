// SPDX-License-Identifier: Apache-2.0
#include "mail/splice.h"

#include "core/base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct change {
    uint64_t offset, remove;
    const char *insert;
};

// On "abcdef"; NULL: not valid.
static const struct {
    struct change changes[3];
    size_t count;
    const char *wanted;
} cases[] = {
    {{{0}}, 0, "abcdef"},
    {{{0, 0, "X"}}, 1, "Xabcdef"},
    {{{6, 0, "X"}}, 1, "abcdefX"},
    {{{0, 6, ""}}, 1, ""},
    {{{0, 0, "X"}, {0, 1, ""}, {3, 1, "Y"}}, 3, "XbcYef"},
    {{{1, 2, "Y"}, {3, 0, "Z"}}, 2, "aYZdef"},
    {{{7, 0, "X"}}, 1, NULL},
    {{{5, 2, ""}}, 1, NULL},
    {{{5, UINT64_MAX, ""}}, 1, NULL},
    {{{3, 0, "X"}, {2, 0, "Y"}}, 2, NULL},
    {{{1, 3, ""}, {3, 1, ""}}, 2, NULL},
};

static void changes_are_spliced_in(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        Postern__Splice rows[3], *list[3];
        for (size_t k = 0; k < cases[i].count; k++) {
            const struct change *change = &cases[i].changes[k];
            postern__splice__init(&rows[k]);
            rows[k].offset = change->offset;
            rows[k].remove = change->remove;
            rows[k].insert =
                (ProtobufCBinaryData){strlen(change->insert), (uint8_t *)(uintptr_t)change->insert};
            list[k] = &rows[k];
        }
        int valid = splices_valid(list, cases[i].count, 6);
        assert_int_equal(valid, cases[i].wanted != NULL);
        if (!valid)
            continue;
        struct buffer out;
        buffer_init(&out);
        splices_apply(span_of("abcdef"), list, cases[i].count, &out);
        assert_true(span_equal((struct span){buffer_bytes(&out), buffer_size(&out)},
                               span_of(cases[i].wanted)));
        buffer_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_spliced_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
