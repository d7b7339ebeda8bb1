// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who carries out the orders about mail that a worker quarantined when it cannot, or is to go: the
// document takeover/<node>. Being configuration it is on both masters, and workers hand it back to
// one that was restored.
#include "master/change.h"
#include "master/master.h"

struct takeover {
    const char *to; // NULL: nobody takes over; valid until the configuration changes
    int force;      // also while the node cannot be asked
};

struct takeover takeover_of(const struct master *master, const char *node);
int takeover_is_up(const struct master *master, const struct member *member); // NULL is not
// What a person is to do about an open order of the node, "": nothing.
void takeover_advice(const struct master *master, const char *node, char *ret, size_t size);

// Arguments node, to ("": it is chosen), force. 0; -1 with the HTTP status and why not.
NODISCARD int takeover_check(const struct master *master, json_t *arguments, unsigned *ret_status,
                             char *ret_error, size_t error_size);
change_make_fn takeover_make; // of checked arguments
