// SPDX-License-Identifier: Apache-2.0
#pragma once

// The text of a delivery status notification (RFC 3464, RFC 6522, RFC 3461). Sans-I/O.
#include "delivery/body.h"
#include "proto/envelope.pb-c.h"

enum dsn_kind { DSN_FAILED, DSN_DELAYED, DSN_RELAYED };

struct dsn_recipient {
    const Postern__Recipient *recipient;
    const char *status; // "5.1.1"
    const char *reply;  // of the next host, or ours
    const char *hop;    // "host:port", may be empty
};

struct dsn {
    enum dsn_kind kind;
    const char *hostname; // ours
    const char *id;       // of the notification
    const Postern__Envelope *envelope;
    const struct dsn_recipient *recipients;
    size_t count;
    int64_t now_ms, expires_ms; // expires_ms: for a delay, when the mail is given up
    const struct body *body;    // of the mail, NULL: not at hand
};

// Does this recipient's sender want that notification? Never for a null reverse-path.
int dsn_wanted(enum dsn_kind kind, const Postern__Envelope *envelope,
               const Postern__Recipient *recipient);
// Writes the whole message, CRLF ended. It is 7-bit unless the whole mail is returned and is not.
void dsn_write(const struct dsn *self, struct buffer *out);
