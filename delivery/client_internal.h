// SPDX-License-Identifier: Apache-2.0
#pragma once

// What client.c and client_command.c share.
#include "delivery/client.h"
#include "mail/smtp_reply.h"

enum extension {
    EXTENSION_PIPELINING = 1,
    EXTENSION_SIZE = 2,
    EXTENSION_8BITMIME = 4,
    EXTENSION_SMTPUTF8 = 8,
    EXTENSION_DSN = 16,
    EXTENSION_STARTTLS = 32,
};

enum client_state {
    STATE_GREETING,
    STATE_EHLO,
    STATE_HELO,
    STATE_STARTTLS,
    STATE_HANDSHAKE,
    STATE_READY,
    STATE_COMMANDS, // RSET, MAIL, RCPT and DATA, pipelined or one by one
    STATE_BODY,
    STATE_FINAL,
    STATE_FINAL_EMPTY, // DATA was taken though nobody is left to get the mail
    STATE_CLOSED,
};

struct client {
    struct client_options options;
    char *hostname;
    enum client_state state;
    unsigned extensions;
    uint64_t size_most; // of the SIZE extension, 0: not told
    int secure;
    int tls_refused;
    struct client_mail *mail;
    struct client_recipient **targets; // those of the mail that are asked for here
    size_t target_count;
    // The commands of a mail are numbered: RSET (-1, when needed), MAIL 0, RCPT 1..n, DATA n+1.
    int next_command, next_reply;
    int reset_needed; // a transaction may still be open at the server
    size_t accepted;  // recipients taken so far
    int heard;        // a reply about this mail came
    char error[512];
};

// Adds to `out` the commands that may leave now: all with PIPELINING, else one.
void client_send_commands(struct client *self, struct buffer *out);
// Fails what this server cannot take at all (SIZE, 8BITMIME, SMTPUTF8); the others become targets.
// Returns their number.
size_t client_choose_targets(struct client *self);
