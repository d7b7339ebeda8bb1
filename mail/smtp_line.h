// SPDX-License-Identifier: Apache-2.0
#pragma once

// Finds the lines of an SMTP conversation and the end of DATA, without I/O. Only CRLF ends a line;
// a bare CR or LF is seen and reported (RFC 5321 2.3.8; the smuggling attacks).
#include "core/base/base.h"

enum smtp_line_result { SMTP_LINE_WHOLE, SMTP_LINE_MORE, SMTP_LINE_LONG, SMTP_LINE_BARE };
// Looks for a command or reply line at the front of `bytes`; ret_size counts it with its CRLF.
// LONG: more than `most` bytes without an end. BARE: a bare CR, LF or a NUL stands in it (ret_size
// then covers it up to CRLF or LF).
enum smtp_line_result smtp_line(struct span bytes, size_t most, size_t *ret_size);

// The DATA decoder: takes bytes as they come, undoes dot-stuffing, finds CRLF.CRLF.
struct smtp_data {
    int state;
    int bare; // a bare CR or LF (or NUL) was seen
    int nul;
    int normalise; // set by the owner: bare CR and LF become CRLF instead (never ends the message)
    size_t line, longest;
};
struct buffer;
void smtp_data_init(struct smtp_data *self, int normalise);
// Decodes from `bytes` into `out`; ret_used says how much was taken. 1 when the end was found, else
// 0.
int smtp_data_feed(struct smtp_data *self, struct span bytes, struct buffer *out, size_t *ret_used);
// The same for a BDAT chunk (RFC 3030): no dots, no end; bare CR, LF and NUL are seen alike.
// `smtp_chunk_end` after the last one.
void smtp_chunk_feed(struct smtp_data *self, struct span bytes, struct buffer *out);
void smtp_chunk_end(struct smtp_data *self, struct buffer *out);
// For sending: dot-stuffs `bytes` into `out` (CRLF text; a lone last line gets its CRLF), without
// the final dot.
void smtp_data_stuff(struct span bytes, struct buffer *out);
