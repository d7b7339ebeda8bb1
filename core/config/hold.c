// SPDX-License-Identifier: Apache-2.0
// When the union of all revisions is no valid tree: they apply in clock order, and each that would
// break the tree is held out of it, whole. Every node holds the same ones.
#include "core/config/config_internal.h"

#include <stdlib.h>
#include <string.h>

enum { REASON_SIZE = 256 };

static int hold_document(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    struct config *self = context;
    const struct document *document = value;
    if (!rule_is_spared(document->name))
        json_object_del(self->tree, document->name);
    return 0;
}

static void put(json_t *tree, const char *name, json_t *body)
{
    if (body)
        json_object_set(tree, name, body);
    else
        json_object_del(tree, name);
}

// Its changes that can be held. The count.
static size_t changes_of(const struct revision *revision, const struct revision_change **ret)
{
    size_t count = 0;
    for (size_t i = 0; i < revision->change_count; i++)
        if (!rule_is_spared(revision->changes[i].document))
            ret[count++] = &revision->changes[i];
    return count;
}

// Applies the revision to the tree, or holds it.
static void try_one(struct config *self, struct known *known)
{
    size_t most = known->revision->change_count + 1;
    const struct revision_change **changes = allocate(most * sizeof(*changes));
    const char **names = allocate(most * sizeof(*names));
    json_t **before = allocate(most * sizeof(*before));
    size_t count = changes_of(known->revision, changes);
    char reason[REASON_SIZE] = "";
    for (size_t i = 0; i < count; i++) {
        names[i] = changes[i]->document;
        before[i] = json_incref(json_object_get(self->tree, names[i]));
        put(self->tree, names[i], changes[i]->body);
    }
    if (count > 0 &&
        self->valid(self->context, self->tree, names, count, reason, sizeof(reason)) < 0) {
        known->held = duplicate(reason);
        self->holds = 1;
        for (size_t i = 0; i < count; i++)
            put(self->tree, names[i], before[i]);
    }
    for (size_t i = 0; i < count; i++)
        json_decref(before[i]);
    free(before);
    free(names);
    free(changes);
}

void config_hold(struct config *self)
{
    table_each(self->documents, hold_document, self);
    for (size_t i = 0; i < self->count; i++)
        try_one(self, self->order[i]);
}
