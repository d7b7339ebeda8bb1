// SPDX-License-Identifier: Apache-2.0
#pragma once

// Transfer encodings undone (RFC 2045 6.7 and 6.8, uuencode, yEnc). Broken input never fails: each
// way is what some mail program makes of it, and the anomalies (bits of mail/anomaly.h) tell
// whether the ways can differ.
#include "core/base/base.h"

struct buffer;

enum encoding {
    ENCODING_IDENTITY, // 7bit, 8bit, binary or none
    ENCODING_BASE64,
    ENCODING_QP,
    ENCODING_UU,
    ENCODING_YENC,
    ENCODING_COUNT,
};

enum base64_way {
    BASE64_SKIP,        // whatever is not of the alphabet is skipped, padding too
    BASE64_STOP,        // ends at the first padding
    BASE64_RESTART,     // a new group begins behind padding
    BASE64_STRICT,      // ends at the first foreign character
    BASE64_LINES,       // lines with foreign characters are left out
    BASE64_AFTER_BLANK, // begins behind the first empty line
    BASE64_URL,         // '-' and '_' are of the alphabet (RFC 4648 5)
    BASE64_WAYS,
};

enum qp_way {
    QP_LITERAL, // a broken "=" stays
    QP_DROP,    // a broken "=" is left out
    QP_SKIP,    // a broken "=" is left out with the two characters behind it
    QP_UNIX,    // line ends in the text become LF, as on the machines of its sender
    QP_WAYS,
};

uint64_t decode_base64(struct span text, enum base64_way way, struct buffer *out);
uint64_t decode_qp(struct span text, enum qp_way way, struct buffer *out);
void decode_q_word(struct span text, struct buffer *out); // the Q encoding of RFC 2047
// From the first "begin" line, or from the first line when there is none.
uint64_t decode_uu(struct span text, struct buffer *out);
// CRLF becomes LF, as on the machines of many readers.
void decode_line_ends(struct span text, struct buffer *out);
void decode_yenc(struct span text, struct buffer *out);
// Does the text hold a line "begin <mode> <name>"?
int decode_has_uu(struct span text);
const char *encoding_name(enum encoding encoding);
