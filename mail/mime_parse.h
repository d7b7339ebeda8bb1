// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the parser's files share; nobody else includes it.
#include "mail/mime.h"

struct range {
    unsigned source;
    size_t start, end;
};

struct place_in_tree {
    int parent;
    int alternative;
    int suspicious;
    int digest; // a part of multipart/digest is a message unless it says otherwise
};

// Adds the entity in `range` and everything in it. Its index, or MIME_NONE when a limit stands
// against it.
int mime_entity(struct mime *self, struct range range, struct place_in_tree place);
void mime_note(struct mime *self, int index, enum anomaly anomaly);
struct span mime_bytes(const struct mime *self, struct range range);
// Takes `size` from the bytes that may be scanned. 0; or -1 when they are used up.
int mime_spend(struct mime *self, int index, size_t size);
// Counts one more way to read the message. 0; or -1 when there are enough.
int mime_another_reading(struct mime *self, int index);
struct span mime_keep(struct mime *self, const struct buffer *text);
// Makes decoded bytes a source of further nodes; takes the buffer's memory.
unsigned mime_add_source(struct mime *self, struct buffer *decoded);

// mime_describe.c: what the header says of the entity.
void mime_describe(struct mime *self, int index, const struct header_block *header, int digest);
// multipart.c: the parts between the boundaries.
void multipart_split(struct mime *self, int index);
// readings.c: whatever looks like parts in `range`, whatever the header says; adds them to `index`
// as alternatives and returns how many. `liberal`: any field may begin a part, not only Content-*.
unsigned readings_scan(struct mime *self, int index, struct range range, int liberal);
// The readings of a leaf's body: parts in it, a message in it.
void readings_leaf(struct mime *self, int index);
// An encoded multipart or message, decoded and read. 1 when something was found in it.
int readings_encoded(struct mime *self, int index);
