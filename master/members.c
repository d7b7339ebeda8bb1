// SPDX-License-Identifier: Apache-2.0
#include "master/members.h"
#include "core/base/clock.h"
#include "proto/stream.pb-c.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct member *members_add(struct members *self, const char *name, const char *key, enum role role)
{
    if (self->count == MEMBERS_MOST)
        return NULL;
    struct member *member = allocate(sizeof(*member));
    snprintf(member->name, sizeof(member->name), "%s", name);
    snprintf(member->record, sizeof(member->record), "%s", name);
    snprintf(member->key, sizeof(member->key), "%s", key);
    snprintf(member->route, sizeof(member->route), "%s", key);
    member->role = role;
    self->list[self->count++] = member;
    return member;
}

void members_remove(struct members *self, struct member *member)
{
    size_t at = 0;
    while (at < self->count && self->list[at] != member)
        at++;
    if (at == self->count)
        return;
    self->list[at] = self->list[--self->count];
    for (void *item; (item = tracker_unhold_any(&member->tracker));)
        postern__publication__free_unpacked(item, NULL);
    json_decref(member->status);
    free(member);
}

void members_clear(struct members *self)
{
    while (self->count > 0)
        members_remove(self, self->list[0]);
}

json_t *members_warnings(const struct members *self)
{
    size_t workers = 0;
    for (size_t i = 0; i < self->count; i++)
        workers += self->list[i]->role == ROLE_WORKER;
    json_t *list = json_array();
    if (workers > WORKERS_TESTED)
        json_array_append_new(list, json_sprintf("the cluster has %d workers; no more than %d at a"
                                                 " time are tested",
                                                 (int)workers, WORKERS_TESTED));
    return list;
}

static int holds_before(const struct member *member, const char *key)
{
    return strcmp(member->previous_key, key) == 0 &&
           clock_wall_ms() < member->previous_until_s * 1000;
}

struct member *members_by_key(const struct members *self, const char *key)
{
    for (size_t i = 0; i < self->count; i++)
        if (strcmp(self->list[i]->key, key) == 0 || holds_before(self->list[i], key))
            return self->list[i];
    return NULL;
}

static int has_been(const struct member *member, const char *name)
{
    for (size_t i = 0; i < member->former_count; i++)
        if (strcmp(member->former[i], name) == 0)
            return 1;
    return 0;
}

struct member *members_by_name(const struct members *self, const char *name)
{
    for (size_t i = 0; i < self->count; i++)
        if (strcmp(self->list[i]->name, name) == 0)
            return self->list[i];
    for (size_t i = 0; i < self->count; i++)
        if (has_been(self->list[i], name))
            return self->list[i];
    return NULL;
}

const char *member_state(const struct member *self, int64_t now_ms)
{
    if (self->heard_ms == 0)
        return "joining";
    return now_ms - self->heard_ms < MEMBER_LOST_MS ? "up" : "lost";
}

static json_int_t amount_of(const struct member *self, const char *key)
{
    const json_t *value = json_object_get(self->status, key);
    return json_integer_value(json_is_object(value) ? json_object_get(value, "messages") : value);
}

const char *member_shown_state(const struct member *self, int64_t now_ms)
{
    const char *state = member_state(self, now_ms);
    if (self->wish == NODE_WISH_UP || strcmp(state, "up") != 0)
        return state;
    int holds = !self->status || amount_of(self, "spool") > 0 || amount_of(self, "queue") > 0;
    return holds ? "draining" : "maintenance";
}
