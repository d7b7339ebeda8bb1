// SPDX-License-Identifier: Apache-2.0
// The end of a schedule: everything works, what is still missing comes, and then the masters must
// hold every event.
#include "tests/model/stream_world.h"

#include <stdlib.h>

enum { HEAL_ROUNDS = 200, SETTLED_ROUNDS = 6, HEAL_MS = 1000 };

// Nothing is left to be done, as far as the positions tell.
static int is_settled(const struct stream_world *self)
{
    const struct sim_node *node = &self->node;
    int settled = !node->is_writing && !node->pending.count && !node->unsettled;
    for (unsigned stage = 0; stage < STAGES; stage++) {
        const struct cursor *cursor = cursors_get(&node->committed, stage + 1);
        settled &= (cursor ? cursor->offset : 0) >= self->stages[stage].count;
    }
    for (unsigned number = 0; number < MASTERS; number++) {
        const struct sim_master *master = &self->masters[number];
        settled &= !master->writing_count && !master->renewing &&
                   master->epoch == node->producer.epoch &&
                   master->watermark == node->producer.last;
    }
    return settled;
}

static void deliver_all(struct stream_world *self)
{
    while (self->wire_count)
        stream_deliver(self);
}

static void one_round(struct stream_world *self, unsigned round)
{
    self->now_ms += HEAL_MS;
    for (unsigned stage = 0; stage < STAGES && stream_may_take(self); stage++)
        stream_node_take(self, stage);
    stream_node_append(self);
    stream_node_sync(self);
    if (round % 2 == 0)
        stream_node_hello(self, round / 2 % MASTERS);
    stream_node_beat(self);
    deliver_all(self);
    for (unsigned number = 0; number < MASTERS; number++) {
        stream_master_commit(self, number);
        stream_master_tick(self, number);
    }
    deliver_all(self);
    stream_node_trim(self);
    for (unsigned number = 0; number < MASTERS; number++)
        while (stream_master_compare(self, number))
            continue;
}

void stream_heal(struct stream_world *self)
{
    unsigned settled = 0;
    self->healing = 1;
    stream_say(self, "everything is mended");
    for (unsigned number = 0; number < MASTERS; number++) {
        if (!self->masters[number].link)
            stream_break_link(self, number);
        if (!self->masters[number].up)
            stream_master_start(self, number);
    }
    if (!self->node.up)
        stream_node_start(self);
    for (unsigned round = 0; round < HEAL_ROUNDS && settled < SETTLED_ROUNDS && !self->broken[0];
         round++) {
        one_round(self, round);
        settled = is_settled(self) ? settled + 1 : 0;
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

void stream_check(struct stream_world *self)
{
    for (unsigned number = 0; number < MASTERS; number++)
        check_master(self, number);
}
