// SPDX-License-Identifier: Apache-2.0
#pragma once

// The parts of a message (RFC 2045 to 2049), as offsets into bytes that are never changed or
// copied. Made for hostile mail: hard limits, linear time, and where programs may read the message
// in more than one way the other readings' parts are nodes, too (`alternative`). Checks look at all
// of them.
#include "mail/anomaly.h"
#include "mail/decode.h"
#include "mail/header.h"

struct mime_limits {
    unsigned depth, parts, headers, readings;
    size_t header_bytes;
};

enum { MIME_DEPTH_MOST = 100, MIME_NONE = -1 };

enum mime_kind { MIME_LEAF, MIME_MULTIPART, MIME_MESSAGE };

struct mime_node {
    enum mime_kind kind;
    unsigned source; // whose bytes the offsets mean: 0 the message, others decoded from a part
    size_t start, body, end; // header block from `start`, body from `body` to `end`
    size_t early; // the body's start for programs that end the header sooner; else `body`
    int parent, first, last, next; // indices of nodes, MIME_NONE
    unsigned depth, number;        // number among its siblings, from 1
    unsigned children;
    int alternative;                                 // not in the reading that a strict program has
    int suspicious;                                  // its header, or one around it, can be misread
    int closed;                                      // a multipart with its closing boundary
    struct span type, subtype;                       // as written; empty: text/plain
    struct span content_type, disposition, transfer; // field values, data NULL when missing
    struct span boundary;
    enum encoding encoding; // as declared
    unsigned encodings;     // in which of them (bits) its content may be read
    uint64_t anomalies;
};

struct mime_source {
    struct span bytes;
    char *owned;
};

struct mime {
    struct mime_limits limits;
    struct mime_node *nodes; // 0 is the message
    size_t count, capacity;
    struct mime_source *sources;
    size_t source_count, source_capacity;
    struct header_block header;  // of the message
    struct header_block scratch; // of the part at hand
    char **kept;                 // text made while parsing
    size_t kept_count, kept_capacity;
    size_t work;        // bytes that may still be scanned
    unsigned readings;  // 1 and the other ways found
    uint64_t anomalies; // of all nodes
};

// A parser is made once and used for one message after the other.
struct mime *mime_new(const struct mime_limits *limits);
void mime_destroy(struct mime **self);
// Reads a message; what it tells is valid until the next call, and as long as `bytes` are.
void mime_read(struct mime *self, struct span bytes);

struct span mime_body(const struct mime *self, const struct mime_node *node);
int mime_is(const struct mime_node *node, const char *type, const char *subtype); // NULL: any
// Adds the file name that a program shows (Content-Disposition, else Content-Type) as UTF-8. 1 when
// there is one.
int mime_filename(const struct mime_node *node, struct buffer *out);
// "0.2.m0.1": children by number, a message within a part as m0.
void mime_path(const struct mime *self, const struct mime_node *node, struct buffer *out);
