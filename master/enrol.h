// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a master comes to its members: at its start, and by tokens.
#include "master/master.h"

// At the start, before anything is put to the writer: members of older versions become
// configuration, the master enters itself, all are let in as the documents say, and their streams'
// places are known. A master with a peer lets workers in once enrol_ready is called: at the latest
// after 60 s. -1 with a message.
NODISCARD int enrol_open(struct master *master, char *ret_error, size_t error_size);
// What the peer has is here, or it has none: nothing is missing that could be a revocation.
// Puts a job to the writer: once all is open, for the databases are the writer's from then on.
void enrol_ready(struct master *master);
void enrol_tick(struct master *master); // every second
