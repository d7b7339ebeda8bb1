// SPDX-License-Identifier: Apache-2.0
#pragma once

// The changes of a delivered message: trace header fields in front, forged ones out, the subject
// tagged.
#include "analyzer/examination.h"
#include "analyzer/policy.h"

// The splices for that decision; the caller frees them by trace_free.
struct trace {
    Postern__Splice **splices;
    size_t count;
};

void trace_make(struct trace *ret, const struct examination *examination,
                const struct decision *decision, size_t recipient, const char *host);
void trace_free(struct trace *self);
