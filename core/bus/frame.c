// SPDX-License-Identifier: Apache-2.0
#include "core/bus/frame.h"
#include "core/base/buffer.h"

#include <errno.h>

uint8_t *frame_add(struct buffer *frame, uint8_t type, size_t size)
{
    if (size > FRAME_MOST - FRAME_HEADER) {
        errno = EMSGSIZE;
        return NULL;
    }
    uint8_t *header = (uint8_t *)buffer_reserve(frame, FRAME_HEADER + size);
    header[0] = type;
    header[1] = (uint8_t)size;
    header[2] = (uint8_t)(size >> 8);
    header[3] = (uint8_t)(size >> 16);
    buffer_added(frame, FRAME_HEADER + size);
    return header + FRAME_HEADER;
}

enum frame_result frame_next(struct span *frame, struct frame_record *ret)
{
    if (frame->size == 0)
        return FRAME_END;
    if (frame->size < FRAME_HEADER)
        return FRAME_MALFORMED;
    const uint8_t *header = (const uint8_t *)frame->data;
    size_t size = header[1] | (size_t)header[2] << 8 | (size_t)header[3] << 16;
    if (size > frame->size - FRAME_HEADER)
        return FRAME_MALFORMED;
    *ret = (struct frame_record){header[0], size, header + FRAME_HEADER};
    frame->data += FRAME_HEADER + size;
    frame->size -= FRAME_HEADER + size;
    return FRAME_RECORD;
}
