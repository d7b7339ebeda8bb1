// SPDX-License-Identifier: Apache-2.0
// Random lists of operations, and the shortest part of one that still breaks.
#include "tests/model/config_world.h"

#include <stdlib.h>
#include <string.h>

enum { PHASE_STEPS = 15, PAIRS = 14 };

struct draw {
    uint64_t state;
    struct operation *operations;
    unsigned count, restores;
    int cut[NODES][NODES];
    int masters_cut;
    int master, peer;
    unsigned token;
};

static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int below(struct draw *self, int most)
{
    return (int)(next(&self->state) % (unsigned)most);
}

static int chance(struct draw *self, int percent)
{
    return below(self, 100) < percent;
}

static void put(struct draw *self, struct operation operation)
{
    operation.token = self->token;
    if (self->count < OPERATIONS_MOST)
        self->operations[self->count++] = operation;
}

// Someone reads, and submits later; sometimes another is faster.
static void draw_form(struct draw *self)
{
    int document = chance(self, 30) ? 3 : below(self, 6), domain = below(self, 3);
    put(self, (struct operation){OP_READ, self->master, 1, document, 0, 0, 0});
    if (chance(self, 20)) {
        put(self, (struct operation){OP_READ, self->master, 2, document, 0, 0, 0});
        put(self, (struct operation){OP_SUBMIT, self->master, 2, 1, below(self, 3), self->peer, 0});
        self->token++;
    }
    put(self,
        (struct operation){OP_SUBMIT, self->master, 1, !chance(self, 35), domain, self->peer, 0});
}

// One side adds and removes an entry which the other removes or adds meanwhile.
static void draw_quarrel(struct draw *self)
{
    static const char *const kinds[] = {"ra", "r", "rar"};
    int entry = below(self, 4);
    put(self, (struct operation){OP_LIST, self->master, entry, 1, 0, 1, 0});
    put(self, (struct operation){OP_LIST, !self->master, entry, 0, 0, 0, 0});
    for (const char *at = kinds[below(self, 3)]; *at; at++)
        put(self, (struct operation){OP_LIST, self->master, entry, *at == 'a', 0, 0, 0});
}

static void draw_edit(struct draw *self, int x)
{
    int m = self->master, peer = self->peer;
    if (x < 22)
        draw_form(self);
    else if (x < 27)
        put(self, (struct operation){OP_PAIR, m, below(self, 3), below(self, 3), below(self, 8),
                                     peer, 0});
    else if (x < 29)
        draw_quarrel(self);
    else if (x < 34)
        put(self, (struct operation){OP_LIST, m, below(self, 4), below(self, 2), 0, peer, 0});
    else if (x < 39)
        put(self, (struct operation){chance(self, 50) ? OP_REVOKE : OP_ENROL, m, below(self, 3), 0,
                                     0, peer, 0});
    else
        put(self, (struct operation){chance(self, 60) ? OP_SETTLE : OP_ROLLBACK, m,
                                     below(self, 100), 0, 0, peer, 0});
}

static void draw_pull(struct draw *self)
{
    for (int tries = 0; tries < 8; tries++) {
        int to = below(self, NODES), from = below(self, NODES);
        if (to == from || (to >= MASTERS && from >= MASTERS) || self->cut[to][from])
            continue;
        put(self, (struct operation){OP_PULL, to, from, below(self, 1000), 0, 0, 0});
        return;
    }
}

static void draw_machine(struct draw *self, int x)
{
    static const int minutes[] = {1, 1, 3, 10, 30}, ahead[] = {0, -3, 4, 10, 1440},
                     little[] = {0, -4, 4};
    static const enum operation_kind kinds[] = {OP_BACKUP, OP_CRASH, OP_START, OP_START};
    if (x < 90)
        put(self, (struct operation){OP_TICK, 0, minutes[below(self, 5)], 0, 0, 0, 0});
    else if (x < 95)
        put(self, (struct operation){kinds[below(self, 4)], self->master, 0, 0, 0, 0, 0});
    else if (x < 97 && self->restores++ < 2)
        put(self, (struct operation){OP_RESTORE, self->master, 0, 0, 0, 0, 0});
    else if (x < 98)
        put(self, (struct operation){OP_SKEW, MASTERS + below(self, NODES - MASTERS),
                                     little[below(self, 3)], 0, 0, 0, 0});
    else
        put(self, (struct operation){OP_SKEW, self->master, ahead[below(self, 5)], 0, 0, 0, 0});
}

static void draw_cuts(struct draw *self)
{
    static const int shares[] = {0, 30, 60};
    int share = shares[below(self, 3)];
    self->masters_cut = chance(self, 60);
    for (int to = 0; to < NODES; to++)
        for (int from = 0; from < NODES; from++)
            self->cut[to][from] = chance(self, share);
    self->cut[0][1] = self->cut[1][0] = self->masters_cut;
}

unsigned schedule_make(uint64_t seed, struct operation ret[OPERATIONS_MOST])
{
    struct draw draw = {.state = seed * 1000003, .operations = ret};
    int phases = 3 + below(&draw, 3);
    int lose_at = chance(&draw, 12) ? 10 + below(&draw, 50) : -1;
    for (int step = 0; step < phases * PHASE_STEPS; step++) {
        if (step % PHASE_STEPS == 0)
            draw_cuts(&draw);
        draw.master = below(&draw, MASTERS);
        draw.peer = !draw.masters_cut && chance(&draw, 70);
        draw.token++;
        if (step == lose_at)
            put(&draw, (struct operation){OP_LOSE, draw.master, 0, 0, 0, 0, 0});
        int x = below(&draw, 100);
        if (x < 46)
            draw_edit(&draw, x);
        else if (x < 80)
            draw_pull(&draw);
        else
            draw_machine(&draw, x);
    }
    return draw.count;
}

static int breaks_alike(const struct operation *operations, unsigned count, const char *kind)
{
    struct world *world = allocate(sizeof(*world));
    int alike = !world_play(world, operations, count) && strcmp(world->broken, kind) == 0;
    world_free(world);
    free(world);
    return alike;
}

unsigned schedule_shrink(struct operation *operations, unsigned count, const char *kind)
{
    struct operation trial[OPERATIONS_MOST];
    for (unsigned size = count > 1 ? count / 2 : 1, smaller = 1; size > 1 || smaller;
         size = size > 1 ? size / 2 : 1) {
        smaller = 0;
        for (unsigned at = 0; at < count;) {
            unsigned end = at + size < count ? at + size : count;
            memcpy(trial, operations, at * sizeof(*trial));
            memcpy(trial + at, operations + end, (count - end) * sizeof(*trial));
            if (breaks_alike(trial, count - (end - at), kind)) {
                count -= end - at;
                memcpy(operations, trial, count * sizeof(*trial));
                smaller = 1;
            } else {
                at = end;
            }
        }
    }
    return count;
}
