// SPDX-License-Identifier: Apache-2.0
#include "ingress/receive.h"
#include "core/base/metrics.h"
#include "ingress/transaction.h"

#include <errno.h>

static const struct {
    const char *name; // for the log
    const char *reply;
    int close;
} refusals[] = {
    [REFUSAL_SIZE] = {"too-big", "552 5.3.4 Message too big", 0},
    // Whoever reads lines otherwise than we do might see two messages: no further command counts.
    [REFUSAL_BARE] = {"bare", "550 5.5.2 Message holds a bare CR, LF or NUL", 1},
    [REFUSAL_LOOP] = {"loop", "554 5.4.6 Too many Received fields, this is a loop", 0},
    [REFUSAL_HEADER_SIZE] = {"header-size", "552 5.3.4 The header of the message is too big", 0},
    [REFUSAL_HEADER_FIELDS] = {"header-fields", "552 5.3.4 The message has too many header fields",
                               0},
    [REFUSAL_LINE] = {"line", "554 5.6.0 A line of the message is too long", 0},
    [REFUSAL_DISK] = {"disk", "452 4.3.1 Not enough disk space, try again later", 0},
    [REFUSAL_MEMORY] = {"memory", "452 4.3.1 Too much mail at once, try again later", 0},
    [REFUSAL_CHUNKS] = {"chunks", "503 5.5.1 A chunk was refused, RSET first", 0},
    [REFUSAL_ORDER] = {"order", "503 5.5.1 MAIL and RCPT first", 0},
    [REFUSAL_RECIPIENTS] = {"recipients", "554 5.5.1 No valid recipients", 0},
};

void receive_begin(struct session *self)
{
    smtp_data_init(&self->data, self->normalise);
    self->header = (struct header_gauge){0};
    self->refusal = REFUSAL_NONE;
    self->data_ms = self->now_ms;
    self->intake = spool_begin(self->shared->spool);
    intake_id(self->intake, self->id);
}

static void refuse(struct session *self, enum refusal refusal)
{
    if (self->refusal == REFUSAL_NONE)
        self->refusal = refusal;
    intake_cancel(&self->intake); // its memory and file go now, not at the end
}

static enum refusal check_header(struct session *self, struct span added)
{
    const struct settings *settings = self->shared->settings;
    header_gauge_feed(&self->header, added);
    return self->header.hops > settings->hops_max           ? REFUSAL_LOOP
           : self->header.size > settings->header_bytes_max ? REFUSAL_HEADER_SIZE
           : self->header.fields > settings->headers_max    ? REFUSAL_HEADER_FIELDS
                                                            : REFUSAL_NONE;
}

// What the decoder has just put behind `before` bytes of the intake.
static void check_added(struct session *self, size_t before)
{
    const struct settings *settings = self->shared->settings;
    struct buffer *out = intake_buffer(self->intake);
    struct span added = {buffer_bytes(out) + before, buffer_size(out) - before};
    enum refusal header = check_header(self, added);
    if (header != REFUSAL_NONE) {
        refuse(self, header);
    } else if (self->data.longest > settings->text_line_max ||
               self->data.line > settings->text_line_max) {
        refuse(self, REFUSAL_LINE);
    } else if (self->data.bare && !self->normalise) {
        refuse(self, REFUSAL_BARE);
    } else if (intake_added(self->intake) < 0) {
        refuse(self, errno == EFBIG    ? REFUSAL_SIZE
                     : errno == ENOMEM ? REFUSAL_MEMORY
                                       : REFUSAL_DISK);
    }
}

static void say_refusal(struct session *self)
{
    enum refusal refusal = self->refusal;
    // Bytes that came after an earlier reason may hold what closes the session.
    if (self->data.bare && !self->normalise)
        refusal = REFUSAL_BARE;
    self->rejected++;
    metric_add(self->shared->rejected, 1);
    if (refusal != REFUSAL_CHUNKS)
        transaction_refused(self, refusals[refusal].name, refusals[refusal].reply);
    if (refusals[refusal].close)
        session_close(self, refusals[refusal].reply);
    else
        session_reply(self, refusals[refusal].reply);
}

static void finish(struct session *self)
{
    if (self->refusal == REFUSAL_NONE) {
        transaction_commit(self);
        return;
    }
    self->mode = MODE_COMMAND;
    self->since_ms = self->now_ms;
    say_refusal(self);
    transaction_end(self);
    if (self->shared->draining)
        session_drain(self);
}

size_t receive_data(struct session *self, struct span bytes)
{
    size_t used = 0;
    int end;
    if (self->intake) {
        struct buffer *out = intake_buffer(self->intake);
        size_t before = buffer_size(out);
        end = smtp_data_feed(&self->data, bytes, out, &used);
        check_added(self, before);
    } else { // already refused: only its end matters
        struct buffer nowhere;
        buffer_init(&nowhere);
        end = smtp_data_feed(&self->data, bytes, &nowhere, &used);
        buffer_free(&nowhere);
    }
    if (end)
        finish(self);
    return used;
}

void receive_chunk_done(struct session *self)
{
    self->mode = MODE_COMMAND;
    self->since_ms = self->now_ms;
    if (self->chunk_last && self->intake) {
        struct buffer *out = intake_buffer(self->intake);
        size_t before = buffer_size(out);
        smtp_chunk_end(&self->data, out);
        check_added(self, before);
    }
    if (self->refusal != REFUSAL_NONE) {
        say_refusal(self);
        self->refusal = REFUSAL_CHUNKS;
        if (self->chunk_last)
            transaction_end(self);
    } else if (self->chunk_last) {
        transaction_commit(self);
    } else {
        session_printf(self, "250 2.0.0 %llu octets received",
                       (unsigned long long)self->chunk_size);
    }
}

size_t receive_chunk(struct session *self, struct span bytes)
{
    if (bytes.size > self->chunk_left)
        bytes.size = (size_t)self->chunk_left;
    if (self->intake) {
        struct buffer *out = intake_buffer(self->intake);
        size_t before = buffer_size(out);
        smtp_chunk_feed(&self->data, bytes, out);
        check_added(self, before);
    }
    self->chunk_left -= bytes.size;
    if (!self->chunk_left)
        receive_chunk_done(self);
    return bytes.size;
}
