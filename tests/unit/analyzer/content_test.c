// SPDX-License-Identifier: Apache-2.0
// GTUBE and EICAR in whatever wrapping a mail program would take off.
#include "tests/unit/analyzer/wrap.h"

#define GTUBE "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

typedef void wrap_fn(struct buffer *out, const char *text, size_t size);

static void wrap_identity(struct buffer *out, const char *text, size_t size)
{
    buffer_add(out, text, size);
}

static void widen(struct buffer *out, const char *text, size_t size, unsigned width, int big)
{
    for (size_t i = 0; i < size; i++)
        for (unsigned k = 0; k < width; k++)
            buffer_add(out, k == (big ? width - 1 : 0) ? &text[i] : "", 1);
}

static void wrap_utf16le(struct buffer *out, const char *text, size_t size)
{
    widen(out, text, size, 2, 0);
}

static void wrap_utf16be(struct buffer *out, const char *text, size_t size)
{
    widen(out, text, size, 2, 1);
}

static void wrap_utf32(struct buffer *out, const char *text, size_t size)
{
    buffer_add(out, "\0\0\376\377", 4);
    widen(out, text, size, 4, 1);
}

// Everything in base64, as UTF-7 allows.
static void wrap_utf7(struct buffer *out, const char *text, size_t size)
{
    struct buffer wide, encoded;
    buffer_init(&wide);
    buffer_init(&encoded);
    wrap_utf16be(&wide, text, size);
    add_base64(&encoded, buffer_bytes(&wide), buffer_size(&wide), 0);
    size_t held = buffer_size(&encoded);
    while (held > 0 && buffer_bytes(&encoded)[held - 1] == '=')
        held--;
    buffer_add_text(out, "+");
    buffer_add(out, buffer_bytes(&encoded), held);
    buffer_add_text(out, "-");
    buffer_free(&wide);
    buffer_free(&encoded);
}

static void gtube_is_found_in_every_encoding_and_charset(void **state)
{
    static const struct {
        const char *charset;
        wrap_fn *wrap;
    } charsets[] = {
        {"us-ascii", wrap_identity},      {"utf-8", wrap_identity},
        {"iso-2022-jp", wrap_identity},   {"no-such-charset", wrap_identity},
        {"utf-16le", wrap_utf16le},       {"UTF-16BE", wrap_utf16be},
        {"utf-32", wrap_utf32},           {"utf-7", wrap_utf7},
        {"unicode-1-1-utf-7", wrap_utf7},
    };
    static const struct {
        const char *name;
        encode_fn *encode;
    } encodings[] = {{"7bit", add_as_is},          {"8bit", add_as_is},
                     {"binary", add_as_is},        {"base64", add_base64_lines},
                     {"BASE64", add_base64_lines}, {"quoted-printable", add_qp},
                     {"x-uuencode", add_uu},       {"x-yenc", add_yenc}};
    (void)state;
    for (size_t c = 0; c < ARRAY_LENGTH(charsets); c++)
        for (size_t e = 0; e < ARRAY_LENGTH(encodings); e++) {
            struct buffer text, message;
            buffer_init(&text);
            buffer_init(&message);
            charsets[c].wrap(&text, "Hello\r\n" GTUBE "\r\n", strlen(GTUBE) + 9);
            buffer_printf(&message,
                          "From: a@b\r\nDate: x\r\nMIME-Version: 1.0\r\n"
                          "Content-Type: text/plain; charset=\"%s\"\r\n"
                          "Content-Transfer-Encoding: %s\r\n\r\n",
                          charsets[c].charset, encodings[e].name);
            encodings[e].encode(&message, buffer_bytes(&text), buffer_size(&text));
            struct examined result = examine_buffer(NULL, &message);
            if (found(&result, "gtube") == NULL)
                fail_msg("%s in %s", charsets[c].charset, encodings[e].name);
            assert_int_equal(action_for(&result, 0), POSTERN__ACTION__ACTION_REJECT);
            examined_free(&result);
            buffer_free(&text);
            buffer_free(&message);
        }
}

// -- EICAR

static void assert_virus(const struct buffer *message, const char *what)
{
    struct examined result = examine_buffer(NULL, message);
    if (found(&result, "eicar") == NULL)
        fail_msg("%s", what);
    assert_int_equal(action_for(&result, 0), POSTERN__ACTION__ACTION_REJECT);
    examined_free(&result);
}

static void assert_virus_attached(struct buffer *file, const char *what)
{
    struct buffer message;
    buffer_init(&message);
    add_attachment(&message, buffer_bytes(file), buffer_size(file));
    assert_virus(&message, what);
    buffer_free(&message);
    buffer_free(file);
}

static void eicar_is_found_in_every_transfer_encoding(void **state)
{
    static encode_fn *const encodings[] = {add_as_is, add_base64_lines, add_qp, add_uu, add_yenc};
    static const char *const names[] = {"8bit", "base64", "quoted-printable", "x-uue", "x-yenc"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(encodings); i++) {
        struct buffer message;
        buffer_init(&message);
        buffer_printf(&message,
                      "From: a@b\r\nDate: x\r\nContent-Type: application/octet-stream\r\n"
                      "Content-Transfer-Encoding: %s\r\n\r\n",
                      names[i]);
        encodings[i](&message, eicar(), strlen(eicar()));
        assert_virus(&message, names[i]);
        buffer_free(&message);
    }
}

static void eicar_is_found_in_every_archive(void **state)
{
    static const char *const formats[] = {"zip", "7zip", "ustar", "pax", "cpio", "newc", "iso9660"};
    static const char *const filters[] = {"", "gzip", "bzip2", "xz", "compress", "zstd"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(formats); i++)
        for (size_t k = 0; k < ARRAY_LENGTH(filters); k++) {
            struct buffer file;
            buffer_init(&file);
            add_archive(&file, formats[i], filters[k], "x/eicar.com", eicar(), strlen(eicar()));
            char what[64];
            snprintf(what, sizeof(what), "%s %s", formats[i], filters[k]);
            assert_virus_attached(&file, what);
        }
}

static void eicar_is_found_in_archives_within_archives(void **state)
{
    static const char *const shells[] = {"zip", "7zip", "pax"};
    (void)state;
    struct buffer inner, outer;
    buffer_init(&inner);
    add_archive(&inner, "zip", "", "eicar.com", eicar(), strlen(eicar()));
    for (size_t i = 0; i < ARRAY_LENGTH(shells); i++) {
        buffer_init(&outer);
        add_archive(&outer, shells[i], "", "inner", buffer_bytes(&inner), buffer_size(&inner));
        buffer_free(&inner);
        inner = outer;
    }
    assert_virus_attached(&inner, "three shells");
}

static void eicar_is_found_in_a_zip_with_something_before_it(void **state)
{
    (void)state;
    struct buffer file;
    buffer_init(&file);
    buffer_add_text(&file, "MZ this is a program that unpacks itself\r\n");
    add_archive(&file, "zip", "", "eicar.com", eicar(), strlen(eicar()));
    assert_virus_attached(&file, "self-extracting");
}

static void eicar_is_found_in_a_zip_in_base64_in_nested_messages(void **state)
{
    (void)state;
    struct buffer file, message, outer;
    buffer_init(&file);
    buffer_init(&message);
    add_archive(&file, "zip", "", "eicar.com", eicar(), strlen(eicar()));
    add_attachment(&message, buffer_bytes(&file), buffer_size(&file));
    buffer_free(&file);
    for (int depth = 0; depth < 10; depth++) {
        buffer_init(&outer);
        buffer_printf(&outer,
                      "From: a@b\r\nDate: x\r\nMIME-Version: 1.0\r\n"
                      "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n\r\ntext\r\n"
                      "--b%d\r\nContent-Type: message/rfc822\r\n\r\n",
                      depth, depth, depth);
        buffer_add(&outer, buffer_bytes(&message), buffer_size(&message));
        buffer_printf(&outer, "\r\n--b%d--\r\n", depth);
        buffer_free(&message);
        message = outer;
    }
    assert_virus(&message, "ten messages around it");
    buffer_free(&message);
}

// The zip's directory does not list what its members' headers offer.
static void a_member_that_the_directory_hides_is_found(void **state)
{
    (void)state;
    struct buffer hidden, shown, file;
    buffer_init(&hidden);
    buffer_init(&shown);
    buffer_init(&file);
    add_archive(&hidden, "zip", "", "eicar.com", eicar(), strlen(eicar()));
    add_archive(&shown, "zip", "", "harmless.txt", "hello", 5);
    const char *directory = memmem(buffer_bytes(&hidden), buffer_size(&hidden), "PK\1\2", 4);
    assert_non_null(directory);
    buffer_add(&file, buffer_bytes(&hidden), (size_t)(directory - buffer_bytes(&hidden)));
    buffer_add(&file, buffer_bytes(&shown), buffer_size(&shown));
    buffer_free(&hidden);
    buffer_free(&shown);
    assert_virus_attached(&file, "hidden member");
}

static void ordinary_archives_are_nothing_special(void **state)
{
    static const struct {
        const char *format, *filter, *text;
    } cases[] = {{"zip", "", "hello hello hello"},
                 {"7zip", "", "hello hello hello"},
                 {"ustar", "", "hello hello hello"},
                 {"cpio", "", "hello hello hello"},
                 {"pax", "gzip", "hello hello hello"},
                 {"raw", "gzip", "hello hello hello"},
                 {"raw", "bzip2", ""},
                 {"raw", "gzip", ""},
                 {"raw", "xz", ""},
                 {"zip", "", ""}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer file, message;
        buffer_init(&file);
        buffer_init(&message);
        add_archive(&file, cases[i].format, cases[i].filter, "a folder/f\303\244.txt",
                    cases[i].text, strlen(cases[i].text));
        add_attachment(&message, buffer_bytes(&file), buffer_size(&file));
        struct examined result = examine_buffer(NULL, &message);
        if (result.verdict->n_findings > 0)
            fail_msg("%s %s: %.*s", cases[i].format, cases[i].filter,
                     (int)result.verdict->findings[0]->name.len,
                     (char *)result.verdict->findings[0]->name.data);
        examined_free(&result);
        buffer_free(&file);
        buffer_free(&message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gtube_is_found_in_every_encoding_and_charset),
        cmocka_unit_test(eicar_is_found_in_every_transfer_encoding),
        cmocka_unit_test(eicar_is_found_in_every_archive),
        cmocka_unit_test(eicar_is_found_in_archives_within_archives),
        cmocka_unit_test(eicar_is_found_in_a_zip_with_something_before_it),
        cmocka_unit_test(eicar_is_found_in_a_zip_in_base64_in_nested_messages),
        cmocka_unit_test(a_member_that_the_directory_hides_is_found),
        cmocka_unit_test(ordinary_archives_are_nothing_special),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
