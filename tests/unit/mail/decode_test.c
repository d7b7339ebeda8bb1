// SPDX-License-Identifier: Apache-2.0
#include "mail/decode.h"

#include "core/base/buffer.h"
#include "mail/anomaly.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define JUNK ANOMALY_BIT(ANOMALY_BASE64_JUNK)
#define PADDING ANOMALY_BIT(ANOMALY_BASE64_PADDING)
#define TRUNCATED ANOMALY_BIT(ANOMALY_BASE64_TRUNCATED)
#define QP_BROKEN ANOMALY_BIT(ANOMALY_QP_BROKEN)
#define UU_BROKEN ANOMALY_BIT(ANOMALY_UU_BROKEN)

static void assert_text(const struct buffer *made, const char *wanted, const char *from)
{
    struct span text = {buffer_bytes(made), buffer_size(made)};
    if (!span_equal(text, span_of(wanted)))
        fail_msg("%s: %.*s instead of %s", from, (int)text.size, text.data, wanted);
}

static const struct {
    const char *text;
    enum base64_way way;
    const char *wanted;
    uint64_t anomalies;
} base64s[] = {
    {"aGVsbG8gd29ybGQ=", BASE64_SKIP, "hello world", 0},
    {"aGVs\r\nbG8g\r\nd29ybGQ=\r\n", BASE64_SKIP, "hello world", 0},
    {" aGVs\tbG8= ", BASE64_SKIP, "hello", 0},
    {"", BASE64_SKIP, "", 0},
    {"aGVsbG8", BASE64_SKIP, "hello", TRUNCATED},
    {"aGVsb", BASE64_SKIP, "hel", TRUNCATED},
    {"aGVs!bG8=", BASE64_SKIP, "hello", JUNK},
    {"aGVs!bG8=", BASE64_STRICT, "hel", JUNK},
    {"!!!!\r\naGVs\r\n????\r\nbG8=", BASE64_SKIP, "hello", JUNK},
    {"aGVs\r\nab-cd\r\nbG8=", BASE64_LINES, "hello", JUNK},
    // Behind padding programs stop, go on in the group, or begin a new one.
    {"aGU=bGxv", BASE64_STOP, "he", 0},
    {"aGU=bGxv", BASE64_RESTART, "hello", PADDING},
    {"aGVsbG8=", BASE64_STOP, "hello", 0},
    {"Pz8_Pz8-", BASE64_URL,
     "??"
     "?"
     "??"
     ">",
     JUNK},
    {"Subject: x\r\n\r\naGVsbG8=", BASE64_AFTER_BLANK, "hello", 0},
};

static void base64_is_undone_in_every_way(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(base64s); i++) {
        struct buffer out;
        buffer_init(&out);
        uint64_t anomalies = decode_base64(span_of(base64s[i].text), base64s[i].way, &out);
        assert_text(&out, base64s[i].wanted, base64s[i].text);
        assert_int_equal(anomalies, base64s[i].anomalies);
        buffer_free(&out);
    }
}

static const struct {
    const char *text;
    enum qp_way way;
    const char *wanted;
    uint64_t anomalies;
} qps[] = {
    {"plain", QP_LITERAL, "plain", 0},
    {"a=3Db=3db", QP_LITERAL, "a=b=b", 0},
    {"soft=\r\nbreak", QP_LITERAL, "softbreak", 0},
    {"soft=\nbreak= \t\r\nagain=", QP_LITERAL, "softbreakagain", 0},
    {"hard\r\nbreak", QP_LITERAL, "hard\r\nbreak", 0},
    {"hard\r\nbreak\r\n", QP_UNIX, "hard\nbreak\n", 0},
    {"a\rb=0D=0A\r\n", QP_UNIX, "a\rb\r\n\n", 0},
    {"a=XXb", QP_LITERAL, "a=XXb", QP_BROKEN},
    {"a=XXb", QP_DROP, "aXXb", QP_BROKEN},
    {"a=XXb", QP_SKIP, "ab", QP_BROKEN},
    {"a==41", QP_LITERAL, "a=A", QP_BROKEN},
    {"a==41", QP_DROP, "aA", QP_BROKEN},
    {"a=4", QP_LITERAL, "a=4", QP_BROKEN},
    {"a=4", QP_SKIP, "a", QP_BROKEN},
};

static void quoted_printable_is_undone_in_every_way(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(qps); i++) {
        struct buffer out;
        buffer_init(&out);
        uint64_t anomalies = decode_qp(span_of(qps[i].text), qps[i].way, &out);
        assert_text(&out, qps[i].wanted, qps[i].text);
        assert_int_equal(anomalies, qps[i].anomalies);
        buffer_free(&out);
    }
}

static const struct {
    const char *text, *wanted;
    uint64_t anomalies;
} uus[] = {
    {"begin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\n", "Cat", 0},
    {"text\r\nbegin 644 cat.txt\r\n#0V%T\r\nend\r\nmore", "Cat", 0},
    {"#0V%T\r\n", "Cat", UU_BROKEN},
    {"begin 644 cat.txt\r\n#0V%T\r\n", "Cat", UU_BROKEN},
};

static void uuencode_is_undone(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(uus); i++) {
        struct buffer out;
        buffer_init(&out);
        uint64_t anomalies = decode_uu(span_of(uus[i].text), &out);
        assert_text(&out, uus[i].wanted, uus[i].text);
        assert_int_equal(anomalies, uus[i].anomalies);
        buffer_free(&out);
    }
    assert_true(decode_has_uu(span_of("x\r\nbegin 644 a.exe\r\n")));
    assert_true(decode_has_uu(span_of("begin 0755 a b\n")));
    assert_false(decode_has_uu(span_of("begin with this\r\n")));
    assert_false(decode_has_uu(span_of("x begin 644 a\r\n")));
    assert_false(decode_has_uu(span_of("")));
}

static void yenc_is_undone(void **state)
{
    struct buffer out;
    (void)state;
    buffer_init(&out);
    decode_yenc(span_of("=ybegin line=128 size=3 name=x\r\n\x6d\x8b=\xde\r\n=yend size=3\r\n"),
                &out);
    assert_text(&out, "Cat", "yenc");
    buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_is_undone_in_every_way),
        cmocka_unit_test(quoted_printable_is_undone_in_every_way),
        cmocka_unit_test(uuencode_is_undone),
        cmocka_unit_test(yenc_is_undone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
