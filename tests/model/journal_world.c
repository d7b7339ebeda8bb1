// SPDX-License-Identifier: Apache-2.0
#include "tests/model/journal_world.h"

#include "core/journal/journal.h"
#include "core/journal/record.h"
#include "core/journal/segment.h"
#include "tests/model/journal_seams.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAILS_MOST = 256, NOTES_MOST = 4096, SEEN_MOST = 4096, STEPS = 160, REST_MOST = 4000 };

enum promise {
    OPEN,    // nobody was told anything
    KEPT,    // durable: 250
    REFUSED, // 451, or never taken
    VANISHED // a restart did not find it, so nobody may ever see it again
};

struct mail {
    unsigned char *bytes;
    uint32_t size;
    enum promise promise;
    int ended;       // its done is durable: custody is over
    int spoilt;      // a bit was flipped in a record of it
    unsigned events; // how often node has got its end
    // What the living process knows.
    int appended, ending, abandoned;
    struct position place, end;
    unsigned long durable_in; // the round of commits that made `place` durable
    // What the replay under way has found.
    unsigned found, found_end, found_abandoned;
    struct position found_at, found_end_at, found_abandoned_at;
};

// An appended record, as its callback gets it.
struct note {
    struct world *world;
    struct mail *mail;
    unsigned type;
    int failing;       // a failure was under way when it was appended
    unsigned failures; // of the disk, then
};

struct world {
    uint64_t random;
    int trace, without;
    struct disk *disk;
    struct journal *journal;
    struct journal_options options;
    struct mail mails[MAILS_MOST];
    unsigned mail_count;
    struct note notes[NOTES_MOST];
    unsigned note_count;
    struct position early[MAILS_MOST]; // ends whose mail is gone, released after the replay
    unsigned early_count;
    struct position cursor; // of node
    int reading;
    unsigned failures_seen;
    unsigned long rounds; // of commits that became durable
    int flips_allowed, closing;
    struct journal_result *result;
};

static uint64_t draw(struct world *self, uint64_t below)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return (self->random * 0x2545F4914F6CDD1DULL >> 33) % below;
}

__attribute__((format(printf, 2, 3))) static void say(const struct world *self, const char *format,
                                                      ...)
{
    if (!self->trace)
        return;
    va_list list;
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    putchar('\n');
}

__attribute__((format(printf, 2, 3))) static void broken(struct world *self, const char *format,
                                                         ...)
{
    if (self->result->broken[0])
        return;
    va_list list;
    va_start(list, format);
    vsnprintf(self->result->broken, sizeof(self->result->broken), format, list);
    va_end(list);
    say(self, "BROKEN: %s", self->result->broken);
}

static unsigned number(const struct world *self, const struct mail *mail)
{
    return (unsigned)(mail - self->mails);
}

// -- appending

static void on_state(void *context, enum journal_state state, struct position where);

static struct note *note_new(struct world *self, struct mail *mail, unsigned type)
{
    if (self->note_count == NOTES_MOST)
        return NULL;
    struct note *note = &self->notes[self->note_count++];
    unsigned failures = disk_failures(self->disk);
    *note = (struct note){self, mail, type, failures != self->failures_seen, failures};
    return note;
}

static int append(struct world *self, struct mail *mail, unsigned type, struct position *ret)
{
    uint32_t id = number(self, mail);
    struct iovec pieces[2] = {{&id, sizeof(id)}, {mail->bytes, mail->size}};
    struct note *note = note_new(self, mail, type);
    if (!note)
        return -1;
    int whole = type == RECORD_MESSAGE;
    int rc =
        journal_append(self->journal, type, !whole, pieces, whole ? 2 : 1, on_state, note, ret);
    if (rc < 0) {
        int sound = disk_failures(self->disk) == 0 && !disk_killed(self->disk);
        if (sound && errno != ENOBUFS && !(whole && errno == ENOSPC))
            broken(self, "mail %u: append of type %u: errno %d on a sound disk", id, type, errno);
        say(self, "append %u type %u fails, errno %d", id, type, errno);
    } else {
        say(self, "append %u type %u at %lu:%u", id, type, ret->segment, ret->offset);
    }
    return rc;
}

static int take_message(struct world *self, struct mail *mail)
{
    mail->appended = append(self, mail, RECORD_MESSAGE, &mail->place) == 0;
    return mail->appended;
}

// The bytes of an older record, header and all, as a mail of somebody who has seen the journal.
static void forge(struct world *self, struct mail *mail)
{
    const struct mail *older = &self->mails[draw(self, self->mail_count)];
    char name[SEGMENT_NAME];
    size_t size = 0;
    segment_name(older->place.segment, name);
    const unsigned char *bytes = disk_file(self->disk, name, &size);
    uint64_t length = record_size(older->place.length), from = older->place.offset;
    if (!bytes || from + length > size || length + 4 > mail->size)
        return;
    memcpy(mail->bytes + 4, bytes + from, (size_t)length); // so that it is aligned
}

static void new_mail(struct world *self)
{
    if (self->mail_count == MAILS_MOST)
        return;
    uint32_t most = self->options.segment_size - 128 - RECORD_HEADER_SIZE - 4;
    static const uint32_t sizes[] = {8, 64, 300, 1200};
    uint32_t size = 1 + (uint32_t)draw(self, sizes[draw(self, ARRAY_LENGTH(sizes))]);
    if (draw(self, 12) == 0)
        size = 1 + (uint32_t)draw(self, most);
    if (draw(self, 40) == 0 || size > most)
        size = most;
    struct mail *mail = &self->mails[self->mail_count];
    mail->bytes = allocate(size);
    mail->size = size;
    for (uint32_t i = 0; i < size; i++)
        mail->bytes[i] = (unsigned char)(draw(self, 4) ? self->mail_count + i : 0);
    if (self->mail_count && draw(self, 3) == 0)
        forge(self, mail);
    self->mail_count++;
    self->result->mails++;
    if (!take_message(self, mail))
        mail->promise = REFUSED;
}

static void end_mail(struct world *self, struct mail *mail)
{
    if (mail->ending || mail->ended || mail->abandoned || mail->promise != KEPT || !mail->appended)
        return;
    mail->ending = append(self, mail, RECORD_DONE, &mail->end) == 0;
}

// -- what became of it

static void message_state(struct world *self, struct mail *mail, enum journal_state state)
{
    struct position where;
    if (state == JOURNAL_DURABLE) {
        mail->promise = KEPT;
        mail->durable_in = self->rounds;
        self->result->kept++;
        return;
    }
    if (draw(self, 3) == 0) { // as a record that nobody waits for
        take_message(self, mail);
        return;
    }
    mail->appended = 0;
    mail->abandoned = append(self, mail, RECORD_ABANDONED, &where) == 0;
}

static void end_state(struct world *self, struct mail *mail, enum journal_state state,
                      struct position where)
{
    if (state == JOURNAL_DURABLE) {
        mail->ended = 1;
        mail->appended = 0;
        journal_release_ended(self->journal, mail->place, where);
    } else {
        mail->ending = 0; // and is tried again
    }
}

static void on_state(void *context, enum journal_state state, struct position where)
{
    struct note *note = context;
    struct world *self = note->world;
    struct mail *mail = note->mail;
    if (state == JOURNAL_WRITTEN)
        return;
    say(self, "%s %u type %u at %lu:%u", state == JOURNAL_DURABLE ? "durable" : "FAILED",
        number(self, mail), note->type, where.segment, where.offset);
    if (state == JOURNAL_FAILED && !note->failing && disk_failures(self->disk) == note->failures &&
        !disk_killed(self->disk))
        broken(self, "mail %u: a record failed though the disk did not", number(self, mail));
    if (note->type == RECORD_MESSAGE)
        message_state(self, mail, state);
    else if (note->type == RECORD_DONE)
        end_state(self, mail, state, where);
    else if (state == JOURNAL_DURABLE) {
        mail->promise = REFUSED;
        journal_release_after(self->journal, mail->place, where);
    }
}

// -- replay

static struct mail *mail_of(struct world *self, struct position where, const void *payload)
{
    uint32_t id = UINT32_MAX;
    if (where.length >= sizeof(id))
        memcpy(&id, payload, sizeof(id));
    if (id < self->mail_count)
        return &self->mails[id];
    broken(self, "a record that nobody wrote at %lu:%u", where.segment, where.offset);
    return NULL;
}

static void found(void *context, unsigned type, struct position where, const void *payload)
{
    struct world *self = context;
    struct mail *mail = mail_of(self, where, payload);
    if (!mail || disk_killed(self->disk))
        return;
    say(self, "found %u type %u at %lu:%u", number(self, mail), type, where.segment, where.offset);
    if (type == RECORD_MESSAGE) {
        mail->found++;
        mail->found_at = where;
        if (where.length != mail->size + 4 ||
            memcmp((const char *)payload + 4, mail->bytes, mail->size) != 0)
            broken(self, "mail %u: other bytes than were written", number(self, mail));
    } else if (type == RECORD_DONE) {
        mail->found_end++;
        mail->found_end_at = where;
        if (!mail->found && self->early_count < MAILS_MOST)
            self->early[self->early_count++] = where;
    } else {
        mail->found_abandoned++;
        mail->found_abandoned_at = where;
        if (!mail->found && self->early_count < MAILS_MOST)
            self->early[self->early_count++] = where;
    }
}

static void begin_replay(struct world *self)
{
    for (unsigned i = 0; i < self->mail_count; i++) {
        struct mail *mail = &self->mails[i];
        mail->found = mail->found_end = mail->found_abandoned = 0;
    }
    self->early_count = 0;
}

static void check_found(struct world *self, const struct mail *mail)
{
    unsigned i = number(self, mail);
    if (mail->spoilt)
        return;
    if (mail->found > 1)
        broken(self, "mail %u: found %u times", i, mail->found);
    else if (mail->found_end > 1)
        broken(self, "mail %u: its end was found %u times", i, mail->found_end);
    else if (mail->promise == KEPT && !mail->ended && !mail->found && !mail->found_end)
        broken(self, "mail %u: acknowledged and LOST", i);
    else if (mail->ended && mail->found && !mail->found_end)
        broken(self, "mail %u: had ended, and came back", i);
    else if (mail->promise == REFUSED && mail->found && !mail->found_abandoned)
        broken(self, "mail %u: was refused, and came back", i);
    else if (mail->promise == VANISHED && mail->found)
        broken(self, "mail %u: was not there after a restart, and came back", i);
}

// What a complete replay has shown is acted on: from here on it counts.
static void act_on(struct world *self, struct mail *mail)
{
    mail->appended = mail->ending = mail->abandoned = 0;
    mail->durable_in = 0;
    if (mail->found_abandoned) {
        mail->promise = REFUSED;
        if (mail->found)
            journal_release_ended(self->journal, mail->found_at, mail->found_abandoned_at);
    } else if (mail->found_end) {
        mail->ended = 1;
        mail->promise = KEPT;
        if (mail->found)
            journal_release_ended(self->journal, mail->found_at, mail->found_end_at);
    } else if (mail->found) {
        mail->promise = KEPT;
        mail->ended = 0;
        mail->appended = 1;
        mail->place = mail->found_at;
    } else if (mail->promise == OPEN) {
        mail->promise = VANISHED;
    }
    if (mail->found)
        mail->place = mail->found_at;
    if (mail->found_end)
        mail->end = mail->found_end_at;
}

static void replayed(struct world *self, const struct journal_report *report)
{
    if (report->corrupt && !self->result->flips)
        broken(self, "%lu stretches called corrupt though no bit was flipped", report->corrupt);
    for (unsigned i = 0; i < self->mail_count; i++)
        check_found(self, &self->mails[i]);
    for (unsigned i = 0; i < self->early_count; i++)
        journal_release(self->journal, self->early[i]);
    for (unsigned i = 0; i < self->mail_count; i++)
        act_on(self, &self->mails[i]);
    self->note_count = 0;
    self->reading = 0;
    self->rounds = 2;
    self->failures_seen = disk_failures(self->disk);
}

// -- death and birth

static int holds(struct position where, uint64_t segment, size_t at)
{
    return where.segment == segment && at >= where.offset &&
           at < where.offset + record_size(where.length);
}

// Flips a bit of a record or of anything else; 1: of a record below the last mark, so an alarm is
// due; 2: of one above it, which may count as torn.
static int flip(struct world *self)
{
    char name[SEGMENT_NAME];
    size_t size = 0;
    const struct mail *target = &self->mails[draw(self, self->mail_count)];
    struct position where = draw(self, 3) ? target->place : target->end;
    segment_name(where.segment, name);
    if (!where.segment || !disk_file(self->disk, name, &size))
        return 0;
    size_t at =
        draw(self, 3) ? where.offset + draw(self, record_size(where.length)) : draw(self, size);
    int due = 0;
    if (at >= size)
        return 0;
    for (unsigned i = 0; i < self->mail_count; i++) {
        struct mail *mail = &self->mails[i];
        if (!holds(mail->place, where.segment, at) && !holds(mail->end, where.segment, at))
            continue;
        mail->spoilt = 1;
        int padding = holds(mail->place, where.segment, at) &&
                      at >= mail->place.offset + RECORD_HEADER_SIZE + mail->place.length;
        if (holds(mail->place, where.segment, at) && mail->appended && mail->promise == KEPT &&
            !padding)
            due = mail->durable_in + 1 < self->rounds ? 1 : 2;
    }
    disk_flip(self->disk, name, at, (unsigned)draw(self, 8));
    self->result->flips++;
    say(self, "flip in segment %lu at %zu, report due: %d", where.segment, at, due);
    return due;
}

// `cut_off`: a replay that died may have put it aside, and void what it had seen of it.
static void check_reported(struct world *self, const struct journal_report *report, int due,
                           unsigned kept, int cut_off)
{
    if (cut_off && disk_kept(self->disk) > kept)
        return;
    if (due == 1 && !report->corrupt)
        broken(self, "a flipped bit below the mark was not reported as corrupt");
    else if (due && (report->corrupt + report->torn == 0 || disk_kept(self->disk) == kept))
        broken(self, "a flipped bit was neither reported nor its stretch put aside");
}

static void fall(struct world *self, int cut)
{
    disk_kill(self->disk);
    self->closing = 1;
    journal_destroy(&self->journal);
    self->closing = 0;
    self->result->kills++;
    disk_heal(self->disk);
    say(self, cut ? "-- power cut" : "-- killed");
    if (!cut)
        return;
    self->result->cuts++;
    disk_power_cut(self->disk);
}

static int open_once(struct world *self, struct journal_report *report)
{
    begin_replay(self);
    self->journal = journal_new(NULL, &self->options, found, self, report);
    return self->journal && !disk_killed(self->disk);
}

static void rise(struct world *self)
{
    struct journal_report report = {0};
    unsigned kept = disk_kept(self->disk);
    int due = self->flips_allowed && !self->result->flips && self->mail_count && draw(self, 3) == 0
                  ? flip(self)
                  : 0;
    int attempt = 0;
    for (; attempt < 5 && draw(self, 3) == 0; attempt++) {
        if (draw(self, 2))
            disk_kill_after(self->disk, 1 + (unsigned)draw(self, 40));
        else
            disk_break(self->disk, (enum disk_fault)draw(self, DISK_FAULTS));
        if (open_once(self, &report)) {
            disk_heal(self->disk);
            goto open;
        }
        say(self, "the replay was cut off");
        if (self->journal)
            fall(self, 0);
        disk_heal(self->disk);
        if (draw(self, 2))
            disk_power_cut(self->disk);
    }
    disk_kill_after(self->disk, 0);
    if (!open_once(self, &report)) {
        broken(self, "the journal does not open: errno %d", errno);
        return;
    }
open:
    disk_kill_after(self->disk, 0);
    say(self, "-- open: %lu records, %lu again, %lu torn, %lu corrupt", report.records,
        report.replayed_again, report.torn, report.corrupt);
    replayed(self, &report);
    check_reported(self, &report, due, kept, attempt > 0);
}

// -- node

static void event_read(void *context, unsigned type, struct position where, const void *payload)
{
    struct world *self = context;
    if (self->closing)
        return;
    if (type == 0) {
        self->reading = 0;
        if (self->cursor.segment && draw(self, 3))
            journal_taken(self->journal, self->cursor);
        return;
    }
    struct mail *mail = mail_of(self, where, payload);
    if (!mail)
        return;
    say(self, "event %u at %lu:%u", number(self, mail), where.segment, where.offset);
    self->cursor = where;
    if (++mail->events > 1 && !mail->spoilt && !self->result->flips)
        broken(self, "mail %u: node got its end %u times", number(self, mail), mail->events);
    if (!mail->ended && !mail->ending && !mail->spoilt)
        broken(self, "mail %u: node got an end that is none", number(self, mail));
}

static void read_events(struct world *self)
{
    if (!self->reading && journal_read_events(self->journal, self->cursor, 64 + draw(self, 4000),
                                              event_read, self) == 0)
        self->reading = 1;
}

// -- the schedule

static void deliver(struct world *self)
{
    struct position before = journal_durable(self->journal);
    if (!seams_deliver())
        return;
    if (position_before(before, journal_durable(self->journal)))
        self->rounds++;
    // What failed is told in the same round: with no notice left nothing is failing any more.
    if (!seams_notices())
        self->failures_seen = disk_failures(self->disk);
}

static void step(struct world *self)
{
    static const enum disk_fault faults[] = {
        DISK_NO_SYNC, DISK_NO_SYNC, DISK_NO_SYNC,   DISK_NO_WRITE,
        DISK_SHORT,   DISK_FULL,    DISK_NO_FOLDER, DISK_NO_UNLINK,
    };
    uint64_t what = draw(self, 100);
    if (what < 24) {
        new_mail(self);
    } else if (what < 40 && self->mail_count) {
        end_mail(self, &self->mails[draw(self, self->mail_count)]);
    } else if (what < 54) {
        seams_end_turn();
    } else if (what < 72) {
        seams_disk_round();
    } else if (what < 88) {
        deliver(self);
    } else if (what < 92) {
        read_events(self);
    } else if (what < 94) {
        seams_fire_timer();
    } else if (what < 95) {
        disk_heal(self->disk);
    } else if (what < 97) {
        disk_break(self->disk, faults[draw(self, ARRAY_LENGTH(faults))]);
        say(self, "the disk is to fail");
    } else if (what < 98) {
        disk_kill_after(self->disk, 1 + (unsigned)draw(self, 20));
    } else if (what < 99) {
        disk_kill(self->disk);
    }
    if (disk_killed(self->disk)) {
        fall(self, draw(self, 3) > 0);
        rise(self);
    }
}

static int all_ended(const struct world *self)
{
    for (unsigned i = 0; i < self->mail_count; i++) {
        const struct mail *mail = &self->mails[i];
        if (!mail->spoilt && mail->promise == KEPT && (!mail->ended || !mail->events))
            return 0;
    }
    return 1;
}

// The disk is sound and nothing happens any more: all ends, and the segments go.
static void come_to_rest(struct world *self)
{
    disk_heal(self->disk);
    disk_kill_after(self->disk, 0);
    for (int i = 0; i < REST_MOST && !self->result->broken[0]; i++) {
        if (i == 10) // a success, so that failed segments lie behind what is durable
            new_mail(self);
        for (unsigned m = 0; m < self->mail_count; m++)
            end_mail(self, &self->mails[m]);
        seams_end_turn();
        while (seams_disk_round()) {
        }
        for (int notices = 0; notices < 64; notices++)
            deliver(self);
        seams_fire_timer();
        read_events(self);
        if (i > 20 && all_ended(self) && journal_live(self->journal) == 0 &&
            journal_bytes(self->journal) <= 2ULL * self->options.segment_size)
            return;
    }
    for (unsigned i = 0; i < self->mail_count; i++) {
        const struct mail *mail = &self->mails[i];
        if (mail->spoilt || mail->promise != KEPT)
            continue;
        if (!mail->ended)
            broken(self, "mail %u: cannot be ended on a sound disk", i);
        else if (!mail->events && !self->result->flips)
            broken(self, "mail %u: node never got its end", i);
    }
    // Where no new mail is taken because of their size, they stay till one that is reserved.
    if (!self->result->flips && self->mails[self->mail_count - 1].promise != REFUSED)
        broken(self, "all has ended, yet %lu records and %lu bytes stay",
               journal_live(self->journal), journal_bytes(self->journal));
}

static void count_name(void *context, const char *name)
{
    (void)name;
    ++*(unsigned *)context;
}

// An orderly end leaves nothing of an empty journal.
static void close_well(struct world *self)
{
    if (self->result->broken[0])
        return;
    while (seams_deliver()) {
    }
    self->closing = 1;
    journal_taken(self->journal, self->cursor);
    journal_destroy(&self->journal);
    unsigned files = 0;
    disk_each(self->disk, count_name, &files);
    if (files && !self->result->flips)
        broken(self, "%u files are left of an empty journal", files);
}

void journal_world_run(uint64_t seed, int without, int trace, struct journal_result *ret)
{
    static const uint32_t sizes[] = {2048, 4096, 8192, 32768};
    struct world *self = allocate(sizeof(*self));
    *ret = (struct journal_result){0};
    self->random = seed * 0x9E3779B97F4A7C15ULL + 1;
    self->trace = trace;
    self->without = without;
    self->result = ret;
    self->disk = disk_new(seed);
    self->options.segment_size = sizes[draw(self, ARRAY_LENGTH(sizes))];
    self->options.bytes_most = draw(self, 4) ? 0 : 16ULL * self->options.segment_size;
    self->options.free_percent_least = 1;
    self->flips_allowed = draw(self, 4) == 0;
    seams_begin(self->disk, without);
    rise(self);
    for (int i = 0; i < STEPS && !ret->broken[0]; i++)
        step(self);
    if (!ret->broken[0])
        come_to_rest(self);
    close_well(self);
    ret->failures = disk_failures(self->disk);
    disk_kill(self->disk);
    self->closing = 1;
    if (self->journal)
        journal_destroy(&self->journal);
    for (unsigned i = 0; i < self->mail_count; i++)
        free(self->mails[i].bytes);
    disk_destroy(&self->disk);
    free(self);
}
