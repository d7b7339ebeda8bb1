// SPDX-License-Identifier: Apache-2.0
#pragma once

// Port 7700, where nodes join by token. Bound only while there is a token that can be spent (and a
// moment longer, for a reply that was lost); any key may connect, one type of message is read.
#include "master/master.h"
#include "proto/enrol.pb-c.h"

struct door;
struct door *door_new(struct master *master);
void door_destroy(struct door **self);
void door_tick(struct door *self); // every second

// Makes a token and opens the port. The token's text, from malloc, to be wiped; NULL with a
// message.
char *door_token(struct door *self, enum role role, const char *name, int64_t lifetime_s,
                 char *ret_error, size_t error_size);
// A member asks who it is.
void door_knocked(struct master *master, const struct member *member);
