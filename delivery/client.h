// SPDX-License-Identifier: Apache-2.0
#pragma once

// One SMTP dialogue seen from the client (RFC 5321), sans-I/O: replies come in, commands go out,
// and the caller is told what to do next. Carries one mail after the other; the results stand per
// recipient.
#include "core/base/buffer.h"
#include "mail/settings.h"
#include "proto/envelope.pb-c.h"

struct client;

enum client_action {
    CLIENT_WAIT,   // send the output, then wait for replies
    CLIENT_SECURE, // the TLS handshake is due: input held is to be discarded; then client_secured
    CLIENT_BODY,   // send the output and the mail's body, then client_body_sent for the final dot
    CLIENT_READY, // nothing under way: client_mail may be called; the last mail's results are there
    CLIENT_CLOSED, // close the connection; client_error says why
};

enum result {
    RESULT_NONE,
    RESULT_DELIVERED,
    RESULT_DEFERRED,
    RESULT_FAILED,
};

enum { STATUS_SIZE = 12 };

struct client_recipient {
    const Postern__Recipient *recipient;
    enum result result;
    char status[STATUS_SIZE]; // enhanced status code (RFC 3463) of the result, never empty with one
    char *text;               // what the far end, or we, said; owned
    int relayed_dsn;          // the hop offered DSN and took over the duty to notify
};

// A mail to be sent. Borrowed until the next CLIENT_READY or CLIENT_CLOSED.
struct client_mail {
    const Postern__Envelope *envelope;
    struct client_recipient *recipients;
    size_t count;
    uint64_t size;
    int eight_bit;   // a byte over 127 somewhere
    int utf8_header; // in the header, of a mail that came with SMTPUTF8
};

struct client_options {
    const char *hostname; // for EHLO
    enum tls_policy tls;
    int secure; // the connection is TLS from its first byte
};

// Never NULL. The dialogue begins with the server's greeting.
struct client *client_new(const struct client_options *options);
void client_destroy(struct client **self);

// Takes whole replies from `in`, adds commands to `out`.
enum client_action client_feed(struct client *self, struct buffer *in, struct buffer *out);
enum client_action client_secured(struct client *self, struct buffer *out);
// Only after CLIENT_READY. READY again when no recipient of it can be sent to this server at all.
enum client_action client_mail(struct client *self, struct client_mail *mail, struct buffer *out);
enum client_action client_body_sent(struct client *self, struct buffer *out);
// The connection broke or was too slow: what is unresolved is deferred with `why`.
void client_lost(struct client *self, const char *why);
void client_quit(struct client *self, struct buffer *out);

// How long to wait for the next reply (RFC 5321 4.5.3.2).
int64_t client_timeout_ms(const struct client *self);
const char *client_error(const struct client *self);
// Was nothing heard about the mail under way yet? Then it may be given to another connection.
int client_untouched(const struct client *self);
int client_greeted(const struct client *self);     // got as far as taking mail
int client_tls_refused(const struct client *self); // policy wanted TLS and the server has none

// Sets a result that comes from us.
void client_recipient_set(struct client_recipient *self, enum result result, const char *status,
                          const char *text);
void client_recipients_free(struct client_recipient *recipients, size_t count); // the texts only
