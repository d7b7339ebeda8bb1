// SPDX-License-Identifier: Apache-2.0
#pragma once

// What quarantine*.c share.
#include "delivery/quarantine.h"
#include "delivery/queued.h"

enum { DAY_SIZE = 11, FENCE_SIZE = 80 };

struct quarantined_recipient {
    uint32_t index;
    char *address;
    uint32_t round; // of the last release
    enum quarantine_state state;
    char *reply;
    uint32_t tries; // of that release, begun and without an end that is known
};

struct quarantined {
    struct ulid id;
    char day[DAY_SIZE];
    struct quarantined_recipient *recipients;
    size_t count;
    struct keeping *keeping; // the records of its jobs; NULL once RECORD_ORDER tells all
    int has_order;
    struct position order;  // the last RECORD_ORDER
    int ordered;            // RECORD_ORDERs on their way
    char fence[FENCE_SIZE]; // "fenced NAME": what is not begun is NAME's; "" for none
};

typedef void quarantine_written_fn(void *context);

struct quarantined *quarantine_find(const struct queue *self, const struct ulid *id);
struct quarantined *quarantine_entry_of(const struct queued *mail); // of a release, or NULL
enum quarantine_state quarantine_state_after(Postern__Disposition disposition);
struct quarantined *quarantine_make(struct queue *self, const struct ulid *id,
                                    const ProtobufCBinaryData *day);
struct quarantined_recipient *quarantine_recipient(const struct quarantined *entry, uint32_t index);
struct quarantined_recipient *quarantine_add(struct quarantined *entry, uint32_t index,
                                             const ProtobufCBinaryData *address);
void quarantine_path(const struct queue *self, const char *day, const struct ulid *id,
                     char ret_folder[512], char ret_name[ULID_TEXT]);
// Writes its state; `fn` (may be NULL) once that is durable.
void quarantine_write(struct queue *self, struct quarantined *entry, quarantine_written_fn *fn,
                      void *context);
// Does the order mean this recipient; how many of those that it means are in a state.
int quarantine_meant(const struct quarantine_order *order,
                     const struct quarantined_recipient *recipient);
size_t quarantine_in_state(const struct quarantined *entry, const struct quarantine_order *order,
                           enum quarantine_state state);
int quarantine_day_sound(const char *day, size_t size);
// Makes the order's fence; 1: one stands, maybe not durably yet.
int quarantine_fence(struct queue *self, struct quarantined *entry,
                     const struct quarantine_order *order);
void quarantine_set_fence(struct quarantined *entry, const void *name, size_t size);
struct span quarantine_fence_name(const struct quarantined *entry);
// Takes the order's mail over where that is to be done: "adopted", "pending" while that is not
// durable, NULL when it is done.
const char *quarantine_adopt(struct queue *self, const struct quarantine_order *order);
void quarantine_entry_free(struct quarantined *entry);
void quarantine_write_outcome(struct queued *mail, struct quarantined *entry); // of a release
