// SPDX-License-Identifier: Apache-2.0
#pragma once

// The message itself: bytes of DATA or BDAT into the spool's intake, reasons to refuse, the end.
#include "ingress/session_state.h"

void receive_begin(struct session *self);
// Both take bytes and say how many; they may end the message.
size_t receive_data(struct session *self, struct span bytes);
size_t receive_chunk(struct session *self, struct span bytes);
void receive_chunk_done(struct session *self); // chunk_left is 0
