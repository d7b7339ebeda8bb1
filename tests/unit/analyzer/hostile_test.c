// SPDX-License-Identifier: Apache-2.0
// Attacks 16 to 22 of RELIABILITY.md: messages made to cost time, memory or a wrong verdict. Each
// is judged, within bounds, and never as clean.
#include "tests/unit/analyzer/wrap.h"

#include "core/base/clock.h"
#include <sys/resource.h>

#define HEAD "From: a@b\r\nDate: x\r\nMIME-Version: 1.0\r\n"

enum { MIB = 1 << 20, SECONDS_MOST = 8, GROWTH_MOST_KIB = 300 << 10 };

#ifdef __SANITIZE_ADDRESS__
// Its memmem checks all that is left of the text at every call, so that a search in steps becomes
// quadratic.
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "intercept_memmem=0";
}
#endif

static long peak_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

// Judges and frees it. A sanitizer's own memory is not ours to bound.
static struct examined judge(struct buffer *message)
{
    int64_t start = clock_monotonic_ms();
    long before = peak_kib();
    struct examined result = examine_buffer(NULL, message);
    assert_true(clock_monotonic_ms() - start < SECONDS_MOST * 1000);
#ifndef __SANITIZE_ADDRESS__
    assert_true(peak_kib() - before < GROWTH_MOST_KIB);
#else
    (void)before;
#endif
    buffer_free(message);
    return result;
}

static void assert_held(struct buffer *message, const char *finding)
{
    struct examined result = judge(message);
    if (found(&result, finding) == NULL)
        fail_msg("no %s", finding);
    assert_true(action_for(&result, 0) >= POSTERN__ACTION__ACTION_QUARANTINE);
    examined_free(&result);
}

static void assert_archive_held(struct buffer *file, const char *finding)
{
    struct buffer message;
    buffer_init(&message);
    add_attachment(&message, buffer_bytes(file), buffer_size(file));
    buffer_free(file);
    assert_held(&message, finding);
}

static void add_times(struct buffer *out, const char *text, size_t count)
{
    size_t size = strlen(text);
    buffer_reserve(out, size * count);
    for (size_t i = 0; i < count; i++)
        buffer_add(out, text, size);
}

// -- structure

static void headers_without_measure_are_held(void **state)
{
    static const struct {
        const char *front, *again;
        size_t count;
    } cases[] = {
        {HEAD, "To: a@example.org\r\n", 500000},
        {HEAD, "X-Filler: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n", 100000},
        {HEAD "Subject: x\r\n", " yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n",
         400000},
        {HEAD "Content-Type: text/plain", ";\r\n a=b", 30000},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer message;
        buffer_init(&message);
        buffer_add_text(&message, cases[i].front);
        add_times(&message, cases[i].again, cases[i].count);
        buffer_add_text(&message, "\r\n\r\nbody\r\n");
        assert_held(&message, "limits-exceeded");
    }
}

static void structures_without_measure_are_held(void **state)
{
    (void)state;
    struct buffer message;
    buffer_init(&message);
    buffer_add_text(&message, HEAD);
    for (int i = 0; i < 10000; i++)
        buffer_printf(&message, "Content-Type: multipart/mixed; boundary=\"b%d\"\r\n\r\n--b%d\r\n",
                      i, i);
    assert_held(&message, "limits-exceeded");

    static const size_t parts[] = {10000, 1000000};
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
        buffer_init(&message);
        buffer_add_text(&message, HEAD "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
        add_times(&message, "--b\r\n\r\nx\r\n", parts[i]);
        buffer_add_text(&message, "--b--\r\n");
        assert_held(&message, "limits-exceeded");
    }
    buffer_init(&message);
    buffer_add_text(&message, HEAD "Content-Type: message/rfc822\r\n\r\n");
    add_times(&message, "Content-Type: message/rfc822\r\n\r\n", 10000);
    assert_held(&message, "limits-exceeded");
}

static void ambiguous_structures_are_held(void **state)
{
    static const char *const cases[] = {
        HEAD "Content-Type: multipart/mixed; boundary=a; boundary=b\r\n\r\n"
             "--a\r\n\r\nx\r\n--a--\r\n--b\r\n\r\ny\r\n--b--\r\n",
        HEAD "Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nx\r\n",
        HEAD "From: c@d\r\n\r\nx\r\n",
        HEAD "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"
             "--b\r\nContent-Type: text/html\r\n\r\nlate\r\n--b--\r\n",
        HEAD "Content-Type: multipart/mixed\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\nx\r\n",
        HEAD "Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit\r\n\r\neA==\r\n",
        HEAD "Content-Type: application/x\r\nContent-Transfer-Encoding: x-own\r\n\r\neA==\r\n",
        HEAD "Content-Transfer-Encoding: base64\r\n\r\nQUJD=QUJD\r\n",
        HEAD "Content-Type: message/partial; number=1; total=2; id=x\r\n\r\nx\r\n",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct examined result = examine(NULL, cases[i]);
        if (action_for(&result, 0) < POSTERN__ACTION__ACTION_QUARANTINE)
            fail_msg("case %zu", i);
        examined_free(&result);
    }
}

// None of these is more than a way to keep a decoder busy.
static void fifty_mebibytes_are_judged_in_time(void **state)
{
    static const struct {
        const char *front, *again;
    } cases[] = {
        {HEAD "\r\n", "ordinary text ordinary text ordinary text ordinary text ordinary\r\n"},
        {HEAD "Content-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\n",
         "QU==QQ==-QU==QQ==-QU==QQ==-QU==QQ==-QU==QQ==-QU==QQ==-QU==QQ==-QUJD\r\n"},
        {HEAD "Content-Type: application/x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
         "=XX=ZZ=XX=ZZ=XX=ZZ=XX=ZZ=XX=ZZ=XX=ZZ=XX=ZZ=XX=ZZ=XX=ZZ=XX=ZZ=XX=ZZ\r\n"},
        {HEAD "Content-Transfer-Encoding: x-uue\r\n\r\n",
         "M############################################################\r\n"},
        {HEAD "\r\n", "begin 644 a\r\n"},
        {HEAD "Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--c\r\n"},
        {HEAD "Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--c\r\nContent-X: y\r\n\r\n"},
        {HEAD "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
         "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n"},
        {HEAD "Content-Type: text/plain; charset=utf-7\r\n\r\n", "+AGEAYQBh-+AGEAYQBh-\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer message;
        buffer_init(&message);
        buffer_add_text(&message, cases[i].front);
        add_times(&message, cases[i].again, (50 * MIB) / strlen(cases[i].again));
        struct examined result = judge(&message);
        examined_free(&result);
    }
}

// -- archives

static void add_zeros(struct archive *archive, const char *name, size_t mebibytes)
{
    char *zeros = allocate(MIB);
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)mebibytes * MIB);
    assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
    for (size_t i = 0; i < mebibytes; i++)
        assert_int_equal(archive_write_data(archive, zeros, MIB), MIB);
    archive_entry_free(entry);
    free(zeros);
}

static void a_dense_archive_is_held_within_another_too(void **state)
{
    static const struct {
        const char *format, *filter;
    } cases[] = {{"zip", ""}, {"raw", "gzip"}, {"raw", "bzip2"}, {"pax", "xz"}, {"7zip", ""}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer file;
        buffer_init(&file);
        struct archive *archive = archive_open(&file, cases[i].format, cases[i].filter);
        add_zeros(archive, "zeros", 100);
        archive_close(archive);
        struct buffer shell;
        buffer_init(&shell);
        add_archive(&shell, "zip", "", "inner", buffer_bytes(&file), buffer_size(&file));
        assert_archive_held(&file, "archive-limit");
        assert_archive_held(&shell, "archive-limit");
    }
}

static void many_dense_archives_are_no_way_around(void **state)
{
    (void)state;
    struct buffer file, message;
    buffer_init(&file);
    buffer_init(&message);
    struct archive *archive = archive_open(&file, "zip", "");
    add_zeros(archive, "zeros", 4);
    archive_close(archive);
    buffer_add_text(&message, HEAD "Content-Type: multipart/mixed; boundary=xx\r\n\r\n");
    for (int i = 0; i < 100; i++) {
        buffer_add_text(&message, "--xx\r\nContent-Type: application/zip\r\n"
                                  "Content-Transfer-Encoding: base64\r\n\r\n");
        add_base64_lines(&message, buffer_bytes(&file), buffer_size(&file));
    }
    buffer_add_text(&message, "--xx--\r\n");
    buffer_free(&file);
    assert_held(&message, "archive-limit");
}

static void a_deep_archive_is_held(void **state)
{
    (void)state;
    struct buffer inner, outer;
    buffer_init(&inner);
    buffer_add_text(&inner, "hello");
    for (int i = 0; i < 20; i++) {
        buffer_init(&outer);
        add_archive(&outer, "zip", "", "inner.zip", buffer_bytes(&inner), buffer_size(&inner));
        buffer_free(&inner);
        inner = outer;
    }
    assert_archive_held(&inner, "archive-limit");
}

static void an_archive_of_many_members_is_held(void **state)
{
    static const char *const formats[] = {"zip", "ustar"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(formats); i++) {
        struct buffer file;
        buffer_init(&file);
        struct archive *archive = archive_open(&file, formats[i], "");
        for (int k = 0; k < 20000; k++) {
            char name[32];
            snprintf(name, sizeof(name), "member%d", k);
            add_member(archive, name, "", 0);
        }
        archive_close(archive);
        assert_archive_held(&file, "archive-limit");
    }
}

static void an_encrypted_archive_is_held(void **state)
{
    static const char *const methods[] = {"zipcrypt", "aes256"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(methods); i++) {
        struct buffer file;
        buffer_init(&file);
        struct archive *archive = archive_write_new();
        assert_int_equal(archive_write_set_format_zip(archive), ARCHIVE_OK);
        assert_int_equal(archive_write_set_format_option(archive, "zip", "encryption", methods[i]),
                         ARCHIVE_OK);
        assert_int_equal(archive_write_set_passphrase(archive, "secret"), ARCHIVE_OK);
        assert_int_equal(archive_write_open(archive, &file, NULL, archive_wrote, NULL), ARCHIVE_OK);
        add_member(archive, "eicar.com", eicar(), strlen(eicar()));
        archive_close(archive);
        assert_archive_held(&file, "archive-encrypted");
    }
}

static void a_broken_archive_is_held(void **state)
{
    static const char *const formats[] = {"zip", "7zip"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(formats); i++) {
        struct buffer file;
        buffer_init(&file);
        add_archive(&file, formats[i], "", "eicar.txt", "hello hello hello hello", 23);
        file.end = file.start + buffer_size(&file) / 2;
        assert_archive_held(&file, "archive-broken");
    }
}

static void names_that_lead_out_are_found(void **state)
{
    static const char *const names[] = {"../../etc/passwd", "/etc/passwd",    "a/../../b",
                                        "..\\..\\b",        "C:\\windows\\x", "a/.."};
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        struct buffer file;
        buffer_init(&file);
        add_archive(&file, "ustar", "", names[i], "x", 1);
        assert_archive_held(&file, "archive-traversal");
    }
    struct buffer file;
    buffer_init(&file);
    struct archive *archive = archive_open(&file, "ustar", "");
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, "link");
    archive_entry_set_filetype(entry, AE_IFLNK);
    archive_entry_set_symlink(entry, "/etc");
    archive_write_header(archive, entry);
    archive_entry_free(entry);
    archive_close(archive);
    assert_archive_held(&file, "archive-traversal");
}

// Half an archive's bytes, one byte other: a verdict in any case.
static void any_damage_gets_a_verdict(void **state)
{
    static const char *const formats[] = {"zip", "7zip", "ustar", "newc", "iso9660"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(formats); i++) {
        struct buffer file;
        buffer_init(&file);
        add_archive(&file, formats[i], "", "a", eicar(), strlen(eicar()));
        size_t size = buffer_size(&file) < 2048 ? buffer_size(&file) : 2048;
        for (size_t at = 0; at < size; at += 3) {
            struct buffer message;
            buffer_init(&message);
            file.data[file.start + at] ^= 0x41;
            add_attachment(&message, buffer_bytes(&file), size);
            file.data[file.start + at] ^= 0x41;
            struct examined result = judge(&message);
            examined_free(&result);
        }
        buffer_free(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_without_measure_are_held),
        cmocka_unit_test(structures_without_measure_are_held),
        cmocka_unit_test(ambiguous_structures_are_held),
        cmocka_unit_test(fifty_mebibytes_are_judged_in_time),
        cmocka_unit_test(a_dense_archive_is_held_within_another_too),
        cmocka_unit_test(many_dense_archives_are_no_way_around),
        cmocka_unit_test(a_deep_archive_is_held),
        cmocka_unit_test(an_archive_of_many_members_is_held),
        cmocka_unit_test(an_encrypted_archive_is_held),
        cmocka_unit_test(a_broken_archive_is_held),
        cmocka_unit_test(names_that_lead_out_are_found),
        cmocka_unit_test(any_damage_gets_a_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
