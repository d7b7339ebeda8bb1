// SPDX-License-Identifier: Apache-2.0
#include "core/journal/record.h"
#include "core/base/crc32c.h"

#include <string.h>

// Where the fields stand; all little-endian.
enum {
    AT_MAGIC = 0,
    AT_TYPE = 4,
    AT_FLAGS = 6,
    AT_LENGTH = 8,
    AT_PAYLOAD_CRC = 12,
    AT_BIRTH = 16,
    AT_ZERO = 24,
    AT_HEADER_CRC = 28,
};

static const uint32_t magic = 0x314c4e4a; // "JNL1"

int record_has_event(unsigned type)
{
    switch (type) {
    case RECORD_DONE:
    case RECORD_REFUSED:
    case RECORD_TRIED:
    case RECORD_ENDED:
    case RECORD_QUARANTINED:
        return 1;
    default:
        return 0;
    }
}

static void put(unsigned char *at, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static uint64_t get(const unsigned char *at, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

uint64_t record_size(uint64_t length)
{
    return (RECORD_HEADER_SIZE + length + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1);
}

static uint32_t header_crc(const unsigned char *header, uint64_t segment, uint32_t offset)
{
    unsigned char place[12];
    put(place, segment, 8);
    put(place + 8, offset, 4);
    return crc32c(crc32c(0, place, sizeof(place)), header, AT_HEADER_CRC);
}

void record_encode(unsigned char ret_header[RECORD_HEADER_SIZE], const struct record *record,
                   uint64_t birth, uint64_t segment, uint32_t offset)
{
    put(ret_header + AT_MAGIC, magic, 4);
    put(ret_header + AT_TYPE, record->type, 2);
    put(ret_header + AT_FLAGS, record->flags, 2);
    put(ret_header + AT_LENGTH, record->length, 4);
    put(ret_header + AT_PAYLOAD_CRC, record->payload_crc, 4);
    put(ret_header + AT_BIRTH, birth, 8);
    put(ret_header + AT_ZERO, 0, 4);
    put(ret_header + AT_HEADER_CRC, header_crc(ret_header, segment, offset), 4);
}

int record_decode(struct record *ret, const unsigned char *bytes, uint64_t birth, uint64_t segment,
                  uint32_t offset)
{
    if (get(bytes + AT_MAGIC, 4) != magic)
        return -1;
    if (birth && get(bytes + AT_BIRTH, 8) != birth)
        return -1;
    if (get(bytes + AT_HEADER_CRC, 4) != header_crc(bytes, segment, offset))
        return -1;
    ret->type = (unsigned)get(bytes + AT_TYPE, 2);
    ret->flags = (unsigned)get(bytes + AT_FLAGS, 2);
    ret->length = (uint32_t)get(bytes + AT_LENGTH, 4);
    ret->payload_crc = (uint32_t)get(bytes + AT_PAYLOAD_CRC, 4);
    return 0;
}

uint64_t record_birth(const unsigned char *bytes)
{
    return get(bytes + AT_BIRTH, 8);
}
