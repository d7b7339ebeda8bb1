// SPDX-License-Identifier: Apache-2.0
#pragma once

// Changes to a message as splices: at `offset` drop `remove` bytes and put `insert` there. What no
// splice touches stays as it is. Splices are in the order of their offsets and do not overlap.
#include "core/base/base.h"
#include "proto/verdict.pb-c.h"

struct buffer;

// Are they in order, apart, and within `size` bytes? They may come from another process.
int splices_valid(Postern__Splice *const *splices, size_t count, size_t size);

// Gives the changed message piece by piece, without copying.
struct splice_walk {
    struct span message;
    Postern__Splice *const *splices;
    size_t count, next, offset;
};

void splice_walk_start(struct splice_walk *self, struct span message,
                       Postern__Splice *const *splices, size_t count);
int splice_walk_next(struct splice_walk *self, struct span *ret_piece); // 1; or 0 at the end
// All pieces one after the other.
void splices_apply(struct span message, Postern__Splice *const *splices, size_t count,
                   struct buffer *out);
