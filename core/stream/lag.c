// SPDX-License-Identifier: Apache-2.0
#include "core/stream/lag.h"

int64_t lag_look(struct lag *self, uint64_t epoch, uint64_t last, uint64_t have, int64_t now_ms)
{
    int known = self->since_ms && self->epoch == epoch && self->mark <= last;
    if (!known || have >= self->mark)
        *self = (struct lag){epoch, last, now_ms};
    return have >= last ? 0 : now_ms - self->since_ms;
}
