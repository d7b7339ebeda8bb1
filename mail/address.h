// SPDX-License-Identifier: Apache-2.0
#pragma once

// Mailbox and path syntax (RFC 5321 4.1.2, RFC 6531 3.3): strict, no source routes used (they are
// skipped).
#include "core/base/base.h"

struct address {
    struct span local;  // as written, quotes included
    struct span domain; // without brackets for a literal; empty for "postmaster" alone
    int literal;        // [192.0.2.1] or [IPv6:...]
    int utf8;           // holds non-ASCII (valid UTF-8)
};

enum {
    ADDRESS_ANY = 0,
    ADDRESS_NULL = 1,
    ADDRESS_POSTMASTER = 2
}; // what a path may be besides a mailbox

// Parses "<path>" at the start of `text`; ret_used counts the bytes of the path. 0; or -1 on a
// syntax error, -2 when it needs SMTPUTF8 that was not offered (`utf8` = 0). The null path gives
// empty spans.
NODISCARD int address_parse_path(struct span text, int allow, int utf8, struct address *ret,
                                 size_t *ret_used);
// What of a parsed path is the mailbox: without brackets and source route; empty for the null path.
struct span address_mailbox(const struct address *address, struct span path);
NODISCARD int address_parse(struct span text, int utf8, struct address *ret); // a bare mailbox
int utf8_valid(const char *data,
               size_t size); // strict: no overlong forms, surrogates or numbers over U+10FFFF
// A domain as it stands in DNS and in the configuration: lower case A-labels (UTS 46). 0, or -1 for
// one that has no such form or does not fit.
NODISCARD int address_domain_ascii(struct span domain, char *ret_text, size_t text_size);
