// SPDX-License-Identifier: Apache-2.0
#include "core/stream/kind.h"

enum { FIELD_KIND = 1, VARINT_MOST = 10 };
enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct reading {
    const unsigned char *at;
    size_t left;
};

static int read_varint(struct reading *self, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < VARINT_MOST && self->left; i++) {
        unsigned char byte = *self->at++;
        self->left--;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            *ret = value;
            return 0;
        }
    }
    return -1;
}

static int skip(struct reading *self, uint64_t size)
{
    if (size > self->left)
        return -1;
    self->at += size;
    self->left -= (size_t)size;
    return 0;
}

static int skip_field(struct reading *self, unsigned type, uint64_t *ret_number)
{
    switch (type) {
    case WIRE_VARINT:
        return read_varint(self, ret_number);
    case WIRE_64:
        return skip(self, 8);
    case WIRE_BYTES:
        return read_varint(self, ret_number) < 0 ? -1 : skip(self, *ret_number);
    case WIRE_32:
        return skip(self, 4);
    default:
        return -1;
    }
}

int event_kind(const void *event, size_t size)
{
    struct reading reading = {event, size};
    int kind = 0;
    while (reading.left) {
        uint64_t key, number = 0;
        if (read_varint(&reading, &key) < 0 || key >> 3 == 0 ||
            skip_field(&reading, key & 7, &number) < 0)
            return -1;
        if (key == (FIELD_KIND << 3 | WIRE_VARINT))
            kind = number <= INT16_MAX ? (int)number : -1;
        if (kind < 0)
            return -1;
    }
    return kind;
}
