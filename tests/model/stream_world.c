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
    "lives",
    "marked-acks",
};

enum { STEPS_LEAST = 600, STEP_MS = 200, ANSWERS_MOST = 8 };

// -- for the parts

uint64_t stream_random(struct stream_world *self, uint64_t below)
{
    uint64_t z = self->drawn += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % below;
}

int stream_with(const struct stream_world *self, enum stream_rule rule)
{
    return !(self->without >> rule & 1);
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

// What a worker that was put back numbers before it has met its masters is what the marks are for.
int stream_may_take(const struct stream_world *self)
{
    return !(self->worlds & STREAM_WORLDS_MET) || !self->rolled_back ||
           self->node.greeted == (1u << MASTERS) - 1;
}

static void node_works(struct stream_world *self)
{
    if (!self->node.up)
        return;
    switch (stream_random(self, 6)) {
    case 0:
    case 1:
        if (stream_may_take(self))
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
    if (stream_random(self, self->worlds & STREAM_WORLDS_SLOW ? 12 : 3) == 0)
        stream_master_commit(self, number);
    else
        stream_master_tick(self, number);
}

static void back_up_node(struct sim_node *node)
{
    memcpy(node->backup, node->disk, node->disk_count * sizeof(node->disk[0]));
    node->backup_count = node->disk_count;
}

static void back_up_master(struct sim_master *master)
{
    memcpy(master->backup, master->rows, master->row_count * sizeof(master->rows[0]));
    master->backup_count = master->row_count;
    master->backup_epoch = master->epoch;
    master->backup_watermark = master->watermark;
    master->backup_mark = master->mark;
}

// Does the disaster of these worlds befall the worker, else a master?
static int befalls_worker(struct stream_world *self, uint64_t one_in)
{
    if (self->worlds & (STREAM_WORLDS_WORKER_BACK | STREAM_WORLDS_MASTER_BACK))
        return (self->worlds & STREAM_WORLDS_WORKER_BACK) != 0;
    return stream_random(self, one_in) == 0;
}

static void lose_worker(struct stream_world *self)
{
    if (!self->node.up)
        return;
    stream_node_crash(self);
    stream_node_roll_back(self);
    if (stream_random(self, 2))
        stream_node_start(self);
}

static void lose_master(struct stream_world *self, unsigned number)
{
    int to_nothing = !(self->worlds & STREAM_WORLDS_MASTER_BACK) && stream_random(self, 2);
    stream_master_crash(self, number);
    stream_master_roll_back(self, number, to_nothing);
    if (stream_random(self, 2))
        stream_master_start(self, number);
}

// Would it lose something that others know?
static int is_worth_it(const struct stream_world *self, unsigned number)
{
    const struct sim_node *node = &self->node;
    if (number == MASTERS)
        return node->backup_count && node->backup[node->backup_count - 1].id + 2 < node->last_id;
    return self->masters[number].watermark > self->masters[number].backup_watermark + 4;
}

// Number MASTERS is the worker. One disaster in a schedule: the others have what is lost, or show
// that it is.
static void back_up_or_lose(struct stream_world *self)
{
    int wanted = self->worlds & (STREAM_WORLDS_WORKER_BACK | STREAM_WORLDS_MASTER_BACK);
    unsigned number = befalls_worker(self, 3) ? MASTERS : (unsigned)stream_random(self, MASTERS);
    int spared = self->rolled_back || self->masters[0].generation + self->masters[1].generation > 0;
    int loses = wanted ? is_worth_it(self, number) : stream_random(self, 2) == 0;
    if (loses && !spared && number == MASTERS)
        lose_worker(self);
    else if (loses && !spared)
        lose_master(self, number);
    else if (number == MASTERS)
        back_up_node(&self->node);
    else
        back_up_master(&self->masters[number]);
}

static void fault(struct stream_world *self)
{
    unsigned number = (unsigned)stream_random(self, MASTERS);
    uint64_t kind = stream_random(self, 10);
    if (self->worlds & STREAM_WORLDS_RESTLESS && stream_random(self, 2))
        kind = self->node.up ? 0 : 2;
    else if (self->worlds & STREAM_WORLDS_APART && stream_random(self, 2))
        kind = 8;
    switch (kind) {
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
        stream_break_link(self, number);
        break;
    case 9:
        back_up_or_lose(self);
        break;
    }
}

static void masters_compare(struct stream_world *self)
{
    unsigned number = (unsigned)stream_random(self, MASTERS);
    uint64_t answers = stream_random(self, ANSWERS_MOST) + 1;
    while (answers-- > 0 && stream_master_compare(self, number))
        continue;
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
        stream_deliver(self);
        break;
    case 7:
        if (stream_random(self, 3) < (self->worlds ? 2 : 1))
            fault(self);
        else if (stream_random(self, 3) == 0)
            masters_compare(self);
        break;
    }
}

static void draw_from(struct stream_world *self, uint64_t seed, uint64_t step)
{
    self->drawn = seed * 7919 + step * 0xd1342543de82ef95;
}

static void begin(struct stream_world *self)
{
    for (unsigned number = 0; number < MASTERS; number++) {
        self->masters[number].link = 1;
        self->masters[number].incarnation = number + 1;
        stream_master_start(self, number);
    }
    stream_node_start(self);
}

static void end(struct stream_world *self)
{
    for (unsigned number = 0; number < MASTERS; number++)
        stream_master_crash(self, number); // frees what its tracker holds
    producer_free(&self->node.producer);
    free(self);
}

void stream_world_run(const struct stream_schedule *schedule, struct stream_result *ret)
{
    struct stream_world *self = allocate(sizeof(*self));
    self->without = schedule->without;
    self->worlds = schedule->worlds;
    self->trace = schedule->trace;
    draw_from(self, schedule->seed, 0);
    begin(self);
    unsigned steps = STEPS_LEAST + (unsigned)stream_random(self, STEPS_MOST - STEPS_LEAST);
    for (unsigned i = 0; i < steps && !self->broken[0]; i++) {
        if (schedule->left_out && schedule->left_out[i])
            continue;
        draw_from(self, schedule->seed, i + 1);
        step(self);
    }
    draw_from(self, schedule->seed, STEPS_MOST + 1);
    stream_heal(self);
    stream_check(self);
    *ret = (struct stream_result){.steps = steps,
                                  .events = self->event_count,
                                  .crashes = self->crashes,
                                  .replays = self->replays,
                                  .epochs = self->epochs};
    memcpy(ret->broken, self->broken, sizeof(ret->broken));
    end(self);
}
