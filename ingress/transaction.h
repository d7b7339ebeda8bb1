// SPDX-License-Identifier: Apache-2.0
#pragma once

// The envelope of a session's transaction: begun by MAIL, filled by RCPT, ended by the answer, RSET
// or a greeting.
#include "ingress/session_state.h"
#include "mail/address.h"

void transaction_begin(struct session *self, Postern__Envelope *envelope); // takes it
Postern__Recipient *transaction_add_recipient(struct session *self, const char *address,
                                              size_t size);
// Forgets envelope and message; back to the state between transactions.
void transaction_end(struct session *self);
// Completes the envelope with what is known of the client, hands message and envelope to the spool.
// The answer may come within the call.
void transaction_commit(struct session *self);
// A message that the session refuses by itself: one line in the log, and word of it.
void transaction_refused(struct session *self, const char *name, const char *reply);
void bytes_set(ProtobufCBinaryData *ret, const char *data, size_t size);
