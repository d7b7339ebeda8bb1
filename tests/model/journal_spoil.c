// SPDX-License-Identifier: Apache-2.0
#include "tests/model/journal_spoil.h"

#include "core/journal/journal.h"
#include "core/journal/record.h"
#include "core/journal/segment.h"
#include "tests/model/journal_seams.h"

#include <stdio.h>
#include <string.h>

enum { RECORDS = 24, LONGEST = 200, SEGMENT = 1024, IN_A_BATCH = 3 };

struct spoil {
    struct disk *disk;
    struct position places[RECORDS];
    unsigned durable;
    unsigned found[RECORDS];
    int other_bytes;
    struct journal_report report;
};

static size_t fill(unsigned char *ret, unsigned record)
{
    size_t size = 1 + record * 37 % LONGEST;
    for (size_t i = 0; i < size; i++)
        ret[i] = (unsigned char)(record + i * i);
    ret[0] = (unsigned char)record;
    return size;
}

static void count_durable(void *context, enum journal_state state, struct position where)
{
    (void)where;
    ((struct spoil *)context)->durable += state == JOURNAL_DURABLE;
}

static void found(void *context, unsigned type, struct position where, const void *payload)
{
    struct spoil *self = context;
    unsigned char bytes[LONGEST];
    unsigned record = where.length ? *(const unsigned char *)payload : RECORDS;
    if (type != RECORD_HELD || record >= RECORDS || fill(bytes, record) != where.length ||
        memcmp(bytes, payload, where.length) != 0)
        self->other_bytes = 1;
    else
        self->found[record]++;
}

static struct journal *open_journal(struct spoil *self, struct disk *disk)
{
    struct journal_options options = {.segment_size = SEGMENT, .free_percent_least = 1};
    seams_begin(disk, -1);
    return journal_new(NULL, &options, found, self, &self->report);
}

static void close_journal(struct journal *journal, struct disk *disk)
{
    disk_kill(disk);
    journal_destroy(&journal);
}

// Writes the records, in small batches over several segments.
static void write_journal(struct spoil *self)
{
    self->disk = disk_new(1);
    struct journal *journal = open_journal(self, self->disk);
    for (unsigned i = 0; i < RECORDS; i++) {
        unsigned char bytes[LONGEST];
        struct iovec piece = {bytes, fill(bytes, i)};
        if (journal_append(journal, RECORD_HELD, 0, &piece, 1, count_durable, self,
                           &self->places[i]) < 0)
            return;
        if (i % IN_A_BATCH < IN_A_BATCH - 1 && i < RECORDS - 1)
            continue;
        for (int turns = 0; turns < 4; turns++) { // a batch may be split by the end of a segment
            seams_end_turn();
            while (seams_disk_round()) {
            }
            while (seams_deliver()) {
            }
        }
    }
    seams_fire_timer(); // it is quiet: the mark of the last batch
    seams_disk_round();
    close_journal(journal, self->disk);
}

static void replay(struct spoil *self, struct disk *damaged)
{
    memset(self->found, 0, sizeof(self->found));
    self->other_bytes = 0;
    self->report = (struct journal_report){0};
    struct journal *journal = open_journal(self, damaged);
    if (journal)
        close_journal(journal, damaged);
    else
        self->other_bytes = 1;
}

// Is record `i` one that the damage to [from, to) of its segment may cost?
static int is_hit(const struct spoil *self, unsigned i, uint64_t segment, size_t from, size_t to)
{
    struct position place = self->places[i];
    return place.segment == segment && place.offset < to &&
           place.offset + RECORD_HEADER_SIZE + place.length > from;
}

// 0, or -1 having told what is wrong.
static int check(const struct spoil *self, const char *damage, uint64_t segment, size_t from,
                 size_t to)
{
    const char *wrong = self->other_bytes ? "other bytes are found" : NULL;
    int lost = 0;
    for (unsigned i = 0; i < RECORDS && !wrong; i++) {
        int hit = is_hit(self, i, segment, from, to);
        lost += !self->found[i];
        if (self->found[i] > 1)
            wrong = "a record is found twice";
        else if (!self->found[i] && !hit)
            wrong = "a record is lost that was not hit";
    }
    // The newest segment, cut off between two records, looks as if it had got no more.
    int shows = to < SEGMENT || segment < self->places[RECORDS - 1].segment;
    if (!wrong && shows && lost && !self->report.corrupt)
        wrong = "the loss is no alarm";
    if (wrong)
        printf("%s in segment %lu, %zu to %zu: %s\n", damage, (unsigned long)segment, from, to,
               wrong);
    return wrong ? -1 : 0;
}

static unsigned long cut_everywhere(struct spoil *self)
{
    unsigned long tried = 0;
    for (uint64_t segment = 1; segment <= self->places[RECORDS - 1].segment; segment++) {
        for (size_t at = 0; at < SEGMENT; at++, tried++) {
            char name[SEGMENT_NAME];
            struct disk *damaged = disk_copy(self->disk);
            segment_name(segment, name);
            disk_truncate(damaged, name, at);
            replay(self, damaged);
            disk_destroy(&damaged);
            if (check(self, "cut off", segment, at, SEGMENT) < 0)
                return 0;
        }
    }
    return tried;
}

static unsigned long flip_everything(struct spoil *self)
{
    unsigned long tried = 0;
    for (unsigned i = 0; i < RECORDS; i++) {
        struct position place = self->places[i];
        size_t size = (size_t)record_size(place.length);
        for (size_t bit = 0; bit < 8 * size; bit++, tried++) {
            char name[SEGMENT_NAME];
            struct disk *damaged = disk_copy(self->disk);
            size_t at = place.offset + bit / 8;
            segment_name(place.segment, name);
            disk_flip(damaged, name, at, bit % 8);
            replay(self, damaged);
            disk_destroy(&damaged);
            if (check(self, "bit flipped", place.segment, at, at + 1) < 0)
                return 0;
        }
    }
    return tried;
}

unsigned long journal_spoil_all(void)
{
    struct spoil self = {0};
    write_journal(&self);
    unsigned long cuts = 0, flips = 0;
    if (self.durable == RECORDS) {
        cuts = cut_everywhere(&self);
        flips = cuts ? flip_everything(&self) : 0;
    } else {
        printf("only %u of %d records became durable\n", self.durable, RECORDS);
    }
    disk_destroy(&self.disk);
    return flips ? cuts + flips : 0;
}
