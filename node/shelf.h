// SPDX-License-Identifier: Apache-2.0
#pragma once

// The quarantined bodies that lie on this worker, and which master holds each (DESIGN 6 and 10). A
// body stays today and tomorrow; after that it goes once every member master holds it, or, where
// the disk is short, once one does. One that no master holds is custody and never goes. No I/O.
#include "core/base/ulid.h"

struct shelf;

struct shelf_item {
    struct ulid id;
    char day[11]; // its folder
};

enum { SHELF_MASTERS_MOST = 8 };

struct shelf *shelf_new(unsigned masters);
void shelf_destroy(struct shelf **self);
void shelf_add(struct shelf *self, const struct ulid *id, const char *day, uint64_t size);
void shelf_remove(struct shelf *self, const struct ulid *id);           // its file is gone
const char *shelf_day(const struct shelf *self, const struct ulid *id); // NULL: not here

// The member masters are others from now on: each is asked anew, nothing goes until it has told.
void shelf_masters(struct shelf *self, unsigned masters);
// A new session: the master may have been put back, so what it held before counts no more.
void shelf_session(struct shelf *self, unsigned master);
void shelf_held(struct shelf *self, unsigned master, const struct ulid *id);
// The ids that this master does not hold as far as is known, from malloc.
struct ulid *shelf_lacking(const struct shelf *self, unsigned master, size_t *ret_count);

// What may go, oldest first, at most `most`: of days before `kept` (the oldest that stays). Where
// the disk is short (pressed) one master is enough.
size_t shelf_may_go(const struct shelf *self, const char *kept, int pressed, struct shelf_item *ret,
                    size_t most);

size_t shelf_count(const struct shelf *self);
size_t shelf_custody(const struct shelf *self); // bodies that no master holds
uint64_t shelf_custody_bytes(const struct shelf *self);
uint64_t shelf_bytes(const struct shelf *self);
