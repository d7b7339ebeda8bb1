// SPDX-License-Identifier: Apache-2.0
#pragma once

// CURVE public keys as text: 40 characters of Z85 (ZeroMQ RFC 32), and, where a name must be made
// of them, 64 hexadecimal digits in lower case.
#include "core/base/base.h"

enum { CURVE_KEY_BYTES = 32, CURVE_KEY_Z85 = 40, CURVE_KEY_HEX = 64 };

// -1 when the text is no key.
NODISCARD int z85_decode(const char *z85, uint8_t ret[CURVE_KEY_BYTES]);
void z85_encode(const uint8_t key[CURVE_KEY_BYTES], char ret[CURVE_KEY_Z85 + 1]);
NODISCARD int z85_to_hex(const char *z85, char ret[CURVE_KEY_HEX + 1]);
NODISCARD int z85_from_hex(const char *hex, char ret[CURVE_KEY_Z85 + 1]);
