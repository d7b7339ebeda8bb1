// SPDX-License-Identifier: Apache-2.0
#pragma once

// run/node/stages: which processes node started, so that a node after it knows them from those that
// somebody started by hand. Lines of "stage slot pid"; a hint, never synced.
#include "node/stages.h"
#include <sys/types.h>

struct roll {
    pid_t pid[STAGES_END][SLOT_MOST]; // 0: none
};

void roll_read(struct roll *ret, const char *run);
NODISCARD int roll_write(const struct roll *self, const char *run); // 0, or -1 with errno
