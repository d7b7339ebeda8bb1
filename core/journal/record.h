// SPDX-License-Identifier: Apache-2.0
#pragma once

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
