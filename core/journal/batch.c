// SPDX-License-Identifier: Apache-2.0
#include "core/journal/batch.h"
#include "core/base/crc32c.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_LEAST = 64 * 1024, PLACES_LEAST = 64 };

struct batch *batch_new(void)
{
    return allocate(sizeof(struct batch));
}

void batch_destroy(struct batch **self)
{
    if (!*self)
        return;
    free((*self)->bytes);
    free((*self)->records);
    free(*self);
    *self = NULL;
}

static unsigned char *reserve(struct batch *self, size_t size)
{
    if (self->size + size > self->room) {
        size_t room = self->room ? self->room : ROOM_LEAST;
        while (room < self->size + size)
            room *= 2;
        self->bytes = reallocate(self->bytes, room);
        self->room = room;
    }
    unsigned char *at = self->bytes + self->size;
    self->size += size;
    return at;
}

void batch_begin(struct batch *self, uint64_t segment, uint32_t offset)
{
    self->next = NULL;
    self->segment = segment;
    self->offset = offset;
    self->size = 0;
    self->count = 0;
    self->last_event = 0;
    self->unsynced = 0;
    self->error = 0;
    reserve(self, MARK_SIZE);
}

struct position batch_add(struct batch *self, uint64_t birth, const struct record *record,
                          const struct iovec *pieces, int count)
{
    struct record full = *record;
    struct position where = batch_end(self);
    where.length = record->length;
    if (record_has_event(record->type))
        self->last_event = where.offset;
    size_t size = (size_t)record_size(record->length);
    unsigned char *header = reserve(self, size), *at = header + RECORD_HEADER_SIZE;
    for (int i = 0; i < count; i++) {
        if (!pieces[i].iov_len)
            continue;
        memcpy(at, pieces[i].iov_base, pieces[i].iov_len);
        at += pieces[i].iov_len;
    }
    assert(at == header + RECORD_HEADER_SIZE + record->length);
    memset(at, 0, (size_t)(header + size - at));
    full.payload_crc = crc32c(0, header + RECORD_HEADER_SIZE, record->length);
    record_encode(header, &full, birth, where.segment, where.offset);
    return where;
}

void batch_tell(struct batch *self, struct position where, journal_fn *fn, void *context)
{
    if (self->count == self->places) {
        self->places = self->places ? 2 * self->places : PLACES_LEAST;
        self->records = reallocate(self->records, self->places * sizeof(*self->records));
    }
    self->records[self->count++] =
        (struct batch_record){.fn = fn, .context = context, .where = where};
}

void batch_mark(struct batch *self, uint64_t birth, const struct mark *mark)
{
    mark_encode(self->bytes, mark, birth, self->segment, self->offset);
}

struct position batch_end(const struct batch *self)
{
    return (struct position){self->segment, self->offset + (uint32_t)self->size, 0};
}
