// SPDX-License-Identifier: Apache-2.0
#include "tests/model/journal_seams.h"

#include "core/base/loop.h"
#include "core/base/mailbox.h"
#include "core/base/random.h"
#include "core/journal/batch.h"
#include "core/journal/committer.h"
#include "core/journal/ledger.h"
#include "core/journal/outline.h"
#include "core/journal/scan.h"

#include <stdlib.h>
#include <string.h>

const char *const journal_rule_names[JOURNAL_RULES] = {
    "sync-before-durable",
    "never-sync-again",
    "sync-new-name",
    "sync-unlink",
    "sync-old-unlink",
    "end-stays",
    "copy-above-mark",
    "complete-copies",
    "copy-unconfirmed",
    "seal",
    "seal-only-that",
    "pin",
    "mark-what-is-synced",
    "mark-moves",
    "place",
    "checksum",
    "keep-until-taken",
    "origin",
};

enum { TIMERS_MOST = 8 };

struct hook {
    loop_fn *fn;
    void *context;
};

struct timer {
    loop_fn *fn;
    void *context;
    int active;
};

struct mailbox {
    void **items;
    size_t first, count, room;
    mailbox_fn *fn;
    void *context;
};

// One journal runs at a time.
static struct {
    struct disk *disk;
    int without;
    struct hook *hook;
    struct timer *timers[TIMERS_MOST];
    struct mailbox *mailbox;
    struct committer *committer;
} now;

static int off(enum journal_rule rule)
{
    return now.without == (int)rule;
}

void seams_begin(struct disk *disk, int without)
{
    now.disk = disk;
    now.without = without;
    struct disk_lies lies = {
        .sync_is_nothing = off(JOURNAL_RULE_SYNC),
        .failed_sync_again = off(JOURNAL_RULE_NO_RETRY),
        .no_folder_for_new = off(JOURNAL_RULE_NAME),
        .no_folder_for_gone = off(JOURNAL_RULE_UNLINK),
        .no_folder_for_dead = off(JOURNAL_RULE_UNLINK_THEN),
    };
    disk_lie(disk, &lies);
}

// The prototypes of what the linker puts in the place of `name`, and of what it replaces.
#define WRAP(type, name, ...)                                                                      \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)
#define REAL(type, name, ...) type __real_##name(__VA_ARGS__)

// -- the loop

WRAP(struct hook *, hook_new, struct loop *loop, loop_fn *fn, void *context)
{
    (void)loop;
    now.hook = allocate(sizeof(*now.hook));
    *now.hook = (struct hook){fn, context};
    return now.hook;
}

WRAP(void, hook_destroy, struct hook **self)
{
    free(*self);
    *self = now.hook = NULL;
}

WRAP(struct timer *, timer_new, struct loop *loop, loop_fn *fn, void *context)
{
    (void)loop;
    struct timer *timer = allocate(sizeof(*timer));
    *timer = (struct timer){fn, context, 0};
    for (size_t i = 0; i < TIMERS_MOST; i++)
        if (!now.timers[i])
            return now.timers[i] = timer;
    abort();
}

WRAP(void, timer_start, struct timer *self, int64_t after_ms)
{
    (void)after_ms;
    self->active = 1;
}

WRAP(void, timer_stop, struct timer *self)
{
    self->active = 0;
}

WRAP(int, timer_active, const struct timer *self)
{
    return self->active;
}

WRAP(void, timer_destroy, struct timer **self)
{
    for (size_t i = 0; i < TIMERS_MOST; i++)
        if (now.timers[i] == *self)
            now.timers[i] = NULL;
    free(*self);
    *self = NULL;
}

void seams_end_turn(void)
{
    if (now.hook)
        now.hook->fn(now.hook->context);
}

int seams_fire_timer(void)
{
    for (size_t i = 0; i < TIMERS_MOST; i++) {
        struct timer *timer = now.timers[i];
        if (!timer || !timer->active)
            continue;
        timer->active = 0;
        timer->fn(timer->context);
        return 1;
    }
    return 0;
}

// -- the mailbox

WRAP(struct mailbox *, mailbox_new, size_t most)
{
    (void)most;
    return now.mailbox = allocate(sizeof(*now.mailbox));
}

WRAP(void, mailbox_destroy, struct mailbox **self)
{
    free((*self)->items);
    free(*self);
    *self = now.mailbox = NULL;
}

WRAP(int, mailbox_put, struct mailbox *self, void *item)
{
    if (self->first + self->count == self->room) {
        self->room = self->room ? 2 * self->room : 64;
        self->items = reallocate(self->items, self->room * sizeof(*self->items));
    }
    self->items[self->first + self->count++] = item;
    return 0;
}

WRAP(void, mailbox_attach, struct mailbox *self, struct loop *loop, mailbox_fn *fn, void *context)
{
    (void)loop;
    self->fn = fn;
    self->context = context;
}

WRAP(void, mailbox_detach, struct mailbox *self)
{
    self->fn = NULL;
}

static void *take(struct mailbox *self)
{
    if (!self || self->count == 0)
        return NULL;
    void *item = self->items[self->first++];
    if (--self->count == 0)
        self->first = 0;
    return item;
}

WRAP(void *, mailbox_wait, struct mailbox *self, int64_t timeout_ms)
{
    (void)timeout_ms;
    return take(self);
}

int seams_deliver(void)
{
    void *item = take(now.mailbox);
    if (item)
        now.mailbox->fn(now.mailbox->context, item);
    return item != NULL;
}

size_t seams_notices(void)
{
    return now.mailbox ? now.mailbox->count : 0;
}

// -- the disk thread

REAL(struct committer *, committer_new, const struct journal_io *, uint32_t, struct segment,
     notice_fn *, void *);
WRAP(struct committer *, committer_new, const struct journal_io *io, uint32_t segment_size,
     struct segment first, notice_fn *fn, void *context)
{
    return now.committer = __real_committer_new(io, segment_size, first, fn, context);
}

WRAP(void, committer_start, struct committer *self)
{
    (void)self;
}

WRAP(void, committer_stop, struct committer *self)
{
    while (committer_round(self)) {
    }
}

int seams_disk_round(void)
{
    return committer_round(now.committer);
}

// -- the world outside

WRAP(int, journal_io_open, struct journal_io *ret, const char *folder, const char *corrupt)
{
    (void)folder, (void)corrupt;
    disk_open(now.disk, ret);
    return 0;
}

WRAP(uint64_t, random_u64, void)
{
    return disk_draw(now.disk, 0) | (disk_draw(now.disk, 1ULL << 30) + 1);
}

// -- rules

REAL(void, ledger_release_after, struct ledger *, struct position, struct position);
WRAP(void, ledger_release_after, struct ledger *self, struct position ended, struct position end)
{
    if (off(JOURNAL_RULE_END_STAYS))
        ledger_release(self, end);
    else
        __real_ledger_release_after(self, ended, end);
}

REAL(void, ledger_pin, struct ledger *, uint64_t, uint64_t);
WRAP(void, ledger_pin, struct ledger *self, uint64_t sealed, uint64_t by)
{
    if (!off(JOURNAL_RULE_PIN))
        __real_ledger_pin(self, sealed, by);
}

REAL(void, ledger_open, struct ledger *, uint64_t, uint64_t);
WRAP(void, ledger_open, struct ledger *self, uint64_t number, uint64_t bytes)
{
    __real_ledger_open(self, number, bytes);
    if (off(JOURNAL_RULE_TAKEN))
        self->no_events = 1;
}

REAL(struct plan, outline_plan, struct outline *, size_t);
WRAP(struct plan, outline_plan, struct outline *outlines, size_t count)
{
    struct plan plan = __real_outline_plan(outlines, count);
    if (off(JOURNAL_RULE_COPY) && count > 0)
        plan.anew = (struct position){outlines[count - 1].segment, UINT32_MAX, 0};
    if (off(JOURNAL_RULE_CONFIRMED))
        plan.anew = plan.synced;
    return plan;
}

REAL(void, outline_read, struct outline *, const void *, uint32_t, uint64_t, uint64_t);
WRAP(void, outline_read, struct outline *ret, const void *bytes, uint32_t size, uint64_t birth,
     uint64_t segment)
{
    __real_outline_read(ret, bytes, size, birth, segment);
    if (off(JOURNAL_RULE_COMPLETE) && !ret->complete) {
        ret->complete = 1;
        ret->sealed = (struct position){segment, 0, 0};
    }
}

REAL(void, batch_mark, struct batch *, uint64_t, const struct mark *);
WRAP(void, batch_mark, struct batch *self, uint64_t birth, const struct mark *mark)
{
    struct mark changed = *mark;
    if (off(JOURNAL_RULE_SEAL))
        changed.sealed = (struct position){self->segment, 0, 0};
    if (off(JOURNAL_RULE_SEAL_ONLY))
        changed.sealed = (struct position){0, 0, 0};
    if (off(JOURNAL_RULE_MARK))
        changed.synced = batch_end(self);
    if (off(JOURNAL_RULE_MARK_MOVES))
        changed.synced = (struct position){0, 0, 0};
    __real_batch_mark(self, birth, &changed);
}

REAL(int, mark_decode, struct mark *, const void *, size_t);
WRAP(int, mark_decode, struct mark *ret, const void *payload, size_t size)
{
    struct mark mark;
    if (__real_mark_decode(&mark, payload, size) < 0)
        return -1;
    if (off(JOURNAL_RULE_ORIGIN) && mark.kind == MARK_ORIGIN)
        return -1;
    *ret = mark;
    return 0;
}

REAL(void, record_encode, unsigned char *, const struct record *, uint64_t, uint64_t, uint32_t);
WRAP(void, record_encode, unsigned char *ret, const struct record *record, uint64_t birth,
     uint64_t segment, uint32_t offset)
{
    int anywhere = off(JOURNAL_RULE_PLACE);
    __real_record_encode(ret, record, birth, anywhere ? 0 : segment, anywhere ? 0 : offset);
}

REAL(int, record_decode, struct record *, const unsigned char *, uint64_t, uint64_t, uint32_t);
WRAP(int, record_decode, struct record *ret, const unsigned char *bytes, uint64_t birth,
     uint64_t segment, uint32_t offset)
{
    int anywhere = off(JOURNAL_RULE_PLACE);
    return __real_record_decode(ret, bytes, birth, anywhere ? 0 : segment, anywhere ? 0 : offset);
}

REAL(enum scan_result, scan_next, struct scan *, struct found *);
WRAP(enum scan_result, scan_next, struct scan *self, struct found *ret)
{
    enum scan_result result = __real_scan_next(self, ret);
    struct record record;
    if (result != SCAN_BAD || !off(JOURNAL_RULE_CHECKSUM) || ret->from >= self->size ||
        self->size - ret->from < RECORD_HEADER_SIZE ||
        record_decode(&record, self->bytes + ret->from, self->birth, self->segment, ret->from) <
            0 ||
        record.length > self->size - ret->from - RECORD_HEADER_SIZE)
        return result;
    ret->record = record;
    ret->where = (struct position){self->segment, ret->from, record.length};
    ret->payload = self->bytes + ret->from + RECORD_HEADER_SIZE;
    return SCAN_RECORD;
}
