// SPDX-License-Identifier: Apache-2.0
#pragma once

// A file on its way out. To give back the space of a big file takes the kernel milliseconds, on a
// busy machine tens of them; done in steps, others get their turn on the disk thread between them.
// A file that anybody else has open or mapped keeps its bytes until the last one lets go, as with
// unlink.
#include "core/base/base.h"

struct removal {
    char path[512];
    int fd; // open for writing, or -1: opened by the first step
    int unlinked;
    int64_t size; // not given back yet
};

// One step; blocks. 0; or an errno, and then the file stays. Nothing is left to do, and `fd` is
// closed, once removal_goes_on says 0.
int removal_step(struct removal *self);
int removal_goes_on(const struct removal *self);
// No further step: what is left is given back at once.
void removal_end(struct removal *self);
