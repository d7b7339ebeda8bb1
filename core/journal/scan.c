// SPDX-License-Identifier: Apache-2.0
#include "core/journal/scan.h"
#include "core/base/crc32c.h"

#include <string.h>

static uint32_t end_of_data(const unsigned char *bytes, uint32_t from, uint32_t size)
{
    uint32_t end = size;
    uint64_t word = 0;
    while (end >= from + sizeof(word)) {
        memcpy(&word, bytes + end - sizeof(word), sizeof(word));
        if (word)
            break;
        end -= (uint32_t)sizeof(word);
    }
    while (end > from && !bytes[end - 1])
        end--;
    return end;
}

void scan_begin(struct scan *self, const void *bytes, uint32_t size, uint64_t birth,
                uint64_t segment, uint32_t offset, uint32_t sound_to)
{
    *self = (struct scan){.bytes = bytes,
                          .size = size,
                          .birth = birth,
                          .segment = segment,
                          .offset = offset,
                          .sound_to = sound_to};
    if (self->sound_to > UINT32_MAX - RECORD_ALIGN)
        self->sound_to = UINT32_MAX - RECORD_ALIGN; // so that its alignment does not overflow
    self->used = offset < size ? end_of_data(self->bytes, offset, size) : offset;
}

static int header_at(const struct scan *self, uint32_t offset, struct record *ret)
{
    if (offset > self->size || self->size - offset < RECORD_HEADER_SIZE)
        return 0;
    return record_decode(ret, self->bytes + offset, self->birth, self->segment, offset) == 0;
}

// The next place with a header that was written for it, or the end of the data.
static uint32_t resume_after(const struct scan *self, uint32_t offset)
{
    struct record record;
    while (offset < self->used && !header_at(self, offset, &record))
        offset += RECORD_ALIGN;
    return offset < self->used ? offset : self->used;
}

static enum scan_result bad(struct scan *self, struct found *ret, uint32_t to)
{
    ret->from = self->offset;
    ret->to = to;
    // The end of the data may stand in the midst of a word.
    self->offset = (to + RECORD_ALIGN - 1) & ~(uint32_t)(RECORD_ALIGN - 1);
    return SCAN_BAD;
}

enum scan_result scan_next(struct scan *self, struct found *ret)
{
    if (self->offset >= self->used) {
        if (self->offset >= self->sound_to)
            return SCAN_END;
        return bad(self, ret, self->sound_to);
    }
    struct record record;
    if (!header_at(self, self->offset, &record)) {
        uint32_t to = resume_after(self, self->offset + RECORD_ALIGN);
        if (to == self->used && self->sound_to > to)
            to = self->sound_to;
        return bad(self, ret, to);
    }
    // A header that is good tells where the next one stands, whatever became of its payload.
    const unsigned char *payload = self->bytes + self->offset + RECORD_HEADER_SIZE;
    uint32_t room = self->size - self->offset - RECORD_HEADER_SIZE;
    if (record.length > room)
        return bad(self, ret, self->size);
    uint64_t size = record_size(record.length);
    if (size > self->size - self->offset)
        size = self->size - self->offset;
    if (crc32c(0, payload, record.length) != record.payload_crc)
        return bad(self, ret, self->offset + (uint32_t)size);
    ret->record = record;
    ret->where = (struct position){self->segment, self->offset, record.length};
    ret->payload = payload;
    self->offset += (uint32_t)size;
    return SCAN_RECORD;
}
