// SPDX-License-Identifier: Apache-2.0
#pragma once

// For how long somebody has been behind a stream, without I/O: the age of the newest event that was
// there when it was last seen to be behind. Looked at each second, it is right to a second.
#include <stdint.h>

struct lag {
    uint64_t epoch, mark; // what must be reached
    int64_t since_ms;     // when that was the newest
};

// The stream is at `last`, the other side has `have` of this epoch. Returns the lag in
// milliseconds, 0: none.
int64_t lag_look(struct lag *self, uint64_t epoch, uint64_t last, uint64_t have, int64_t now_ms);
