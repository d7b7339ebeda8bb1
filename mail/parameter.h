// SPDX-License-Identifier: Apache-2.0
#pragma once

// The value of a Content-Type or Content-Disposition field and its parameters (RFC 2045 5.1, RFC
// 2183, RFC 2231). Reads what breaks the grammar as most programs would, and says so.
#include "core/base/base.h"

struct buffer;

enum { PARAMETERS_MOST = 64 };

struct parameter {
    struct span name;  // without the RFC 2231 marks
    struct span value; // as written between the quotes or as a bare token; escapes stay
    int section;       // name*N, -1 without
    int extended;      // name* or name*N*: percent encoded
    int quoted;        // it stood in quotes
};

struct parameter_list {
    struct span type, subtype; // of "type/subtype" or just "attachment"
    struct parameter items[PARAMETERS_MOST];
    size_t count;
    int broken;    // grammar violated
    int commented; // comments in it
    int overflow;  // more than PARAMETERS_MOST
};

void parameters_read(struct parameter_list *ret, struct span value);
// The parameter without RFC 2231 marks, or NULL.
const struct parameter *parameter_find(const struct parameter_list *self, const char *name);
// Puts the value that a program with RFC 2231 and RFC 2047 makes of `name` into `out`, as UTF-8
// where it names a charset. 1 when there is such a parameter.
int parameter_text(const struct parameter_list *self, const char *name, struct buffer *out);
// Undoes the escapes of a quoted string.
void parameter_unescape(struct span value, struct buffer *out);

// Skips white space and comments (RFC 5322 3.2.2) from `offset`; nesting is counted, not recursed
// into.
size_t skip_cfws(struct span text, size_t offset, int *ret_commented);
