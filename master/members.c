// SPDX-License-Identifier: Apache-2.0
#include "master/members.h"
#include "core/bus/keys.h"
#include "proto/stream.pb-c.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_TEXT = 40, NAME_MOST = 63 };

// ZeroMQ RFC 32.
static const char z85[] =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()"
    "[]{}@%$#";

const char *member_mend(const char *name, const char *key, const char *role)
{
    size_t length = strlen(name);
    if (length == 0 || length > NAME_MOST ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != length)
        return "name: give 1 to 63 of a-z, 0-9, - _ .";
    if (strlen(key) != KEY_TEXT || strspn(key, z85) != KEY_TEXT)
        return "key: give the 40 characters that `postern keygen` prints";
    if (curve_key_published(key))
        return "key: this one is printed in a manual; make one with `postern keygen`";
    if (strcmp(role, "worker") != 0 && strcmp(role, "master") != 0 && strcmp(role, "monitor") != 0)
        return "role: give worker, master or monitor";
    return NULL;
}

struct member *members_add(struct members *self, const char *name, const char *key,
                           const char *role)
{
    if (self->count == MEMBERS_MOST)
        return NULL;
    struct member *member = allocate(sizeof(*member));
    snprintf(member->name, sizeof(member->name), "%s", name);
    snprintf(member->key, sizeof(member->key), "%s", key);
    snprintf(member->role, sizeof(member->role), "%s", role);
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

struct member *members_by_key(const struct members *self, const char *key)
{
    for (size_t i = 0; i < self->count; i++)
        if (strcmp(self->list[i]->key, key) == 0)
            return self->list[i];
    return NULL;
}

struct member *members_by_name(const struct members *self, const char *name)
{
    for (size_t i = 0; i < self->count; i++)
        if (strcmp(self->list[i]->name, name) == 0)
            return self->list[i];
    return NULL;
}

const char *member_state(const struct member *self, int64_t now_ms)
{
    if (self->heard_ms == 0)
        return "joining";
    return now_ms - self->heard_ms < MEMBER_LOST_MS ? "up" : "lost";
}
