// SPDX-License-Identifier: Apache-2.0
// What must hold: on workers at all times, and everywhere once all has healed.
#include "tests/model/config_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHUFFLES = 2 };

static int is_of(const char *document, const char *kind)
{
    return strncmp(document, kind, strlen(kind)) == 0;
}

static int holds_blob(const struct world_node *node, unsigned blob)
{
    for (unsigned i = 0; i < node->disk.count; i++)
        if (node->disk.blobs[i] == blob)
            return 1;
    return 0;
}

static void check_whole(struct world *self, int worker)
{
    const struct world_node *node = &self->nodes[worker];
    for (unsigned first = 0; first < self->blob_count; first++) {
        const struct blob *blob = &self->blobs[first];
        unsigned held = 0;
        for (unsigned i = first; blob->group_size > 1 && i < self->blob_count; i++)
            held += self->blobs[i].group == blob->group && holds_blob(node, i);
        if (held > 0 && held < blob->group_size &&
            (first == 0 || self->blobs[first - 1].group != blob->group))
            world_break(self, "half a revision runs", "%s applied a part of %s",
                        world_names[worker], blob->name);
    }
}

void world_check_running(struct world *self)
{
    char reason[128];
    for (int i = MASTERS; i < NODES; i++) {
        if (world_valid(NULL, self->nodes[i].running, NULL, 0, reason, sizeof(reason)) < 0)
            world_break(self, "invalid tree on a worker", "%s runs one: %s", world_names[i],
                        reason);
        if (config_rule_off == WHOLE_REVISIONS)
            check_whole(self, i);
    }
}

static int is_settled_here(const struct world_node *node, const char *document, const char *version)
{
    char text[2 * REVISION_NAME_SIZE];
    snprintf(text, sizeof(text), "%s %s", document, version);
    for (unsigned i = 0; i < node->disk.settled_count; i++)
        if (strcmp(node->disk.settled[i], text) == 0)
            return 1;
    return 0;
}

json_t *world_conflicts(struct world_node *node)
{
    json_t *all = config_conflicts(node->config), *shown = json_array(), *row;
    size_t i;
    json_array_foreach(all, i, row)
    {
        const char *document = json_string_value(json_object_get(row, "document"));
        json_t *others = json_object_get(row, "others");
        for (size_t k = json_array_size(others); k > 0; k--) {
            const char *version =
                json_string_value(json_object_get(json_array_get(others, k - 1), "version"));
            if (is_settled_here(node, document, version))
                json_array_remove(others, k - 1);
        }
        if (json_array_size(others) > 0)
            json_array_append(shown, row);
    }
    json_decref(all);
    return shown;
}

static int is_listed(const json_t *conflicts, const char *document, const char *version)
{
    json_t *row, *other;
    size_t i, k;
    json_array_foreach((json_t *)conflicts, i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "document")), document) != 0)
            continue;
        json_array_foreach(json_object_get(row, "others"), k, other)
        {
            if (strcmp(json_string_value(json_object_get(other, "version")), version) == 0)
                return 1;
        }
    }
    return 0;
}

// -- each acknowledged edit on a master

struct look {
    struct world *world;
    struct world_node *master;
    const char *where;
    json_t *conflicts;
    struct revision *revisions[BLOBS_MOST]; // of what was acknowledged
};

static const struct revision_change *change_of(const struct revision *revision,
                                               const char *document, const char *entry)
{
    for (size_t i = 0; i < revision->change_count; i++) {
        const struct revision_change *change = &revision->changes[i];
        if (strcmp(change->document, document) != 0)
            continue;
        if (!entry && change->entry_count == 0)
            return change;
        for (size_t k = 0; entry && k < change->entry_count; k++)
            if (strcmp(change->entries[k], entry) == 0)
                return change;
    }
    return NULL;
}

static const struct names *truth_of(const struct look *self, unsigned acked,
                                    const struct revision_change *change)
{
    const struct acknowledged *it = &self->world->acked[acked];
    return it->has_truth ? &it->truth : &change->seen;
}

static int has_seen(const struct look *self, unsigned later, const struct revision_change *change,
                    const struct revision *earlier)
{
    return names_hold(truth_of(self, later, change), &earlier->origin, earlier->number);
}

static int is_superseded(const struct look *self, unsigned acked, const char *document,
                         const char *entry)
{
    for (unsigned i = 0; i < self->world->acked_count; i++) {
        const struct revision_change *change = change_of(self->revisions[i], document, entry);
        if (i != acked && change && holds_blob(self->master, self->world->acked[i].blob) &&
            (entry || i > acked) && has_seen(self, i, change, self->revisions[acked]))
            return 1;
    }
    return 0;
}

static int has_entry(const json_t *body, const char *entry)
{
    json_t *text;
    size_t i;
    json_array_foreach(json_object_get(body, "entries"), i, text)
    {
        if (strcmp(json_string_value(text), entry) == 0)
            return 1;
    }
    return 0;
}

// Of changes that nobody saw, adding wins on the block list, removing on the allow list.
static void check_entry(struct look *self, const char *document, const char *entry)
{
    int allows = strcmp(document, "list/allow") == 0, any = 0, all = 1, known = 0;
    for (unsigned i = 0; i < self->world->acked_count; i++) {
        const struct revision_change *change = change_of(self->revisions[i], document, entry);
        if (!change || !holds_blob(self->master, self->world->acked[i].blob) ||
            is_superseded(self, i, document, entry))
            continue;
        known = 1;
        any |= change->kind == CHANGE_ADD;
        all &= change->kind == CHANGE_ADD;
    }
    const json_t *body = json_object_get(config_documents(self->master->config), document);
    if (known && has_entry(body, entry) != (allows ? all : any))
        world_break(self->world, "acknowledged edit lost", "entry %s of %s is %sin force on %s",
                    entry, document, has_entry(body, entry) ? "" : "not ", self->where);
}

static void check_document(struct look *self, unsigned acked, const struct revision_change *change)
{
    const struct revision *revision = self->revisions[acked];
    const char *document = change->document;
    const struct revision *version = config_version(self->master->config, document);
    const json_t *body = json_object_get(config_documents(self->master->config), document);
    char name[REVISION_NAME_SIZE];
    revision_name(revision, name);
    int mine = version && rule_compare(version, revision) == 0 &&
               holds_blob(self->master, self->world->acked[acked].blob);
    int equal = change->body ? json_equal(change->body, (json_t *)body) : !body;
    if (!mine && !equal && !is_listed(self->conflicts, document, name) &&
        !is_superseded(self, acked, document, NULL))
        world_break(self->world, "acknowledged edit lost",
                    "%s of %s is not in force on %s, not listed, and overwritten by nobody who "
                    "saw it",
                    name, document, self->where);
}

static void check_change(struct look *self, unsigned acked, const struct revision_change *change)
{
    const json_t *tree = config_documents(self->master->config);
    const char *document = change->document;
    if (is_of(document, "revoked/") || is_of(document, "node/")) {
        if (change->kind == CHANGE_SET && !json_object_get(tree, document))
            world_break(self->world,
                        is_of(document, "node/") ? "an enrolled node is forgotten"
                                                 : "a revoked key came back",
                        "%s is not on %s", document, self->where);
        return;
    }
    for (size_t k = 0; k < change->entry_count; k++)
        check_entry(self, document, change->entries[k]);
    if (change->entry_count == 0)
        check_document(self, acked, change);
}

// Is it still anywhere? What only a lost or restored disk had is gone.
static int must_be_there(const struct world *self, const struct acknowledged *acked)
{
    int restored = 0;
    for (int i = 0; i < NODES; i++) {
        if (!self->nodes[i].lost && holds_blob(&self->nodes[i], acked->blob))
            return 1;
        restored += self->restored[i];
    }
    return !self->restored[acked->master] || (acked->both && restored < 2);
}

static void check_edits(struct world *self, int master)
{
    struct look look = {
        .world = self, .master = &self->nodes[master], .where = world_names[master]};
    const char *reason;
    look.conflicts = world_conflicts(look.master);
    for (unsigned i = 0; i < self->acked_count; i++) {
        const struct blob *blob = &self->blobs[self->acked[i].blob];
        look.revisions[i] = revision_read(blob->bytes, blob->size, &reason);
    }
    for (unsigned i = 0; i < self->acked_count; i++) {
        const struct acknowledged *acked = &self->acked[i];
        for (size_t k = 0; must_be_there(self, acked) && k < look.revisions[i]->change_count; k++)
            check_change(&look, i, &look.revisions[i]->changes[k]);
        for (unsigned k = 0; k < acked->settled_count; k++)
            if (holds_blob(look.master, acked->blob) &&
                is_listed(look.conflicts, acked->settled_document, acked->settled[k]))
                world_break(self, "settled conflict is back", "%s was settled and is listed on %s",
                            acked->settled_document, look.where);
    }
    for (unsigned i = 0; i < self->acked_count; i++)
        revision_destroy(&look.revisions[i]);
    json_decref(look.conflicts);
}

// -- all nodes alike

static const json_t *tree_of(const struct world *self, int node)
{
    return node < MASTERS ? config_documents(self->nodes[node].config) : self->nodes[node].running;
}

static void check_alike(struct world *self, int first)
{
    for (int i = 0; i < NODES; i++)
        if (!self->nodes[i].lost &&
            !json_equal((json_t *)tree_of(self, first), (json_t *)tree_of(self, i)))
            world_break(self, "no convergence", "an hour after healing %s and %s differ",
                        world_names[first], world_names[i]);
    json_t *a = world_conflicts(&self->nodes[0]), *b = world_conflicts(&self->nodes[1]);
    if (!self->nodes[0].lost && !self->nodes[1].lost && !json_equal(a, b))
        world_break(self, "conflict lists differ", "the masters list different conflicts");
    json_decref(a);
    json_decref(b);
}

// The same revisions in another order make the same tree and conflicts.
static void check_algebra(struct world *self, const struct world_node *node, unsigned salt)
{
    struct config *again = config_new(world_valid, NULL);
    const char *reason;
    unsigned count = node->disk.count;
    for (unsigned i = 0; i < count; i++) {
        // Backwards, or from a place in the middle.
        unsigned at = salt ? (i + salt) % count : count - 1 - i;
        const struct blob *blob = &self->blobs[node->disk.blobs[at]];
        struct revision *revision = revision_read(blob->bytes, blob->size, &reason);
        (void)config_add(again, &revision);
        if (i % 3 == salt % 3)
            config_merge(again);
    }
    config_merge(again);
    json_t *a = config_conflicts(again), *b = config_conflicts(node->config);
    if (!json_equal(config_documents(again), config_documents(node->config)) || !json_equal(a, b))
        world_break(self, "merge depends on order",
                    "the same revisions in another order give another tree");
    json_decref(a);
    json_decref(b);
    config_destroy(&again);
}

void world_check_healed(struct world *self)
{
    int first = self->nodes[0].lost ? 1 : 0;
    for (int i = 0; i < MASTERS; i++)
        if (!self->nodes[i].lost)
            check_edits(self, i);
    check_alike(self, first);
    for (unsigned salt = 0; salt < SHUFFLES; salt++)
        check_algebra(self, &self->nodes[first], 5 * salt);
}
