// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which sockets stand in run/<stage>/<slot>, told by inotify. A name says nothing of who is alive.
#include "core/base/slot.h"

struct loop;
struct roster;

// A socket was bound (also in the place of an older one, which the fn is not told to have gone) or
// removed.
typedef void roster_fn(void *context, enum stage stage, unsigned slot, int present);

// `run` must exist. NULL with errno.
struct roster *roster_new(struct loop *loop, const char *run, roster_fn *fn, void *context);
void roster_destroy(struct roster **self);
// Tells at once of the sockets that are there. The folder may be made, or removed and made again,
// later.
NODISCARD int roster_watch(struct roster *self, enum stage stage);
