// SPDX-License-Identifier: Apache-2.0
#pragma once

// A join token as text: base64url of a packed JoinToken.
#include "core/base/base.h"
#include "proto/enrol.pb-c.h"

enum {
    TOKEN_ID_BYTES = 8,
    TOKEN_SECRET_BYTES = 20,
    TOKEN_HASH_BYTES = 32,
    TOKEN_TEXT_MOST = 4096,
    TOKEN_DOORS_MOST = 2,
};

char *token_encode(const Postern__JoinToken *token); // from malloc; to be wiped
// NULL with a message: it is no token. Blanks around it are ignored. Free it with token_free.
Postern__JoinToken *token_decode(const char *text, char *ret_error, size_t error_size);
void token_free(Postern__JoinToken **self); // wiped
