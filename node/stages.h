// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the stages' processes have told about themselves. No I/O inside.
#include "core/base/slot.h"
#include "proto/local.pb-c.h"
#include <jansson.h>

enum { STAGES_END = STAGE_NODE }; // stages 1 .. STAGES_END - 1

struct told {
    int connected;        // its pipe stands
    uint64_t pid;         // 0: it never said
    uint64_t incarnation; // of its slot
    unsigned silent_s;    // since its last word, in our own seconds: we may have slept, too
    json_t *metrics;      // {"name{labels}": value}
};

struct stages {
    struct told told[STAGES_END][SLOT_MOST];
};

void stages_free(struct stages *self);
void stages_status(struct stages *self, const Postern__StageStatus *status);
void stages_connected(struct stages *self, enum stage stage, unsigned slot, int connected);
void stages_second(struct stages *self); // another second without a word
void stages_ended(struct stages *self, enum stage stage, unsigned slot);
// Did it speak within that time?
int stages_speaks(const struct stages *self, enum stage stage, unsigned slot, unsigned within_s);
unsigned stages_count(const struct stages *self, enum stage stage); // of those that speak
// Sum, and the largest value, of a metric over all processes of a stage.
json_int_t stages_sum(const struct stages *self, enum stage stage, const char *metric);
json_int_t stages_most(const struct stages *self, enum stage stage, const char *metric);
