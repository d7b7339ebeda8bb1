// SPDX-License-Identifier: Apache-2.0
#include "core/bus/feed.h"

#include "core/base/buffer.h"
#include "core/base/loop.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    FEED_BATCH = 256 * 1024,      // bytes of events in one Taking
    FEED_READ_LEAST = 512 * 1024, // room in the window before the journal is read again
    FEED_TICK_MS = 1000,
    FEED_STALLED_MS = 5000, // in flight without any progress: node must have lost it
    FEED_PAUSE_MS = 100,    // after node's pipe was full
    FEED_GATHER_MS = 10,    // so that one frame, and one waking of node, serves many events
};

enum feed_state {
    FEED_ASKING,   // node's cursor is unknown
    FEED_CATCHING, // reading the journal
    FEED_LIVE,     // everything committed so far was sent
};

// Event records that wait to be sent, in order: their places, and their bytes one after the other.
struct batch {
    struct position *places; // length: of the event
    size_t count, capacity;
    struct buffer bytes;
};

// One Taking on its way.
struct sent {
    struct sent *next;
    struct position last;
    size_t bytes;
};

struct feed {
    struct loop *loop;
    struct bus *bus;
    struct journal *journal;
    enum stage stage;
    unsigned slot;
    uint64_t incarnation;
    enum feed_state state;
    struct hook *hook;
    struct timer *timer, *gather;
    struct batch ready;         // to leave in this turn, or when `gather` has run out
    struct batch fresh;         // committed while the journal is being read
    int fresh_lost;             // there were too many of them
    struct position handed;     // the last record put into `ready` or sent
    struct position told;       // the last record sent
    struct position newest;     // the last one known to be committed
    struct position read_until; // `newest` when the read began
    int reading, read_void;     // read_void: a rewind came meanwhile, its records are not wanted
    int dead;                   // destroyed while reading: goes when the read has ended
    size_t read_records;
    struct sent *first, **last;
    size_t in_flight;
    int64_t progress_ms, pause_until_ms;
};

static void batch_add(struct batch *self, struct position where, const void *event, size_t size)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 64;
        self->places = reallocate(self->places, self->capacity * sizeof(*self->places));
    }
    where.length = (uint32_t)size;
    self->places[self->count++] = where;
    buffer_add(&self->bytes, event, size);
}

static void batch_clear(struct batch *self)
{
    self->count = 0;
    buffer_clear(&self->bytes);
}

static void batch_free(struct batch *self)
{
    free(self->places);
    buffer_free(&self->bytes);
}

static void forget_sent(struct feed *self, struct position upto)
{
    while (self->first && !position_before(upto, self->first->last)) {
        struct sent *gone = self->first;
        self->first = gone->next;
        self->in_flight -= gone->bytes;
        free(gone);
    }
    if (!self->first)
        self->last = &self->first;
}

// Goes back to `from`: what was sent after it is sent again, out of the journal.
static void rewind_to(struct feed *self, struct position from)
{
    forget_sent(self, (struct position){UINT64_MAX, UINT32_MAX, 0});
    batch_clear(&self->ready);
    batch_clear(&self->fresh);
    self->fresh_lost = 1;
    self->handed = self->told = from;
    self->read_void = self->reading;
    self->state = FEED_CATCHING;
    self->progress_ms = loop_now_ms(self->loop);
}

static int send_taking(struct feed *self, Postern__TakenRecord **records, size_t count)
{
    Postern__Taking taking = POSTERN__TAKING__INIT;
    taking.stage = self->stage;
    taking.slot = self->slot;
    taking.journal = journal_birth(self->journal);
    taking.incarnation = self->incarnation;
    taking.after_segment = self->told.segment;
    taking.after_offset = self->told.offset;
    taking.n_records = count;
    taking.records = records;
    return bus_send(self->bus, STAGE_NODE, 0, BUS_TAKING, &taking.base);
}

// Sends the first `count` records of the batch, whose bytes start at `bytes`.
static int send_run(struct feed *self, const struct position *places, size_t count,
                    const char *bytes)
{
    Postern__TakenRecord *records = allocate(count * sizeof(*records));
    Postern__TakenRecord **list = allocate(count * sizeof(*list));
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        postern__taken_record__init(&records[i]);
        records[i].segment = places[i].segment;
        records[i].offset = places[i].offset;
        records[i].event.data = (uint8_t *)(uintptr_t)(bytes + total);
        records[i].event.len = places[i].length;
        list[i] = &records[i];
        total += places[i].length;
    }
    int rc = send_taking(self, list, count);
    if (rc == 0) {
        struct sent *sent = allocate(sizeof(*sent));
        sent->last = self->told = places[count - 1];
        sent->bytes = total;
        *self->last = sent;
        self->last = &sent->next;
        if (self->in_flight == 0)
            self->progress_ms = loop_now_ms(self->loop);
        self->in_flight += total;
    }
    free(list);
    free(records);
    return rc;
}

static void flush_ready(struct feed *self)
{
    size_t from = 0;
    while (from < self->ready.count) {
        size_t count = 0, bytes = 0;
        while (from + count < self->ready.count && (count == 0 || bytes < FEED_BATCH))
            bytes += self->ready.places[from + count++].length;
        if (send_run(self, self->ready.places + from, count, buffer_bytes(&self->ready.bytes)) <
            0) {
            // Node's pipe is full or gone: the journal keeps what did not fit.
            rewind_to(self, self->told);
            self->pause_until_ms = loop_now_ms(self->loop) + FEED_PAUSE_MS;
            return;
        }
        buffer_take(&self->ready.bytes, bytes);
        from += count;
    }
    batch_clear(&self->ready);
}

// The read has ended. What was committed since it began stands in `fresh`, so the two join
// without a gap once the read has come as far as `read_until`.
static void read_ended(struct feed *self)
{
    self->reading = 0;
    int wanted = self->state == FEED_CATCHING && !self->read_void;
    self->read_void = 0;
    int joined = self->read_records == 0 || !position_before(self->handed, self->read_until);
    if (!wanted || !joined || self->fresh_lost)
        return;
    self->state = FEED_LIVE;
    const char *bytes = buffer_bytes(&self->fresh.bytes);
    for (size_t i = 0; i < self->fresh.count; i++) {
        struct position where = self->fresh.places[i];
        if (position_before(self->handed, where)) {
            batch_add(&self->ready, where, bytes, where.length);
            self->handed = where;
        }
        bytes += where.length;
    }
    batch_clear(&self->fresh);
}

static void read_record(void *context, unsigned type, struct position where, const void *payload)
{
    struct feed *self = context;
    if (self->dead) {
        if (type == 0)
            free(self);
        return;
    }
    if (type == 0) {
        read_ended(self);
        return;
    }
    if (self->read_void)
        return;
    batch_add(&self->ready, where, payload, where.length);
    self->handed = where;
    self->read_records++;
}

static void read_on(struct feed *self)
{
    if (self->state != FEED_CATCHING || self->reading || self->ready.count > 0 ||
        self->in_flight + FEED_READ_LEAST > FEED_WINDOW ||
        loop_now_ms(self->loop) < self->pause_until_ms || !bus_present(self->bus, STAGE_NODE, 0))
        return;
    if (journal_read_events(self->journal, self->handed, FEED_READ_LEAST, read_record, self) < 0)
        return;
    self->reading = 1;
    self->read_records = 0;
    self->read_until = self->newest;
    batch_clear(&self->fresh);
    self->fresh_lost = 0;
}

static void on_turn(void *context)
{
    struct feed *self = context;
    int full = buffer_size(&self->ready.bytes) >= FEED_BATCH;
    if (self->state == FEED_CATCHING || (self->state == FEED_LIVE && full))
        flush_ready(self);
    else if (self->state == FEED_LIVE && self->ready.count > 0 && !timer_active(self->gather))
        timer_start(self->gather, FEED_GATHER_MS);
    read_on(self);
}

static void on_gathered(void *context)
{
    struct feed *self = context;
    if (self->state == FEED_LIVE)
        flush_ready(self);
}

static void on_tick(void *context)
{
    struct feed *self = context;
    timer_start(self->timer, FEED_TICK_MS);
    if (self->in_flight > 0 && loop_now_ms(self->loop) - self->progress_ms > FEED_STALLED_MS)
        self->state = FEED_ASKING;
    // An empty Taking asks for the cursor; it is lost with the pipe, and asked again next time.
    if (send_taking(self, NULL, 0) < 0)
        return;
}

struct feed *feed_new(struct loop *loop, struct bus *bus, struct journal *journal, enum stage stage,
                      unsigned slot, uint64_t incarnation)
{
    struct feed *self = allocate(sizeof(*self));
    *self = (struct feed){.loop = loop,
                          .bus = bus,
                          .journal = journal,
                          .stage = stage,
                          .slot = slot,
                          .incarnation = incarnation};
    self->last = &self->first;
    self->newest = journal_durable(journal);
    buffer_init(&self->ready.bytes);
    buffer_init(&self->fresh.bytes);
    self->hook = hook_new(loop, on_turn, self);
    self->timer = timer_new(loop, on_tick, self);
    self->gather = timer_new(loop, on_gathered, self);
    timer_start(self->timer, 0);
    return self;
}

void feed_destroy(struct feed **self_pointer)
{
    struct feed *self = *self_pointer;
    if (!self)
        return;
    hook_destroy(&self->hook);
    timer_destroy(&self->timer);
    timer_destroy(&self->gather);
    forget_sent(self, (struct position){UINT64_MAX, UINT32_MAX, 0});
    batch_free(&self->ready);
    batch_free(&self->fresh);
    self->dead = 1;
    if (!self->reading)
        free(self);
    *self_pointer = NULL;
}

void feed_committed(struct feed *self, struct position where, const void *event, size_t size)
{
    self->newest = where;
    if (self->state == FEED_LIVE) {
        if (self->in_flight + buffer_size(&self->ready.bytes) + size <= FEED_WINDOW) {
            batch_add(&self->ready, where, event, size);
            self->handed = where;
        } else {
            self->state = FEED_CATCHING;
        }
    } else if (self->reading && !self->fresh_lost) {
        self->fresh_lost = buffer_size(&self->fresh.bytes) + size > FEED_READ_LEAST;
        if (!self->fresh_lost)
            batch_add(&self->fresh, where, event, size);
    }
}

void feed_taken(struct feed *self, const Postern__Taken *message)
{
    if (message->stage != (uint32_t)self->stage || message->slot != self->slot ||
        message->journal != journal_birth(self->journal))
        return;
    struct position cursor = {message->segment, message->offset, 0};
    if (message->none)
        cursor = (struct position){0, 0, 0};
    if (self->state == FEED_ASKING || position_before(self->told, cursor))
        rewind_to(self, cursor);
    size_t before = self->in_flight;
    forget_sent(self, cursor);
    if (self->in_flight < before)
        self->progress_ms = loop_now_ms(self->loop);
    if (!message->none)
        journal_taken(self->journal, cursor);
}

void feed_reconnected(struct feed *self)
{
    self->state = FEED_ASKING;
    timer_start(self->timer, 0);
}

int feed_owes(const struct feed *self)
{
    int all_sent = self->state == FEED_LIVE && self->ready.count == 0;
    return bus_present(self->bus, STAGE_NODE, 0) && (!all_sent || self->in_flight > 0);
}
