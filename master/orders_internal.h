// SPDX-License-Identifier: Apache-2.0
#pragma once

// Shared by orders.c and orders_peer.c.
#include "master/orders.h"

struct open_order {
    struct order order;
    int64_t sent_ms;  // to its node, 0: not yet in this session
    int64_t given_ms; // to the peer, 0: not yet in this session
    char taker[64];   // whom its node, behind a fence, left it to; "": not that we know
};

struct orders {
    struct master *master;
    struct table *open; // by key
    unsigned room;      // commands that this tick may still send
};

void orders_share(struct orders *self); // gives the peer what it does not hold yet
