// SPDX-License-Identifier: Apache-2.0
#include "delivery/dns_answer.h"

#include <string.h>

enum { HEADER_SIZE = 12, JUMPS_MOST = 32, CLASS_IN = 1 };

struct reader {
    const uint8_t *bytes;
    size_t size, at;
};

static int take16(struct reader *self, uint16_t *ret)
{
    if (self->size - self->at < 2)
        return -1;
    *ret = (uint16_t)(self->bytes[self->at] << 8 | self->bytes[self->at + 1]);
    self->at += 2;
    return 0;
}

static int take32(struct reader *self, uint32_t *ret)
{
    uint16_t high, low;
    if (take16(self, &high) < 0 || take16(self, &low) < 0)
        return -1;
    *ret = (uint32_t)high << 16 | low;
    return 0;
}

static int add_label(const uint8_t *label, size_t length, char *name, size_t *used)
{
    // A label may hold any byte; a host name that is none of ours to use holds only these (RFC
    // 1123 2.1).
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = label[i];
        int good = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                   (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
        if (!good)
            return -1;
    }
    if (*used + length + 2 > DNS_NAME_SIZE)
        return -1;
    if (*used > 0)
        name[(*used)++] = '.';
    memcpy(name + *used, label, length);
    *used += length;
    name[*used] = '\0';
    return 0;
}

// Reads a name with its compression pointers; `name` may be NULL: only skips it.
static int take_name(struct reader *self, char *name)
{
    size_t at = self->at, used = 0, end = 0;
    if (name)
        name[0] = '\0';
    for (unsigned jumps = 0;;) {
        if (at >= self->size)
            return -1;
        uint8_t length = self->bytes[at++];
        if ((length & 0xc0) == 0xc0) {
            if (at >= self->size || ++jumps > JUMPS_MOST)
                return -1;
            if (end == 0)
                end = at + 1;
            at = (size_t)(length & 0x3f) << 8 | self->bytes[at];
            continue;
        }
        if (length == 0)
            break;
        if ((length & 0xc0) != 0 || length > self->size - at)
            return -1;
        if (name && add_label(self->bytes + at, length, name, &used) < 0)
            return -1;
        at += length;
    }
    self->at = end > 0 ? end : at;
    return 0;
}

static int take_data(struct reader *self, enum dns_type type, size_t length, struct dns_record *ret)
{
    switch (type) {
    case DNS_A:
    case DNS_AAAA:
        if (length != (type == DNS_A ? 4U : 16U))
            return -1;
        memcpy(ret->address, self->bytes + self->at, length);
        return 0;
    case DNS_MX:
        return take16(self, &ret->preference) < 0 ? -1 : take_name(self, ret->host);
    }
    return -1;
}

static int take_record(struct reader *self, enum dns_type type, struct dns_answer *answer)
{
    uint16_t found, class, length;
    struct dns_record record = {0};
    if (take_name(self, NULL) < 0 || take16(self, &found) < 0 || take16(self, &class) < 0 ||
        take32(self, &record.ttl) < 0 || take16(self, &length) < 0 ||
        length > self->size - self->at)
        return -1;
    size_t end = self->at + length;
    // One bad record spoils only itself.
    if (found == type && class == CLASS_IN && answer->count < DNS_RECORDS_MOST &&
        take_data(self, type, length, &record) == 0)
        answer->records[answer->count++] = record;
    self->at = end;
    return 0;
}

int dns_answer_read(struct dns_answer *ret, enum dns_type type, const void *packet, size_t size)
{
    struct reader reader = {packet, size, 4};
    struct dns_answer answer = {.count = 0};
    uint16_t questions, answers;
    if (size < HEADER_SIZE || take16(&reader, &questions) < 0 || take16(&reader, &answers) < 0)
        return -1;
    reader.at = HEADER_SIZE;
    for (unsigned i = 0; i < questions; i++) {
        if (take_name(&reader, NULL) < 0 || reader.size - reader.at < 4)
            return -1;
        reader.at += 4;
    }
    for (unsigned i = 0; i < answers; i++)
        if (take_record(&reader, type, &answer) < 0)
            return -1;
    *ret = answer;
    return 0;
}
