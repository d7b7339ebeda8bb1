// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a record looks like, at rest:
//   header, 32 bytes     payload, `length` bytes     zeros up to the next multiple of 8
// The header's checksum covers the segment's number and the record's place in it, and the header names
// the journal by its random birth number: bytes in a mail that look like a record never count as one.
#include "core/base/base.h"

enum { RECORD_HEADER_SIZE = 32, RECORD_ALIGN = 8 };

// Record types of the journals. Long is the life of a number: never reuse one.
enum record_type {
    RECORD_MARK = 1,      // commit mark: how far the last sync reached
    // ingress
    RECORD_MESSAGE = 16,  // mail/spooled.h: envelope and bytes
    RECORD_DONE = 17,     // Event KIND_DONE: custody of that message ends here
    RECORD_ABANDONED = 18,// ids whose sync failed: they were answered 451
    RECORD_ATTEMPT = 19,  // the second analyzer try, or a delivery's death, counted (Event, KIND_NONE: not for masters)
    RECORD_REFUSED = 20,  // Event KIND_REFUSED
    // delivery
    RECORD_HELD = 32,     // deferred mail: delivery/held.h
    RECORD_TRIED = 33,    // Event KIND_ATTEMPT: a try that did not end it, next_ms per recipient
    RECORD_ENDED = 34,    // Event: delivered, bounced, quarantined, discarded for the recipients it names
    RECORD_QUARANTINED = 35,
    RECORD_ORDER = 36,    // release and delete orders
    RECORD_MOVED = 37,    // a held mail now lies in deferred/<id>
    RECORD_ACKED = 38,    // ingress has acknowledged these outcomes
    // node
    RECORD_OUTBOX = 48,   // OutboxRecord
    RECORD_TRIM = 49,
};

// Does the record carry an event that node must take before the record may go?
int record_has_event(unsigned type);

enum { RECORD_COPY = 1 }; // flag: appended anew by a replay, counts only once that replay is complete

// A header's own fields.
struct record {
    unsigned type, flags;
    uint32_t length; // of the payload
    uint32_t payload_crc;
};

uint64_t record_size(uint64_t length); // with header and padding
void record_encode(unsigned char ret_header[RECORD_HEADER_SIZE], const struct record *record, uint64_t birth,
                   uint64_t segment, uint32_t offset);
// Is there a header at `bytes` (RECORD_HEADER_SIZE of them) that was written for this place? With birth 0 any journal's will do.
// 0, or -1.
NODISCARD int record_decode(struct record *ret, const unsigned char *bytes, uint64_t birth, uint64_t segment,
                            uint32_t offset);
uint64_t record_birth(const unsigned char *bytes); // of a header that record_decode found good
