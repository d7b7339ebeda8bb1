// SPDX-License-Identifier: Apache-2.0
#include "core/base/crc32c.h"
#include "core/journal/mark.h"
#include "core/journal/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void a_mark_is_a_record_that_reads_as_it_was_written(void **state)
{
    (void)state;
    static const struct mark marks[] = {
        {.kind = MARK_BATCH, .synced = {3, 64, 0}, .sealed = {2, 4096, 0}},
        {.kind = MARK_REPLAY, .synced = {UINT64_MAX, UINT32_MAX, 0}},
        {.kind = MARK_ORIGIN, .synced = {1, 8, 0}},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(marks); i++) {
        unsigned char bytes[MARK_SIZE];
        struct record record;
        struct mark read;
        mark_encode(bytes, &marks[i], 5, 9, 128);
        assert_int_equal(record_decode(&record, bytes, 5, 9, 128), 0);
        assert_int_equal(record.type, RECORD_MARK);
        assert_int_equal(record_size(record.length), MARK_SIZE);
        assert_int_equal(record.payload_crc, crc32c(0, bytes + RECORD_HEADER_SIZE, MARK_PAYLOAD));
        assert_int_equal(mark_decode(&read, bytes + RECORD_HEADER_SIZE, record.length), 0);
        assert_int_equal(read.kind, marks[i].kind);
        assert_int_equal(read.synced.segment, marks[i].synced.segment);
        assert_int_equal(read.synced.offset, marks[i].synced.offset);
        assert_int_equal(read.sealed.segment, marks[i].sealed.segment);
        assert_int_equal(read.sealed.offset, marks[i].sealed.offset);
    }
}

static void other_sizes_and_kinds_are_refused(void **state)
{
    (void)state;
    unsigned char bytes[MARK_SIZE + 1] = {0}, *payload = bytes + RECORD_HEADER_SIZE;
    struct mark mark = {.kind = MARK_BATCH}, read = {.kind = MARK_ORIGIN};
    mark_encode(bytes, &mark, 1, 1, 0);
    assert_int_equal(mark_decode(&read, payload, MARK_PAYLOAD - 1), -1);
    assert_int_equal(mark_decode(&read, payload, MARK_PAYLOAD + 1), -1);
    assert_int_equal(mark_decode(&read, payload, 0), -1);
    for (int kind = 0; kind < 256; kind++) {
        payload[24] = (unsigned char)kind;
        int known = kind >= MARK_BATCH && kind <= MARK_ORIGIN;
        assert_int_equal(mark_decode(&read, payload, MARK_PAYLOAD), known ? 0 : -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_is_a_record_that_reads_as_it_was_written),
        cmocka_unit_test(other_sizes_and_kinds_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
