// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/core/journal/image.h"

#include "core/journal/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct image image;
static struct position places[4]; // the mark, then three records

static int build(void **state)
{
    (void)state;
    struct batch *batch = batch_new();
    image = (struct image){.used = 0};
    batch_begin(batch, IMAGE_SEGMENT, 0);
    struct mark mark = {.kind = MARK_BATCH};
    batch_mark(batch, IMAGE_BIRTH, &mark);
    places[0] = (struct position){IMAGE_SEGMENT, 0, MARK_PAYLOAD};
    places[1] = add_text(batch, RECORD_MESSAGE, "the first message");
    places[2] = add_text(batch, RECORD_DONE, "");
    places[3] = add_text(batch, RECORD_MESSAGE, "third");
    image_add(&image, batch);
    batch_destroy(&batch);
    return 0;
}

// What a scan tells, in one line: a record's offset, or from-to of a bad stretch.
static const char *told(const unsigned char *bytes, uint32_t size, uint64_t birth,
                        uint32_t sound_to)
{
    static char text[512];
    struct scan scan;
    struct found found;
    size_t at = 0;
    text[0] = '\0';
    scan_begin(&scan, bytes, size, birth, IMAGE_SEGMENT, 0, sound_to);
    for (enum scan_result result; (result = scan_next(&scan, &found)) != SCAN_END;) {
        if (result == SCAN_RECORD)
            at += (size_t)snprintf(text + at, sizeof(text) - at, "%u ", found.where.offset);
        else
            at +=
                (size_t)snprintf(text + at, sizeof(text) - at, "bad %u-%u ", found.from, found.to);
        assert_true(at < sizeof(text));
    }
    return text;
}

static void records_are_found_and_zeros_are_the_end(void **state)
{
    (void)state;
    assert_string_equal(told(image.bytes, IMAGE_SIZE, IMAGE_BIRTH, 0), "0 64 120 152 ");
    assert_string_equal(told(image.bytes, IMAGE_SIZE, 0, 0), "0 64 120 152 ");
    assert_string_equal(told(image.bytes, image.used, IMAGE_BIRTH, 0), "0 64 120 152 ");
    static const unsigned char zeros[1024];
    assert_string_equal(told(zeros, sizeof(zeros), IMAGE_BIRTH, 0), "");
    assert_string_equal(told(zeros, 0, IMAGE_BIRTH, 0), "");
}

static void zeros_below_what_was_synced_are_a_loss(void **state)
{
    (void)state;
    static const unsigned char zeros[1024];
    assert_string_equal(told(zeros, sizeof(zeros), IMAGE_BIRTH, 512), "bad 0-512 ");
    assert_string_equal(told(zeros, 0, IMAGE_BIRTH, 512), "bad 0-512 ");
    assert_string_equal(told(image.bytes, IMAGE_SIZE, IMAGE_BIRTH, image.used), "0 64 120 152 ");
    assert_string_equal(told(image.bytes, IMAGE_SIZE, IMAGE_BIRTH, 1024),
                        "0 64 120 152 bad 192-1024 ");
}

static void another_journals_records_do_not_count(void **state)
{
    (void)state;
    assert_string_equal(told(image.bytes, IMAGE_SIZE, IMAGE_BIRTH + 1, 0), "bad 0-189 ");
}

// A file that ends anywhere: all before the cut is found whole, and nothing beyond it is read.
static void a_cut_at_every_offset_loses_only_what_it_hits(void **state)
{
    (void)state;
    for (uint32_t size = 0; size <= image.used; size++) {
        unsigned char *bytes = malloc(size ? size : 1); // so that a sanitizer sees its end
        assert_non_null(bytes);
        memcpy(bytes, image.bytes, size);
        struct scan scan;
        struct found found;
        size_t records = 0;
        scan_begin(&scan, bytes, size, IMAGE_BIRTH, IMAGE_SEGMENT, 0, 0);
        for (enum scan_result result; (result = scan_next(&scan, &found)) != SCAN_END;) {
            assert_true(result == SCAN_BAD || found.where.offset == places[records].offset);
            records += result == SCAN_RECORD;
        }
        size_t whole = 0;
        while (whole < 4 &&
               places[whole].offset + RECORD_HEADER_SIZE + places[whole].length <= size)
            whole++;
        assert_int_equal(records, whole);
        free(bytes);
    }
}

static int is_padding(uint32_t at)
{
    for (int i = 0; i < 4; i++) {
        uint32_t end = places[i].offset + RECORD_HEADER_SIZE + places[i].length;
        uint32_t next = i < 3 ? places[i + 1].offset : image.used;
        if (at >= end && at < next)
            return 1;
    }
    return 0;
}

static void a_flipped_bit_costs_the_record_it_hits(void **state)
{
    (void)state;
    for (uint32_t bit = 0; bit < 8 * image.used; bit++) {
        image.bytes[bit / 8] ^= (unsigned char)(1U << bit % 8);
        struct scan scan;
        struct found found;
        int seen[4] = {0}, bad = 0;
        scan_begin(&scan, image.bytes, IMAGE_SIZE, IMAGE_BIRTH, IMAGE_SEGMENT, 0, 0);
        for (enum scan_result result; (result = scan_next(&scan, &found)) != SCAN_END;) {
            bad += result == SCAN_BAD;
            for (int i = 0; i < 4; i++)
                seen[i] |= result == SCAN_RECORD && found.where.offset == places[i].offset;
        }
        for (int i = 0; i < 4; i++) {
            uint32_t end = places[i].offset + RECORD_HEADER_SIZE + places[i].length;
            int hit = bit / 8 >= places[i].offset && bit / 8 < end;
            assert_int_equal(seen[i], !hit);
        }
        if (!is_padding(bit / 8))
            assert_int_equal(bad, 1);
        image.bytes[bit / 8] ^= (unsigned char)(1U << bit % 8);
    }
}

// The mail of a hostile sender may hold the bytes of a record, even of this very journal.
static void a_record_within_a_payload_is_never_one(void **state)
{
    (void)state;
    unsigned char inner[RECORD_HEADER_SIZE * 4];
    struct batch *batch = batch_new();
    batch_begin(batch, IMAGE_SEGMENT, 0);
    memset(inner, 0, sizeof(inner));
    struct record record = {.type = RECORD_DONE};
    record_encode(inner, &record, IMAGE_BIRTH + 1, IMAGE_SEGMENT, 96);       // a guessed birth
    record_encode(inner + 64, &record, IMAGE_BIRTH, IMAGE_SEGMENT, 160 + 8); // another place
    struct mark mark = {.kind = MARK_BATCH};
    batch_mark(batch, IMAGE_BIRTH, &mark);
    add_record(batch, RECORD_MESSAGE, 0, inner, sizeof(inner));
    struct position last = add_text(batch, RECORD_MESSAGE, "last");
    image = (struct image){.used = 0};
    image_add(&image, batch);
    batch_destroy(&batch);
    assert_string_equal(told(image.bytes, IMAGE_SIZE, IMAGE_BIRTH, 0), "0 64 224 ");
    image.bytes[64] ^= 1; // so that what follows is searched for the next header
    assert_string_equal(told(image.bytes, IMAGE_SIZE, IMAGE_BIRTH, 0), "0 bad 64-224 224 ");
    assert_int_equal(last.offset, 224);
}

static void a_length_beyond_the_end_is_bad_to_the_end(void **state)
{
    (void)state;
    struct record record = {.type = RECORD_MESSAGE, .length = UINT32_MAX};
    record_encode(image.bytes + 64, &record, IMAGE_BIRTH, IMAGE_SEGMENT, 64);
    assert_string_equal(told(image.bytes, IMAGE_SIZE, IMAGE_BIRTH, 0), "0 bad 64-16384 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(records_are_found_and_zeros_are_the_end, build),
        cmocka_unit_test_setup(zeros_below_what_was_synced_are_a_loss, build),
        cmocka_unit_test_setup(another_journals_records_do_not_count, build),
        cmocka_unit_test_setup(a_cut_at_every_offset_loses_only_what_it_hits, build),
        cmocka_unit_test_setup(a_flipped_bit_costs_the_record_it_hits, build),
        cmocka_unit_test_setup(a_record_within_a_payload_is_never_one, build),
        cmocka_unit_test_setup(a_length_beyond_the_end_is_bad_to_the_end, build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
