// SPDX-License-Identifier: Apache-2.0
#pragma once

// CURVE key pairs on disk: a file of two lines, public and secret, Z85; 0600.
#include "core/base/base.h"

struct curve_keys {
    char public_key[41], secret_key[41];
};

NODISCARD int curve_keys_make(const char *path, struct curve_keys *ret); // makes, writes atomically
// EPERM: others may read the file; EINVAL: not a key pair; EKEYREJECTED: a pair that the world
// knows.
NODISCARD int curve_keys_read(const char *path, struct curve_keys *ret);
// Is it one of the test keys printed in zmq_curve(7)?
int curve_key_published(const char *key);
void curve_keys_wipe(struct curve_keys *self);
