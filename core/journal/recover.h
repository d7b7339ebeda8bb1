// SPDX-License-Identifier: Apache-2.0
#pragma once

// Opening a journal: reads every segment, hands out the records that count, appends anew what lies
// above the last commit mark, and leaves a fresh segment to go on in. It changes no old file, so it
// may be cut off anywhere and done again.
#include "core/journal/ledger.h"
#include "core/journal/mark.h"
#include "core/journal/outline.h"
#include "core/journal/segment.h"

// An event record that was appended anew: cursors may still name its old place. One that was
// appended anew again has one of these for each place that it had.
struct origin {
    struct position old, copy;
};

struct recovered {
    uint64_t birth;
    struct ledger ledger;    // all segments, the fresh one last
    struct segment current;  // the fresh one
    struct position durable; // its end so far: the next batch begins here
    struct position sealed;  // what the marks of the fresh segment say
    struct origin *origins;  // ascending by copy, then by old place
    size_t origin_count, origin_capacity;
    struct outline *outlines; // of the old segments, ascending: what of them is void
    size_t outline_count;
    struct journal_report report;
};

// 0; or -1 with errno and nothing to free. Of the options: `segment_size` and `cancelled`.
NODISCARD int recover(struct recovered *ret, const struct journal_io *io,
                      const struct journal_options *options, journal_visit_fn *visit,
                      void *context);
