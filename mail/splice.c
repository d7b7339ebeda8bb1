// SPDX-License-Identifier: Apache-2.0
#include "mail/splice.h"

#include "core/base/buffer.h"

int splices_valid(Postern__Splice *const *splices, size_t count, size_t size)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        if (splices[i]->offset < offset || splices[i]->offset > size ||
            splices[i]->remove > size - splices[i]->offset)
            return 0;
        offset = splices[i]->offset + splices[i]->remove;
    }
    return 1;
}

void splice_walk_start(struct splice_walk *self, struct span message,
                       Postern__Splice *const *splices, size_t count)
{
    *self = (struct splice_walk){.message = message, .splices = splices, .count = count};
}

int splice_walk_next(struct splice_walk *self, struct span *ret_piece)
{
    while (self->next < self->count) {
        const Postern__Splice *splice = self->splices[self->next];
        if (self->offset < splice->offset) {
            *ret_piece =
                (struct span){self->message.data + self->offset, splice->offset - self->offset};
            self->offset = splice->offset;
            return 1;
        }
        self->offset = splice->offset + splice->remove;
        self->next++;
        if (splice->insert.len > 0) {
            *ret_piece = (struct span){(const char *)splice->insert.data, splice->insert.len};
            return 1;
        }
    }
    if (self->offset >= self->message.size)
        return 0;
    *ret_piece =
        (struct span){self->message.data + self->offset, self->message.size - self->offset};
    self->offset = self->message.size;
    return 1;
}

void splices_apply(struct span message, Postern__Splice *const *splices, size_t count,
                   struct buffer *out)
{
    struct splice_walk walk;
    struct span piece;
    splice_walk_start(&walk, message, splices, count);
    while (splice_walk_next(&walk, &piece))
        buffer_add(out, piece.data, piece.size);
}
