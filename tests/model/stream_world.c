// SPDX-License-Identifier: Apache-2.0
#include "tests/model/stream_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const stream_rule_names[STREAM_RULES] = {
    "ack-after-commit",
    "trim-on-all-acks",
    "publish-after-durable",
    "last-told",
    "keep-what-lacks",
    "masters-compare",
    "incarnation",
    "epoch",
    "tell-durable-epochs",
    "owed-hello",
    "greeted-before-trim",
    "cursors-with-events",
    "follows-on",
    "marks",
};

enum { STEPS_LEAST = 150, STEPS_SPREAD = 350, HEAL_ROUNDS = 200, STEP_MS = 200, HEAL_MS = 1000 };

// -- for the parts

uint64_t stream_random(struct stream_world *self, uint64_t below)
{
    uint64_t z = self->seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % below;
}

int stream_with(const struct stream_world *self, enum stream_rule rule)
{
    return self->without != (int)rule;
}

void stream_say(const struct stream_world *self, const char *format, ...)
{
    va_list list;
    if (!self->trace)
        return;
    va_start(list, format);
    printf("%6.1f s  ", (double)self->now_ms / 1000);
    vprintf(format, list);
    putchar('\n');
    va_end(list);
}

void stream_broken(struct stream_world *self, const char *format, ...)
{
    va_list list;
    if (self->broken[0])
        return;
    va_start(list, format);
    vsnprintf(self->broken, sizeof(self->broken), format, list);
    va_end(list);
    stream_say(self, "BROKEN: %s", self->broken);
}

// -- the network

static int to_node(const struct wire *wire)
{
    return wire->kind == WIRE_MASTER_HELLO || wire->kind == WIRE_ACK || wire->kind == WIRE_REPLAY;
}

static int on_control(const struct wire *wire)
{
    return wire->kind == WIRE_NODE_HELLO || wire->replayed || to_node(wire);
}

static int same_channel(const struct wire *a, const struct wire *b)
{
    return a->master == b->master && to_node(a) == to_node(b) && on_control(a) == on_control(b) &&
           (a->session == b->session || !on_control(a));
}

void stream_send(struct stream_world *self, const struct wire *wire)
{
    if (!self->masters[wire->master].link || !self->node.up || !self->masters[wire->master].up ||
        self->wire_count == WIRE_MOST)
        return;
    self->wires[self->wire_count++] = *wire;
}

static struct wire take_wire(struct stream_world *self, size_t at)
{
    struct wire wire = self->wires[at];
    self->wire_count--;
    memmove(&self->wires[at], &self->wires[at + 1],
            (self->wire_count - at) * sizeof(self->wires[0]));
    return wire;
}

static void say_wire(const struct stream_world *self, const struct wire *wire)
{
    static const char *const names[] = {
        "node says hello", "master says hello", "ack", "asks for replay", "events", "heartbeat"};
    if (self->trace)
        stream_say(self, "%c: %s%s epoch %llu %llu..%llu", 'A' + (int)wire->master,
                   wire->replayed ? "replayed " : "", names[wire->kind],
                   (unsigned long long)wire->epoch, (unsigned long long)wire->first,
                   (unsigned long long)(wire->kind == WIRE_PUBLICATION
                                            ? wire->first + wire->count - 1
                                            : wire->last));
}

// One of those under way arrives; the first of its channel.
static void deliver(struct stream_world *self)
{
    if (self->wire_count == 0)
        return;
    size_t at = stream_random(self, self->wire_count);
    for (size_t i = 0; i < at; i++)
        if (same_channel(&self->wires[i], &self->wires[at]))
            at = i;
    // What an ended session had sent is lost, or still lies in the receiver's queue for a while.
    const struct wire *first = &self->wires[at];
    int stale = on_control(first) && first->session != self->node.session[first->master];
    if (stale && to_node(first) && !self->healing && stream_random(self, 8))
        return;
    struct wire wire = take_wire(self, at);
    if (stale && (!to_node(&wire) || stream_random(self, 2)))
        return;
    if (to_node(&wire) ? !self->node.up : !self->masters[wire.master].up)
        return;
    say_wire(self, &wire);
    if (to_node(&wire))
        stream_node_receive(self, &wire);
    else
        stream_master_receive(self, &wire);
}

// -- things that happen

static void new_event(struct stream_world *self)
{
    if (self->event_count == EVENTS_MOST || self->healing)
        return;
    unsigned stage = (unsigned)stream_random(self, STAGES);
    struct stage_journal *journal = &self->stages[stage];
    uint16_t event = (uint16_t)++self->event_count;
    journal->events[journal->count++] = event;
    self->stage_of[event] = (unsigned char)stage;
}

static void node_works(struct stream_world *self)
{
    if (!self->node.up)
        return;
    switch (stream_random(self, 6)) {
    case 0:
    case 1:
        stream_node_take(self, (unsigned)stream_random(self, STAGES));
        break;
    case 2:
        stream_node_append(self);
        break;
    case 3:
        stream_node_sync(self);
        break;
    case 4:
        stream_node_trim(self);
        break;
    case 5:
        stream_node_beat(self);
        if (stream_random(self, 4) == 0)
            stream_node_hello(self, (unsigned)stream_random(self, MASTERS));
        break;
    }
}

static void master_works(struct stream_world *self, unsigned number)
{
    struct sim_master *master = &self->masters[number];
    if (!master->up)
        return;
    if (stream_random(self, 3) == 0)
        stream_master_commit(self, number);
    else
        stream_master_tick(self, number);
}

static void break_link(struct stream_world *self, unsigned number)
{
    struct sim_master *master = &self->masters[number];
    master->link = !master->link;
    stream_say(self, "the link to master %c %s", 'A' + (int)number,
               master->link ? "is back" : "breaks");
    self->node.session[number]++;
    if (master->link && self->node.up)
        stream_node_hello(self, number);
}

static void back_up(struct stream_world *self)
{
    struct sim_node *node = &self->node;
    unsigned number = (unsigned)stream_random(self, MASTERS + 1);
    if (number == MASTERS) {
        memcpy(node->backup, node->disk, sizeof(node->backup));
        node->backup_count = node->disk_count;
        return;
    }
    struct sim_master *master = &self->masters[number];
    memcpy(master->backup, master->rows, sizeof(master->backup));
    master->backup_count = master->row_count;
    master->backup_epoch = master->epoch;
    master->backup_watermark = master->watermark;
    master->backup_mark = master->mark;
}

static void disaster(struct stream_world *self)
{
    unsigned number = (unsigned)stream_random(self, MASTERS);
    // One in a schedule: the others have what is lost, or show that it is.
    if (self->rolled_back || self->masters[0].generation + self->masters[1].generation > 0)
        return;
    if (stream_random(self, 3) == 0 && self->node.up) {
        stream_node_crash(self);
        stream_node_roll_back(self);
        if (stream_random(self, 2))
            stream_node_start(self);
    } else {
        stream_masters_compare(self);
        stream_master_crash(self, number);
        stream_master_roll_back(self, number, (int)stream_random(self, 2));
    }
}

static void fault(struct stream_world *self)
{
    unsigned number = (unsigned)stream_random(self, MASTERS);
    switch (stream_random(self, 10)) {
    case 0:
    case 1:
        if (self->node.up)
            stream_node_crash(self);
        break;
    case 2:
    case 3:
    case 4:
        if (!self->node.up)
            stream_node_start(self);
        break;
    case 5:
        stream_master_crash(self, number);
        break;
    case 6:
    case 7:
        if (!self->masters[number].up)
            stream_master_start(self, number);
        break;
    case 8:
        break_link(self, number);
        break;
    case 9:
        if (stream_random(self, 2))
            back_up(self);
        else
            disaster(self);
        break;
    }
}

static void step(struct stream_world *self)
{
    self->now_ms += (int64_t)stream_random(self, STEP_MS);
    switch (stream_random(self, 8)) {
    case 0:
        new_event(self);
        break;
    case 1:
    case 2:
        node_works(self);
        break;
    case 3:
        master_works(self, (unsigned)stream_random(self, MASTERS));
        break;
    case 4:
    case 5:
    case 6:
        deliver(self);
        break;
    case 7:
        if (stream_random(self, 3) == 0)
            fault(self);
        else if (stream_random(self, 10) == 0)
            stream_masters_compare(self);
        break;
    }
}

// -- the end: everything works, and what is still missing comes

static void heal(struct stream_world *self)
{
    self->healing = 1;
    stream_say(self, "everything is mended");
    for (unsigned number = 0; number < MASTERS; number++) {
        if (!self->masters[number].link)
            break_link(self, number);
        if (!self->masters[number].up)
            stream_master_start(self, number);
    }
    if (!self->node.up)
        stream_node_start(self);
    for (unsigned round = 0; round < HEAL_ROUNDS && !self->broken[0]; round++) {
        self->now_ms += HEAL_MS;
        for (unsigned stage = 0; stage < STAGES; stage++)
            stream_node_take(self, stage);
        stream_node_append(self);
        stream_node_sync(self);
        if (round % 5 == 0)
            stream_node_hello(self, round / 5 % MASTERS);
        stream_node_beat(self);
        while (self->wire_count)
            deliver(self);
        for (unsigned number = 0; number < MASTERS; number++) {
            stream_master_commit(self, number);
            stream_master_tick(self, number);
        }
        while (self->wire_count)
            deliver(self);
        stream_node_trim(self);
        stream_masters_compare(self);
    }
}

static int by_place(const void *a, const void *b)
{
    const struct row *left = a, *right = b;
    if (left->epoch != right->epoch)
        return left->epoch < right->epoch ? -1 : 1;
    return (left->sequence > right->sequence) - (left->sequence < right->sequence);
}

static void check_master(struct stream_world *self, unsigned number)
{
    struct sim_master *master = &self->masters[number];
    unsigned count[EVENTS_MOST + 1] = {0};
    uint16_t last[STAGES] = {0};
    qsort(master->rows, master->row_count, sizeof(master->rows[0]), by_place);
    for (size_t i = 0; i < master->row_count; i++) {
        uint16_t event = master->rows[i].event;
        unsigned stage = self->stage_of[event];
        count[event]++;
        if (self->excused[event])
            continue;
        if (event < last[stage])
            stream_broken(self, "master %c has event %u after %u of the same journal",
                          'A' + (int)number, event, last[stage]);
        last[stage] = event;
    }
    for (unsigned event = 1; event <= self->event_count; event++)
        if (count[event] != 1 && !self->excused[event])
            stream_broken(self, "master %c has event %u %s", 'A' + (int)number, event,
                          count[event] ? "twice" : "not at all");
}

void stream_world_run(uint64_t seed, int without, int trace, struct stream_result *ret)
{
    struct stream_world *self = calloc(1, sizeof(*self));
    if (!self)
        abort();
    self->seed = seed * 7919;
    self->without = without;
    self->trace = trace;
    for (unsigned number = 0; number < MASTERS; number++) {
        self->masters[number].link = 1;
        self->masters[number].incarnation = number + 1;
        stream_master_start(self, number);
    }
    stream_node_start(self);
    uint64_t steps = STEPS_LEAST + stream_random(self, STEPS_SPREAD);
    for (uint64_t i = 0; i < 4 * steps && !self->broken[0]; i++)
        step(self);
    heal(self);
    for (unsigned number = 0; number < MASTERS; number++)
        check_master(self, number);
    memcpy(ret->broken, self->broken, sizeof(ret->broken));
    ret->events = self->event_count;
    ret->crashes = self->crashes;
    ret->replays = self->replays;
    ret->epochs = self->epochs;
    for (unsigned number = 0; number < MASTERS; number++)
        stream_master_crash(self, number); // frees what its tracker holds
    producer_free(&self->node.producer);
    free(self);
}
