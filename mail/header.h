// SPDX-License-Identifier: Apache-2.0
#pragma once

// A header block's fields (RFC 5322 2.2), found in one pass without copying. Line ends are CRLF or
// LF.
#include "core/base/base.h"

struct header_field {
    struct span name;  // without the white space before the colon
    struct span value; // as folded, behind the colon, without the last line end
    size_t offset;     // of the field in the bytes
    size_t size;       // with its line end
};

struct header_block {
    struct header_field *fields; // kept from call to call
    size_t count, capacity;
    size_t size;  // of the fields; the empty line not counted
    size_t body;  // where the body begins
    size_t early; // where it begins for programs that let a junk or blank line end the header; else
                  // `body`
    uint64_t anomalies; // bits of mail/anomaly.h
};

struct header_limits {
    unsigned fields;
    size_t bytes;
};

// Reads the block at the front of `bytes`. Fields over the limits are not kept, but the block's end
// is still found.
void header_read(struct header_block *self, struct span bytes, const struct header_limits *limits);
void header_free(struct header_block *self);

// The first field of that name, or NULL. `after` continues a search (NULL: from the start).
const struct header_field *header_find(const struct header_block *self, const char *name,
                                       const struct header_field *after);

struct span span_trim(struct span text); // blanks, tabs and line ends off both ends
struct span header_line(struct span bytes, size_t offset,
                        size_t *ret_next);     // the line at `offset` without its end
int header_looks_like_field(struct span line); // "Name:" or "Name :" at its front
// Does the text hold `needle` (lower case), in whatever case?
int span_holds_nocase(struct span text, const char *needle);
