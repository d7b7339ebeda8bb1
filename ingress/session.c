// SPDX-License-Identifier: Apache-2.0
#include "ingress/session.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "ingress/grammar.h"
#include "ingress/receive.h"
#include "ingress/transaction.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REPLIES_MOST = 16 * 1024, // more unsent replies and no further command is taken
    IDLE_COMMANDS_MOST =
        100, // NOOP, RSET and their like between two messages; then each is an error
};

enum verb_flag {
    VERB_LAST = 1, // must be the last of a group (RFC 2920 3.1): bytes behind it are a violation
    VERB_IDLE = 2, // does no work
};

// The whole grammar of a session: what may be said, and when. What is said at another time gets
// "503 5.5.1" and the hint of the row.
static const struct verb {
    const char *name;
    unsigned states;
    unsigned flags;
    verb_fn *run;
    const char *otherwise;
} verbs[] = {
    {"MAIL", STATE_GREETED, 0, verb_mail, "503 5.5.1 EHLO first, and one MAIL at a time"},
    {"RCPT", STATE_MAIL | STATE_RCPT, 0, verb_rcpt, "503 5.5.1 MAIL first"},
    {"DATA", STATE_MAIL | STATE_RCPT | STATE_CHUNKS, VERB_LAST, verb_data,
     "503 5.5.1 MAIL and RCPT first"},
    {"BDAT", STATE_ANY, 0, verb_bdat, NULL},
    {"EHLO", STATE_ANY, VERB_LAST | VERB_IDLE, verb_ehlo, NULL},
    {"HELO", STATE_ANY, VERB_LAST | VERB_IDLE, verb_helo, NULL},
    {"RSET", STATE_ANY, VERB_IDLE, verb_rset, NULL},
    {"NOOP", STATE_ANY, VERB_IDLE, verb_noop, NULL},
    {"QUIT", STATE_ANY, 0, verb_quit, NULL},
    {"STARTTLS", STATE_NEW | STATE_GREETED, VERB_LAST, verb_starttls,
     "503 5.5.1 not within a transaction"},
    {"XCLIENT", STATE_NEW | STATE_GREETED, 0, verb_xclient, "503 5.5.1 not within a transaction"},
    {"VRFY", STATE_ANY, VERB_IDLE, verb_vrfy, NULL},
    {"HELP", STATE_ANY, VERB_IDLE, verb_help, NULL},
    {"EXPN", STATE_ANY, 0, verb_unimplemented, NULL},
    {"ETRN", STATE_ANY, 0, verb_unimplemented, NULL},
    {"ATRN", STATE_ANY, 0, verb_unimplemented, NULL},
    {"TURN", STATE_ANY, 0, verb_unimplemented, NULL},
    {"SEND", STATE_ANY, 0, verb_unimplemented, NULL},
    {"SOML", STATE_ANY, 0, verb_unimplemented, NULL},
    {"SAML", STATE_ANY, 0, verb_unimplemented, NULL},
    {"AUTH", STATE_ANY, 0, verb_unimplemented, NULL},
    {"BURL", STATE_ANY, 0, verb_unimplemented, NULL},
    {"GET", STATE_ANY, 0, verb_foreign, NULL},
    {"POST", STATE_ANY, 0, verb_foreign, NULL},
    {"CONNECT", STATE_ANY, 0, verb_foreign, NULL},
};

static void copy_text(char *ret_text, size_t size, const char *text)
{
    snprintf(ret_text, size, "%s", text);
}

void session_shared_init(struct session_shared *self)
{
    *self = (struct session_shared){
        .accepted = metric("messages_accepted_total", ""),
        .rejected = metric("messages_rejected_total", ""),
        .deferred = metric("messages_deferred_total", ""),
        .recipients_refused = metric("recipients_refused_total", ""),
    };
}

struct session *session_new(const struct session_options *options)
{
    struct session *self = allocate(sizeof(*self));
    self->shared = options->shared;
    self->out = options->out;
    self->wake = options->wake;
    self->context = options->context;
    self->state = STATE_NEW;
    self->now_ms = self->since_ms = self->opened_ms = options->now_ms;
    copy_text(self->peer, sizeof(self->peer), options->client);
    copy_text(self->client, sizeof(self->client), options->client);
    copy_text(self->tls, sizeof(self->tls), options->tls);
    session_judge_client(self);
    return self;
}

void session_destroy(struct session **self)
{
    if (!*self)
        return;
    if ((*self)->ticket)
        ticket_forget((*self)->ticket);
    transaction_end(*self);
    free(*self);
    *self = NULL;
}

void session_judge_client(struct session *self)
{
    const struct settings *settings = self->shared->settings;
    self->generation = self->shared->generation;
    self->may_xclient = network_contains(settings->xclient, settings->xclient_count, self->peer);
    self->may_relay =
        network_contains(settings->relay_clients, settings->relay_client_count, self->client);
    self->unlimited =
        network_contains(settings->unlimited, settings->unlimited_count, self->client);
    self->normalise =
        network_contains(settings->normalise, settings->normalise_count, self->client);
}

// -- replies

static void count_error(struct session *self)
{
    if (++self->errors <= self->shared->settings->errors_max || self->mode == MODE_CLOSE)
        return;
    session_close(self, "421 4.7.0 Too many errors");
}

void session_idle(struct session *self)
{
    if (++self->idle_commands > IDLE_COMMANDS_MOST)
        count_error(self);
}

void session_reply(struct session *self, const char *reply)
{
    buffer_add_text(self->out, reply);
    buffer_add(self->out, "\r\n", 2);
    if (reply[0] == '5')
        count_error(self);
}

void session_printf(struct session *self, const char *format, ...)
{
    char reply[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reply, sizeof(reply), format, arguments);
    va_end(arguments);
    session_reply(self, reply);
}

void session_close(struct session *self, const char *reply)
{
    self->mode = MODE_CLOSE;
    transaction_end(self);
    session_reply(self, reply);
}

void session_tell_refused(const struct session *self, struct span recipient, const char *reply)
{
    const struct session_shared *shared = self->shared;
    struct span sender = {"", 0};
    if (self->envelope && self->envelope->reverse_path.len)
        sender = (struct span){(const char *)self->envelope->reverse_path.data,
                               self->envelope->reverse_path.len};
    if (shared->refused)
        shared->refused(shared->refused_context, self->client, self->helo, sender, recipient,
                        reply);
}

void session_turn_away(struct session *self, struct span recipient, const char *reply)
{
    metric_add(self->shared->recipients_refused, 1);
    self->recipients_refused++;
    self->turned_away++;
    session_tell_refused(self, recipient, reply);
    session_reply(self, reply);
}

void session_greet(struct session *self, int early)
{
    if (early)
        session_close(self, "554 5.5.0 Wait for the greeting");
    else
        session_printf(self, "220 %s ESMTP Postern", self->shared->hostname);
}

// -- commands

static const struct verb *find_verb(struct span name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(verbs); i++)
        if (grammar_is(name, verbs[i].name))
            return &verbs[i];
    return NULL;
}

static int printable(struct span line)
{
    for (size_t i = 0; i < line.size; i++) {
        unsigned char byte = (unsigned char)line.data[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return 0;
    }
    return 1;
}

static void run_command(struct session *self, struct span line, int behind)
{
    struct span argument;
    const struct verb *verb = find_verb(grammar_verb(line, &argument));
    if (self->generation != self->shared->generation)
        session_judge_client(self);
    if (!verb) {
        session_reply(self, "500 5.5.1 Command not recognised");
    } else if (!printable(line)) {
        session_reply(self, "501 5.5.2 Control characters in a command");
    } else if (verb->flags & VERB_LAST && behind) {
        session_close(self, "554 5.5.0 Commands were sent ahead of a reply that must be awaited");
    } else if (!(verb->states & self->state)) {
        session_reply(self, verb->otherwise);
    } else {
        if (verb->flags & VERB_IDLE)
            session_idle(self);
        if (self->mode != MODE_CLOSE)
            verb->run(self, argument);
    }
}

// Takes one command line. Returns how many bytes it was; 0 when it is not whole.
static size_t take_command(struct session *self, struct span bytes)
{
    size_t size = 0;
    switch (smtp_line(bytes, self->shared->settings->line_max, &size)) {
    case SMTP_LINE_MORE:
        return 0;
    case SMTP_LINE_LONG:
        self->mode = MODE_SKIP;
        session_reply(self, "500 5.5.2 Line too long");
        return 0;
    case SMTP_LINE_BARE: // whatever reads lines otherwise than we do may be in between
        session_close(self, "500 5.5.2 Lines end with CRLF, without bare CR, LF or NUL");
        return size;
    case SMTP_LINE_WHOLE:
        break;
    }
    self->since_ms = self->now_ms;
    run_command(self, (struct span){bytes.data, size - 2}, bytes.size > size);
    return size;
}

static size_t skip_line(struct session *self, struct span bytes)
{
    const char *lf = memchr(bytes.data, '\n', bytes.size);
    if (!lf)
        return bytes.size;
    self->mode = MODE_COMMAND;
    return (size_t)(lf - bytes.data) + 1;
}

// One step of reading, by mode. Returns the bytes taken; 0 with the same mode: no more can be done.
static size_t take_some(struct session *self, struct span bytes)
{
    switch (self->mode) {
    case MODE_COMMAND:
        return take_command(self, bytes);
    case MODE_DATA:
        return receive_data(self, bytes);
    case MODE_CHUNK:
        return receive_chunk(self, bytes);
    case MODE_SKIP:
        return skip_line(self, bytes);
    case MODE_ANSWER:
    case MODE_TLS:
    case MODE_CLOSE:
        break;
    }
    return 0;
}

enum session_want session_feed(struct session *self, struct buffer *input, int64_t now_ms)
{
    self->now_ms = now_ms;
    if (!self->since_ms)
        self->since_ms = now_ms;
    self->fed++;
    while (buffer_size(input) && buffer_size(self->out) < REPLIES_MOST) {
        enum mode before = self->mode;
        size_t size = take_some(self, (struct span){buffer_bytes(input), buffer_size(input)});
        buffer_take(input, size);
        if (!size && self->mode == before)
            break;
    }
    self->fed--;
    return session_wants(self);
}

enum session_want session_wants(const struct session *self)
{
    switch (self->mode) {
    case MODE_ANSWER:
        return SESSION_ANSWER;
    case MODE_TLS:
        return SESSION_TLS;
    case MODE_CLOSE:
        return SESSION_CLOSE;
    case MODE_COMMAND:
    case MODE_DATA:
    case MODE_CHUNK:
    case MODE_SKIP:
        break;
    }
    return SESSION_INPUT;
}

int session_said_goodbye(const struct session *self)
{
    return self->quit;
}

void session_secured(struct session *self, const char *cipher)
{
    // What was said in the clear does not count any more (RFC 3207 4.2).
    transaction_end(self);
    self->state = STATE_NEW;
    self->mode = MODE_COMMAND;
    self->extended = 0;
    self->helo[0] = 0;
    copy_text(self->tls, sizeof(self->tls), cipher);
}

// -- time and end

int64_t session_deadline(const struct session *self)
{
    const struct settings *settings = self->shared->settings;
    int64_t command = self->since_ms + (int64_t)settings->command_timeout_s * 1000;
    int64_t message = self->data_ms + (int64_t)settings->data_timeout_s * 1000;
    switch (self->mode) {
    case MODE_DATA:
    case MODE_CHUNK:
        return message;
    case MODE_COMMAND: // small chunks, each in time, are one message all the same
        return self->state == STATE_CHUNKS && message < command ? message : command;
    case MODE_SKIP:
    case MODE_TLS:
        return command;
    case MODE_ANSWER:
    case MODE_CLOSE:
        break;
    }
    return 0;
}

void session_late(struct session *self)
{
    session_close(self, "421 4.4.2 Timed out");
}

void session_drain(struct session *self)
{
    if (self->mode == MODE_COMMAND && self->state <= STATE_GREETED)
        session_close(self, "421 4.3.2 Closing, please connect again");
}

void session_log_end(const struct session *self, const char *why)
{
    char helo[128];
    log_info("disconnect",
             "client=%s helo=%s tls=%s accepted=%u rejected=%u recipients_refused=%u errors=%u "
             "ms=%lld why=%s",
             self->client, log_escape(self->helo, strlen(self->helo), helo, sizeof(helo)),
             self->tls[0] ? "yes" : "no", self->accepted, self->rejected, self->recipients_refused,
             self->errors, (long long)(self->now_ms - self->opened_ms), why);
}
