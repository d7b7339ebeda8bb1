// SPDX-License-Identifier: Apache-2.0
#pragma once

// How often strangers may try, by their address (IPv6: by its /64). No I/O inside.
#include "core/base/base.h"

enum { THROTTLE_ENTRIES = 256, THROTTLE_BURST = 10, THROTTLE_REFILL_MS = 1000 };

struct throttle {
    struct throttle_entry {
        uint8_t prefix[8];
        int64_t full_ms; // when it may try THROTTLE_BURST times again; 0: unused
    } entries[THROTTLE_ENTRIES];
};

// Counts a try. 1: it may; 0: too many of late.
int throttle_may(struct throttle *self, const char *address, int64_t now_ms);
