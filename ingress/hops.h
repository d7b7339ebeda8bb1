// SPDX-License-Identifier: Apache-2.0
#pragma once

// Counts the Received fields of a message while it arrives, in any pieces, up to the end of its
// header.
#include "core/base/base.h"

struct hops {
    unsigned count;
    unsigned matched; // bytes of "Received:" at the front of this line; beyond: no match
    int body;         // the header is over
};

void hops_feed(struct hops *self, struct span bytes);
