// SPDX-License-Identifier: Apache-2.0
#pragma once

// Unknown triples of client network, sender and recipient are put off once (RFC 6647). Bounded, in
// memory.
#include "core/base/base.h"

struct greylist;
struct greylist *greylist_new(size_t most);
void greylist_destroy(struct greylist **self);

// 1 when the triple tried before, at least `delay_s` ago. A triple that passed stays known for 36
// days since its last use, one that did not come back is forgotten after a day.
int greylist_passes(struct greylist *self, const char *client, struct span sender,
                    struct span recipient, unsigned delay_s, int64_t now_ms);
