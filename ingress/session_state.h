// SPDX-License-Identifier: Apache-2.0
#pragma once

// A session's inside, for session.c, transaction.c, receive.c and the verbs.
#include "ingress/header_gauge.h"
#include "ingress/session.h"
#include "ingress/spool.h"
#include "mail/settings.h"
#include "mail/smtp_line.h"

// Where the dialogue stands: what may be said is a set of these.
enum state {
    STATE_NEW = 1,     // no HELO or EHLO yet
    STATE_GREETED = 2, // between transactions
    STATE_MAIL = 4,    // a sender, no recipient yet
    STATE_RCPT = 8,    // at least one recipient
    STATE_CHUNKS = 16, // BDAT has begun
    STATE_ANY = 31,
};

// How the next bytes are read.
enum mode {
    MODE_COMMAND,
    MODE_DATA,   // message lines until the dot
    MODE_CHUNK,  // chunk_left bytes
    MODE_SKIP,   // the rest of a line that was too long
    MODE_ANSWER, // not at all: the spool or the greylist decides
    MODE_TLS,    // not at all: a handshake is due
    MODE_CLOSE,  // never again
};

// Why a message will be refused at its end; the first reason stays.
enum refusal {
    REFUSAL_NONE,
    REFUSAL_SIZE,
    REFUSAL_BARE,
    REFUSAL_LOOP,
    REFUSAL_HEADER_SIZE,
    REFUSAL_HEADER_FIELDS,
    REFUSAL_LINE,
    REFUSAL_DISK,
    REFUSAL_MEMORY,
    REFUSAL_CHUNKS,     // a chunk was refused before: RSET is due
    REFUSAL_ORDER,      // a chunk without a recipient
    REFUSAL_RECIPIENTS, // the same, because all were turned away
};

enum { ADDRESS_TEXT = 46, HELO_MOST = 255 };

struct session {
    struct session_shared *shared;
    struct buffer *out;
    void (*wake)(void *context);
    void *context;

    enum state state;
    enum mode mode;
    int64_t now_ms;
    int64_t since_ms; // when the wait for the next command began
    int64_t data_ms;  // when the message began to arrive
    int fed;          // inside session_feed: no wake needed

    // The client, as it is or as XCLIENT says.
    char peer[ADDRESS_TEXT]; // of the connection
    char client[ADDRESS_TEXT];
    char helo[HELO_MOST + 1];
    char name[HELO_MOST + 1]; // from XCLIENT, else empty
    char tls[64];
    unsigned generation; // of the settings these were found by:
    unsigned may_relay : 1;
    unsigned may_xclient : 1;
    unsigned unlimited : 1;
    unsigned normalise : 1;
    unsigned quit : 1;     // the client asked for the end
    unsigned extended : 1; // EHLO, not HELO

    // The transaction.
    Postern__Envelope *envelope;
    size_t recipients_room;
    unsigned turned_away; // recipients of this transaction
    struct intake *intake;
    struct ticket *ticket;
    struct rcpt *rcpt; // waits for the greylist
    struct smtp_data data;
    struct header_gauge header;
    enum refusal refusal;
    uint64_t chunk_left, chunk_size;
    int chunk_last;
    char id[ULID_TEXT]; // of the message that was handed to the spool
    char logged[192];   // the sender, escaped, for the line about the message
    size_t logged_recipients;
    uint64_t logged_size;

    // For limits and the last line.
    unsigned errors, idle_commands, accepted, rejected, recipients_refused;
    int64_t opened_ms;
};

// A reply without its CRLF. One that begins with 5 counts as an error; too many end the session.
void session_reply(struct session *self, const char *reply);
void session_printf(struct session *self, const char *format, ...) PRINTF(2, 3);
void session_close(struct session *self, const char *reply); // the last one
// Word to the masters that what the envelope and `recipient` (may be empty) say was refused.
void session_tell_refused(const struct session *self, struct span recipient, const char *reply);
// A recipient that was turned away: the reply, and word of it.
void session_turn_away(struct session *self, struct span recipient, const char *reply);
void session_idle(struct session *self);         // a command that did no work: too many are errors
void session_judge_client(struct session *self); // what the settings say about its address

void rcpt_forget(struct session *self); // the recipient that waits, if any

// The verbs: `argument` is what follows the verb, without the blanks around it.
typedef void verb_fn(struct session *self, struct span argument);
verb_fn verb_helo, verb_ehlo, verb_mail, verb_rcpt, verb_data, verb_bdat, verb_rset, verb_noop,
    verb_quit, verb_vrfy, verb_help, verb_starttls, verb_xclient, verb_unimplemented, verb_foreign;
