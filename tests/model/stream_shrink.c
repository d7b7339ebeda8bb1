// SPDX-License-Identifier: Apache-2.0
#include "tests/model/stream_world.h"

#include <string.h>

enum { RUNS_MOST = 4000 };

struct shrinking {
    struct stream_schedule schedule;
    unsigned steps, left, runs;
    unsigned char tried[STEPS_MOST], left_out[STEPS_MOST];
};

// Leaves out up to `size` of the steps that are left, from `at` on, if the schedule breaks as well.
// Returns where the next ones begin.
static unsigned try_without(struct shrinking *self, unsigned at, unsigned size)
{
    struct stream_result result;
    unsigned taken = 0;
    memcpy(self->tried, self->left_out, sizeof(self->tried));
    for (; at < self->steps && taken < size; at++) {
        taken += !self->tried[at];
        self->tried[at] = 1;
    }
    if (taken == 0)
        return at;
    self->runs++;
    stream_world_run(&self->schedule, &result);
    if (result.broken[0]) {
        memcpy(self->left_out, self->tried, sizeof(self->tried));
        self->left -= taken;
    }
    return at;
}

// Halves of what is left, quarters, ..., single steps; these again for as long as it helps.
unsigned stream_shrink(const struct stream_schedule *schedule, unsigned char *ret_left_out)
{
    struct shrinking self = {.schedule = *schedule};
    struct stream_result result;
    self.schedule.trace = 0;
    self.schedule.left_out = self.tried;
    stream_world_run(&self.schedule, &result);
    self.steps = self.left = result.steps;
    unsigned size = self.steps / 2, before;
    do {
        before = size > 1 ? UINT32_MAX : self.left;
        for (unsigned at = 0; at < self.steps && self.runs < RUNS_MOST;)
            at = try_without(&self, at, size);
        size = size > 1 ? size / 2 : 1;
    } while (self.left < before && self.runs < RUNS_MOST);
    memcpy(ret_left_out, self.left_out, sizeof(self.left_out));
    return self.left;
}
