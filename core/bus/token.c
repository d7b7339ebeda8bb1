// SPDX-License-Identifier: Apache-2.0
#include "core/bus/token.h"
#include "core/base/unpack.h"
#include "core/base/z85.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADDRESS_MOST = 127, NAME_MOST = 63 };

static const char *const standard = "+/", *const urls = "-_";

// Between the two alphabets, in place.
static void translate(char *text, const char *from, const char *to)
{
    for (char *at = text; *at; at++)
        *at = *at == from[0] ? to[0] : *at == from[1] ? to[1] : *at;
}

char *token_encode(const Postern__JoinToken *token)
{
    size_t size = postern__join_token__get_packed_size(token);
    uint8_t *packed = allocate(size + 1);
    char *text = allocate(size * 4 / 3 + 8);
    postern__join_token__pack(token, packed);
    EVP_EncodeBlock((unsigned char *)text, packed, (int)size);
    OPENSSL_cleanse(packed, size);
    free(packed);
    text[strcspn(text, "=")] = 0;
    translate(text, standard, urls);
    return text;
}

// The bytes; -1 when the text is not base64url. The caller wipes and frees *ret.
static long decode_text(const char *text, size_t size, uint8_t **ret)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    size_t padded = (size + 3) / 4 * 4;
    if (size == 0 || size > TOKEN_TEXT_MOST || size % 4 == 1 || strspn(text, letters) < size)
        return -1;
    char *copy = allocate(padded + 1);
    memcpy(copy, text, size);
    memset(copy + size, '=', padded - size);
    translate(copy, urls, standard);
    *ret = allocate(padded);
    int bytes = EVP_DecodeBlock(*ret, (unsigned char *)copy, (int)padded);
    OPENSSL_cleanse(copy, padded);
    free(copy);
    return bytes < 0 ? -1 : bytes - (long)(padded - size);
}

static int is_short_text(const ProtobufCBinaryData *data, size_t most)
{
    return data->len > 0 && data->len <= most && !memchr(data->data, 0, data->len);
}

static int is_door(const Postern__JoinDoor *door)
{
    char key[CURVE_KEY_Z85 + 1] = "";
    uint8_t bytes[CURVE_KEY_BYTES];
    if (!is_short_text(&door->enrol, ADDRESS_MOST) ||
        !is_short_text(&door->control, ADDRESS_MOST) || door->key.len != CURVE_KEY_Z85)
        return 0;
    memcpy(key, door->key.data, CURVE_KEY_Z85);
    return z85_decode(key, bytes) == 0;
}

static int is_whole(const Postern__JoinToken *token)
{
    if (token->id.len != TOKEN_ID_BYTES || token->secret.len != TOKEN_SECRET_BYTES ||
        !is_short_text(&token->cluster, NAME_MOST) || !is_short_text(&token->role, NAME_MOST) ||
        token->n_doors == 0 || token->n_doors > TOKEN_DOORS_MOST)
        return 0;
    for (size_t i = 0; i < token->n_doors; i++)
        if (!is_door(token->doors[i]))
            return 0;
    return 1;
}

Postern__JoinToken *token_decode(const char *text, char *ret_error, size_t error_size)
{
    static const char blanks[] = " \t\r\n";
    uint8_t *packed = NULL;
    text += strspn(text, blanks);
    size_t size = strcspn(text, blanks);
    long bytes = text[size + strspn(text + size, blanks)] ? -1 : decode_text(text, size, &packed);
    Postern__JoinToken *token =
        bytes > 0 ? postern__join_token__unpack(&unpack_allocator, (size_t)bytes, packed) : NULL;
    if (packed)
        OPENSSL_cleanse(packed, size);
    free(packed);
    if (token && !is_whole(token))
        token_free(&token);
    if (!token)
        snprintf(ret_error, error_size,
                 "this is no token; give the last line that `postern token create` prints");
    return token;
}

void token_free(Postern__JoinToken **self)
{
    if (!*self)
        return;
    if ((*self)->secret.data)
        OPENSSL_cleanse((*self)->secret.data, (*self)->secret.len);
    postern__join_token__free_unpacked(*self, NULL);
    *self = NULL;
}
