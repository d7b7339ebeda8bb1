// SPDX-License-Identifier: Apache-2.0
#pragma once

// How much mail went through in the last minute, from counters that are looked at each second. No
// I/O inside.
#include <stdint.h>

enum rate { RATE_ACCEPTED, RATE_REJECTED, RATE_DELIVERED, RATE_QUARANTINED, RATE_COUNT };
enum { RATE_SECONDS = 60 };

struct rates {
    int64_t seen[RATE_COUNT]; // the counters a second ago
    int64_t grown[RATE_SECONDS][RATE_COUNT];
    unsigned seconds; // since the start
};

// `now`: the counters. One that is smaller than before began anew with its process.
void rates_second(struct rates *self, const int64_t now[RATE_COUNT]);
int64_t rates_minute(const struct rates *self, enum rate rate);
