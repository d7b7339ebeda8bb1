// SPDX-License-Identifier: Apache-2.0
#include "core/base/buffer.h"
#include "core/bus/frame.h"
#include "tests/unit/core/bus/spin.h"

#include <errno.h>

struct bad_frame {
    const char *name, *bytes;
    size_t size;
    int records; // that come whole before the fault
};

static const struct bad_frame bad_frames[] = {
    {"half a header", "\x01\x00", 2, 0},
    {"no payload", "\x01\x05\x00\x00", 4, 0},
    {"payload cut", "\x01\x05\x00\x00hell", 8, 0},
    {"length over the end of memory", "\x01\xff\xff\xffhell", 8, 0},
    {"second cut", "\x01\x02\x00\x00hi\x02\x01\x00", 9, 1},
};

static void test_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad_frames); i++) {
        const struct bad_frame *bad = &bad_frames[i];
        char *bytes = duplicate_bytes(bad->bytes, bad->size); // so that a sanitizer sees the end
        struct span frame = {bytes, bad->size};
        struct frame_record record;
        int records = 0;
        enum frame_result result;
        while ((result = frame_next(&frame, &record)) == FRAME_RECORD)
            records++;
        if (result != FRAME_MALFORMED || records != bad->records)
            fail_msg("%s: result %d after %d records", bad->name, result, records);
        free(bytes);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 255, 256, 65535, 65536, 300000};
    struct buffer buffer;
    buffer_init(&buffer);
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++)
        memset(frame_add(&buffer, (uint8_t)(i + 1), sizes[i]), (int)i, sizes[i]);
    struct span frame = {buffer_bytes(&buffer), buffer_size(&buffer)};
    struct frame_record record;
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        assert_int_equal(frame_next(&frame, &record), FRAME_RECORD);
        assert_int_equal(record.type, i + 1);
        assert_int_equal(record.size, sizes[i]);
        if (record.size > 0)
            assert_int_equal(record.data[record.size - 1], i);
    }
    assert_int_equal(frame_next(&frame, &record), FRAME_END);
    buffer_free(&buffer);
}

static void test_too_long(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    assert_null(frame_add(&buffer, 1, FRAME_MOST));
    assert_int_equal(errno, EMSGSIZE);
    assert_int_equal(buffer_size(&buffer), 0);
    buffer_free(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
