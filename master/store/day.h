// SPDX-License-Identifier: Apache-2.0
#pragma once

// One day's file: its messages, their recipients, timelines and quarantine.
#include "core/base/ulid.h"
#include "master/store/store.h"

enum { DAY_TEXT = 11 }; // YYYY-MM-DD and a 0

struct buffer;
struct day;

void day_name(int64_t wall_ms, char ret_text[DAY_TEXT]); // UTC
void day_path(const char *folder, const char *name, char *ret, size_t size);
extern const char day_schema[];

// NULL: logged, errno EUCLEAN when the file is damaged. What fails below with -1 sets errno alike.
struct day *day_open(const char *folder, const char *name);
void day_close(struct day **self); // a transaction left open is rolled back
// Closes a damaged file as it is, its log not written into it. Not NULL.
void day_abandon(struct day **self);
const char *day_of(const struct day *self);
// Writes what the event tells of the message `id`; begins a transaction when none is open.
NODISCARD int day_add(struct day *self, const struct ulid *id, const struct store_event *event);
// Appends the packed event at a place of the timeline. 1; 0: there is none; -1: logged.
NODISCARD int day_read(struct day *self, const char *node, uint64_t epoch, uint64_t sequence,
                       struct buffer *out);
// Message-ID of a message, "" when not known; until the next call.
const char *day_message_id(struct day *self, const struct ulid *id);
// Are all its recipients in quarantine deleted? 1, 0, or -1.
NODISCARD int day_all_deleted(struct day *self, const struct ulid *id);
NODISCARD int day_commit(struct day *self);
void day_rollback(struct day *self);
