// SPDX-License-Identifier: Apache-2.0
#pragma once

// A mail's bytes as they are sent: our Received field, then the message with its changes spliced
// in, as pieces of the memory where they lie.
#include "core/base/buffer.h"
#include "proto/verdict.pb-c.h"
#include <sys/uio.h>

struct body {
    struct iovec *pieces; // borrowed bytes
    size_t count;
    uint64_t size;
    int eight_bit; // a byte over 127 somewhere
    int clean;     // may be sent as it is: nothing to dot-stuff or to mend
};

// `changes` in ascending order. 0; or -1 with EBADMSG when they do not fit the message.
NODISCARD int body_make(struct body *ret, struct span received, Postern__Splice *const *changes,
                        size_t change_count, struct span message);
void body_free(struct body *self);
// Is there a byte over 127 in the header? Then a mail that came with SMTPUTF8 must leave with it.
int body_header_eight_bit(const struct body *self);

// Reads a body as DATA wants it (RFC 5321 4.5.2): dots doubled, the last line ended. A bare CR or
// LF, which ingress lets nobody send, becomes a line end: it must never reach the next hop (2.3.8).
struct body_reader {
    const struct body *body;
    size_t piece, offset;
    char last; // the byte before, as sent
};
void body_reader_init(struct body_reader *self, const struct body *body);
// Adds about `most` bytes to `out`. 1 at the end, 0 when there is more.
int body_read(struct body_reader *self, size_t most, struct buffer *out);
