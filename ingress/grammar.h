// SPDX-License-Identifier: Apache-2.0
#pragma once

// The small pieces of SMTP's grammar: verbs, parameters, numbers, xtext. Borrowed spans, no
// allocation.
#include "core/base/base.h"

struct span grammar_trim(struct span text); // blanks and tabs at both ends
struct span grammar_verb(struct span line, struct span *ret_argument);
// "FROM:" or "TO:" at the front, any case, blanks around the colon's right side skipped. 1, and
// `text` goes on; or 0.
int grammar_keyword(struct span *text, const char *keyword);

struct parameter {
    struct span name; // empty at the end
    struct span value;
    int has_value;
};
// The next " NAME[=value]". 1; 0 at the end; -1 on a syntax error.
int grammar_parameter(struct span *text, struct parameter *ret);
int grammar_is(struct span text, const char *word);            // equal, any case
NODISCARD int grammar_number(struct span text, uint64_t *ret); // 1*20DIGIT that fits. 0 or -1
int grammar_xtext(struct span text, int utf8); // RFC 3461 4; with `utf8` RFC 6533's forms too
// Undoes xtext into a text. 0; or -1 when it is none, does not fit or holds a control byte.
NODISCARD int grammar_xtext_decode(struct span text, char *ret_text, size_t text_size);
int grammar_host(
    struct span text); // what may stand behind HELO: a domain or address literal, leniently
