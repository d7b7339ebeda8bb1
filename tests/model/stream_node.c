// SPDX-License-Identifier: Apache-2.0
// The worker of the simulated cluster: what node/outbox.c and node/replay.c do with files and
// sockets, done with arrays.
#include "tests/model/stream_world.h"

#include <string.h>

enum { AGE_MS = 4000, TAKE_MOST = 6 };

static uint32_t cursor_of(const struct cursors *cursors, unsigned stage)
{
    const struct cursor *cursor = cursors_get(cursors, stage + 1);
    return cursor ? cursor->offset : 0;
}

static void set_cursor(struct cursors *cursors, unsigned stage, uint32_t offset)
{
    cursors_set(cursors, (struct cursor){stage + 1, 1, offset});
}

// -- events come in

// A stage hears how far node has its events durable; what is there may leave its journal.
static void tell_taken(struct stream_world *self, unsigned stage)
{
    struct stage_journal *journal = &self->stages[stage];
    uint32_t cursor = cursor_of(&self->node.committed, stage);
    if (cursor > journal->released)
        journal->released = cursor;
    journal->told = cursor > journal->released ? cursor : journal->released;
}

void stream_node_take(struct stream_world *self, unsigned stage)
{
    struct sim_node *node = &self->node;
    struct stage_journal *journal = &self->stages[stage];
    if (journal->told < journal->released || stream_random(self, 4) == 0)
        tell_taken(self, stage); // it asked
    uint32_t after = journal->told, accepted = cursor_of(&node->accepted, stage);
    // A cursor that was rolled back: the journal has nothing between it and what was released.
    int follows = after <= accepted || after == journal->released;
    if (!follows && stream_with(self, STREAM_RULE_FOLLOWS_ON)) {
        tell_taken(self, stage);
        return;
    }
    for (unsigned i = 0; i < TAKE_MOST && journal->told < journal->count; i++) {
        uint32_t offset = ++journal->told;
        if (!cursor_is_before(cursors_get(&node->accepted, stage + 1), 1, offset))
            continue;
        if (node->pending.count == BATCH_MOST) {
            journal->told--;
            return;
        }
        node->pending.events[node->pending.count++] = journal->events[offset - 1];
        node->pending.cursor[stage] = offset;
        set_cursor(&node->accepted, stage, offset);
    }
}

// -- commits

void stream_node_append(struct stream_world *self)
{
    struct sim_node *node = &self->node;
    // A new epoch begins with an alarm, for which an empty record stands here.
    if (node->is_writing || (node->pending.count == 0 && !node->unsettled))
        return;
    node->writing = node->pending;
    node->pending = (struct gathered){0};
    node->is_writing = 1;
    struct outbox_record *record = &node->record;
    *record = (struct outbox_record){.epoch = node->producer.epoch,
                                     .first = node->producer.last + 1,
                                     .count = node->writing.count,
                                     .mark = stream_random(self, UINT32_MAX) + 1,
                                     .before = node->producer.mark,
                                     .time = self->now_ms};
    memcpy(record->events, node->writing.events, sizeof(record->events));
    for (unsigned stage = 0; stage < STAGES; stage++)
        record->cursor[stage] = node->writing.cursor[stage] ? node->writing.cursor[stage]
                                                            : cursor_of(&node->committed, stage);
    memcpy(record->acks, node->producer.masters, sizeof(record->acks));
}

static struct outbox_record *put_on_disk(struct stream_world *self)
{
    struct sim_node *node = &self->node;
    if (node->disk_count == RECORDS_MOST) {
        stream_broken(self, "the world is too small: records");
        return &node->disk[RECORDS_MOST - 1];
    }
    if (stream_random(self, SEGMENT_RECORDS) == 0)
        node->segment++;
    struct outbox_record *record = &node->disk[node->disk_count++];
    *record = node->record;
    record->id = ++node->last_id;
    record->segment = node->segment;
    return record;
}

static void mark(const struct stream_world *self, struct wire *wire,
                 const struct outbox_record *record)
{
    if (!stream_with(self, STREAM_RULE_MARKS))
        return;
    wire->mark = record->mark;
    wire->before = record->before;
}

static void publish(struct stream_world *self, const struct outbox_record *record)
{
    for (unsigned master = 0; master < MASTERS; master++) {
        struct wire wire = {.kind = WIRE_PUBLICATION,
                            .master = master,
                            .epoch = record->epoch,
                            .first = record->first,
                            .count = record->count};
        memcpy(wire.events, record->events, sizeof(wire.events));
        mark(self, &wire, record);
        if (stream_random(self, 4) != 0 || self->healing) // a quarter is dropped
            stream_send_wire(self, &wire);
    }
}

static void begin_epoch(struct stream_world *self)
{
    struct sim_node *node = &self->node;
    producer_begin(&node->producer, ++self->epochs);
    node->unsettled = stream_with(self, STREAM_RULE_SETTLED);
    stream_say(self, "node begins epoch %u", self->epochs);
    for (unsigned master = 0; master < MASTERS; master++)
        stream_node_hello(self, master);
}

static void record_durable(struct stream_world *self, const struct outbox_record *record)
{
    struct sim_node *node = &self->node;
    for (size_t i = 0; i < node->disk_count; i++)
        node->disk[i].released |= node->disk[i].ghost; // void from now on
    producer_durable(&node->producer, record->count, (uint32_t)(record->time / 1000), record->mark,
                     (struct position){record->segment, record->id, record->count});
    for (unsigned stage = 0; stage < STAGES; stage++) {
        if (!node->writing.cursor[stage])
            continue;
        set_cursor(&node->committed, stage, node->writing.cursor[stage]);
        if (stream_random(self, 2))
            node->apart[stage] = node->writing.cursor[stage];
        tell_taken(self, stage);
    }
    if (stream_with(self, STREAM_RULE_DURABLE_FIRST))
        publish(self, record);
    node->is_writing = 0;
    if (!node->unsettled)
        return;
    node->unsettled = 0;
    for (unsigned master = 0; master < MASTERS; master++)
        stream_node_hello(self, master);
}

void stream_node_sync(struct stream_world *self)
{
    struct sim_node *node = &self->node;
    if (!node->is_writing)
        return;
    if (!stream_with(self, STREAM_RULE_DURABLE_FIRST))
        publish(self, &node->record);
    int failed = !self->healing && stream_random(self, 12) == 0;
    if (failed && stream_random(self, 2)) {
        put_on_disk(self)->ghost = 1;
        stream_say(self, "a sync fails, its record may be on the disk");
    }
    if (failed)
        return; // appended again later
    record_durable(self, put_on_disk(self));
}

// -- the word with the masters

void stream_node_hello(struct stream_world *self, unsigned master)
{
    const struct producer *producer = &self->node.producer;
    const struct producer_master *known = &producer->masters[master];
    struct wire wire = {.kind = WIRE_NODE_HELLO,
                        .master = master,
                        .session = self->node.session[master],
                        .epoch = producer->epoch,
                        .first = producer_first_kept(producer),
                        .last = producer->last,
                        .ack_incarnation = known->incarnation,
                        .ack_epoch = known->epoch,
                        .ack_upto = known->upto};
    if (!self->node.unsettled)
        stream_send_wire(self, &wire);
}

void stream_node_beat(struct stream_world *self)
{
    for (unsigned master = 0; master < MASTERS && !self->node.unsettled; master++) {
        struct wire wire = {.kind = WIRE_HEARTBEAT,
                            .master = master,
                            .epoch = self->node.producer.epoch,
                            .first = producer_first_kept(&self->node.producer),
                            .last = self->node.producer.last};
        stream_send_wire(self, &wire);
    }
}

static const struct outbox_record *find_record(const struct sim_node *node, uint32_t id)
{
    for (size_t i = 0; i < node->disk_count; i++)
        if (node->disk[i].id == id)
            return &node->disk[i];
    return NULL;
}

static void replay(struct stream_world *self, const struct wire *request)
{
    struct sim_node *node = &self->node;
    size_t found;
    if (request->epoch != node->producer.epoch || request->first > request->last)
        return;
    const struct producer_record *record = producer_find(&node->producer, request->first, &found);
    for (size_t i = 0; i < found && i < TRACKER_CREDIT && record[i].first <= request->last; i++) {
        const struct outbox_record *on_disk = find_record(node, record[i].where.offset);
        if (!on_disk) {
            stream_broken(self, "a record to be replayed is not on the disk");
            return;
        }
        struct wire wire = {.kind = WIRE_PUBLICATION,
                            .master = request->master,
                            .session = node->session[request->master],
                            .replayed = 1,
                            .epoch = on_disk->epoch,
                            .first = on_disk->first,
                            .count = on_disk->count};
        memcpy(wire.events, on_disk->events, sizeof(wire.events));
        mark(self, &wire, on_disk);
        stream_send_wire(self, &wire);
        self->replays++;
    }
}

// What a worker that was put back has numbered since is cut, with an alarm, as its epoch ends.
static void excuse_voided(struct stream_world *self)
{
    const struct sim_node *node = &self->node;
    for (size_t i = 0; i < node->disk_count; i++)
        for (unsigned j = 0; j < node->disk[i].count; j++) {
            uint16_t event = node->disk[i].events[j];
            if (!self->masters[0].had[event] || !self->masters[1].had[event])
                self->excused[event] = 1;
        }
}

static void heard(struct stream_world *self, enum producer_hello said)
{
    struct sim_node *node = &self->node;
    if (said == PRODUCER_AGREED || !stream_with(self, STREAM_RULE_EPOCH))
        return;
    excuse_voided(self);
    node->is_writing = 0; // the real one waits for it; what is numbered anew is taken again
    for (unsigned stage = 0; stage < STAGES; stage++) {
        set_cursor(&node->accepted, stage, cursor_of(&node->committed, stage));
        self->stages[stage].told = 0;
    }
    node->accepted = node->committed;
    node->pending = (struct gathered){0};
    begin_epoch(self);
}

static struct producer_word word_of(const struct wire *wire)
{
    return (struct producer_word){wire->incarnation, wire->life, wire->epoch, wire->last,
                                  wire->mark};
}

static void know_rows(struct sim_master *master)
{
    memset(master->had, 0, sizeof(master->had));
    for (size_t i = 0; i < master->row_count; i++)
        master->had[master->rows[i].event] = 1;
}

static void master_said(struct stream_world *self, const struct wire *wire)
{
    struct sim_node *node = &self->node;
    struct sim_master *master = &self->masters[wire->master];
    node->greeted |= 1u << wire->master;
    if (wire->generation == master->generation) // from now on node knows what it lost
        know_rows(master);
    const struct producer_word word = word_of(wire);
    heard(self, producer_hello(&node->producer, wire->master, &word));
}

static void on_ack(struct stream_world *self, const struct wire *wire)
{
    struct producer *producer = &self->node.producer;
    const struct producer_word word = word_of(wire);
    heard(self, producer_acknowledge(producer, wire->master, &word));
    for (unsigned other = 0; other < MASTERS && !stream_with(self, STREAM_RULE_ALL_ACKS); other++)
        if (producer->masters[other].epoch == wire->epoch &&
            producer->masters[other].upto < wire->last && wire->last <= producer->last)
            producer->masters[other].upto = wire->last;
}

void stream_node_receive(struct stream_world *self, const struct wire *wire)
{
    switch (wire->kind) {
    case WIRE_MASTER_HELLO:
        master_said(self, wire);
        break;
    case WIRE_ACK:
        on_ack(self, wire);
        break;
    case WIRE_REPLAY:
        replay(self, wire);
        break;
    case WIRE_NODE_HELLO:
    case WIRE_PUBLICATION:
    case WIRE_HEARTBEAT:
        break;
    }
}

// -- trim

static void release(struct stream_world *self, uint32_t id)
{
    struct outbox_record *record = (struct outbox_record *)(uintptr_t)find_record(&self->node, id);
    if (!record)
        return;
    record->released = 1;
    if (record->epoch != self->node.producer.epoch)
        return; // cut, with an alarm, when the epoch ended
    for (unsigned i = 0; i < record->count; i++) {
        uint16_t event = record->events[i];
        for (unsigned master = 0; master < MASTERS; master++)
            if (!self->masters[master].had[event] && !self->excused[event] && !self->trimmed[event])
                stream_broken(self, "event %u was trimmed although master %c lacks it", event,
                              'A' + (int)master);
        self->trimmed[event] = 1;
    }
}

static void unlink_free(struct sim_node *node)
{
    for (unsigned segment = 0; segment < node->segment; segment++) {
        size_t kept = 0, live = 0;
        for (size_t i = 0; i < node->disk_count; i++)
            live += node->disk[i].segment == segment && !node->disk[i].released;
        if (live)
            continue;
        for (size_t i = 0; i < node->disk_count; i++)
            if (node->disk[i].segment != segment)
                node->disk[kept++] = node->disk[i];
        node->disk_count = kept;
    }
}

void stream_node_trim(struct stream_world *self)
{
    struct sim_node *node = &self->node;
    struct position where;
    struct producer_record cut;
    if (node->unsettled)
        return; // a crash may bring the old epoch back
    while (producer_trim(&node->producer, &where))
        release(self, where.offset);
    if (!stream_with(self, STREAM_RULE_KEEP)) {
        const struct producer_record *oldest;
        while ((oldest = producer_oldest(&node->producer)) &&
               oldest->time_s * 1000LL + AGE_MS < self->now_ms &&
               producer_cut(&node->producer, &cut))
            release(self, cut.where.offset);
    }
    unlink_free(node);
}

// -- life

void stream_node_crash(struct stream_world *self)
{
    struct sim_node *node = &self->node;
    size_t kept = 0;
    stream_say(self, "node dies");
    self->crashes++;
    if (node->is_writing && stream_random(self, 2))
        put_on_disk(self); // it had come so far
    for (size_t i = 0; i < node->disk_count; i++)
        if (!node->disk[i].ghost || (!node->disk[i].released && stream_random(self, 2)))
            node->disk[kept++] = node->disk[i];
    node->disk_count = kept;
    for (size_t i = 0; i < node->disk_count; i++)
        node->disk[i].ghost = 0;
    for (unsigned master = 0; master < MASTERS; master++)
        node->session[master]++;
    producer_free(&node->producer);
    node->up = 0;
}

// What the disk held a while ago. What it has lost, and what a master lacked of it, is told as cut.
void stream_node_roll_back(struct stream_world *self)
{
    struct sim_node *node = &self->node;
    uint32_t cursor[STAGES] = {0};
    self->rolled_back = 1;
    stream_say(self, "the worker's disk is rolled back");
    for (size_t i = 0; i < node->backup_count; i++)
        memcpy(cursor, node->backup[i].cursor, sizeof(cursor));
    for (unsigned stage = 0; stage < STAGES; stage++)
        for (unsigned i = 0; i < self->stages[stage].count; i++) {
            uint16_t event = self->stages[stage].events[i];
            int everywhere = self->masters[0].had[event] && self->masters[1].had[event];
            if (i < cursor_of(&node->accepted, stage) && (i >= cursor[stage] || !everywhere))
                self->excused[event] = 1;
        }
    node->disk_count = node->backup_count;
    memcpy(node->disk, node->backup, node->disk_count * sizeof(node->disk[0]));
    for (size_t i = 0; i < node->disk_count; i++)
        node->disk[i].ghost = 0; // it is there now
    memcpy(node->apart, cursor, sizeof(node->apart));
}

static void read_disk(struct stream_world *self)
{
    struct sim_node *node = &self->node;
    for (size_t i = 0; i < node->disk_count; i++) {
        struct outbox_record *record = &node->disk[i];
        const struct producer_record found = {record->first,
                                              {record->segment, record->id, record->count},
                                              record->count,
                                              (uint32_t)(record->time / 1000),
                                              record->mark};
        record->released = producer_found(&node->producer, record->epoch, &found) < 0;
        for (unsigned stage = 0; stage < STAGES; stage++)
            if (record->cursor[stage])
                set_cursor(&node->committed, stage, record->cursor[stage]);
        for (unsigned master = 0; master < MASTERS; master++)
            if (record->acks[master].key[0])
                producer_remember(&node->producer, &record->acks[master]);
    }
    for (unsigned master = 0; master < MASTERS; master++)
        node->producer.masters[master].greeted = !stream_with(self, STREAM_RULE_GREETED);
    for (unsigned stage = 0; stage < STAGES && !stream_with(self, STREAM_RULE_CURSORS); stage++)
        set_cursor(&node->committed, stage, node->apart[stage]);
}

void stream_node_start(struct stream_world *self)
{
    struct sim_node *node = &self->node;
    producer_init(&node->producer);
    producer_add_master(&node->producer, "A");
    producer_add_master(&node->producer, "B");
    node->committed = (struct cursors){0};
    node->pending = (struct gathered){0};
    node->is_writing = node->unsettled = 0;
    node->greeted = 0;
    node->up = 1;
    read_disk(self);
    node->accepted = node->committed;
    node->segment++;
    if (!node->producer.epoch)
        producer_begin(&node->producer, ++self->epochs);
    stream_say(self, "node starts: epoch %llu, last %llu", (unsigned long long)node->producer.epoch,
               (unsigned long long)node->producer.last);
    for (unsigned master = 0; master < MASTERS; master++)
        stream_node_hello(self, master);
}
