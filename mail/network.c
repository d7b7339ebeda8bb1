// SPDX-License-Identifier: Apache-2.0
#include "mail/settings.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { IPV4_PREFIX = 96 };

// IPv4 becomes ::ffff:a.b.c.d, so that one comparison serves both. ret_most: bits a prefix may
// have.
static int parse_address(const char *text, uint8_t ret[16], unsigned *ret_most)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (inet_pton(AF_INET6, text, ret) == 1) {
        *ret_most = 128;
        return 0;
    }
    if (inet_pton(AF_INET, text, ret + sizeof(mapped)) != 1)
        return -1;
    memcpy(ret, mapped, sizeof(mapped));
    *ret_most = 32;
    return 0;
}

// Clears what lies beyond the prefix, so that 10.1.2.3/8 means 10.0.0.0/8.
static void mask(struct network *network)
{
    for (unsigned bit = network->bits; bit < 128; bit++)
        network->address[bit / 8] &= (uint8_t) ~(0x80u >> (bit % 8));
}

int network_parse(const char *text, struct network *ret)
{
    char address[INET6_ADDRSTRLEN];
    struct network network;
    unsigned most;
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    if (length >= sizeof(address))
        return -1;
    memcpy(address, text, length);
    address[length] = 0;
    if (parse_address(address, network.address, &most) < 0)
        return -1;
    unsigned long bits = most;
    if (slash) {
        char *end;
        bits = strtoul(slash + 1, &end, 10);
        if (slash[1] < '0' || slash[1] > '9' || *end || bits > most)
            return -1;
    }
    network.bits = (uint8_t)(most == 32 ? bits + IPV4_PREFIX : bits);
    mask(&network);
    *ret = network;
    return 0;
}

static int within(const struct network *network, const uint8_t address[16])
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    if (memcmp(network->address, address, whole) != 0)
        return 0;
    return rest == 0 || ((network->address[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

int network_contains(const struct network *networks, size_t count, const char *address)
{
    uint8_t bytes[16];
    unsigned most;
    if (count == 0 || parse_address(address, bytes, &most) < 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        if (within(&networks[i], bytes))
            return 1;
    return 0;
}
