// SPDX-License-Identifier: Apache-2.0
#include "tests/model/config_world_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MINUTE_MS = 60000, MINUTES_AHEAD = 5, EXPIRY_MIN = 60 };

const char *const world_names[NODES] = {"A", "B", "w1", "w2", "w3"};

void world_say(struct world *self, const char *format, ...)
{
    char line[512];
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof(line), format, list);
    va_end(list);
    buffer_printf(&self->story, "    %4d  %s\n", self->time, line);
}

void world_break(struct world *self, const char *kind, const char *format, ...)
{
    va_list list;
    if (self->broken[0])
        return;
    snprintf(self->broken, sizeof(self->broken), "%s", kind);
    va_start(list, format);
    vsnprintf(self->how, sizeof(self->how), format, list);
    va_end(list);
}

// A route names a domain, which must be there.
int world_valid(void *context, const json_t *documents, const char *const *changed, size_t count,
                char *ret_error, size_t error_size)
{
    (void)context;
    (void)changed;
    (void)count;
    const char *name;
    json_t *body;
    json_object_foreach((json_t *)documents, name, body)
    {
        char domain[64];
        const char *of = json_string_value(json_object_get(body, "domain"));
        snprintf(domain, sizeof(domain), "domain/%s", of ? of : "");
        if (!of || json_object_get(documents, domain))
            continue;
        snprintf(ret_error, error_size, "%s: there is no %s", name, domain);
        return -1;
    }
    return 0;
}

uint64_t world_local_ms(const struct world *self, const struct world_node *node)
{
    return (uint64_t)(self->time + node->skew) * MINUTE_MS;
}

// A name that was used before makes a revision that has seen itself: unreadable, so lost.
static struct revision *read_blob(struct world *self, unsigned blob)
{
    const char *reason;
    struct revision *revision =
        revision_read(self->blobs[blob].bytes, self->blobs[blob].size, &reason);
    if (!revision)
        world_break(self, "acknowledged edit lost", "%s: %s", self->blobs[blob].name, reason);
    return revision;
}

// -- a node's memory and disk

void world_hold(struct world *self, struct world_node *node, unsigned blob)
{
    struct revision *revision = read_blob(self, blob);
    if (!revision)
        return;
    edit_maker_saw(&node->maker, revision);
    if (config_add(node->config, &revision) == 0)
        node->disk.blobs[node->disk.count++] = blob;
}

void disk_copy(struct disk *to, const struct disk *from)
{
    free(to->settled);
    *to = *from;
    to->settled = from->settled
                      ? duplicate_bytes(from->settled, from->settled_count * sizeof(*from->settled))
                      : NULL;
}

void world_start(struct world *self, int number)
{
    struct world_node *node = &self->nodes[number];
    struct disk disk = node->disk;
    config_destroy(&node->config);
    node->config = config_new(world_valid, NULL);
    node->up = 1;
    node->parked_count = node->unsynced_count = 0;
    node->starts += config_rule_off != START_IN_NAME;
    memset(&node->maker, 0, sizeof(node->maker));
    strcpy(node->maker.origin.master, world_names[number]);
    node->maker.origin.start = node->starts;
    node->maker.number = node->disk.number;
    node->disk.count = 0;
    for (unsigned i = 0; i < disk.count; i++)
        world_hold(self, node, disk.blobs[i]);
    config_merge(node->config);
}

static int is_in(const unsigned *list, unsigned count, unsigned value)
{
    for (unsigned i = 0; i < count; i++)
        if (list[i] == value)
            return 1;
    return 0;
}

void world_forget_unsynced(struct world_node *node)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < node->disk.count; i++)
        if (!is_in(node->unsynced, node->unsynced_count, node->disk.blobs[i]))
            node->disk.blobs[kept++] = node->disk.blobs[i];
    node->disk.count = kept;
}

// -- taking revisions

void world_take(struct world *self, struct world_node *node, unsigned blob)
{
    const struct blob *it = &self->blobs[blob];
    int64_t ahead_min = (int64_t)it->clock.ms / MINUTE_MS - (self->time + node->skew);
    int known = is_in(node->parked, node->parked_count, blob);
    if (config_find(node->config, it->name))
        return;
    if (config_rule_off == MERGE_FUTURE && ahead_min > MINUTES_AHEAD) {
        if (!known)
            node->parked[node->parked_count++] = blob;
        return;
    }
    if (config_rule_off == NO_EXPIRY && -ahead_min > EXPIRY_MIN)
        return;
    world_hold(self, node, blob);
}

void world_run_workers(struct world *self)
{
    for (int i = 0; i < NODES; i++)
        if (self->nodes[i].up)
            config_merge(self->nodes[i].config);
    for (int i = MASTERS; i < NODES; i++) {
        struct world_node *node = &self->nodes[i];
        json_t *tree = config_documents(node->config);
        char reason[128];
        if (config_rule_off != VALIDATE_MERGE &&
            world_valid(NULL, tree, NULL, 0, reason, sizeof(reason)) < 0)
            continue; // the last good one stays
        json_decref(node->running);
        node->running = json_copy(tree);
    }
    world_check_running(self);
}

static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

// An odd seed: only a random part of what is missing, in random order.
void world_pull(struct world *self, int to, int from, unsigned seed)
{
    struct world_node *here = &self->nodes[to], *there = &self->nodes[from];
    unsigned missing[BLOBS_MOST], count = 0;
    uint64_t state = seed;
    if (!here->up || !there->up || (from >= MASTERS && config_rule_off == HAND_BACK))
        return;
    for (unsigned i = 0; i < there->disk.count; i++)
        if (!config_find(here->config, self->blobs[there->disk.blobs[i]].name))
            missing[count++] = there->disk.blobs[i];
    for (unsigned i = 0; i < there->parked_count; i++)
        missing[count++] = there->parked[i];
    for (unsigned i = 0; seed % 2 && i < count; i++) {
        unsigned other = i + (unsigned)(next(&state) % (count - i)), kept = missing[i];
        missing[i] = missing[other];
        missing[other] = kept;
    }
    if (seed % 2 && count > 0)
        count = (unsigned)(next(&state) % (count + 1));
    for (unsigned i = 0; i < count; i++)
        world_take(self, here, missing[i]);
    if (count > 0)
        world_say(self, "%s pulls %u revision(s) from %s", world_names[to], count,
                  world_names[from]);
    world_run_workers(self);
}

void world_tick(struct world *self, int minutes)
{
    for (int m = 0; m < minutes; m++) {
        self->time++;
        for (int i = 0; i < NODES; i++) {
            struct world_node *node = &self->nodes[i];
            unsigned parked[BLOBS_MOST], count = node->parked_count;
            memcpy(parked, node->parked, sizeof(parked));
            node->parked_count = 0;
            node->unsynced_count = 0;
            for (unsigned k = 0; k < count; k++)
                world_take(self, node, parked[k]);
        }
    }
    world_run_workers(self);
}

// -- a whole schedule

static void heal(struct world *self)
{
    world_say(self, "all heals, clocks are right, everybody pulls from everybody");
    for (int i = 0; i < NODES; i++) {
        world_machine(self, &(struct operation){.kind = OP_START, .node = i});
        world_machine(self, &(struct operation){.kind = OP_SKEW, .node = i});
    }
    for (int round = 0; round < 3 && !self->broken[0]; round++) {
        for (int to = 0; to < NODES; to++)
            for (int from = 0; from < NODES; from++)
                if (to != from && (to < MASTERS || from < MASTERS))
                    world_pull(self, to, from, 0);
        world_tick(self, round ? 30 : 1);
    }
}

static void begin(struct world *self)
{
    json_t *first =
        json_pack("{s:{s:s}, s:{s:s}, s:{s:s, s:s}, s:{s:s}, s:{s:s}}", "domain/x", "value", "x0",
                  "domain/y", "value", "y0", "route/1", "value", "r0", "domain", "x", "list/block",
                  "kind", "block", "list/allow", "kind", "allow");
    struct edit wanted = {first, 0, 0, NULL, "somebody", ""};
    struct revision *revision = NULL;
    json_t *stale = NULL;
    char reason[256];
    for (int i = 0; i < NODES; i++)
        world_start(self, i);
    if (edit_make(self->nodes[0].config, &self->nodes[0].maker, &wanted, 0, &revision, &stale,
                  reason, sizeof(reason)) != EDIT_MADE)
        abort();
    unsigned blob = world_add_blob(self, revision, ++self->groups, 1);
    for (int i = 0; i < NODES; i++) {
        struct world_node *node = &self->nodes[i];
        world_hold(self, node, blob);
        node->disk.number = node->maker.number;
        config_merge(node->config);
        disk_copy(&node->backup, &node->disk);
        node->history[node->history_count++] = json_copy(config_documents(node->config));
    }
    revision_destroy(&revision);
    json_decref(first);
    world_run_workers(self);
}

int world_play(struct world *self, const struct operation *operations, unsigned count)
{
    memset(self, 0, sizeof(*self));
    buffer_init(&self->story);
    self->time = 100;
    begin(self);
    for (unsigned i = 0; i < count && !self->broken[0]; i++)
        world_perform(self, &operations[i]);
    if (!self->broken[0])
        heal(self);
    if (!self->broken[0])
        world_check_healed(self);
    return !self->broken[0];
}

void world_free(struct world *self)
{
    for (int i = 0; i < NODES; i++) {
        struct world_node *node = &self->nodes[i];
        config_destroy(&node->config);
        json_decref(node->running);
        for (unsigned k = 0; k < node->history_count; k++)
            json_decref(node->history[k]);
        free(node->disk.settled);
        free(node->backup.settled);
    }
    for (unsigned i = 0; i < self->blob_count; i++)
        free(self->blobs[i].bytes);
    for (unsigned i = 0; i < self->acked_count; i++) {
        names_free(&self->acked[i].truth);
        free(self->acked[i].settled_document);
        for (unsigned k = 0; k < self->acked[i].settled_count; k++)
            free(self->acked[i].settled[k]);
    }
    for (unsigned i = 0; i < PEOPLE; i++)
        names_free(&self->forms[i].seen);
    buffer_free(&self->story);
}
