// SPDX-License-Identifier: Apache-2.0
#include "core/base/buffer.h"
#include "mail/smtp_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const struct {
    struct span bytes;
    enum smtp_line_result result;
    size_t size;
} lines[] = {
    {BYTES("NOOP\r\n"), SMTP_LINE_WHOLE, 6},
    {BYTES("NOOP\r\nRSET\r\n"), SMTP_LINE_WHOLE, 6},
    {BYTES("\r\n"), SMTP_LINE_WHOLE, 2},
    {BYTES("NOOP"), SMTP_LINE_MORE, 0},
    {BYTES("NOOP\r"), SMTP_LINE_MORE, 0},
    {BYTES(""), SMTP_LINE_MORE, 0},
    {BYTES("NOOP\n"), SMTP_LINE_BARE, 5},
    {BYTES("NO\rOP\r\n"), SMTP_LINE_BARE, 7},
    {BYTES("NOOP\r\r\n"), SMTP_LINE_BARE, 7},
    {BYTES("NO\0OP\r\n"), SMTP_LINE_BARE, 7},
    {BYTES("NO\nOP\r\n"), SMTP_LINE_BARE, 3},
    {BYTES("01234567890123456789"), SMTP_LINE_LONG, 0},
    {BYTES("0123456789012345678\r\n"), SMTP_LINE_LONG, 0},
    {BYTES("012345678901234567\r\n"), SMTP_LINE_WHOLE, 20},
};

static void lines_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(lines); i++) {
        size_t size = 0;
        assert_int_equal(smtp_line(lines[i].bytes, 20, &size), lines[i].result);
        assert_int_equal(size, lines[i].size);
    }
}

struct data_case {
    struct span in;
    int end; // found at the end of `in` minus `rest`
    size_t rest;
    int bare;
    struct span out, mended;
};

static const struct data_case datas[] = {
    {BYTES("a\r\n.\r\n"), 1, 0, 0, BYTES("a\r\n"), BYTES("a\r\n")},
    {BYTES(".\r\nQUIT\r\n"), 1, 6, 0, BYTES(""), BYTES("")},
    {BYTES("a\r\n..\r\n...b\r\n.\r\n"), 1, 0, 0, BYTES("a\r\n.\r\n..b\r\n"),
     BYTES("a\r\n.\r\n..b\r\n")},
    {BYTES("a\r\n.b\r\n.\r\n"), 1, 0, 0, BYTES("a\r\nb\r\n"), BYTES("a\r\nb\r\n")},
    {BYTES("a\r\n\r\nb"), 0, 0, 0, BYTES("a\r\n\r\nb"), BYTES("a\r\n\r\nb")},
    {BYTES("a\n.\nb\r\n.\r\n"), 1, 0, 1, BYTES("a\n.\nb\r\n"), BYTES("a\r\n.\r\nb\r\n")},
    {BYTES("a\n.\rb\r\n.\r\n"), 1, 0, 1, BYTES("a\n.\rb\r\n"), BYTES("a\r\n.\r\nb\r\n")},
    {BYTES("a\r.\nb\r\n.\r\n"), 1, 0, 1, BYTES("a\r.\nb\r\n"), BYTES("a\r\n.\r\nb\r\n")},
    {BYTES("a\r.\rb\r\n.\r\n"), 1, 0, 1, BYTES("a\r.\rb\r\n"), BYTES("a\r\n.\r\nb\r\n")},
    {BYTES("a\n.\r\nb\r\n.\r\n"), 1, 0, 1, BYTES("a\n.\r\nb\r\n"), BYTES("a\r\n.\r\nb\r\n")},
    {BYTES("a\r.\r\nb\r\n.\r\n"), 1, 0, 1, BYTES("a\r.\r\nb\r\n"), BYTES("a\r\n.\r\nb\r\n")},
    {BYTES("a\r\n\0.\r\nb\r\n.\r\n"), 1, 0, 1, BYTES("a\r\n\0.\r\nb\r\n"),
     BYTES("a\r\n.\r\nb\r\n")},
    {BYTES("a\r\n.\r\r\nb\r\n.\r\n"), 1, 0, 1, BYTES("a\r\n\r\r\nb\r\n"),
     BYTES("a\r\n\r\n\r\nb\r\n")},
    {BYTES("a\r\n.\nb\r\n.\r\n"), 1, 0, 1, BYTES("a\r\n\nb\r\n"), BYTES("a\r\n\r\nb\r\n")},
    {BYTES("a\r\r\n.\r\r\nb\r\n.\r\n"), 1, 0, 1, BYTES("a\r\r\n\r\r\nb\r\n"),
     BYTES("a\r\n\r\n\r\n\r\nb\r\n")},
    {BYTES("a\r\n.\rb\r\n.\r\n"), 1, 0, 1, BYTES("a\r\n\rb\r\n"), BYTES("a\r\n\r\nb\r\n")},
};

// Feeds `in` in pieces of `piece` bytes; the result must not depend on how it is cut.
static void check_data(const struct data_case *test, size_t piece, int normalise)
{
    struct smtp_data data;
    struct buffer out;
    buffer_init(&out);
    smtp_data_init(&data, normalise);
    size_t at = 0, used = 0;
    int end = 0;
    while (!end && at < test->in.size) {
        size_t size = test->in.size - at < piece ? test->in.size - at : piece;
        end = smtp_data_feed(&data, (struct span){test->in.data + at, size}, &out, &used);
        at += used;
    }
    assert_int_equal(end, test->end);
    assert_int_equal(at, test->in.size - test->rest);
    assert_int_equal(data.bare, test->bare);
    struct span expected = normalise ? test->mended : test->out;
    assert_int_equal(buffer_size(&out), expected.size);
    assert_memory_equal(buffer_bytes(&out), expected.data, expected.size);
    buffer_free(&out);
}

static void data_ends_at_crlf_dot_crlf_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(datas); i++)
        for (size_t piece = 1; piece <= datas[i].in.size; piece++) {
            check_data(&datas[i], piece, 0);
            check_data(&datas[i], piece, 1);
        }
}

static const struct {
    struct span in;
    int bare;
    struct span out, mended;
} chunks[] = {
    {BYTES("a\r\n.\r\n..b"), 0, BYTES("a\r\n.\r\n..b"), BYTES("a\r\n.\r\n..b")},
    {BYTES("a\nb\r"), 1, BYTES("a\nb\r"), BYTES("a\r\nb\r\n")},
    {BYTES("a\0b\r\n"), 1, BYTES("a\0b\r\n"), BYTES("ab\r\n")},
    {BYTES("\r\n\r\n"), 0, BYTES("\r\n\r\n"), BYTES("\r\n\r\n")},
};

static void chunks_keep_their_dots(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(chunks); i++)
        for (size_t piece = 1; piece <= chunks[i].in.size * 2; piece++) {
            struct smtp_data data;
            struct buffer out;
            int normalise = piece > chunks[i].in.size;
            size_t step = normalise ? piece - chunks[i].in.size : piece;
            struct span in = chunks[i].in;
            struct span expected = normalise ? chunks[i].mended : chunks[i].out;
            buffer_init(&out);
            smtp_data_init(&data, normalise);
            for (size_t at = 0; at < in.size; at += step)
                smtp_chunk_feed(
                    &data, (struct span){in.data + at, in.size - at < step ? in.size - at : step},
                    &out);
            smtp_chunk_end(&data, &out);
            assert_int_equal(data.bare, chunks[i].bare);
            assert_int_equal(buffer_size(&out), expected.size);
            assert_memory_equal(buffer_bytes(&out), expected.data, expected.size);
            buffer_free(&out);
        }
}

static const struct {
    const char *in, *out;
} stuffed[] = {
    {"a\r\n", "a\r\n"},     {"a", "a\r\n"},
    {".\r\n", "..\r\n"},    {"a\r\n.\r\n..b\r\n", "a\r\n..\r\n...b\r\n"},
    {"a.b\r\n", "a.b\r\n"}, {"\r\n.", "\r\n..\r\n"},
};

static void dots_are_stuffed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(stuffed); i++) {
        struct buffer out;
        buffer_init(&out);
        smtp_data_stuff(span_of(stuffed[i].in), &out);
        buffer_add(&out, "", 1);
        assert_string_equal(buffer_bytes(&out), stuffed[i].out);
        buffer_free(&out);
    }
}

static void the_longest_line_is_known(void **state)
{
    (void)state;
    struct smtp_data data;
    struct buffer out;
    size_t used;
    buffer_init(&out);
    smtp_data_init(&data, 0);
    assert_true(smtp_data_feed(&data, span_of("ab\r\nabcdef\r\nabc\r\n.\r\n"), &out, &used));
    assert_int_equal(data.longest, 6);
    buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_found),
        cmocka_unit_test(data_ends_at_crlf_dot_crlf_only),
        cmocka_unit_test(chunks_keep_their_dots),
        cmocka_unit_test(dots_are_stuffed),
        cmocka_unit_test(the_longest_line_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
