// SPDX-License-Identifier: Apache-2.0
#pragma once

// Lets libunbound resolve on our loop, without a thread or a process of its own.
#include "core/base/base.h"

struct loop;
struct ub_event_base;

// Never NULL. To be freed after the context that uses it.
struct ub_event_base *unbound_loop_new(struct loop *loop);
void unbound_loop_destroy(struct ub_event_base **self);
