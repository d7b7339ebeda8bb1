// SPDX-License-Identifier: Apache-2.0
#include "core/journal/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { BIRTH = 0x0102030405060708, SEGMENT = 7, OFFSET = 4096 };

static const struct record sample = {
    .type = RECORD_MESSAGE, .flags = RECORD_COPY, .length = 1000000, .payload_crc = 0xdeadbeef};

static void a_header_reads_as_it_was_written(void **state)
{
    (void)state;
    static const struct record records[] = {
        {.type = RECORD_MARK, .length = 32, .payload_crc = 1},
        {.type = RECORD_MESSAGE, .flags = RECORD_COPY, .length = UINT32_MAX, .payload_crc = 0},
        {.type = UINT16_MAX, .flags = UINT16_MAX, .length = 0, .payload_crc = UINT32_MAX},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(records); i++) {
        unsigned char header[RECORD_HEADER_SIZE];
        struct record read;
        record_encode(header, &records[i], BIRTH, UINT64_MAX, UINT32_MAX);
        assert_int_equal(record_decode(&read, header, BIRTH, UINT64_MAX, UINT32_MAX), 0);
        assert_int_equal(read.type, records[i].type);
        assert_int_equal(read.flags, records[i].flags);
        assert_int_equal(read.length, records[i].length);
        assert_int_equal(read.payload_crc, records[i].payload_crc);
        assert_int_equal(record_birth(header), BIRTH);
    }
}

static void a_header_counts_only_in_its_journal_and_place(void **state)
{
    (void)state;
    static const struct {
        uint64_t birth, segment;
        uint32_t offset;
        int expected;
    } places[] = {
        {BIRTH, SEGMENT, OFFSET, 0},      {0, SEGMENT, OFFSET, 0}, // any journal's will do
        {BIRTH + 1, SEGMENT, OFFSET, -1}, {BIRTH, SEGMENT + 1, OFFSET, -1},
        {BIRTH, SEGMENT, OFFSET + 8, -1}, {BIRTH, 0, OFFSET, -1},
        {BIRTH, SEGMENT, 0, -1},
    };
    unsigned char header[RECORD_HEADER_SIZE];
    record_encode(header, &sample, BIRTH, SEGMENT, OFFSET);
    for (size_t i = 0; i < ARRAY_LENGTH(places); i++) {
        struct record read;
        assert_int_equal(
            record_decode(&read, header, places[i].birth, places[i].segment, places[i].offset),
            places[i].expected);
    }
}

static void each_flipped_bit_is_noticed(void **state)
{
    (void)state;
    unsigned char header[RECORD_HEADER_SIZE];
    record_encode(header, &sample, BIRTH, SEGMENT, OFFSET);
    for (unsigned bit = 0; bit < 8 * sizeof(header); bit++) {
        struct record read = {.type = 99};
        header[bit / 8] ^= (unsigned char)(1U << bit % 8);
        assert_int_equal(record_decode(&read, header, 0, SEGMENT, OFFSET), -1);
        assert_int_equal(read.type, 99); // untouched on failure
        header[bit / 8] ^= (unsigned char)(1U << bit % 8);
    }
}

static void sizes_are_padded_to_words(void **state)
{
    (void)state;
    static const struct {
        uint64_t length, size;
    } sizes[] = {{0, 32},     {1, 40},  {8, 40},
                 {9, 48},     {32, 64}, {UINT32_MAX, (uint64_t)UINT32_MAX + 33},
                 {4096, 4128}};
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++)
        assert_int_equal(record_size(sizes[i].length), sizes[i].size);
}

static void zeros_are_no_header(void **state)
{
    (void)state;
    static const unsigned char zeros[RECORD_HEADER_SIZE];
    struct record read;
    assert_int_equal(record_decode(&read, zeros, 0, 0, 0), -1);
}

static void events_are_told_by_their_type(void **state)
{
    (void)state;
    static const unsigned events[] = {RECORD_DONE, RECORD_REFUSED, RECORD_TRIED, RECORD_ENDED,
                                      RECORD_QUARANTINED};
    static const unsigned others[] = {RECORD_MARK,  RECORD_MESSAGE, RECORD_ABANDONED,
                                      RECORD_HELD,  RECORD_ATTEMPT, RECORD_ORDER,
                                      RECORD_ACKED, RECORD_OUTBOX,  RECORD_TRIM};
    for (size_t i = 0; i < ARRAY_LENGTH(events); i++)
        assert_true(record_has_event(events[i]));
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++)
        assert_false(record_has_event(others[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_reads_as_it_was_written),
        cmocka_unit_test(a_header_counts_only_in_its_journal_and_place),
        cmocka_unit_test(each_flipped_bit_is_noticed),
        cmocka_unit_test(sizes_are_padded_to_words),
        cmocka_unit_test(zeros_are_no_header),
        cmocka_unit_test(events_are_told_by_their_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
