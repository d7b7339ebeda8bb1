// SPDX-License-Identifier: Apache-2.0
#pragma once

// Reading single values of a document: shared by the check (mail/schema_check.c) and the settings.
#include "mail/schema.h"
#include "mail/settings.h"

// "50M" and the like; -1 when it is no size.
double schema_size(const char *text);
// Index of a choice, -1 when it is none.
int schema_choice(const struct schema_key *key, const char *text);
// One entry of a route's `hops`; host is cut from `entry` into ret_host (unbracketed). NULL, or the
// mend.
struct schema_hop {
    char host[256];
    uint16_t port;
    unsigned priority;
};
const char *schema_hop(const json_t *entry, unsigned position, struct schema_hop *ret);
