// SPDX-License-Identifier: Apache-2.0
#pragma once

// A segment's bytes in memory, built by the code that writes real ones.
#include "core/journal/batch.h"

#include <string.h>

enum { IMAGE_SIZE = 16 * 1024, IMAGE_BIRTH = 77, IMAGE_SEGMENT = 3 };

struct image {
    unsigned char bytes[IMAGE_SIZE];
    uint32_t used;
};

static inline void image_add(struct image *self, const struct batch *batch)
{
    memcpy(self->bytes + batch->offset, batch->bytes, batch->size);
    self->used = batch_end(batch).offset;
}

static inline struct position add_record(struct batch *batch, unsigned type, unsigned flags,
                                         const void *data, size_t size)
{
    struct record record = {.type = type, .flags = flags, .length = (uint32_t)size};
    struct iovec piece = {(void *)(uintptr_t)data, size};
    return batch_add(batch, IMAGE_BIRTH, &record, &piece, 1);
}

static inline struct position add_text(struct batch *batch, unsigned type, const char *text)
{
    return add_record(batch, type, 0, text, strlen(text));
}
