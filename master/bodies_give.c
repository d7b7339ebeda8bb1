// SPDX-License-Identifier: Apache-2.0
// A body goes back to a worker that has let it go, for an order about it.
#include "core/base/log.h"
#include "master/bodies_internal.h"
#include "master/commands.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 10000 };

struct gift {
    struct bodies *bodies;
    char node[64], day[11];
    struct ulid id;
    uint64_t at, total;
    size_t size;
    bodies_given_fn *fn;
    void *context;
};

static void read_next(struct gift *self);

static void end_gift(struct gift *self, enum body_gift how)
{
    self->fn(self->context, how);
    free(self);
}

static void written(void *context, const void *data, size_t size, uint64_t total, const char *error)
{
    (void)data;
    (void)size;
    (void)total;
    struct gift *self = context;
    self->at += self->size;
    if (error)
        end_gift(self, BODY_NOT_GIVEN);
    else if (self->at >= self->total)
        end_gift(self, BODY_GIVEN);
    else
        read_next(self);
}

static void was_read(void *context, const void *data, size_t size, uint64_t total, int gone)
{
    struct gift *self = context;
    struct master *master = self->bodies->master;
    const struct member *member = members_by_name(&master->members, self->node);
    if (!data || !member || !master->commands || (size == 0 && self->at < total)) {
        end_gift(self, gone ? BODY_NOWHERE : BODY_NOT_GIVEN);
        return;
    }
    self->total = total;
    self->size = size;
    const struct body_place place = {&self->id, self->day, self->at, total};
    commands_give(master->commands, member, &place, (struct span){data, size}, TIMEOUT_MS, written,
                  self);
}

static void read_next(struct gift *self)
{
    bodies_piece(self->bodies, &self->id, self->at, was_read, self);
}

void bodies_give(struct bodies *self, const char *node, const struct ulid *id, const char *day,
                 bodies_given_fn *fn, void *context)
{
    struct gift *gift = allocate(sizeof(*gift));
    gift->bodies = self;
    gift->id = *id;
    gift->fn = fn;
    gift->context = context;
    snprintf(gift->node, sizeof(gift->node), "%s", node);
    snprintf(gift->day, sizeof(gift->day), "%s", day);
    read_next(gift);
}
