// SPDX-License-Identifier: Apache-2.0
#include "mail/heading.h"

#include "mail/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct header_limits limits = {1000, 262144};

// What stands at the front of a message, and what is read of it.
static const struct {
    const char *header, *message_id, *subject, *from;
} cases[] = {
    {"", "", "", ""},
    {"Subject: a\r\n\r\nMessage-ID: <of@the.body>\r\n", "", "a", ""},
    {"Message-ID: <1@b.example>\r\nFrom: A <a@b.example>\r\nSubject: one\r\n two\r\n\r\n",
     "<1@b.example>", "one two", "a@b.example"},
    {"message-id:\r\n <folded@b.example> \r\n\r\n", "<folded@b.example>", "", ""},
    {"Message-ID: <a\x01"
     "b\x80@c>\r\n\r\n",
     "<ab@c>", "", ""},
    {"Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n\r\n", "", "gr\u00fc\u00dfe", ""},
    {"Subject: first\r\nSubject: second\r\n\r\n", "", "first", ""},
};

static void assert_field(ProtobufCBinaryData field, const char *wanted)
{
    assert_int_equal(field.len, strlen(wanted));
    if (field.len)
        assert_memory_equal(field.data, wanted, field.len);
    free(field.data);
}

static void reads_what_is_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        Postern__Envelope envelope = POSTERN__ENVELOPE__INIT;
        heading_read(&envelope, span_of(cases[i].header), &limits);
        assert_field(envelope.message_id, cases[i].message_id);
        assert_field(envelope.subject, cases[i].subject);
        assert_field(envelope.from, cases[i].from);
    }
}

static void a_long_subject_is_cut_between_characters(void **state)
{
    (void)state;
    char header[1200] = "Subject: x";
    for (int i = 0; i < 300; i++)
        strcat(header, "\u00fc");
    strcat(header, "\r\n\r\n");
    Postern__Envelope envelope = POSTERN__ENVELOPE__INIT;
    heading_read(&envelope, span_of(header), &limits);
    assert_int_equal(envelope.subject.len, 255);
    assert_memory_equal(envelope.subject.data + 253, "\u00fc", 2);
    free(envelope.subject.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_is_there),
        cmocka_unit_test(a_long_subject_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
