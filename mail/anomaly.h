// SPDX-License-Identifier: Apache-2.0
#pragma once

// What can be odd about a message's structure, as bits of a set. Some of it makes mail programs
// disagree about the content (ambiguous), some of it means that not everything was looked at
// (limits), the rest is only worth knowing.
#include "core/base/base.h"

enum anomaly {
    ANOMALY_HEADER_JUNK,    // a line in a header block that is no field
    ANOMALY_HEADER_SPACE,   // white space before a field's colon
    ANOMALY_HEADER_BLANKS,  // a line of white space only within a header block
    ANOMALY_HEADER_OPEN,    // no empty line after a header block
    ANOMALY_HEADER_CR,      // a bare CR in a header block
    ANOMALY_HEADER_NUL,     // NUL in a header block
    ANOMALY_HEADER_LATE,    // MIME fields behind the empty line
    ANOMALY_BODY_NUL,       // NUL in the body
    ANOMALY_BODY_BARE,      // bare CR or LF in the body
    ANOMALY_FIELD_REPEATED, // two fields of a kind that may occur once, with other values
    ANOMALY_FROM_REPEATED,  // two From fields
    ANOMALY_TYPE_REPEATED,  // two Content-Type fields with other values
    ANOMALY_TYPE_BROKEN,    // Content-Type does not follow the grammar
    ANOMALY_TYPE_HIDDEN, // the header speaks of a multipart, but not where a strict reader sees it
    ANOMALY_VERSION_MISSING,    // MIME fields without MIME-Version
    ANOMALY_BOUNDARY_REPEATED,  // several boundaries to choose from
    ANOMALY_BOUNDARY_MISSING,   // a multipart without a boundary, with parts
    ANOMALY_BOUNDARY_UNUSED,    // a multipart whose boundary does not occur
    ANOMALY_BOUNDARY_FOREIGN,   // parts between lines that are not its boundary
    ANOMALY_BOUNDARY_PREFIX,    // lines that begin with a boundary and go on
    ANOMALY_BOUNDARY_CROSSED,   // an outer boundary cuts an inner multipart that goes on behind it
    ANOMALY_BOUNDARY_SHARED,    // inner and outer multipart have the same boundary
    ANOMALY_CLOSE_MISSING,      // no closing boundary
    ANOMALY_PARTS_AFTER_CLOSE,  // parts behind the closing boundary
    ANOMALY_PARTS_BEFORE_FIRST, // parts in the preamble
    ANOMALY_PARTS_IN_LEAF,      // something like parts inside a part that is no multipart
    ANOMALY_ENCODING_REPEATED,  // two Content-Transfer-Encoding fields with other values
    ANOMALY_ENCODING_ODD,       // several encodings or junk in Content-Transfer-Encoding
    ANOMALY_ENCODING_UNKNOWN,   // an encoding that programs may or may not undo
    ANOMALY_ENCODING_COMPOSITE, // a multipart or message that is itself encoded
    ANOMALY_ENCODING_HIDDEN,  // the header names an encoding, but not where a strict reader sees it
    ANOMALY_BASE64_JUNK,      // base64 with foreign characters
    ANOMALY_BASE64_PADDING,   // base64 that goes on after its padding
    ANOMALY_BASE64_TRUNCATED, // base64 that ends in mid-group
    ANOMALY_QP_BROKEN,        // "=" not followed by two hexadecimal digits
    ANOMALY_QP_ATTACHED,      // the same in an attachment, of which programs make different files
    ANOMALY_UU_BROKEN,        // uuencode without its frame
    ANOMALY_UU_INLINE,        // uuencoded data in a text
    ANOMALY_LIMIT_DEPTH,
    ANOMALY_LIMIT_PARTS,
    ANOMALY_LIMIT_HEADERS,
    ANOMALY_LIMIT_HEADER_BYTES,
    ANOMALY_LIMIT_PARAMETERS,
    ANOMALY_LIMIT_READINGS,
    ANOMALY_COUNT,
};

#define ANOMALY_BIT(anomaly) (UINT64_C(1) << (anomaly))

const char *anomaly_name(enum anomaly anomaly);     // "boundary-crossed"
const char *anomaly_sentence(enum anomaly anomaly); // for a person
uint64_t anomalies_ambiguous(void); // those that make mail programs see other content
uint64_t anomalies_limits(void);    // those that mean that not everything was looked at
