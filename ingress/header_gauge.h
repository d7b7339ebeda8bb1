// SPDX-License-Identifier: Apache-2.0
#pragma once

// Measures the header of a message while it arrives, in any pieces: its fields (RFC 5322 2.2) up to
// the first line that is none and continues none. Only an empty line should be such a one.
#include "core/base/base.h"
#include <stdint.h>

enum header_place { HEADER_LINE, HEADER_NAME, HEADER_COLON, HEADER_VALUE, HEADER_OVER };

struct header_gauge {
    uint64_t size;         // bytes of its fields
    unsigned fields, hops; // hops: Received fields
    unsigned line;         // bytes of this line until it proved a field
    unsigned matched;      // bytes of "received" at the front of this line; beyond: no match
    enum header_place place;
};

void header_gauge_feed(struct header_gauge *self, struct span bytes);
