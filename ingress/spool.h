// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where a session puts a message while it arrives, and hands it into custody. One byte budget for
// all sessions; a message beyond `big_from` goes to big/<id> as it arrives.
#include "core/base/buffer.h"
#include "core/base/ulid.h"
#include "proto/envelope.pb-c.h"

struct spool;
struct intake; // one message being received
struct ticket; // a message that waits for its answer

// The client's answer at the end of DATA/BDAT: one for all recipients. The session adds the codes:
// ACCEPTED 250 2.0.0, REJECTED 550 5.7.1 `text`, TRY_AGAIN 451 4.3.0, NO_SPACE 452 4.3.1, CLOSE:
// close the connection unanswered.
enum answer { ANSWER_ACCEPTED, ANSWER_REJECTED, ANSWER_TRY_AGAIN, ANSWER_NO_SPACE, ANSWER_CLOSE };
typedef void answer_fn(void *context, enum answer answer, const char *text);

// Can a message of that size (0: unknown) be taken now? 0; or -1 with ENOSPC (452 4.3.1: disk),
// ENOMEM (452 4.3.1: memory budget), EAGAIN (451 4.3.2: pipeline full, or not ready). Asked at
// MAIL.
int spool_room(struct spool *self, uint64_t size);

struct intake *spool_begin(struct spool *self); // never NULL
// Decoded message bytes are added here...
struct buffer *intake_buffer(struct intake *self);
// ...then this is called: 0; or -1 with EFBIG (over message_max: 552 5.3.4), ENOSPC, ENOMEM. After
// -1 the rest is to be read and thrown away (clear the buffer).
NODISCARD int intake_added(struct intake *self);
uint64_t intake_size(const struct intake *self);
void intake_id(const struct intake *self, char ret_text[ULID_TEXT]); // what the message is named
void intake_cancel(struct intake **self);

// Takes both. The answer comes once, on the loop, later or within the call, unless the ticket is
// forgotten first. `envelope->id`, `size`, `received_field` and `big` are set inside; everything
// else by the session. NULL: already answered within the call.
struct ticket *spool_commit(struct spool *self, struct intake **intake, Postern__Envelope *envelope,
                            answer_fn *fn, void *context);
// The client left: its answer goes nowhere.
void ticket_forget(struct ticket *self);
