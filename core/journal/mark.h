// SPDX-License-Identifier: Apache-2.0
#pragma once

// The payload of RECORD_MARK. Each batch begins with one.
#include "core/journal/journal.h"

enum { MARK_PAYLOAD = 32, MARK_SIZE = 64 }; // the record with its header

enum mark_kind {
    MARK_BATCH = 1,  // the ordinary one
    MARK_REPLAY = 2, // opens a segment in which a replay puts copies; they count once a MARK_BATCH follows in it
    MARK_ORIGIN = 3, // `synced` is the old place of the copy that follows: for cursors that point there
};

struct mark {
    enum mark_kind kind;
    struct position synced; // how far the last successful sync reached
    // Everything between here and the beginning of the mark's own segment is void: it belonged to a sync
    // that failed, or has been copied into this segment. Said by every mark of the segment, so that one
    // flipped bit cannot call it back.
    struct position sealed;
};

void mark_encode(unsigned char ret_record[MARK_SIZE], const struct mark *mark, uint64_t birth,
                 uint64_t segment, uint32_t offset);
NODISCARD int mark_decode(struct mark *ret, const void *payload, size_t size);
