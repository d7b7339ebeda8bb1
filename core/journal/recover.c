// SPDX-License-Identifier: Apache-2.0
#include "core/journal/recover.h"
#include "core/base/random.h"
#include "core/journal/batch.h"
#include "core/journal/outline.h"
#include "core/journal/scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { COPIES_AT_ONCE = 4 * 1024 * 1024 };

struct recovery {
    struct recovered *ret;
    const struct journal_io *io;
    const struct journal_options *options;
    journal_visit_fn *visit;
    void *context;
    uint64_t *numbers;
    struct outline *outlines;
    size_t count;
    struct plan plan;
    uint64_t fresh;       // number of the new segment
    struct batch *copies; // those not yet written
    struct position *old; // places, said by the MARK_ORIGINs just read
    size_t old_count;
};

static unsigned char *read_all(struct recovery *self, uint64_t number, uint32_t *ret_size,
                               uint64_t *unreadable)
{
    if (self->options->cancelled && *self->options->cancelled) {
        errno = ECANCELED;
        return NULL;
    }
    return segment_read(self->io, number, SEGMENT_BYTES_MOST, ret_size, unreadable);
}

// -- first pass: marks

// Every segment begins with a mark, so its first header is ours; only where all of those are
// damaged the first good one of any place must do.
static uint64_t find_birth(const unsigned char *bytes, uint32_t size, uint64_t segment,
                           int anywhere)
{
    struct record record;
    if (size < RECORD_HEADER_SIZE)
        return 0;
    if (record_decode(&record, bytes, 0, segment, 0) == 0)
        return record_birth(bytes);
    if (!anywhere)
        return 0;
    struct scan scan;
    struct found found;
    scan_begin(&scan, bytes, size, 0, segment, 0, 0);
    for (enum scan_result result; (result = scan_next(&scan, &found)) != SCAN_END;)
        if (result == SCAN_RECORD)
            return record_birth(bytes + found.where.offset);
    return 0;
}

static int learn_birth(struct recovery *self, int anywhere)
{
    uint64_t unreadable = 0; // counted when the records are read
    for (size_t i = 0; i < self->count && !self->ret->birth; i++) {
        uint32_t size = 0, most = anywhere ? SEGMENT_BYTES_MOST : RECORD_HEADER_SIZE;
        unsigned char *bytes = segment_read(self->io, self->numbers[i], most, &size, &unreadable);
        if (!bytes)
            return -1;
        self->ret->birth = find_birth(bytes, size, self->numbers[i], anywhere);
        free(bytes);
    }
    return 0;
}

static int read_outline(struct recovery *self, size_t index)
{
    uint32_t size = 0;
    uint64_t unreadable = 0;
    unsigned char *bytes = read_all(self, self->numbers[index], &size, &unreadable);
    if (!bytes)
        return -1;
    outline_read(&self->outlines[index], bytes, size, self->ret->birth, self->numbers[index]);
    ledger_open(&self->ret->ledger, self->numbers[index], size);
    free(bytes);
    return 0;
}

static int first_pass(struct recovery *self)
{
    if (segment_numbers(self->io, &self->numbers, &self->count) < 0)
        return -1;
    self->fresh = self->count ? self->numbers[self->count - 1] + 1 : 1;
    self->outlines = allocate((self->count + 1) * sizeof(*self->outlines));
    if (learn_birth(self, 0) < 0 || (!self->ret->birth && learn_birth(self, 1) < 0))
        return -1;
    if (!self->ret->birth)
        self->ret->birth = random_u64();
    for (size_t i = 0; i < self->count; i++)
        if (read_outline(self, i) < 0)
            return -1;
    self->plan = outline_plan(self->outlines, self->count);
    return 0;
}

// -- the fresh segment

// Until the replay is complete its marks are MARK_REPLAY: they void nothing, and the copies behind
// them do not count.
static void begin_copies(struct recovery *self, uint32_t offset)
{
    batch_begin(self->copies, self->fresh, offset);
    // Not `plan.synced`: that may stand on marks that are lost yet, and then void stretches would
    // pass for rot.
    struct mark mark = {.kind = MARK_REPLAY, .synced = self->plan.anew};
    batch_mark(self->copies, self->ret->birth, &mark);
}

static int write_batch(struct recovery *self)
{
    const struct segment *segment = &self->ret->current;
    if (segment_write(segment, self->io, self->copies->bytes, self->copies->size,
                      self->copies->offset) < 0)
        return -1;
    self->ret->durable = batch_end(self->copies); // once synced
    return 0;
}

// Its making syncs the folder, and so the unlinks of a process that died before it could: what is
// not found now must not come back when its end is released.
static int make_fresh(struct recovery *self)
{
    struct segment *segment = &self->ret->current;
    if (segment_create(segment, self->io, self->fresh, self->options->segment_size) < 0)
        return -1;
    int filled;
    do
        filled = segment_fill(segment, self->io);
    while (filled == 0);
    if (filled < 0)
        return -1;
    ledger_open(&self->ret->ledger, self->fresh, self->options->segment_size);
    self->copies = batch_new();
    begin_copies(self, 0);
    return 0;
}

// For those who read the events again: what lies above the last mark is told by its copies.
static void note_copied(struct recovery *self)
{
    for (size_t i = 0; i < self->count; i++) {
        struct outline *outline = &self->outlines[i];
        if (outline->segment > self->plan.anew.segment)
            outline->void_from = 0;
        else if (outline->segment == self->plan.anew.segment &&
                 outline->void_from > self->plan.anew.offset)
            outline->void_from = self->plan.anew.offset;
    }
}

// From here on the old places are void. Two marks, because one flipped bit must not make all copies
// void.
static int complete(struct recovery *self)
{
    if (write_batch(self) < 0 || self->io->fdatasync(self->io->context, self->ret->current.fd) < 0)
        return -1;
    struct mark mark = {
        .kind = MARK_BATCH, .synced = self->ret->durable, .sealed = self->plan.anew};
    for (int i = 0; i < 2; i++) {
        batch_begin(self->copies, self->fresh, self->ret->durable.offset);
        batch_mark(self->copies, self->ret->birth, &mark);
        if (write_batch(self) < 0)
            return -1;
    }
    self->ret->sealed = self->plan.anew;
    note_copied(self);
    return self->io->fdatasync(self->io->context, self->ret->current.fd);
}

// -- second pass: records

static void note_origin(struct recovered *self, struct position old, struct position copy)
{
    if (self->origin_count == self->origin_capacity) {
        self->origin_capacity = self->origin_capacity ? 2 * self->origin_capacity : 16;
        self->origins = reallocate(self->origins, self->origin_capacity * sizeof(*self->origins));
    }
    self->origins[self->origin_count++] = (struct origin){old, copy};
}

static void add_origin_mark(struct recovery *self, struct position old)
{
    struct record record = {.type = RECORD_MARK, .flags = RECORD_COPY, .length = MARK_PAYLOAD};
    unsigned char mark_record[MARK_SIZE];
    struct mark mark = {.kind = MARK_ORIGIN, .synced = old};
    mark_encode(mark_record, &mark, self->ret->birth, 0, 0);
    struct iovec payload = {mark_record + RECORD_HEADER_SIZE, MARK_PAYLOAD};
    batch_add(self->copies, self->ret->birth, &record, &payload, 1);
}

static void add_old(struct recovery *self, struct position old)
{
    self->old = reallocate(self->old, (self->old_count + 1) * sizeof(*self->old));
    self->old[self->old_count++] = old;
}

// Appends a record from above the last mark anew.
static int copy(struct recovery *self, struct found *found)
{
    uint64_t end = batch_end(self->copies).offset + record_size(found->where.length) + MARK_SIZE;
    if (end > SEGMENT_BYTES_MOST - 4 * MARK_SIZE) {
        errno = EFBIG;
        return -1;
    }
    if (self->copies->size > COPIES_AT_ONCE) {
        if (write_batch(self) < 0)
            return -1;
        begin_copies(self, self->ret->durable.offset);
    }
    int event = record_has_event(found->record.type);
    if (event)
        add_old(self, found->where);
    for (size_t i = 0; event && i < self->old_count; i++)
        add_origin_mark(self, self->old[i]);
    struct record record = {
        .type = found->record.type, .flags = RECORD_COPY, .length = found->where.length};
    struct iovec payload = {(void *)(uintptr_t)found->payload, found->where.length};
    struct position where = batch_add(self->copies, self->ret->birth, &record, &payload, 1);
    found->where = where;
    self->ret->report.replayed_again++;
    return 0;
}

static int replay_record(struct recovery *self, const struct outline *outline, struct found *found)
{
    struct mark mark;
    if (found->record.type == RECORD_MARK) {
        if (mark_decode(&mark, found->payload, found->where.length) == 0 &&
            mark.kind == MARK_ORIGIN)
            add_old(self, mark.synced);
        return 0;
    }
    int counts = !(found->record.flags & RECORD_COPY) || outline->complete;
    if (counts && !position_before(found->where, self->plan.anew) && copy(self, found) < 0)
        return -1;
    for (size_t i = 0; counts && i < self->old_count; i++)
        note_origin(self->ret, self->old[i], found->where);
    self->old_count = 0;
    if (!counts)
        return 0; // its replay was cut off: the original still counts
    ledger_add(&self->ret->ledger, found->where);
    if (record_has_event(found->record.type))
        ledger_event(&self->ret->ledger, found->where);
    self->ret->report.records++;
    self->ret->report.bytes += found->where.length;
    self->visit(self->context, found->record.type, found->where, found->payload);
    return 0;
}

static int keep_bad(struct recovery *self, uint64_t segment, const unsigned char *bytes,
                    uint32_t size, const struct found *found)
{
    struct journal_report *report = &self->ret->report;
    if (position_before((struct position){segment, found->from, 0}, self->plan.synced))
        report->corrupt++;
    else
        report->torn++;
    uint32_t to = found->to < size ? found->to : size;
    uint32_t from = found->from < to ? found->from : to;
    char name[64];
    snprintf(name, sizeof(name), "%016" PRIx64 "-%08" PRIx32 ".bad", segment, found->from);
    return self->io->keep(self->io->context, name, bytes + from, to - from, report->corrupt_file,
                          sizeof(report->corrupt_file));
}

static int replay_bytes(struct recovery *self, const struct outline *outline,
                        const unsigned char *bytes, uint32_t size)
{
    uint32_t end = size < outline->void_from ? size : outline->void_from;
    struct scan scan;
    struct found found;
    self->old_count = 0;
    scan_begin(&scan, bytes, end, self->ret->birth, outline->segment, 0, outline->sound_to);
    for (enum scan_result result; (result = scan_next(&scan, &found)) != SCAN_END;) {
        int failed = result == SCAN_RECORD ? replay_record(self, outline, &found)
                                           : keep_bad(self, outline->segment, bytes, size, &found);
        if (failed < 0)
            return -1;
    }
    return 0;
}

// Does anything lie in the void part, so that the word of the segment that voids it is still
// needed?
static int holds_void(const struct outline *outline, const unsigned char *bytes, uint32_t size)
{
    struct scan scan;
    if (outline->void_from >= size)
        return 0;
    scan_begin(&scan, bytes, size, 0, outline->segment, outline->void_from, 0);
    return scan.used > outline->void_from;
}

static int replay_segment(struct recovery *self, const struct outline *outline)
{
    uint32_t size = 0;
    uint64_t unreadable = 0;
    unsigned char *bytes = read_all(self, outline->segment, &size, &unreadable);
    if (!bytes)
        return -1;
    self->ret->report.corrupt += unreadable;
    int result = replay_bytes(self, outline, bytes, size);
    int seals_fresh = outline->segment >= self->plan.anew.segment;
    if (result == 0 && outline->voided_by && holds_void(outline, bytes, size))
        ledger_pin(&self->ret->ledger, outline->segment, outline->voided_by);
    if (result == 0 && seals_fresh)
        ledger_pin(&self->ret->ledger, outline->segment, self->fresh);
    free(bytes);
    return result;
}

static int second_pass(struct recovery *self)
{
    for (size_t i = 0; i < self->count; i++)
        if (replay_segment(self, &self->outlines[i]) < 0)
            return -1;
    return 0;
}

static void abandon(struct recovery *self)
{
    int kept = errno;
    // The copies are void without their completion; the file goes with the next opening.
    segment_close(&self->ret->current, self->io);
    ledger_free(&self->ret->ledger);
    free(self->ret->origins);
    *self->ret = (struct recovered){0};
    errno = kept;
}

int recover(struct recovered *ret, const struct journal_io *io,
            const struct journal_options *options, journal_visit_fn *visit, void *context)
{
    *ret = (struct recovered){0};
    struct recovery self = {
        .ret = ret, .io = io, .options = options, .visit = visit, .context = context};
    int result = -1;
    if (first_pass(&self) == 0 && make_fresh(&self) == 0 && second_pass(&self) == 0)
        result = complete(&self);
    if (result < 0)
        abandon(&self);
    batch_destroy(&self.copies);
    free(self.old);
    free(self.numbers);
    if (result < 0) {
        free(self.outlines);
        return -1;
    }
    ret->report.birth = ret->birth;
    ret->outlines = self.outlines;
    ret->outline_count = self.count;
    return result;
}
