// SPDX-License-Identifier: Apache-2.0
#pragma once

// The public stream's socket: a bound PUB for monitoring tools, zap domain "public". Its frames are
// a promise to others (proto/public.proto), so they have no type byte of ours.
#include "core/base/base.h"

struct curve_keys;
struct loop;
struct public_socket;

// NULL with errno.
struct public_socket *public_socket_bind(struct loop *loop, const char *endpoint,
                                         const struct curve_keys *keys);
void public_socket_destroy(struct public_socket **self);
// Cuts all sessions; the subscribers come back by themselves.
void public_socket_rebind(struct public_socket *self);
// Never blocks; who does not take what is sent misses it.
void public_socket_send(struct public_socket *self, const char *topic, struct span event,
                        struct span text);
