// SPDX-License-Identifier: Apache-2.0
#pragma once

// The frames on the pipes: a run of records { type u8, length u24 little-endian, bytes }.
#include "core/base/base.h"

struct buffer;

enum { FRAME_HEADER = 4, FRAME_MOST = 1 << 20 }; // bytes

struct frame_record {
    uint8_t type;
    size_t size;
    const uint8_t *data;
};

enum frame_result { FRAME_RECORD, FRAME_END, FRAME_MALFORMED };

// Adds a record's header to a frame and makes room for its `size` bytes. Returns where to write
// them, valid until the frame changes; NULL with EMSGSIZE when no frame may be that long.
uint8_t *frame_add(struct buffer *frame, uint8_t type, size_t size);
// Takes the next record from the front of `frame`, which is moved on. `ret` borrows the frame's
// bytes.
enum frame_result frame_next(struct span *frame, struct frame_record *ret);
