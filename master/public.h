// SPDX-License-Identifier: Apache-2.0
#pragma once

// The public stream (proto/public.proto): what the store has committed, told to monitoring tools.
#include "core/base/base.h"

struct master;
struct public_stream;

// Binds the socket that node.conf names. NULL with errno.
struct public_stream *public_stream_new(struct master *master);
void public_stream_destroy(struct public_stream **self);
// An event was committed: writer_public_fn.
void public_stream_tell(void *self, int64_t commit, struct span event);
void public_stream_tick(struct public_stream *self); // each second: tells the position
void public_stream_cut(struct public_stream *self);  // a key was revoked: all sessions begin anew
