// SPDX-License-Identifier: Apache-2.0
#pragma once

// A ZeroMQ socket on the loop. Its descriptor tells of changes, not of states, and any call on the
// socket may swallow the news: only this file and pump.c know that.
#include "core/base/base.h"
#include "core/base/loop.h"
#include <zmq.h>

enum { PUMP_PARTS = 8 }; // messages of more parts are dropped

// A message arrived. The parts are lent for the call.
typedef void pump_fn(void *context, zmq_msg_t *parts, size_t count);

struct pump;

// Either `received` or `stirred` is NULL: a socket that only sends tells by `stirred` that
// something about it changed, perhaps that there is room again. Both may destroy the pump. The
// socket stays the caller's and must outlive the pump.
struct pump *pump_new(struct loop *loop, void *socket, pump_fn *received, loop_fn *stirred,
                      void *context);
void pump_destroy(struct pump **self);
// To be called after a send on a socket that receives, too: the send may have swallowed the news of
// a message.
void pump_sent(struct pump *self);
// Is there room to send? Takes in all news first, so what comes later will stir the pump.
int pump_writable(void *socket);
