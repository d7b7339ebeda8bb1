// SPDX-License-Identifier: Apache-2.0
#include "ingress/hops.h"
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
    unsigned count;
    int body;
} headers[] = {
    {"Received: a\r\n\r\nReceived: b\r\n", 1, 1},
    {"received: a\r\nRECEIVED: b\r\n\tReceived: folded\r\nX-Received: c\r\n", 2, 0},
    {"Receive: a\r\nReceivedd: b\r\nRe\r\nReceived\r\n", 0, 0},
    {"\r\nReceived: a\r\n", 0, 1},
    {"", 0, 0},
};

static void received_fields_are_counted_in_the_header_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(headers); i++)
        for (size_t piece = 1; piece < 20; piece++) {
            struct hops hops = {0};
            struct span rest = span_of(headers[i].message);
            while (rest.size) {
                size_t size = rest.size < piece ? rest.size : piece;
                hops_feed(&hops, (struct span){rest.data, size});
                rest = (struct span){rest.data + size, rest.size - size};
            }
            assert_int_equal(hops.count, headers[i].count);
            assert_int_equal(hops.body, headers[i].body);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_field_tells_how_the_mail_came),
        cmocka_unit_test(received_fields_are_counted_in_the_header_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
