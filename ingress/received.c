// SPDX-License-Identifier: Apache-2.0
#include "ingress/received.h"
#include "core/base/clock.h"

#include <string.h>

static struct span span_from(ProtobufCBinaryData bytes)
{
    return (struct span){bytes.data ? (const char *)bytes.data : "", bytes.len};
}

static void add_span(struct buffer *out, struct span text)
{
    buffer_add(out, text.data, text.size);
}

static void add_literal(struct buffer *out, struct span address)
{
    int v6 = address.size && memchr(address.data, ':', address.size) != NULL;
    buffer_add_text(out, v6 ? "[IPv6:" : "[");
    add_span(out, address);
    buffer_add_text(out, "]");
}

void received_field_build(struct buffer *out, const Postern__Envelope *envelope,
                          const char *hostname, const char *id)
{
    char date[40];
    struct span helo = span_from(envelope->helo);
    struct span name = span_from(envelope->client_name);
    struct span tls = span_from(envelope->tls);
    buffer_add_text(out, "Received: from ");
    add_span(out, helo.size ? helo : span_of("unknown"));
    buffer_add_text(out, " (");
    add_span(out, name);
    buffer_add_text(out, name.size ? " " : "");
    add_literal(out, span_from(envelope->client_address));
    buffer_printf(out, ")\r\n\tby %s (Postern) with ", hostname);
    add_span(out, span_from(envelope->protocol));
    if (tls.size) {
        buffer_add_text(out, " (");
        add_span(out, tls);
        buffer_add_text(out, ")");
    }
    buffer_printf(out, " id %s", id);
    if (envelope->n_recipients == 1) {
        buffer_add_text(out, "\r\n\tfor <");
        add_span(out, span_from(envelope->recipients[0]->address));
        buffer_add_text(out, ">");
    }
    clock_format_rfc5322(envelope->received_ms, date);
    buffer_printf(out, ";\r\n\t%s\r\n", date);
}
