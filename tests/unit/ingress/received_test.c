// SPDX-License-Identifier: Apache-2.0
#include "ingress/header_gauge.h"
#include "ingress/received.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static ProtobufCBinaryData bytes(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static const struct {
    const char *address, *name, *helo, *protocol, *tls;
    int recipients;
    const char *field;
} fields[] = {
    {"192.0.2.1", "", "client.example", "ESMTP", "", 1,
     "Received: from client.example ([192.0.2.1])\r\n"
     "\tby mx.example (Postern) with ESMTP id ID\r\n"
     "\tfor <user@example.org>;\r\n"},
    {"2001:db8::1", "host.example", "client.example", "ESMTPS", "TLSv1.3 CIPHER", 2,
     "Received: from client.example (host.example [IPv6:2001:db8::1])\r\n"
     "\tby mx.example (Postern) with ESMTPS (TLSv1.3 CIPHER) id ID;\r\n"},
    {"192.0.2.1", "", "", "SMTP", "", 0,
     "Received: from unknown ([192.0.2.1])\r\n\tby mx.example (Postern) with SMTP id ID;\r\n"},
};

static void the_field_tells_how_the_mail_came(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(fields); i++) {
        Postern__Recipient recipient = POSTERN__RECIPIENT__INIT;
        Postern__Recipient *recipients[] = {&recipient, &recipient};
        Postern__Envelope envelope = POSTERN__ENVELOPE__INIT;
        struct buffer out;
        recipient.address = bytes("user@example.org");
        envelope.client_address = bytes(fields[i].address);
        envelope.client_name = bytes(fields[i].name);
        envelope.helo = bytes(fields[i].helo);
        envelope.protocol = bytes(fields[i].protocol);
        envelope.tls = bytes(fields[i].tls);
        envelope.n_recipients = (size_t)fields[i].recipients;
        envelope.recipients = recipients;
        envelope.received_ms = 1795478400000;
        buffer_init(&out);
        received_field_build(&out, &envelope, "mx.example", "ID");
        size_t size = strlen(fields[i].field);
        assert_true(buffer_size(&out) > size + 10);
        assert_memory_equal(buffer_bytes(&out), fields[i].field, size);
        assert_memory_equal(buffer_bytes(&out) + size, "\t", 1);
        assert_memory_equal(buffer_bytes(&out) + buffer_size(&out) - 2, "\r\n", 2);
        buffer_free(&out);
    }
}

static const struct {
    const char *message;
    unsigned hops, fields;
    uint64_t size;
    int over;
} headers[] = {
    {"Received: a\r\n\r\nReceived: b\r\n", 1, 1, 13, 1},
    {"received: a\r\nRECEIVED \t: b\r\n\tReceived: folded\r\nX-Received: c\r\n", 2, 3, 62, 0},
    {"Receive: a\r\nReceivedd: b\r\nReceived\r\nReceived: c\r\n", 0, 2, 26, 1},
    {"To: a\r\n \r\nCc: b\r\n", 0, 2, 17, 0},
    {"To: a\r\nno field: b\r\nCc: b\r\n", 0, 1, 7, 1},
    {"To: a\r\n: b\r\n", 0, 1, 7, 1},
    {"To: a\r\nt\xc3\xb6: b\r\n", 0, 1, 7, 1},
    {"line\r\nline\r\n", 0, 0, 0, 1},
    {"\nReceived: a\n", 0, 0, 0, 1},
    {"\r\nReceived: a\r\n", 0, 0, 0, 1},
    {"", 0, 0, 0, 0},
};

static void the_header_is_measured_in_any_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(headers); i++)
        for (size_t piece = 1; piece < 20; piece++) {
            struct header_gauge gauge = {0};
            struct span rest = span_of(headers[i].message);
            while (rest.size) {
                size_t size = rest.size < piece ? rest.size : piece;
                header_gauge_feed(&gauge, (struct span){rest.data, size});
                rest = (struct span){rest.data + size, rest.size - size};
            }
            assert_int_equal(gauge.hops, headers[i].hops);
            assert_int_equal(gauge.fields, headers[i].fields);
            assert_int_equal(gauge.size, headers[i].size);
            assert_int_equal(gauge.place == HEADER_OVER, headers[i].over);
        }
}

static void what_goes_on_like_a_name_for_ever_is_no_header(void **state)
{
    (void)state;
    static const char text[] = "To: a\r\n";
    struct header_gauge gauge = {0};
    header_gauge_feed(&gauge, (struct span){text, sizeof(text) - 1});
    for (unsigned i = 0; i < 1000; i++)
        header_gauge_feed(&gauge, span_of("x"));
    header_gauge_feed(&gauge, span_of(": "));
    assert_int_equal(gauge.place, HEADER_OVER);
    assert_int_equal(gauge.fields, 1);
    assert_int_equal(gauge.size, sizeof(text) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_field_tells_how_the_mail_came),
        cmocka_unit_test(the_header_is_measured_in_any_pieces),
        cmocka_unit_test(what_goes_on_like_a_name_for_ever_is_no_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
