// SPDX-License-Identifier: Apache-2.0
#include "core/base/z85.h"
#include <stdio.h>
#include <string.h>

enum { GROUP_TEXT = 5, GROUP_BYTES = 4, BASE = 85 };

static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                              ".-:+=^!/*?&<>()[]{}@%$#";

// Five letters are four bytes, the most significant first.
static int decode_group(const char *text, uint8_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < GROUP_TEXT; i++)
        value = value * BASE + (uint64_t)(strchr(letters, text[i]) - letters);
    if (value > UINT32_MAX)
        return -1;
    for (size_t i = 0; i < GROUP_BYTES; i++)
        ret[i] = (uint8_t)(value >> (24 - 8 * i));
    return 0;
}

int z85_decode(const char *z85, uint8_t ret[CURVE_KEY_BYTES])
{
    uint8_t key[CURVE_KEY_BYTES];
    if (strlen(z85) != CURVE_KEY_Z85 || strspn(z85, letters) != CURVE_KEY_Z85)
        return -1;
    for (size_t i = 0; i < CURVE_KEY_BYTES / GROUP_BYTES; i++)
        if (decode_group(z85 + i * GROUP_TEXT, key + i * GROUP_BYTES) < 0)
            return -1;
    memcpy(ret, key, sizeof(key));
    return 0;
}

void z85_encode(const uint8_t key[CURVE_KEY_BYTES], char ret[CURVE_KEY_Z85 + 1])
{
    for (size_t i = 0; i < CURVE_KEY_BYTES / GROUP_BYTES; i++) {
        const uint8_t *at = key + i * GROUP_BYTES;
        uint32_t value =
            (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
        for (size_t k = GROUP_TEXT; k > 0; k--, value /= BASE)
            ret[i * GROUP_TEXT + k - 1] = letters[value % BASE];
    }
    ret[CURVE_KEY_Z85] = '\0';
}

int z85_to_hex(const char *z85, char ret[CURVE_KEY_HEX + 1])
{
    uint8_t key[CURVE_KEY_BYTES];
    if (z85_decode(z85, key) < 0)
        return -1;
    for (size_t i = 0; i < sizeof(key); i++)
        snprintf(ret + 2 * i, 3, "%02x", key[i]);
    return 0;
}

int z85_from_hex(const char *hex, char ret[CURVE_KEY_Z85 + 1])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t key[CURVE_KEY_BYTES];
    if (strlen(hex) != CURVE_KEY_HEX || strspn(hex, digits) != CURVE_KEY_HEX)
        return -1;
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)((strchr(digits, hex[2 * i]) - digits) << 4 |
                           (strchr(digits, hex[2 * i + 1]) - digits));
    z85_encode(key, ret);
    return 0;
}
