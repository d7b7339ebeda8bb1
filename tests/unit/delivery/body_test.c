// SPDX-License-Identifier: Apache-2.0
#include "delivery/body.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *read_in_steps(const struct body *body, size_t step)
{
    struct body_reader reader;
    struct buffer out;
    buffer_init(&out);
    body_reader_init(&reader, body);
    while (!body_read(&reader, step, &out))
        ;
    char *text = duplicate_bytes(buffer_bytes(&out), buffer_size(&out));
    buffer_free(&out);
    return text;
}

static void test_what_leaves(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *sent;
        int clean;
    } rows[] = {
        {"A: b\r\n\r\nhello\r\n", "A: b\r\n\r\nhello\r\n", 1},
        {"a\r\n.b\r\n", "a\r\n..b\r\n", 0},
        {".a\r\n", "..a\r\n", 0},
        {"a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n", 0},
        {"a.b\r\n", "a.b\r\n", 1},
        {"no end", "no end\r\n", 0},
        {"half\r", "half\r\n", 0},
        {"bare\nlf\r\n", "bare\r\nlf\r\n", 0},
        {"bare\rcr\r\n", "bare\r\ncr\r\n", 0},
        {"a\n.\nb\r\n", "a\r\n..\r\nb\r\n", 0},
        {"a\r.\r\n", "a\r\n..\r\n", 0},
        {"a\r\r\nb\r\n", "a\r\n\r\nb\r\n", 0},
        {"a\n\rb\r\n", "a\r\n\r\nb\r\n", 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct body body;
        assert_int_equal(body_make(&body, (struct span){0}, NULL, 0, span_of(rows[i].bytes)), 0);
        assert_int_equal(body.clean, rows[i].clean);
        for (size_t step = 1; step < 8; step++) {
            char *sent = read_in_steps(&body, step);
            if (strcmp(sent, rows[i].sent) != 0)
                fail_msg("row %zu in steps of %zu", i, step);
            free(sent);
        }
        body_free(&body);
    }
}

// The dot, the bare CR and the missing LF are seen over the borders of pieces, too.
static void test_borders_of_pieces(void **state)
{
    (void)state;
    static const struct {
        const char *received, *message, *sent;
    } rows[] = {
        {"R: x\r\n", ".a\r\n", "R: x\r\n..a\r\n"},
        {"R: x\r", "\na\r\n", "R: x\r\na\r\n"},
        {"R: x\r", "a\r\n", "R: x\r\na\r\n"},
        {"R: x", "\na\r\n", "R: x\r\na\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct body body;
        assert_int_equal(
            body_make(&body, span_of(rows[i].received), NULL, 0, span_of(rows[i].message)), 0);
        char *sent = read_in_steps(&body, 3);
        assert_string_equal(sent, rows[i].sent);
        free(sent);
        body_free(&body);
    }
}

static void test_splices(void **state)
{
    (void)state;
    static const struct {
        uint64_t offset[2], remove[2];
        const char *insert[2];
        const char *sent; // NULL: refused
    } rows[] = {
        {{0, 5}, {0, 0}, {"X: 1\r\n", "!"}, "R: x\r\nX: 1\r\nhello!\r\n"},
        {{0, 0}, {5, 0}, {"bye", ""}, NULL},
        {{0, 5}, {5, 2}, {"bye", "\r\n"}, "R: x\r\nbye\r\n"},
        {{7, 7}, {0, 0}, {"a\r\n", "b\r\n"}, "R: x\r\nhello\r\na\r\nb\r\n"},
        {{8, 8}, {0, 0}, {"a", "b"}, NULL},
        {{3, 4}, {UINT64_MAX, 0}, {"a", "b"}, NULL},
        {{5, 3}, {0, 0}, {"a", "b"}, NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        Postern__Splice changes[2], *list[] = {&changes[0], &changes[1]};
        for (size_t j = 0; j < 2; j++) {
            postern__splice__init(&changes[j]);
            changes[j].offset = rows[i].offset[j];
            changes[j].remove = rows[i].remove[j];
            changes[j].insert.data = (uint8_t *)(uintptr_t)rows[i].insert[j];
            changes[j].insert.len = strlen(rows[i].insert[j]);
        }
        struct body body;
        int rc = body_make(&body, span_of("R: x\r\n"), list, 2, span_of("hello\r\n"));
        assert_int_equal(rc, rows[i].sent ? 0 : -1);
        if (rc < 0)
            continue;
        char *sent = read_in_steps(&body, 100);
        assert_string_equal(sent, rows[i].sent);
        assert_int_equal(body.size, strlen(rows[i].sent));
        free(sent);
        body_free(&body);
    }
}

static void test_eight_bit(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int body, header;
    } rows[] = {
        {"A: b\r\n\r\nabc\r\n", 0, 0},
        {"A: b\r\n\r\n\xc3\xa4\r\n", 1, 0},
        {"A: \xc3\xa4\r\n\r\nabc\r\n", 1, 1},
        {"A: 12345678901234567890\xff\r\n\r\nabc\r\n", 1, 1},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct body body;
        assert_int_equal(body_make(&body, (struct span){0}, NULL, 0, span_of(rows[i].bytes)), 0);
        assert_int_equal(body.eight_bit, rows[i].body);
        assert_int_equal(body_header_eight_bit(&body), rows[i].header);
        body_free(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_leaves),
        cmocka_unit_test(test_borders_of_pieces),
        cmocka_unit_test(test_splices),
        cmocka_unit_test(test_eight_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
