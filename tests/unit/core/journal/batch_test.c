// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/core/journal/image.h"

#include "core/base/crc32c.h"
#include "core/journal/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void a_record_is_gathered_from_its_pieces(void **state)
{
    (void)state;
    struct batch *batch = batch_new();
    batch_begin(batch, IMAGE_SEGMENT, 128);
    char head[] = "head", body[] = "body";
    struct iovec pieces[] = {{head, 4}, {NULL, 0}, {body, 4}, {head, 1}};
    struct record record = {.type = RECORD_MESSAGE, .length = 9}, read;
    struct position where = batch_add(batch, IMAGE_BIRTH, &record, pieces, 4);
    assert_int_equal(where.segment, IMAGE_SEGMENT);
    assert_int_equal(where.offset, 128 + MARK_SIZE);
    assert_int_equal(where.length, 9);
    const unsigned char *at = batch->bytes + MARK_SIZE;
    assert_int_equal(record_decode(&read, at, IMAGE_BIRTH, IMAGE_SEGMENT, where.offset), 0);
    assert_int_equal(read.payload_crc, crc32c(0, "headbodyh", 9));
    assert_memory_equal(at + RECORD_HEADER_SIZE, "headbodyh\0\0\0\0\0\0\0", 16);
    assert_int_equal(batch_end(batch).offset, 128 + MARK_SIZE + 48);
    batch_destroy(&batch);
    assert_null(batch);
    batch_destroy(&batch);
}

static void a_used_batch_begins_empty_and_leaves_nothing_behind(void **state)
{
    (void)state;
    static const char long_text[] = "a text that fills several words of the batch with letters";
    struct batch *batch = batch_new();
    batch_begin(batch, 1, 0);
    struct position where = add_text(batch, RECORD_DONE, long_text);
    batch_tell(batch, where, NULL, NULL);
    batch->error = 5;
    assert_int_equal(batch->last_event, where.offset);
    batch_begin(batch, 2, 64);
    assert_int_equal(batch->count, 0);
    assert_int_equal(batch->error, 0);
    assert_int_equal(batch->last_event, 0);
    assert_int_equal(batch_end(batch).segment, 2);
    assert_int_equal(batch_end(batch).offset, 64 + MARK_SIZE);
    add_text(batch, RECORD_MESSAGE, "x");
    const unsigned char *payload = batch->bytes + MARK_SIZE + RECORD_HEADER_SIZE;
    assert_memory_equal(payload, "x\0\0\0\0\0\0\0", 8);
    batch_destroy(&batch);
}

static void it_grows_with_what_is_put_in(void **state)
{
    (void)state;
    struct batch *batch = batch_new();
    static const unsigned char data[100000];
    batch_begin(batch, IMAGE_SEGMENT, 0);
    for (int i = 0; i < 200; i++) {
        struct position where = add_record(batch, RECORD_MESSAGE, 0, data, (size_t)i * 500);
        batch_tell(batch, where, NULL, NULL);
    }
    struct mark mark = {.kind = MARK_BATCH};
    batch_mark(batch, IMAGE_BIRTH, &mark);
    struct scan scan;
    struct found found;
    size_t records = 0;
    scan_begin(&scan, batch->bytes, (uint32_t)batch->size, IMAGE_BIRTH, IMAGE_SEGMENT, 0, 0);
    for (enum scan_result result; (result = scan_next(&scan, &found)) != SCAN_END;) {
        assert_int_equal(result, SCAN_RECORD);
        if (records > 0) {
            assert_int_equal(found.where.offset, batch->records[records - 1].where.offset);
            assert_int_equal(found.where.length, (records - 1) * 500);
        }
        records++;
    }
    assert_int_equal(records, 201);
    batch_destroy(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_gathered_from_its_pieces),
        cmocka_unit_test(a_used_batch_begins_empty_and_leaves_nothing_behind),
        cmocka_unit_test(it_grows_with_what_is_put_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
