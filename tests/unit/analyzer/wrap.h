// SPDX-License-Identifier: Apache-2.0
#pragma once

// Wraps content as senders do: transfer encodings, archives, attachments.
#include "tests/unit/analyzer/examine.h"

#include <archive.h>
#include <archive_entry.h>

typedef void encode_fn(struct buffer *out, const char *data, size_t size);

// In two pieces, so that no scanner takes the test for the virus.
static inline const char *eicar(void)
{
    static char text[80];
    snprintf(text, sizeof(text), "%s%s", "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR",
             "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*");
    return text;
}

static inline void add_as_is(struct buffer *out, const char *data, size_t size)
{
    buffer_add(out, data, size);
}

static inline void add_base64(struct buffer *out, const char *data, size_t size, unsigned line)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        unsigned char in[3] = {0};
        size_t held = size - i < 3 ? size - i : 3;
        memcpy(in, data + i, held);
        char group[4] = {alphabet[in[0] >> 2], alphabet[(in[0] & 3) << 4 | in[1] >> 4],
                         held > 1 ? alphabet[(in[1] & 15) << 2 | in[2] >> 6] : '=',
                         held > 2 ? alphabet[in[2] & 63] : '='};
        buffer_add(out, group, 4);
        if (line > 0 && (i / 3 + 1) % line == 0)
            buffer_add_text(out, "\r\n");
    }
}

static inline void add_base64_lines(struct buffer *out, const char *data, size_t size)
{
    add_base64(out, data, size, 19);
    buffer_add_text(out, "\r\n");
}

static inline void add_qp(struct buffer *out, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buffer_printf(out, "=%02X%s", (unsigned char)data[i], i % 20 == 19 ? "=\r\n" : "");
    buffer_add_text(out, "\r\n");
}

static inline void add_uu(struct buffer *out, const char *data, size_t size)
{
    buffer_add_text(out, "begin 644 file\r\n");
    for (size_t i = 0; i < size; i += 45) {
        size_t held = size - i < 45 ? size - i : 45;
        buffer_printf(out, "%c", (int)(' ' + held));
        for (size_t k = 0; k < held; k += 3) {
            unsigned char in[3] = {0};
            memcpy(in, data + i + k, held - k < 3 ? held - k : 3);
            char group[4] = {
                (char)(' ' + (in[0] >> 2)), (char)(' ' + ((in[0] & 3) << 4 | in[1] >> 4)),
                (char)(' ' + ((in[1] & 15) << 2 | in[2] >> 6)), (char)(' ' + (in[2] & 63))};
            buffer_add(out, group, 4);
        }
        buffer_add_text(out, "\r\n");
    }
    buffer_add_text(out, "`\r\nend\r\n");
}

static inline void add_yenc(struct buffer *out, const char *data, size_t size)
{
    buffer_printf(out, "=ybegin line=128 size=%zu name=file\r\n", size);
    for (size_t i = 0; i < size; i++) {
        char c = (char)(data[i] + 42);
        if (c == 0 || c == '\n' || c == '\r' || c == '=' || c == '.') {
            buffer_add_text(out, "=");
            c = (char)(c + 64);
        }
        buffer_add(out, &c, 1);
    }
    buffer_printf(out, "\r\n=yend size=%zu\r\n", size);
}

static inline void add_member(struct archive *archive, const char *name, const char *data,
                              size_t size)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, 1700000000, 0);
    archive_entry_set_size(entry, (la_int64_t)size);
    assert_true(archive_write_header(archive, entry) >= ARCHIVE_WARN);
    assert_int_equal(archive_write_data(archive, data, size), size);
    archive_entry_free(entry);
}

static inline la_ssize_t archive_wrote(struct archive *archive, void *context, const void *data,
                                       size_t size)
{
    (void)archive;
    buffer_add(context, data, size);
    return (la_ssize_t)size;
}

// The caller adds members and ends it by archive_close.
static inline struct archive *archive_open(struct buffer *out, const char *format,
                                           const char *filter)
{
    struct archive *archive = archive_write_new();
    assert_int_equal(archive_write_set_format_by_name(archive, format), ARCHIVE_OK);
    if (filter[0] != 0)
        assert_true(archive_write_add_filter_by_name(archive, filter) >= ARCHIVE_WARN);
    archive_write_set_bytes_in_last_block(archive, 1);
    assert_int_equal(archive_write_open(archive, out, NULL, archive_wrote, NULL), ARCHIVE_OK);
    return archive;
}

static inline void archive_close(struct archive *archive)
{
    assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
    archive_write_free(archive);
}

static inline void add_archive(struct buffer *out, const char *format, const char *filter,
                               const char *name, const char *data, size_t size)
{
    struct archive *archive = archive_open(out, format, filter);
    add_member(archive, name, data, size);
    archive_close(archive);
}

// A message of that one attachment.
static inline void add_attachment(struct buffer *out, const char *data, size_t size)
{
    buffer_add_text(out, "From: a@b\r\nDate: x\r\nMIME-Version: 1.0\r\n"
                         "Content-Type: multipart/mixed; boundary=xx\r\n\r\n--xx\r\n\r\ntext\r\n"
                         "--xx\r\nContent-Type: application/octet-stream; name=file\r\n"
                         "Content-Transfer-Encoding: base64\r\n\r\n");
    add_base64_lines(out, data, size);
    buffer_add_text(out, "\r\n--xx--\r\n");
}

static inline struct examined examine_buffer(const struct asked *asked,
                                             const struct buffer *message)
{
    return examine_bytes(asked, (struct span){buffer_bytes(message), buffer_size(message)});
}
