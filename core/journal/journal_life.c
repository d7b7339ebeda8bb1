// SPDX-License-Identifier: Apache-2.0
// How long records live, and how their segments go.
#include "core/journal/journal_internal.h"

#include "core/journal/scan.h"

#include <errno.h>
#include <stdlib.h>

enum { LEAVING_MOST = 64, PEEK = 64 * 1024 };

int position_before(struct position a, struct position b)
{
    return a.segment < b.segment || (a.segment == b.segment && a.offset < b.offset);
}

void journal_release(struct journal *self, struct position where)
{
    ledger_release(&self->ledger, where);
}

void journal_release_after(struct journal *self, struct position ended, struct position end)
{
    ledger_release_after(&self->ledger, ended, end);
}

void journal_release_ended(struct journal *self, struct position ended, struct position end)
{
    ledger_release_after(&self->ledger, ended, end);
    ledger_release(&self->ledger, ended);
}

void journal_taken(struct journal *self, struct position upto)
{
    ledger_taken(&self->ledger, upto);
}

void journal_no_events(struct journal *self)
{
    self->ledger.no_events = 1;
    self->ledger.changed = 1;
}

uint64_t journal_oldest_segment(const struct journal *self)
{
    const struct ledger_segment *oldest = self->ledger.segments;
    return self->ledger.count > 0 && oldest->number < self->number ? oldest->number : 0;
}

uint64_t journal_segment_live(const struct journal *self, uint64_t segment)
{
    const struct ledger_segment *found = ledger_find(&self->ledger, segment);
    return found ? found->live : 0;
}

void journal_note_void(struct journal *self, uint64_t segment, uint32_t from)
{
    size_t size = (self->outline_count + 1) * sizeof(*self->outlines);
    self->outlines = reallocate(self->outlines, size);
    self->outlines[self->outline_count++] =
        (struct outline){.segment = segment, .complete = 1, .void_from = from};
}

// -- unlinking

struct leaving {
    struct journal *journal;
    uint64_t numbers[LEAVING_MOST];
    int errors[LEAVING_MOST];
    size_t count;
};

static int unlink_segment(const struct journal_io *io, uint64_t number)
{
    char name[SEGMENT_NAME];
    segment_name(number, name);
    return io->unlink(io->context, name) < 0 && errno != ENOENT ? errno : 0;
}

static int unlink_all(void *context)
{
    struct leaving *leaving = context;
    const struct journal_io *io = &leaving->journal->io;
    for (size_t i = 0; i < leaving->count; i++)
        leaving->errors[i] = unlink_segment(io, leaving->numbers[i]);
    return io->sync_folder(io->context) < 0 ? errno : 0;
}

static void unlinked(void *context, int error)
{
    struct leaving *leaving = context;
    struct ledger *ledger = &leaving->journal->ledger;
    for (size_t i = 0; i < leaving->count; i++) {
        if (error || leaving->errors[i])
            ledger_stays(ledger, leaving->numbers[i]);
        else
            ledger_gone(ledger, leaving->numbers[i]);
    }
    free(leaving);
}

// A segment with records on their way to the disk is not below the durable one.
void journal_unlink_free(struct journal *self)
{
    uint64_t numbers[LEAVING_MOST];
    size_t count = ledger_leaving(&self->ledger, self->durable.segment, numbers, LEAVING_MOST);
    if (count == 0)
        return;
    struct leaving *leaving = allocate(sizeof(*leaving));
    leaving->journal = self;
    leaving->count = count;
    for (size_t i = 0; i < count; i++)
        leaving->numbers[i] = numbers[i];
    if (journal_run(self, unlink_all, unlinked, leaving) == 0)
        return;
    for (size_t i = 0; i < count; i++)
        ledger_stays(&self->ledger, numbers[i]);
    free(leaving);
}

void journal_remove_empty(struct journal *self)
{
    for (size_t i = 0; i < self->ledger.count; i++) {
        const struct ledger_segment *segment = &self->ledger.segments[i];
        struct position event = {segment->number, segment->last_event, 0};
        if (segment->live || (!self->ledger.no_events && segment->last_event &&
                              position_before(self->ledger.taken, event)))
            return;
    }
    // The newest last: a crash in between leaves a number that is not used again.
    for (size_t i = 0; i < self->ledger.count; i++)
        unlink_segment(&self->io, self->ledger.segments[i].number);
    self->io.sync_folder(self->io.context);
}

// -- is there anything?

static int holds_record(const struct journal_io *io, uint64_t number)
{
    uint32_t size = 0;
    uint64_t unreadable = 0;
    unsigned char *bytes = segment_read(io, number, PEEK, &size, &unreadable);
    if (!bytes)
        return 1; // not readable is not empty
    struct scan scan;
    struct found found;
    int holds = 0;
    scan_begin(&scan, bytes, size, 0, number, 0, 0);
    for (enum scan_result result; !holds && (result = scan_next(&scan, &found)) != SCAN_END;)
        holds = result == SCAN_BAD || found.record.type != RECORD_MARK;
    free(bytes);
    return holds;
}

int journal_has_records(const char *folder)
{
    struct journal_io io;
    uint64_t *numbers = NULL;
    size_t count = 0;
    int holds = 0;
    if (journal_io_open(&io, folder, NULL) < 0)
        return 0;
    if (segment_numbers(&io, &numbers, &count) == 0)
        for (size_t i = 0; i < count && !holds; i++)
            holds = holds_record(&io, numbers[i]);
    free(numbers);
    io.destroy(io.context);
    return holds;
}
