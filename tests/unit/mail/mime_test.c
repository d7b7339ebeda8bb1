// SPDX-License-Identifier: Apache-2.0
#include "mail/mime.h"

#include "core/base/buffer.h"
#include "mail/readings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIXED "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"

static const struct mime_limits limits = {
    .depth = 10, .parts = 50, .headers = 50, .readings = 8, .header_bytes = 4096};

// A tree as text: "path type 'content'", with a '*' for what only another reading has.
static void describe(struct mime *mime, struct buffer *out)
{
    for (size_t i = 0; i < mime->count; i++) {
        const struct mime_node *node = &mime->nodes[i];
        struct span body = mime_body(mime, node);
        if (i > 0)
            buffer_add_text(out, "; ");
        mime_path(mime, node, out);
        buffer_printf(out, "%s %.*s/%.*s", node->alternative ? "*" : "", (int)node->type.size,
                      node->type.data, (int)node->subtype.size, node->subtype.data);
        if (node->kind == MIME_LEAF)
            buffer_printf(out, " '%.*s'", (int)body.size, body.data);
    }
    buffer_add(out, "", 1);
}

static const struct {
    const char *message, *tree;
    uint64_t anomalies;
} trees[] = {
    {"From: a@b\r\n\r\nhello", "0 / 'hello'", 0},
    {"", "0 / ''", ANOMALY_BIT(ANOMALY_HEADER_OPEN)},
    {"Content-Type: text/html\r\n\r\nx", "0 text/html 'x'", ANOMALY_BIT(ANOMALY_VERSION_MISSING)},
    {MIXED "--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\ntwo\r\n--b--\r\n",
     "0 multipart/mixed; 0.1 / 'one'; 0.2 text/html 'two'", 0},
    {"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n",
     "0 multipart/mixed; 0.1 / 'one'", ANOMALY_BIT(ANOMALY_BODY_BARE)},
    {MIXED "preamble\r\n--b \t\r\n\r\none\r\n\r\n--b-- \r\nepilogue\r\n",
     "0 multipart/mixed; 0.1 / 'one\r\n'", 0},
    {MIXED "--b\r\n\r\none", "0 multipart/mixed; 0.1 / 'one'", ANOMALY_BIT(ANOMALY_CLOSE_MISSING)},
    {MIXED "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nin\r\n--c--\r\n"
           "--b\r\n\r\nout\r\n--b--\r\n",
     "0 multipart/mixed; 0.1 multipart/mixed; 0.1.1 / 'in'; 0.2 / 'out'", 0},
    // One boundary is the beginning of another.
    {MIXED "--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\nin\r\n--bb--\r\n"
           "--b\r\n\r\nout\r\n--b--\r\n",
     "0 multipart/mixed; 0.1 multipart/mixed; 0.1.1 / 'in'; 0.2 / 'out'", 0},
    {MIXED "--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: c@d\r\n\r\nin\r\n--b--\r\n",
     "0 multipart/mixed; 0.1 message/rfc822; 0.1.m0 / 'in'", 0},
    {"MIME-Version: 1.0\r\nContent-Type: multipart/digest; boundary=b\r\n\r\n"
     "--b\r\n\r\nFrom: c@d\r\n\r\nin\r\n--b--\r\n",
     "0 multipart/digest; 0.1 /; 0.1.m0 / 'in'", 0},
    {"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\\+\"\r\n\r\n"
     "--b+\r\n\r\none\r\n--b+--\r\n",
     "0 multipart/mixed; 0.1 / 'one'", 0},
    {"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary*0=\"b\"; boundary*1=c\r\n\r\n"
     "--bc\r\n\r\none\r\n--bc--\r\n",
     "0 multipart/mixed; 0.1 / 'one'", 0},
    {MIXED, "0 multipart/mixed", ANOMALY_BIT(ANOMALY_BOUNDARY_UNUSED)},
    // What only some programs see.
    {MIXED "--b\r\n\r\none\r\n--b--\r\n--b\r\nContent-Type: text/html\r\n\r\nlate\r\n--b--\r\n",
     "0 multipart/mixed; 0.1 / 'one'; 0.2* text/html 'late\r\n'",
     ANOMALY_BIT(ANOMALY_PARTS_AFTER_CLOSE) | ANOMALY_BIT(ANOMALY_BOUNDARY_PREFIX)},
    {MIXED "--x\r\nContent-Type: text/html\r\n\r\nearly\r\n--b\r\n\r\none\r\n--b--\r\n",
     "0 multipart/mixed; 0.1* text/html 'early\r\n'; 0.2 / 'one'",
     ANOMALY_BIT(ANOMALY_PARTS_BEFORE_FIRST)},
    {"MIME-Version: 1.0\r\nContent-Type: multipart/mixed\r\n\r\n"
     "--x\r\nContent-Type: text/html\r\n\r\none\r\n--x--\r\n",
     "0 multipart/mixed; 0.1* text/html 'one\r\n'",
     ANOMALY_BIT(ANOMALY_BOUNDARY_MISSING) | ANOMALY_BIT(ANOMALY_BOUNDARY_UNUSED)},
    {MIXED "--x\r\nContent-Type: text/html\r\n\r\none\r\n--x--\r\n",
     "0 multipart/mixed; 0.1* text/html 'one\r\n'",
     ANOMALY_BIT(ANOMALY_BOUNDARY_FOREIGN) | ANOMALY_BIT(ANOMALY_BOUNDARY_UNUSED)},
    {"MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n"
     "Content-Transfer-Encoding: base64\r\n\r\n"
     "RnJvbTogYUBiDQoNCmhpZGRlbg==\r\n",
     "0 message/rfc822; 0.m0 / 'hidden'", 0},
};

static void trees_are_read(void **state)
{
    struct mime *mime = mime_new(&limits);
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(trees); i++) {
        struct buffer text;
        buffer_init(&text);
        mime_read(mime, span_of(trees[i].message));
        describe(mime, &text);
        if (strcmp(buffer_bytes(&text), trees[i].tree) != 0)
            fail_msg("case %zu: %s instead of %s", i, buffer_bytes(&text), trees[i].tree);
        if (mime->anomalies != trees[i].anomalies)
            for (unsigned k = 0; k < ANOMALY_COUNT; k++)
                if ((mime->anomalies ^ trees[i].anomalies) & ANOMALY_BIT(k))
                    fail_msg("case %zu: %s", i, anomaly_name((enum anomaly)k));
        buffer_free(&text);
    }
    mime_destroy(&mime);
    assert_null(mime);
}

static const struct {
    const char *header;
    enum anomaly anomaly;
} oddities[] = {
    {"Content-Type: text/plain\r\nContent-Type: text/html\r\n", ANOMALY_TYPE_REPEATED},
    {"Content-Type: multipart/mixed; boundary=a; boundary=b\r\n", ANOMALY_BOUNDARY_REPEATED},
    {"Content-Type: text/plain; charset\r\n", ANOMALY_TYPE_BROKEN},
    {"Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 8bit\r\n",
     ANOMALY_ENCODING_REPEATED},
    {"Content-Transfer-Encoding: base64 quoted-printable\r\n", ANOMALY_ENCODING_ODD},
    {"Content-Transfer-Encoding: x-own\r\n", ANOMALY_ENCODING_UNKNOWN},
    {"Content-Transfer-Encoding: binhex\r\n", ANOMALY_ENCODING_UNKNOWN},
    {"Content-Transfer-Encoding: x-uuencode\r\n", ANOMALY_ENCODING_UNKNOWN},
    {"junk\r\nContent-Transfer-Encoding: 7bit\r\n", ANOMALY_HEADER_JUNK},
};

static void oddities_are_noted(void **state)
{
    struct mime *mime = mime_new(&limits);
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(oddities); i++) {
        char message[512];
        snprintf(message, sizeof(message), "MIME-Version: 1.0\r\n%s\r\nbody\r\n",
                 oddities[i].header);
        mime_read(mime, span_of(message));
        if (!(mime->anomalies & ANOMALY_BIT(oddities[i].anomaly)))
            fail_msg("%s is not %s", oddities[i].header, anomaly_name(oddities[i].anomaly));
    }
    mime_destroy(&mime);
}

static void harmless_encodings_are_no_oddity(void **state)
{
    static const char *const values[] = {"7bit",          "8BIT",     "binary",  "7-bit",
                                         "8bit (really)", "\"8bit\"", "base64;", " base64 ",
                                         "none",          "utf-8"};
    struct mime *mime = mime_new(&limits);
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
        char message[512];
        snprintf(message, sizeof(message),
                 "MIME-Version: 1.0\r\nContent-Transfer-Encoding: %s\r\n\r\neHl6\r\n", values[i]);
        mime_read(mime, span_of(message));
        if (mime->anomalies & anomalies_ambiguous())
            fail_msg("%s", values[i]);
    }
    mime_destroy(&mime);
}

struct views {
    char text[512];
};

static int add_view(void *context, const struct content_view *view)
{
    struct views *self = context;
    size_t held = strlen(self->text);
    snprintf(self->text + held, sizeof(self->text) - held, "%s%s:%.*s", held > 0 ? "|" : "",
             encoding_name(view->encoding), (int)view->bytes.size, view->bytes.data);
    return 0;
}

static const struct {
    const char *header, *body, *views;
} contents[] = {
    {"", "x", "7bit:x"},
    {"Content-Transfer-Encoding: base64\r\n", "aGVsbG8=", "base64:hello"},
    {"Content-Transfer-Encoding: quoted-printable\r\n", "=68i", "quoted-printable:hi"},
    {"Content-Transfer-Encoding: quoted-printable\r\n", "=6",
     "quoted-printable:=6|quoted-printable:6|quoted-printable:"},
    {"Content-Type: a/b\r\nContent-Transfer-Encoding: quoted-printable\r\n", "h\r\ni",
     "quoted-printable:h\r\ni|quoted-printable:h\ni"},
    {"", "x\r\nbegin 644 f\r\n#0V%T\r\nend\r\n",
     "7bit:x\r\nbegin 644 f\r\n#0V%T\r\nend\r\n|x-uuencode:Cat"},
    {"Content-Transfer-Encoding: quoted-printable, base64\r\n", "eHl6",
     "base64:xyz|7bit:eHl6|quoted-printable:eHl6"},
};

static void contents_are_decoded_in_every_way(void **state)
{
    struct mime *mime = mime_new(&limits);
    struct buffer scratch;
    (void)state;
    buffer_init(&scratch);
    for (size_t i = 0; i < ARRAY_LENGTH(contents); i++) {
        struct views views = {""};
        char message[512];
        snprintf(message, sizeof(message), "MIME-Version: 1.0\r\n%s\r\n%s", contents[i].header,
                 contents[i].body);
        mime_read(mime, span_of(message));
        readings_each(mime, 0, &scratch, add_view, &views);
        assert_string_equal(views.text, contents[i].views);
    }
    buffer_free(&scratch);
    mime_destroy(&mime);
}

static void names_are_read_as_programs_show_them(void **state)
{
    static const struct {
        const char *header, *name;
    } cases[] = {
        {"Content-Type: a/b; name=x.txt\r\n", "x.txt"},
        {"Content-Type: a/b; name=x.txt\r\nContent-Disposition: attachment; filename=y.txt\r\n",
         "y.txt"},
        {"Content-Disposition: attachment; filename*0=eic; filename*1=ar.com\r\n", "eicar.com"},
        {"Content-Disposition: attachment\r\nContent-Type: a/b; name=\"=?utf-8?q?=C3=A4?=\"\r\n",
         "\303\244"},
        {"Content-Type: a/b\r\n", NULL},
    };
    struct mime *mime = mime_new(&limits);
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer name;
        char message[512];
        buffer_init(&name);
        snprintf(message, sizeof(message), "%s\r\n", cases[i].header);
        mime_read(mime, span_of(message));
        assert_int_equal(mime_filename(&mime->nodes[0], &name), cases[i].name != NULL);
        assert_true(span_equal((struct span){buffer_bytes(&name), buffer_size(&name)},
                               span_of(cases[i].name != NULL ? cases[i].name : "")));
        buffer_free(&name);
    }
    mime_destroy(&mime);
}

static void limits_are_kept(void **state)
{
    struct mime *mime = mime_new(&limits);
    struct buffer message;
    (void)state;
    buffer_init(&message);
    buffer_add_text(&message, MIXED);
    for (int i = 0; i < 100; i++)
        buffer_add_text(&message, "--b\r\n\r\nx\r\n");
    mime_read(mime, (struct span){buffer_bytes(&message), buffer_size(&message)});
    assert_int_equal(mime->count, limits.parts);
    assert_true(mime->anomalies & ANOMALY_BIT(ANOMALY_LIMIT_PARTS));

    buffer_clear(&message);
    for (int i = 0; i < 100; i++)
        buffer_printf(&message, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i,
                      i);
    mime_read(mime, (struct span){buffer_bytes(&message), buffer_size(&message)});
    assert_true(mime->count <= limits.parts);
    assert_true(mime->anomalies & ANOMALY_BIT(ANOMALY_LIMIT_DEPTH));
    for (size_t i = 0; i < mime->count; i++)
        assert_true(mime->nodes[i].depth <= limits.depth);
    buffer_free(&message);
    mime_destroy(&mime);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_are_read),
        cmocka_unit_test(oddities_are_noted),
        cmocka_unit_test(harmless_encodings_are_no_oddity),
        cmocka_unit_test(contents_are_decoded_in_every_way),
        cmocka_unit_test(names_are_read_as_programs_show_them),
        cmocka_unit_test(limits_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
