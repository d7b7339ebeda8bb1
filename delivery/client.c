// SPDX-License-Identifier: Apache-2.0
#include "delivery/client.h"

#include "delivery/client_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MINUTE_MS = 60 * 1000, REPLY_TEXT_MOST = 1024 };

struct client *client_new(const struct client_options *options)
{
    struct client *self = allocate(sizeof(*self));
    self->options = *options;
    self->hostname = duplicate(options->hostname);
    self->secure = options->secure;
    return self;
}

void client_destroy(struct client **self_pointer)
{
    struct client *self = *self_pointer;
    if (!self)
        return;
    free(self->hostname);
    free(self->targets);
    free(self);
    *self_pointer = NULL;
}

void client_recipient_set(struct client_recipient *self, enum result result, const char *status,
                          const char *text)
{
    self->result = result;
    snprintf(self->status, sizeof(self->status), "%s", status);
    free(self->text);
    self->text = duplicate(text);
}

void client_recipients_free(struct client_recipient *recipients, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(recipients[i].text);
}

// Gives every target without a result this one.
static void settle(struct client *self, enum result result, const char *status, const char *text)
{
    for (size_t i = 0; i < self->target_count; i++)
        if (self->targets[i]->result == RESULT_NONE)
            client_recipient_set(self->targets[i], result, status, text);
}

static void status_of(const struct smtp_reply *reply, char ret_status[STATUS_SIZE])
{
    // A code of another class than the reply's own says nothing (RFC 2034 section 4).
    if (reply->enhanced[0] == (char)('0' + reply->code / 100))
        snprintf(ret_status, STATUS_SIZE, "%s", reply->enhanced);
    else
        snprintf(ret_status, STATUS_SIZE, "%c.0.0", '0' + reply->code / 100);
}

static void settle_by(struct client *self, const struct smtp_reply *reply, enum result result)
{
    char status[STATUS_SIZE], text[REPLY_TEXT_MOST];
    status_of(reply, status);
    settle(self, result, status, smtp_reply_text(reply, text, sizeof(text)));
}

void client_lost(struct client *self, const char *why)
{
    char text[sizeof(self->error) + 16];
    snprintf(text, sizeof(text), "421 4.4.2 %s", why);
    settle(self, RESULT_DEFERRED, "4.4.2", text);
    snprintf(self->error, sizeof(self->error), "%s", why);
    self->state = STATE_CLOSED;
}

static enum client_action closed(struct client *self, const char *why)
{
    client_lost(self, why);
    return CLIENT_CLOSED;
}

static enum client_action closed_by(struct client *self, const struct smtp_reply *reply)
{
    char text[sizeof(self->error)];
    smtp_reply_text(reply, text, sizeof(text));
    settle(self, RESULT_DEFERRED, "4.3.2", text);
    return closed(self, text);
}

static enum client_action ready(struct client *self)
{
    self->mail = NULL;
    self->target_count = 0;
    self->state = STATE_READY;
    return CLIENT_READY;
}

static enum client_action say_hello(struct client *self, struct buffer *out)
{
    self->extensions = 0;
    self->size_most = 0;
    self->state = STATE_EHLO;
    buffer_printf(out, "EHLO %s\r\n", self->hostname);
    return CLIENT_WAIT;
}

static enum client_action on_greeting(struct client *self, const struct smtp_reply *reply,
                                      struct buffer *out)
{
    if (reply->code != 220)
        return closed_by(self, reply);
    return say_hello(self, out);
}

static void read_extension(struct client *self, struct span line)
{
    static const struct {
        const char *word;
        enum extension extension;
    } known[] = {
        {"PIPELINING", EXTENSION_PIPELINING},
        {"SIZE", EXTENSION_SIZE},
        {"8BITMIME", EXTENSION_8BITMIME},
        {"SMTPUTF8", EXTENSION_SMTPUTF8},
        {"DSN", EXTENSION_DSN},
        {"STARTTLS", EXTENSION_STARTTLS},
    };
    size_t length = 0;
    while (length < line.size && line.data[length] != ' ')
        length++;
    for (size_t i = 0; i < ARRAY_LENGTH(known); i++)
        if (span_equal_nocase((struct span){line.data, length}, span_of(known[i].word)))
            self->extensions |= known[i].extension;
    if (length == 4 && line.size > 5 && line.size < 25 && (self->extensions & EXTENSION_SIZE)) {
        char number[21] = "";
        memcpy(number, line.data + 5, line.size - 5);
        if (strncasecmp(line.data, "SIZE", 4) == 0)
            self->size_most = strtoull(number, NULL, 10);
    }
}

// The hop's TLS is settled: it takes mail now, or must not.
static enum client_action greeted(struct client *self, struct buffer *out)
{
    enum tls_policy tls = self->options.tls;
    if (self->secure || tls == TLS_NONE)
        return ready(self);
    if (self->extensions & EXTENSION_STARTTLS) {
        self->state = STATE_STARTTLS;
        buffer_add_text(out, "STARTTLS\r\n");
        return CLIENT_WAIT;
    }
    if (tls == TLS_MAY)
        return ready(self);
    self->tls_refused = 1;
    return closed(self, "TLS is required and the next host does not offer it");
}

static enum client_action on_ehlo(struct client *self, const struct smtp_reply *reply,
                                  struct buffer *out)
{
    if (reply->code / 100 == 5) {
        self->state = STATE_HELO;
        buffer_printf(out, "HELO %s\r\n", self->hostname);
        return CLIENT_WAIT;
    }
    if (reply->code != 250)
        return closed_by(self, reply);
    size_t position = 0;
    struct span line;
    for (int first = 1; smtp_reply_line(reply, &position, &line); first = 0)
        if (!first) // the first line is a greeting
            read_extension(self, line);
    return greeted(self, out);
}

static enum client_action on_helo(struct client *self, const struct smtp_reply *reply,
                                  struct buffer *out)
{
    if (reply->code != 250)
        return closed_by(self, reply);
    return greeted(self, out);
}

static enum client_action on_starttls(struct client *self, const struct smtp_reply *reply)
{
    if (reply->code == 220) {
        self->state = STATE_HANDSHAKE;
        return CLIENT_SECURE;
    }
    if (self->options.tls == TLS_MAY && reply->code != 421)
        return ready(self);
    self->tls_refused = 1;
    return closed_by(self, reply);
}

enum client_action client_secured(struct client *self, struct buffer *out)
{
    if (self->state != STATE_HANDSHAKE)
        return closed(self, "TLS at the wrong moment");
    self->secure = 1;
    return say_hello(self, out);
}

static enum client_action on_rcpt(struct client *self, const struct smtp_reply *reply)
{
    struct client_recipient *to = self->targets[self->next_reply - 1];
    if (to->result != RESULT_NONE)
        return CLIENT_WAIT; // MAIL was refused already
    if (reply->code / 100 == 2) {
        self->accepted++;
        return CLIENT_WAIT;
    }
    char status[STATUS_SIZE], text[REPLY_TEXT_MOST];
    status_of(reply, status);
    // 552 without more is the old "too many recipients" (RFC 5321 4.5.3.1.10).
    int later = reply->code / 100 == 4 || (reply->code == 552 && reply->enhanced[0] == '\0');
    client_recipient_set(to, later ? RESULT_DEFERRED : RESULT_FAILED,
                         later && reply->code == 552 ? "4.5.3" : status,
                         smtp_reply_text(reply, text, sizeof(text)));
    return CLIENT_WAIT;
}

static enum client_action on_data(struct client *self, const struct smtp_reply *reply,
                                  struct buffer *out)
{
    if (reply->code == 354 && self->accepted > 0) {
        self->state = STATE_BODY;
        return CLIENT_BODY;
    }
    if (reply->code == 354) {
        // Nobody is left, yet the server waits for a body (RFC 2920 section 3.1).
        buffer_add_text(out, ".\r\n");
        self->state = STATE_FINAL_EMPTY;
        return CLIENT_WAIT;
    }
    settle_by(self, reply, reply->code / 100 == 5 ? RESULT_FAILED : RESULT_DEFERRED);
    self->reset_needed = 1;
    return ready(self);
}

// The reply to one of the commands of a mail.
static enum client_action on_command(struct client *self, const struct smtp_reply *reply,
                                     struct buffer *out)
{
    int command = self->next_reply, count = (int)self->target_count;
    int pipelined = (self->extensions & EXTENSION_PIPELINING) != 0;
    self->heard = 1;
    if (command == -1) {
        if (reply->code != 250)
            return closed_by(self, reply);
    } else if (command == 0) {
        self->reset_needed = 1;
        if (reply->code / 100 != 2) {
            settle_by(self, reply, reply->code / 100 == 5 ? RESULT_FAILED : RESULT_DEFERRED);
            if (!pipelined)
                return ready(self);
        }
    } else if (command <= count) {
        on_rcpt(self, reply);
        if (command == count && self->accepted == 0 && !pipelined)
            return ready(self);
    } else {
        return on_data(self, reply, out);
    }
    self->next_reply++;
    if (!pipelined)
        client_send_commands(self, out);
    return CLIENT_WAIT;
}

static enum client_action on_final(struct client *self, const struct smtp_reply *reply)
{
    if (reply->code / 100 == 2)
        settle_by(self, reply, RESULT_DELIVERED);
    else
        settle_by(self, reply, reply->code / 100 == 5 ? RESULT_FAILED : RESULT_DEFERRED);
    self->reset_needed = 0;
    return ready(self);
}

static enum client_action on_reply(struct client *self, const struct smtp_reply *reply,
                                   struct buffer *out)
{
    // 421 may answer anything and closes the channel (RFC 5321 3.8); only DATA's first answer is a
    // 3xx.
    if (reply->code == 421 || (reply->code / 100 == 3 && self->state != STATE_COMMANDS))
        return closed_by(self, reply);
    switch (self->state) {
    case STATE_GREETING:
        return on_greeting(self, reply, out);
    case STATE_EHLO:
        return on_ehlo(self, reply, out);
    case STATE_HELO:
        return on_helo(self, reply, out);
    case STATE_STARTTLS:
        return on_starttls(self, reply);
    case STATE_COMMANDS:
        return on_command(self, reply, out);
    case STATE_FINAL:
        return on_final(self, reply);
    case STATE_FINAL_EMPTY:
        self->reset_needed = 0;
        return ready(self);
    case STATE_HANDSHAKE:
    case STATE_READY:
    case STATE_BODY:
    case STATE_CLOSED:
        break;
    }
    return closed(self, "The next host spoke out of turn");
}

enum client_action client_feed(struct client *self, struct buffer *in, struct buffer *out)
{
    enum client_action action = CLIENT_WAIT;
    while (action == CLIENT_WAIT && buffer_size(in) > 0) {
        struct smtp_reply reply;
        struct span bytes = {buffer_bytes(in), buffer_size(in)};
        enum smtp_reply_result found = smtp_reply(bytes, &reply);
        if (found == SMTP_REPLY_MORE)
            return CLIENT_WAIT;
        if (found == SMTP_REPLY_BAD)
            return closed(self, "The next host does not speak SMTP");
        action = on_reply(self, &reply, out);
        buffer_take(in, reply.bytes.size);
    }
    // Bytes behind the answer to STARTTLS came in the clear and pretend not to (CVE-2011-0411).
    if (action == CLIENT_SECURE && buffer_size(in) > 0)
        return closed(self, "The next host sent more behind its answer to STARTTLS");
    // An answer to a body that was not sent yet must not count for it.
    if (action == CLIENT_BODY && buffer_size(in) > 0)
        return closed(self, "The next host spoke out of turn");
    return action;
}

enum client_action client_mail(struct client *self, struct client_mail *mail, struct buffer *out)
{
    if (self->state != STATE_READY)
        return closed(self, "Mail at the wrong moment");
    self->mail = mail;
    if (client_choose_targets(self) == 0)
        return ready(self);
    self->state = STATE_COMMANDS;
    self->next_command = self->next_reply = self->reset_needed ? -1 : 0;
    self->accepted = 0;
    self->heard = 0;
    client_send_commands(self, out);
    return CLIENT_WAIT;
}

enum client_action client_body_sent(struct client *self, struct buffer *out)
{
    if (self->state != STATE_BODY)
        return closed(self, "A body at the wrong moment");
    buffer_add_text(out, ".\r\n");
    self->state = STATE_FINAL;
    return CLIENT_WAIT;
}

void client_quit(struct client *self, struct buffer *out)
{
    if (self->state == STATE_READY)
        buffer_add_text(out, "QUIT\r\n");
    self->state = STATE_CLOSED;
}

int64_t client_timeout_ms(const struct client *self)
{
    switch (self->state) {
    case STATE_FINAL:
    case STATE_FINAL_EMPTY:
        return 10 * MINUTE_MS;
    case STATE_BODY:
        return 3 * MINUTE_MS;
    case STATE_STARTTLS:
    case STATE_HANDSHAKE:
        return 2 * MINUTE_MS;
    case STATE_COMMANDS:
        return self->next_reply > (int)self->target_count ? 2 * MINUTE_MS : 5 * MINUTE_MS;
    case STATE_GREETING:
    case STATE_EHLO:
    case STATE_HELO:
    case STATE_READY:
    case STATE_CLOSED:
        break;
    }
    return 5 * MINUTE_MS;
}

const char *client_error(const struct client *self)
{
    return self->error;
}

int client_untouched(const struct client *self)
{
    return !self->heard;
}

int client_greeted(const struct client *self)
{
    return self->state >= STATE_READY && self->state != STATE_CLOSED;
}

int client_tls_refused(const struct client *self)
{
    return self->tls_refused;
}
