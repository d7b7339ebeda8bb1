// SPDX-License-Identifier: Apache-2.0
#include "core/config/signature.h"
#include "core/base/file.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TEXT = SIGN_TEXT_SIZE - 1, PADDED = 44 }; // 32 bytes as base64, without and with padding

// What is signed begins so, lest a signature of something else ever pass for one of a revision.
static const char purpose[] = "postern configuration revision 1";

void sign_public_format(const uint8_t public_key[SIGN_PUBLIC], char ret_text[SIGN_TEXT_SIZE])
{
    unsigned char text[PADDED + 1];
    EVP_EncodeBlock(text, public_key, SIGN_PUBLIC);
    for (size_t i = 0; i < TEXT; i++)
        ret_text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : (char)text[i];
    ret_text[TEXT] = 0;
    OPENSSL_cleanse(text, sizeof(text));
}

int sign_public_parse(const char *text, uint8_t ret_key[SIGN_PUBLIC])
{
    unsigned char padded[PADDED], bytes[PADDED];
    if (strlen(text) != TEXT || strpbrk(text, "+/= \t\r\n"))
        return -1;
    for (size_t i = 0; i < TEXT; i++)
        padded[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : (unsigned char)text[i];
    padded[TEXT] = '=';
    int size = EVP_DecodeBlock(bytes, padded, PADDED);
    if (size == SIGN_PUBLIC + 1) // it counts the padding
        memcpy(ret_key, bytes, SIGN_PUBLIC);
    OPENSSL_cleanse(padded, sizeof(padded));
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return size == SIGN_PUBLIC + 1 ? 0 : -1;
}

// The public half.
static int complete(struct sign_keys *keys)
{
    size_t size = sizeof(keys->public_key);
    EVP_PKEY *key =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, keys->secret_key, SIGN_SECRET);
    int rc = key && EVP_PKEY_get_raw_public_key(key, keys->public_key, &size) == 1 ? 0 : -1;
    EVP_PKEY_free(key);
    if (rc < 0)
        errno = EINVAL;
    return rc;
}

int sign_keys_make(const char *path, struct sign_keys *ret)
{
    struct sign_keys made;
    char text[SIGN_TEXT_SIZE];
    if (RAND_bytes(made.secret_key, SIGN_SECRET) != 1 || complete(&made) < 0) {
        errno = EIO;
        return -1;
    }
    sign_public_format(made.secret_key, text);
    text[TEXT] = '\n';
    int rc = file_write_atomic(path, text, SIGN_TEXT_SIZE, 0600);
    if (rc == 0)
        *ret = made;
    OPENSSL_cleanse(text, sizeof(text));
    sign_keys_wipe(&made);
    return rc;
}

int sign_keys_read(const char *path, struct sign_keys *ret)
{
    struct sign_keys keys;
    struct stat status;
    size_t size;
    char *text = file_read(path, SIGN_TEXT_SIZE, &size);
    int rc = -1;
    if (!text)
        return -1;
    if (stat(path, &status) < 0 || status.st_mode & 077) {
        errno = EPERM;
    } else if (size != SIGN_TEXT_SIZE || text[TEXT] != '\n') {
        errno = EINVAL;
    } else {
        text[TEXT] = 0;
        errno = EINVAL;
        rc = sign_public_parse(text, keys.secret_key) == 0 ? complete(&keys) : -1;
    }
    if (rc == 0)
        *ret = keys;
    OPENSSL_cleanse(text, size);
    sign_keys_wipe(&keys);
    free(text);
    return rc;
}

void sign_keys_wipe(struct sign_keys *self)
{
    OPENSSL_cleanse(self, sizeof(*self));
}

static uint8_t *with_purpose(const void *data, size_t size)
{
    uint8_t *whole = allocate(sizeof(purpose) + size);
    memcpy(whole, purpose, sizeof(purpose));
    if (size > 0)
        memcpy(whole + sizeof(purpose), data, size);
    return whole;
}

void sign_bytes(const struct sign_keys *self, const void *data, size_t size,
                uint8_t ret_signature[SIGNATURE_SIZE])
{
    size_t length = SIGNATURE_SIZE;
    uint8_t *whole = with_purpose(data, size);
    EVP_PKEY *key =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, self->secret_key, SIGN_SECRET);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (!key || !context || EVP_DigestSignInit(context, NULL, NULL, NULL, key) != 1 ||
        EVP_DigestSign(context, ret_signature, &length, whole, sizeof(purpose) + size) != 1)
        abort(); // out of memory: nothing else can fail here
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    free(whole);
}

int signature_holds(const uint8_t public_key[SIGN_PUBLIC], const void *data, size_t size,
                    const uint8_t signature[SIGNATURE_SIZE])
{
    uint8_t *whole = with_purpose(data, size);
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, SIGN_PUBLIC);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int holds =
        key && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
        EVP_DigestVerify(context, signature, SIGNATURE_SIZE, whole, sizeof(purpose) + size) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    free(whole);
    return holds;
}
