// SPDX-License-Identifier: Apache-2.0
#include "node/rates.h"

// What the counters held before the first look is not of this minute.
void rates_second(struct rates *self, const int64_t now[RATE_COUNT])
{
    int64_t *grown = self->grown[self->seconds % RATE_SECONDS];
    for (int i = 0; i < RATE_COUNT; i++) {
        grown[i] = self->seconds > 0 && now[i] > self->seen[i] ? now[i] - self->seen[i] : 0;
        self->seen[i] = now[i];
    }
    self->seconds++;
}

int64_t rates_minute(const struct rates *self, enum rate rate)
{
    int64_t sum = 0;
    for (int i = 0; i < RATE_SECONDS; i++)
        sum += self->grown[i][rate];
    return sum;
}
