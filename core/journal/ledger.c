// SPDX-License-Identifier: Apache-2.0
#include "core/journal/ledger.h"
#include "core/journal/record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void ledger_free(struct ledger *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->segments[i].holds);
    free(self->segments);
    *self = (struct ledger){0};
}

static struct ledger_segment *find(const struct ledger *self, uint64_t number)
{
    // Most questions are about the newest.
    if (self->count && self->segments[self->count - 1].number == number)
        return &self->segments[self->count - 1];
    size_t low = 0, high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->segments[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < self->count && self->segments[low].number == number ? &self->segments[low] : NULL;
}

const struct ledger_segment *ledger_find(const struct ledger *self, uint64_t number)
{
    return find(self, number);
}

void ledger_open(struct ledger *self, uint64_t number, uint64_t bytes)
{
    assert(!self->count || self->segments[self->count - 1].number < number);
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? 2 * self->capacity : 16;
        self->segments = reallocate(self->segments, self->capacity * sizeof(*self->segments));
    }
    self->segments[self->count++] = (struct ledger_segment){.number = number, .bytes = bytes};
    self->bytes += bytes;
    self->changed = 1; // the one before it may have waited for this
}

void ledger_add(struct ledger *self, struct position where)
{
    struct ledger_segment *segment = find(self, where.segment);
    assert(segment);
    segment->live++;
    self->live++;
}

void ledger_event(struct ledger *self, struct position where)
{
    struct ledger_segment *segment = find(self, where.segment);
    if (segment && where.offset > segment->last_event)
        segment->last_event = where.offset;
}

static void release_many(struct ledger *self, uint64_t number, uint64_t records, uint64_t pins)
{
    struct ledger_segment *segment = find(self, number);
    assert(segment && segment->live >= records && segment->pins >= pins);
    segment->live -= records;
    segment->pins -= pins;
    self->live -= records;
    if (!segment->live && !segment->pins)
        self->changed = 1;
}

void ledger_release(struct ledger *self, struct position where)
{
    release_many(self, where.segment, 1, 0);
}

static void add_hold(struct ledger_segment *on, struct hold hold)
{
    // The ends of a segment's messages lie in few segments, mostly in the newest.
    for (size_t i = on->hold_count; i-- > 0;) {
        if (on->holds[i].segment != hold.segment)
            continue;
        on->holds[i].records += hold.records;
        on->holds[i].pins += hold.pins;
        return;
    }
    if (on->hold_count == on->hold_capacity) {
        on->hold_capacity = on->hold_capacity ? 2 * on->hold_capacity : 4;
        on->holds = reallocate(on->holds, on->hold_capacity * sizeof(*on->holds));
    }
    on->holds[on->hold_count++] = hold;
}

void ledger_release_after(struct ledger *self, struct position ended, struct position end)
{
    struct ledger_segment *segment = find(self, ended.segment);
    if (!segment || ended.segment == end.segment)
        ledger_release(self, end);
    else
        add_hold(segment, (struct hold){.segment = end.segment, .records = 1});
}

void ledger_pin(struct ledger *self, uint64_t sealed, uint64_t by)
{
    struct ledger_segment *segment = find(self, sealed), *holder = find(self, by);
    assert(holder && sealed < by);
    if (!segment)
        return;
    holder->pins++;
    add_hold(segment, (struct hold){.segment = by, .pins = 1});
}

void ledger_taken(struct ledger *self, struct position upto)
{
    if (position_before(self->taken, upto)) {
        self->taken = upto;
        self->changed = 1;
    }
}

static int wanted(const struct ledger *self, const struct ledger_segment *segment)
{
    if (segment->live || segment->pins)
        return 1;
    struct position event = {segment->number, segment->last_event, 0};
    return !self->no_events && segment->last_event && position_before(self->taken, event);
}

size_t ledger_leaving(struct ledger *self, uint64_t current, uint64_t *ret_numbers, size_t most)
{
    size_t count = 0;
    if (!self->changed)
        return 0;
    for (size_t i = 0; i < self->count && self->segments[i].number < current; i++) {
        struct ledger_segment *segment = &self->segments[i];
        if (segment->leaving || wanted(self, segment))
            continue;
        if (count == most)
            return count; // and asked again, for the rest
        segment->leaving = 1;
        ret_numbers[count++] = segment->number;
    }
    self->changed = 0;
    return count;
}

void ledger_gone(struct ledger *self, uint64_t number)
{
    struct ledger_segment *segment = find(self, number);
    assert(segment);
    struct ledger_segment gone = *segment;
    size_t behind = (size_t)(self->segments + --self->count - segment);
    memmove(segment, segment + 1, behind * sizeof(*segment));
    self->bytes -= gone.bytes;
    for (size_t i = 0; i < gone.hold_count; i++)
        release_many(self, gone.holds[i].segment, gone.holds[i].records, gone.holds[i].pins);
    free(gone.holds);
}

void ledger_stays(struct ledger *self, uint64_t number)
{
    struct ledger_segment *segment = find(self, number);
    assert(segment);
    segment->leaving = 0;
    self->changed = 1;
}
