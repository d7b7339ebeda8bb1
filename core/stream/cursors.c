// SPDX-License-Identifier: Apache-2.0
#include "core/stream/cursors.h"

#include <string.h>

static size_t index_of(const struct cursors *self, uint64_t journal)
{
    size_t i = 0;
    while (i < self->count && self->list[i].journal != journal)
        i++;
    return i;
}

const struct cursor *cursors_get(const struct cursors *self, uint64_t journal)
{
    size_t i = index_of(self, journal);
    return i < self->count ? &self->list[i] : NULL;
}

static void drop(struct cursors *self, size_t i)
{
    memmove(&self->list[i], &self->list[i + 1], (self->count - i - 1) * sizeof(self->list[0]));
    self->count--;
}

void cursors_set(struct cursors *self, struct cursor cursor)
{
    size_t i = index_of(self, cursor.journal);
    if (i < self->count)
        drop(self, i);
    else if (self->count == CURSORS_MOST)
        drop(self, 0);
    self->list[self->count++] = cursor;
}

int cursor_is_before(const struct cursor *cursor, uint64_t segment, uint32_t offset)
{
    if (!cursor || cursor->segment < segment)
        return 1;
    return cursor->segment == segment && cursor->offset < offset;
}
