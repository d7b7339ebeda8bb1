// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whether a recipient is ours, or may be relayed for this client.
#include "mail/address.h"

struct settings;

enum recipient_result {
    RECIPIENT_OURS,
    RECIPIENT_RELAYED, // the client may relay, and the domain is not ours
    RECIPIENT_UNKNOWN, // 550 5.1.1
    RECIPIENT_DENIED,  // 550 5.7.1
    RECIPIENT_ROUTED,  // 550 5.7.1: names a host beyond ours in its local part
    RECIPIENT_LATER,   // 451 4.3.5: no configuration yet tells who is ours
    RECIPIENT_BAD,     // 553 5.1.3: a domain that IDNA cannot express
};

enum { RECIPIENT_TEXT = 512 };

// Postmaster is always taken; without a domain it becomes that of the first configured domain.
// ret_address is what the envelope carries.
enum recipient_result recipient_check(const struct settings *settings,
                                      const struct address *address, int may_relay,
                                      char ret_address[RECIPIENT_TEXT]);
