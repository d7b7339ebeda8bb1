// SPDX-License-Identifier: Apache-2.0
// The masters of the simulated cluster: what master/intake.c and master/writer.c do with sockets
// and SQLite, done with arrays around the real tracker.
#include "master/store/inventory.h"
#include "tests/model/stream_world.h"

#include <stdlib.h>
#include <string.h>

static void send_hello(struct stream_world *self, unsigned number)
{
    const struct sim_master *master = &self->masters[number];
    struct wire wire = {.kind = WIRE_MASTER_HELLO,
                        .master = number,
                        .session = self->node.session[number],
                        .incarnation = master->incarnation,
                        .generation = master->generation,
                        .epoch = master->tracker.epoch,
                        .last = master->tracker.committed,
                        .mark = master->tracker.committed_mark,
                        .life = master->life};
    stream_send_wire(self, &wire);
}

static void send_ack(struct stream_world *self, unsigned number)
{
    const struct sim_master *master = &self->masters[number];
    struct wire wire = {.kind = WIRE_ACK,
                        .master = number,
                        .session = self->node.session[number],
                        .incarnation = master->incarnation,
                        .epoch = master->tracker.epoch,
                        .last = master->tracker.committed,
                        .mark = master->tracker.committed_mark,
                        .life = master->life};
    if (!stream_with(self, STREAM_RULE_COMMIT_FIRST)) {
        wire.last = master->tracker.next - 1;
        wire.mark = master->tracker.mark;
    }
    if (!stream_with(self, STREAM_RULE_ACK_MARKS))
        wire.mark = 0;
    stream_send_wire(self, &wire);
}

static void ask_replay(struct stream_world *self, unsigned number)
{
    struct sim_master *master = &self->masters[number];
    struct wire wire = {.kind = WIRE_REPLAY,
                        .master = number,
                        .session = self->node.session[number],
                        .epoch = master->tracker.epoch};
    if (tracker_wants(&master->tracker, self->now_ms, &wire.first, &wire.last))
        stream_send_wire(self, &wire);
}

void stream_master_tick(struct stream_world *self, unsigned number)
{
    ask_replay(self, number);
}

// -- frames

static int write_frame(struct stream_world *self, struct sim_master *master,
                       const struct wire *frame, uint64_t skip)
{
    struct tracker *tracker = &master->tracker;
    if (master->writing_count == sizeof(master->writing) / sizeof(master->writing[0]) ||
        (!self->healing && stream_random(self, 30) == 0))
        return -1; // no room
    struct chunk *chunk = &master->writing[master->writing_count++];
    *chunk = (struct chunk){.epoch = tracker->epoch,
                            .first = frame->first,
                            .previous = tracker->next - 1,
                            .begins = tracker->next - 1 == master->base,
                            .count = frame->count,
                            .mark = frame->mark,
                            .skip = (unsigned)skip};
    memcpy(chunk->events, frame->events, sizeof(chunk->events));
    tracker_took(tracker, frame->first + frame->count - 1, frame->count - skip, frame->replayed,
                 frame->mark);
    return 0;
}

static void offer(struct stream_world *self, unsigned number, struct wire *frame)
{
    struct sim_master *master = &self->masters[number];
    const struct tracker_marks marks = {frame->first, frame->mark, frame->before};
    uint64_t skip = 0;
    int kept = 0;
    switch (
        tracker_offer(&master->tracker, frame->epoch, frame->first, frame->count, &marks, &skip)) {
    case TRACKER_TAKE:
        (void)write_frame(self, master, frame, skip);
        break;
    case TRACKER_HOLD:
        kept = tracker_hold(&master->tracker, frame->first, frame->count, frame) == 0;
        break;
    case TRACKER_FORK:
        if (tracker_forked(&master->tracker) == 0)
            send_hello(self, number);
        break;
    case TRACKER_DROP:
        break;
    }
    if (!kept)
        free(frame);
}

static void on_publication(struct stream_world *self, unsigned number, const struct wire *wire)
{
    struct sim_master *master = &self->masters[number];
    struct wire *frame = malloc(sizeof(*frame));
    if (!frame)
        abort();
    *frame = *wire;
    if (wire->replayed)
        tracker_replay_came(&master->tracker, self->now_ms);
    offer(self, number, frame);
    while ((frame = tracker_unhold(&master->tracker)))
        offer(self, number, frame);
    ask_replay(self, number);
}

// -- positions

static void forget_held(struct sim_master *master)
{
    for (void *item; (item = tracker_unhold_any(&master->tracker));)
        free(item);
}

static void begin(struct sim_master *master, uint64_t epoch, uint64_t first)
{
    forget_held(master);
    tracker_begin(&master->tracker, epoch, first);
    master->base = master->tracker.committed;
}

static void on_position(struct stream_world *self, unsigned number, const struct wire *wire)
{
    struct sim_master *master = &self->masters[number];
    if (wire->epoch != master->tracker.epoch)
        return;
    if (wire->first > master->tracker.next)
        begin(master, wire->epoch, wire->first);
    if (stream_with(self, STREAM_RULE_LAST_TOLD))
        tracker_heard(&master->tracker, wire->last);
    ask_replay(self, number);
}

static void on_hello(struct stream_world *self, unsigned number, const struct wire *wire)
{
    struct sim_master *master = &self->masters[number];
    struct tracker *tracker = &master->tracker;
    int lost = wire->ack_incarnation == master->incarnation &&
               tracker_lost(tracker, wire->epoch, wire->ack_epoch, wire->ack_upto) &&
               stream_with(self, STREAM_RULE_INCARNATION);
    if (lost)
        master->renewing = 1;
    if (tracker_is_behind(tracker, wire->epoch, wire->last))
        forget_held(master);
    if (tracker_hello(tracker, wire->epoch, wire->last) < 0 && stream_with(self, STREAM_RULE_OWED))
        return;
    if (!lost)
        send_hello(self, number);
    if (wire->epoch != tracker->epoch)
        begin(master, wire->epoch, wire->first ? wire->first : 1);
    else
        send_ack(self, number);
    on_position(self, number, wire);
}

void stream_master_receive(struct stream_world *self, const struct wire *wire)
{
    switch (wire->kind) {
    case WIRE_NODE_HELLO:
        on_hello(self, wire->master, wire);
        break;
    case WIRE_PUBLICATION:
        on_publication(self, wire->master, wire);
        break;
    case WIRE_HEARTBEAT:
        on_position(self, wire->master, wire);
        break;
    case WIRE_MASTER_HELLO:
    case WIRE_ACK:
    case WIRE_REPLAY:
        break;
    }
}

// -- the store

void stream_master_keep(struct stream_world *self, unsigned number, const struct row *row)
{
    struct sim_master *master = &self->masters[number];
    for (size_t i = 0; i < master->row_count; i++) {
        const struct row *known = &master->rows[i];
        if (known->epoch != row->epoch || known->sequence != row->sequence)
            continue;
        if (known->event != row->event && (row->from_peer || known->from_peer))
            continue; // a fork that each master knew one side of: both are kept
        if (known->event != row->event)
            stream_broken(self, "master %c has two events at epoch %llu sequence %llu",
                          'A' + (int)number, (unsigned long long)row->epoch,
                          (unsigned long long)row->sequence);
        else if (!row->from_peer && !known->from_peer)
            stream_broken(self, "master %c took event %u twice", 'A' + (int)number, row->event);
        return;
    }
    if (master->row_count == ROWS_MOST) {
        stream_broken(self, "the world is too small: rows");
        return;
    }
    master->rows[master->row_count++] = *row;
    master->had[row->event] = 1;
}

static struct row row_of(const struct chunk *chunk, unsigned i)
{
    const struct span packed = {(const char *)&chunk->events[i], sizeof(chunk->events[i])};
    uint64_t sequence = chunk->first + i;
    return (struct row){chunk->epoch, sequence, inventory_hash(sequence, packed), chunk->events[i],
                        0};
}

// 0, or -1: it does not follow on what is there.
static int store_chunk(struct stream_world *self, unsigned number, const struct chunk *chunk)
{
    struct sim_master *master = &self->masters[number];
    uint64_t end = chunk->first + chunk->count;
    unsigned skip = chunk->skip;
    int follows = chunk->epoch == master->epoch && chunk->previous <= master->watermark;
    if (!follows && !chunk->begins)
        return -1;
    if (chunk->epoch == master->epoch && chunk->first + skip <= master->watermark) {
        if (end <= master->watermark + 1)
            return 0;
        skip = (unsigned)(master->watermark + 1 - chunk->first);
    }
    for (unsigned i = skip; i < chunk->count; i++) {
        const struct row row = row_of(chunk, i);
        stream_master_keep(self, number, &row);
    }
    master->epoch = chunk->epoch;
    master->watermark = end - 1;
    master->mark = chunk->mark;
    return 0;
}

static void renew(struct stream_world *self, unsigned number)
{
    struct sim_master *master = &self->masters[number];
    master->renewing = 0;
    master->incarnation = stream_random(self, UINT32_MAX) + 1;
    stream_say(self, "master %c takes a new incarnation", 'A' + (int)number);
    send_hello(self, number);
}

void stream_master_commit(struct stream_world *self, unsigned number)
{
    struct sim_master *master = &self->masters[number];
    int failed = !self->healing && stream_random(self, 20) == 0, out_of_turn = 0;
    for (size_t i = 0; i < master->writing_count && !failed; i++)
        out_of_turn |= store_chunk(self, number, &master->writing[i]) < 0;
    int wrote = master->writing_count > 0 && !failed;
    master->writing_count = 0;
    if (failed || out_of_turn)
        tracker_failed(&master->tracker);
    if (wrote && !out_of_turn) {
        tracker_committed(&master->tracker, master->epoch, master->watermark, master->mark);
        if (tracker_pays_hello(&master->tracker))
            send_hello(self, number);
        if (master->epoch == master->tracker.epoch)
            send_ack(self, number);
    }
    if (master->renewing)
        renew(self, number);
}

// -- life

void stream_master_crash(struct stream_world *self, unsigned number)
{
    struct sim_master *master = &self->masters[number];
    if (master->up)
        stream_say(self, "master %c dies", 'A' + (int)number);
    self->crashes++;
    forget_held(master);
    stream_masters_part(self);
    master->writing_count = 0;
    master->renewing = 0;
    master->up = 0;
    self->node.session[number]++;
}

void stream_master_start(struct stream_world *self, unsigned number)
{
    struct sim_master *master = &self->masters[number];
    memset(&master->tracker, 0, sizeof(master->tracker));
    tracker_restore(&master->tracker, master->epoch, master->watermark, master->mark);
    master->base = master->watermark;
    uint64_t life = stream_random(self, UINT32_MAX) + 1;
    master->life = stream_with(self, STREAM_RULE_LIVES) ? life : 0;
    master->up = 1;
    stream_say(self, "master %c starts: epoch %llu, watermark %llu", 'A' + (int)number,
               (unsigned long long)master->epoch, (unsigned long long)master->watermark);
    if (self->node.up)
        stream_node_hello(self, number);
}

void stream_master_roll_back(struct stream_world *self, unsigned number, int to_nothing)
{
    struct sim_master *master = &self->masters[number];
    stream_say(self, "master %c %s", 'A' + (int)number,
               to_nothing ? "loses its disk" : "is put back to a backup");
    master->row_count = to_nothing ? 0 : master->backup_count;
    memcpy(master->rows, master->backup, master->row_count * sizeof(master->rows[0]));
    master->epoch = to_nothing ? 0 : master->backup_epoch;
    master->watermark = to_nothing ? 0 : master->backup_watermark;
    master->mark = to_nothing ? 0 : master->backup_mark;
    if (to_nothing && stream_with(self, STREAM_RULE_INCARNATION))
        master->incarnation = stream_random(self, UINT32_MAX) + 1; // a backup has the old one
    master->generation++;
}
