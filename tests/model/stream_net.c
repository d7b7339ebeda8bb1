// SPDX-License-Identifier: Apache-2.0
// What is under way between node and masters: a control session keeps its order, PUB loses frames,
// links break.
#include "tests/model/stream_world.h"

#include <string.h>

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

void stream_send_wire(struct stream_world *self, const struct wire *wire)
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

// What an ended session had sent still lies in the receiver's queue for a while; in some worlds
// acknowledgements and what is published always do.
static int stays_under_way(struct stream_world *self, const struct wire *wire, int stale)
{
    int slow = on_control(wire)
                   ? self->worlds & STREAM_WORLDS_STALE && (stale || wire->kind == WIRE_ACK)
                   : (self->worlds & STREAM_WORLDS_LATE) != 0;
    if (self->healing || (!slow && !stale) || (stale && !to_node(wire)))
        return 0;
    return stream_random(self, slow ? 20 : 8) > 0;
}

// The first of its channel.
void stream_deliver(struct stream_world *self)
{
    if (self->wire_count == 0)
        return;
    size_t at = stream_random(self, self->wire_count);
    for (size_t i = 0; i < at; i++)
        if (same_channel(&self->wires[i], &self->wires[at]))
            at = i;
    const struct wire *first = &self->wires[at];
    int stale = on_control(first) && first->session != self->node.session[first->master];
    if (stays_under_way(self, first, stale))
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

void stream_break_link(struct stream_world *self, unsigned number)
{
    struct sim_master *master = &self->masters[number];
    master->link = !master->link;
    stream_say(self, "the link to master %c %s", 'A' + (int)number,
               master->link ? "is back" : "breaks");
    self->node.session[number]++;
    if (master->link && self->node.up)
        stream_node_hello(self, number);
}
