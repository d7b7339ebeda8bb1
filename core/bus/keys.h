// SPDX-License-Identifier: Apache-2.0
#pragma once

// CURVE key pairs on disk: a file of two lines, public and secret, Z85; 0600.
#include "core/base/base.h"

struct curve_keys {
    char public_key[41], secret_key[41];
};

NODISCARD int curve_keys_make(const char *path, struct curve_keys *ret); // makes, writes atomically
NODISCARD int curve_keys_read(const char *path, struct curve_keys *ret); // refuses a file others may read (EPERM)
void curve_keys_wipe(struct curve_keys *self);
