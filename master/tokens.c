// SPDX-License-Identifier: Apache-2.0
#include "master/tokens.h"
#include "core/base/log.h"
#include "core/base/random.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void hash_of(const void *secret, size_t size, uint8_t ret[TOKEN_HASH_BYTES])
{
    if (EVP_Digest(secret, size, ret, NULL, EVP_sha256(), NULL) != 1)
        abort();
}

static void forget(struct tokens *self, struct token *token)
{
    *token = self->list[--self->count];
}

static void forget_expired(struct tokens *self, int64_t now_s)
{
    for (size_t i = self->count; i > 0; i--)
        if (self->list[i - 1].expires_s <= now_s)
            forget(self, &self->list[i - 1]);
}

struct token *tokens_make(struct tokens *self, enum role role, const char *name, int64_t now_s,
                          int64_t expires_s, uint8_t ret_secret[TOKEN_SECRET_BYTES])
{
    forget_expired(self, now_s);
    if (self->count == TOKENS_MOST)
        return NULL;
    struct token *token = &self->list[self->count++];
    *token = (struct token){.role = role, .expires_s = expires_s};
    snprintf(token->name, sizeof(token->name), "%s", name);
    random_bytes(token->id, sizeof(token->id));
    random_bytes(ret_secret, TOKEN_SECRET_BYTES);
    hash_of(ret_secret, TOKEN_SECRET_BYTES, token->hash);
    return token;
}

static struct token *find(struct tokens *self, struct span id)
{
    for (size_t i = 0; i < self->count && id.size == TOKEN_ID_BYTES; i++)
        if (memcmp(self->list[i].id, id.data, TOKEN_ID_BYTES) == 0)
            return &self->list[i];
    return NULL;
}

enum token_result tokens_prove(struct tokens *self, struct span id, struct span secret,
                               const char *key, int64_t now_s, const struct token **ret)
{
    uint8_t hash[TOKEN_HASH_BYTES];
    forget_expired(self, now_s);
    struct token *token = find(self, id);
    if (!token)
        return TOKEN_UNKNOWN;
    hash_of(secret.data, secret.size, hash);
    if (CRYPTO_memcmp(hash, token->hash, sizeof(hash)) != 0) {
        if (++token->wrong < TOKEN_WRONG_MOST)
            return TOKEN_WRONG;
        log_warning("token.burnt", "wrong_secrets=%u", token->wrong);
        forget(self, token);
        return TOKEN_WRONG;
    }
    if (token->key[0] && strcmp(token->key, key) != 0)
        return TOKEN_SPENT;
    if (!token->key[0])
        token->spent_s = now_s;
    snprintf(token->key, sizeof(token->key), "%s", key);
    *ret = token;
    return TOKEN_GOOD;
}

void tokens_unbind(struct tokens *self, const char *key)
{
    for (size_t i = 0; i < self->count; i++)
        if (strcmp(self->list[i].key, key) == 0)
            self->list[i].key[0] = 0;
}

int tokens_alive(struct tokens *self, int64_t now_s)
{
    forget_expired(self, now_s);
    for (size_t i = 0; i < self->count; i++)
        if (!self->list[i].key[0] || now_s - self->list[i].spent_s < TOKEN_LINGER_S)
            return 1;
    return 0;
}
