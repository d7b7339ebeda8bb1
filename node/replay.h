// SPDX-License-Identifier: Apache-2.0
#pragma once

// Answers a master's request for events again: reads them from the outbox on the disk thread, at
// most `credit` frames at once. A master that wants more asks again.
#include "node/outbox.h"
#include "proto/control.pb-c.h"

struct replay;

// Sends a frame to the master; -1: no room, the rest of this request is dropped.
typedef int replay_send_fn(void *context, unsigned master, const Postern__Publication *publication);

// One for all masters. `folder` is the outbox's; both strings are borrowed.
struct replay *replay_new(struct outbox *outbox, const char *folder, const char *node,
                          replay_send_fn *fn, void *context);
void replay_destroy(struct replay **self); // after the outbox, whose disk thread works for it
void replay_request(struct replay *self, unsigned master, const Postern__ReplayRequest *request);
