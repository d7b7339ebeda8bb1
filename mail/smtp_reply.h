// SPDX-License-Identifier: Apache-2.0
#pragma once

// A server's reply (RFC 5321 4.2), one or several lines, without I/O. Borrows the bytes it was
// found in.
#include "core/base/base.h"

enum smtp_reply_result { SMTP_REPLY_WHOLE, SMTP_REPLY_MORE, SMTP_REPLY_BAD };

enum { SMTP_REPLY_MOST = 64 * 1024, SMTP_REPLY_LINE_MOST = 4096 };

struct smtp_reply {
    int code;          // 200 ... 599
    char enhanced[12]; // "5.1.1" of the last line (RFC 2034), or empty
    struct span bytes; // all lines with their line ends
    size_t lines;
};

// Looks for a whole reply at the front of `bytes`. BAD: not a reply, codes that differ, bare CR, LF
// or NUL, too long.
enum smtp_reply_result smtp_reply(struct span bytes, struct smtp_reply *ret);
// Text of the first line or of the line after `*position` (0 to begin), without code and line end.
// 1, or 0 at the end.
int smtp_reply_line(const struct smtp_reply *self, size_t *position, struct span *ret_text);
// All lines as one, codes once, printable, cut at the size; for records and bounces. Returns
// ret_text.
const char *smtp_reply_text(const struct smtp_reply *self, char *ret_text, size_t text_size);
