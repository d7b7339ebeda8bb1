// SPDX-License-Identifier: Apache-2.0
// Reading the committed events again, for a node that was away. On the disk thread.
#include "core/journal/journal_internal.h"

#include "core/journal/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct event {
    struct event *next;
    unsigned type;
    struct position where;
    unsigned char bytes[];
};

struct reading {
    struct journal *journal;
    struct position from, to;
    size_t room;
    journal_read_fn *fn;
    void *context;
    uint64_t *segments;
    size_t segment_count;
    struct origin *origins; // copies, since the loop's may not be looked at from here
    size_t origin_count;
    struct outline *outlines;
    size_t outline_count;
    struct event *first, **last;
    int full;
};

static void *copy_of(const void *data, size_t size)
{
    return size ? memcpy(allocate(size), data, size) : NULL;
}

static uint32_t void_from(const struct reading *self, uint64_t segment)
{
    uint32_t from = UINT32_MAX;
    for (size_t i = 0; i < self->outline_count; i++)
        if (self->outlines[i].segment == segment && self->outlines[i].void_from < from)
            from = self->outlines[i].void_from;
    return from;
}

static int copies_count(const struct reading *self, uint64_t segment)
{
    for (size_t i = 0; i < self->outline_count; i++)
        if (self->outlines[i].segment == segment)
            return self->outlines[i].complete;
    return 1;
}

// A cursor may still name the place that a copied event had before a restart: then it stands in a
// segment before the copy's.
static int was_read(const struct reading *self, struct position where)
{
    if (!position_before(self->from, where))
        return 1;
    if (self->from.segment == where.segment)
        return 0;
    int read = 0;
    for (size_t i = 0; i < self->origin_count; i++) {
        const struct origin *origin = &self->origins[i];
        // Of several old places the last that the cursor can know.
        if (origin->copy.segment == where.segment && origin->copy.offset == where.offset &&
            origin->old.segment <= self->from.segment)
            read = !position_before(self->from, origin->old);
    }
    return read;
}

static void take_event(struct reading *self, const struct found *found)
{
    if (self->first && self->room < found->where.length) {
        self->full = 1;
        return;
    }
    struct event *event = allocate(sizeof(*event) + found->where.length);
    event->type = found->record.type;
    event->where = found->where;
    memcpy(event->bytes, found->payload, found->where.length);
    *self->last = event;
    self->last = &event->next;
    self->room -= self->room < found->where.length ? self->room : found->where.length;
}

static void read_segment(struct reading *self, uint64_t number)
{
    uint32_t size = 0, end = void_from(self, number);
    uint64_t unreadable = 0;
    if (number == self->to.segment && self->to.offset < end)
        end = self->to.offset;
    unsigned char *bytes = segment_read(&self->journal->io, number, end, &size, &unreadable);
    if (!bytes)
        return;
    struct scan scan;
    struct found found;
    scan_begin(&scan, bytes, size, self->journal->birth, number, 0, 0);
    for (enum scan_result result; !self->full && (result = scan_next(&scan, &found)) != SCAN_END;) {
        if (result != SCAN_RECORD || !record_has_event(found.record.type) ||
            was_read(self, found.where))
            continue;
        if (!(found.record.flags & RECORD_COPY) || copies_count(self, number))
            take_event(self, &found);
    }
    free(bytes);
}

static int read_events(void *context)
{
    struct reading *self = context;
    for (size_t i = 0; i < self->segment_count && !self->full; i++)
        read_segment(self, self->segments[i]);
    return 0;
}

static void events_read(void *context, int error)
{
    struct reading *self = context;
    (void)error;
    self->journal->reading = 0;
    for (struct event *event = self->first, *next; event; event = next) {
        next = event->next;
        self->fn(self->context, event->type, event->where, event->bytes);
        free(event);
    }
    self->fn(self->context, 0, self->to, NULL);
    free(self->segments);
    free(self->origins);
    free(self->outlines);
    free(self);
}

static void list_segments(struct reading *self)
{
    const struct ledger *ledger = &self->journal->ledger;
    self->segments = allocate((ledger->count + 1) * sizeof(*self->segments));
    for (size_t i = 0; i < ledger->count; i++) {
        const struct ledger_segment *segment = &ledger->segments[i];
        // A cursor at an old place needs the copies, which lie in later segments.
        if (segment->number >= self->from.segment && segment->number <= self->to.segment &&
            !segment->leaving && segment->last_event)
            self->segments[self->segment_count++] = segment->number;
    }
}

int journal_read_events(struct journal *self, struct position from, size_t bytes_most,
                        journal_read_fn *fn, void *context)
{
    if (self->reading) {
        errno = EBUSY;
        return -1;
    }
    struct reading *reading = allocate(sizeof(*reading));
    *reading = (struct reading){.journal = self,
                                .from = from,
                                .to = self->durable,
                                .room = bytes_most,
                                .fn = fn,
                                .context = context};
    reading->last = &reading->first;
    reading->origins = copy_of(self->origins, self->origin_count * sizeof(*self->origins));
    reading->origin_count = self->origin_count;
    reading->outlines = copy_of(self->outlines, self->outline_count * sizeof(*self->outlines));
    reading->outline_count = self->outline_count;
    list_segments(reading);
    if (journal_run(self, read_events, events_read, reading) == 0) {
        self->reading = 1;
        return 0;
    }
    free(reading->segments);
    free(reading->origins);
    free(reading->outlines);
    free(reading);
    errno = EAGAIN;
    return -1;
}
