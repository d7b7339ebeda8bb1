// SPDX-License-Identifier: Apache-2.0
#pragma once

// A master's Ed25519 key pair, with which it signs its configuration revisions. The file holds the
// secret half as one line of base64url; 0600.
#include "core/base/base.h"

enum { SIGN_PUBLIC = 32, SIGN_SECRET = 32, SIGNATURE_SIZE = 64, SIGN_TEXT_SIZE = 44 };

struct sign_keys {
    uint8_t public_key[SIGN_PUBLIC], secret_key[SIGN_SECRET];
};

// Makes a pair and writes it atomically. -1 with errno.
NODISCARD int sign_keys_make(const char *path, struct sign_keys *ret);
// -1 with errno. EPERM: others may read the file; EINVAL: it holds no key.
NODISCARD int sign_keys_read(const char *path, struct sign_keys *ret);
void sign_keys_wipe(struct sign_keys *self);

void sign_bytes(const struct sign_keys *self, const void *data, size_t size,
                uint8_t ret_signature[SIGNATURE_SIZE]);
int signature_holds(const uint8_t public_key[SIGN_PUBLIC], const void *data, size_t size,
                    const uint8_t signature[SIGNATURE_SIZE]);

// A public key as documents name it, base64url without padding.
void sign_public_format(const uint8_t public_key[SIGN_PUBLIC], char ret_text[SIGN_TEXT_SIZE]);
NODISCARD int sign_public_parse(const char *text, uint8_t ret_key[SIGN_PUBLIC]); // 0 or -1
