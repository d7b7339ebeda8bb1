// SPDX-License-Identifier: Apache-2.0
#include "core/journal/mark.h"
#include "core/base/crc32c.h"
#include "core/journal/record.h"

#include <endian.h>
#include <string.h>

// The payload's layout, little-endian.
struct layout {
    uint64_t synced_segment, sealed_segment;
    uint32_t synced_offset, sealed_offset;
    uint32_t kind, zero;
};
_Static_assert(sizeof(struct layout) == MARK_PAYLOAD, "the layout has no gaps");
_Static_assert(MARK_SIZE == RECORD_HEADER_SIZE + MARK_PAYLOAD, "a mark needs no padding");

void mark_encode(unsigned char ret_record[MARK_SIZE], const struct mark *mark, uint64_t birth,
                 uint64_t segment, uint32_t offset)
{
    struct layout layout = {
        .synced_segment = htole64(mark->synced.segment),
        .synced_offset = htole32(mark->synced.offset),
        .sealed_segment = htole64(mark->sealed.segment),
        .sealed_offset = htole32(mark->sealed.offset),
        .kind = htole32(mark->kind),
    };
    memcpy(ret_record + RECORD_HEADER_SIZE, &layout, sizeof(layout));
    struct record record = {.type = RECORD_MARK,
                            .length = MARK_PAYLOAD,
                            .payload_crc = crc32c(0, &layout, sizeof(layout))};
    record_encode(ret_record, &record, birth, segment, offset);
}

int mark_decode(struct mark *ret, const void *payload, size_t size)
{
    struct layout layout;
    if (size != sizeof(layout))
        return -1;
    memcpy(&layout, payload, sizeof(layout));
    uint32_t kind = le32toh(layout.kind);
    if (kind < MARK_BATCH || kind > MARK_ORIGIN)
        return -1;
    *ret = (struct mark){
        .kind = kind,
        .synced = {le64toh(layout.synced_segment), le32toh(layout.synced_offset), 0},
        .sealed = {le64toh(layout.sealed_segment), le32toh(layout.sealed_offset), 0},
    };
    return 0;
}
