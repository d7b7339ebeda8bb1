// SPDX-License-Identifier: Apache-2.0
#pragma once

// The join tokens that this master has issued. They live in memory only: whoever starts anew, or is
// put back to an older state, has none (DESIGN 9). No I/O inside.
#include "core/base/base.h"
#include "core/bus/roles.h"
#include "core/bus/token.h"

enum { TOKENS_MOST = 256, TOKEN_WRONG_MOST = 5, TOKEN_LINGER_S = 10 };

struct token {
    uint8_t id[TOKEN_ID_BYTES], hash[TOKEN_HASH_BYTES];
    enum role role;
    char name[64]; // for the node; "": what it asks for
    char key[41];  // to whom it was given; "": nobody yet
    int64_t expires_s, spent_s;
    unsigned wrong;
};

struct tokens {
    struct token list[TOKENS_MOST];
    size_t count;
};

enum token_result {
    TOKEN_GOOD,
    TOKEN_UNKNOWN, // also: burnt, expired, of a master's life before
    TOKEN_WRONG,
    TOKEN_SPENT, // another key has it
};

// Makes one; the caller tells and wipes the secret. NULL: too many are alive. The result is valid
// until the next call.
struct token *tokens_make(struct tokens *self, enum role role, const char *name, int64_t now_s,
                          int64_t expires_s, uint8_t ret_secret[TOKEN_SECRET_BYTES]);
// Does the key prove a token? The first key that does is bound to it and may ask again until it
// expires. The fifth wrong secret burns it.
enum token_result tokens_prove(struct tokens *self, struct span id, struct span secret,
                               const char *key, int64_t now_s, const struct token **ret);
// It was not given after all: another try is free.
void tokens_unbind(struct tokens *self, const char *key);
// Forgets what has expired. Is there one that nobody has, or that was given a moment ago?
int tokens_alive(struct tokens *self, int64_t now_s);
