// SPDX-License-Identifier: Apache-2.0
// What people do on the masters, and what happens to machines.
#include "tests/model/config_world_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MINUTE_MS = 60000 };

// -- edits

unsigned world_add_blob(struct world *self, struct revision *revision, unsigned group,
                        unsigned group_size)
{
    static const struct sign_keys keys = {{0}, {1}};
    struct blob *blob = &self->blobs[self->blob_count];
    if (self->blob_count == BLOBS_MOST || revision_sign(revision, &keys) < 0)
        abort();
    blob->bytes = duplicate_bytes(revision->packed, revision->packed_size);
    blob->size = revision->packed_size;
    blob->clock = revision->clock;
    blob->group = group;
    blob->group_size = group_size;
    revision_name(revision, blob->name);
    return self->blob_count++;
}

static struct acknowledged *acknowledge(struct world *self, int master, unsigned blob, int both)
{
    struct acknowledged *acked = &self->acked[self->acked_count++];
    *acked = (struct acknowledged){.blob = blob, .master = master, .both = both};
    return acked;
}

// Where revisions are not whole, each change is one of its own.
static unsigned keep(struct world *self, struct world_node *node, struct revision *revision,
                     unsigned ret_blobs[16])
{
    unsigned count = 0, size = (unsigned)revision->change_count;
    struct revision_change *changes = revision->changes;
    unsigned group = ++self->groups;
    if (config_rule_off != WHOLE_REVISIONS || size == 1) {
        ret_blobs[count++] = world_add_blob(self, revision, group, 1);
    } else {
        for (; count < size && count < 16; count++) {
            revision->changes = &changes[count];
            revision->change_count = 1;
            revision->number = node->maker.number++;
            ret_blobs[count] = world_add_blob(self, revision, group, size);
        }
        revision->changes = changes;
        revision->change_count = size;
    }
    for (unsigned i = 0; i < count; i++) {
        node->unsynced[node->unsynced_count++] = ret_blobs[i];
        world_hold(self, node, ret_blobs[i]);
    }
    node->disk.number = node->maker.number;
    return count;
}

static void check_in_force(struct world *self, int master, const struct revision *revision)
{
    for (size_t i = 0; i < revision->change_count; i++) {
        const char *document = revision->changes[i].document;
        const struct revision *version = config_version(self->nodes[master].config, document);
        if (strncmp(document, "list/", 5) != 0 && version && rule_compare(version, revision) != 0 &&
            config_rule_off != WHOLE_REVISIONS)
            world_break(self, "acknowledged edit not in force",
                        "%s acknowledged a change of %s that is not in force there",
                        world_names[master], document);
    }
}

static struct acknowledged *commit(struct world *self, int master, struct revision *revision,
                                   int peer)
{
    struct world_node *node = &self->nodes[master], *other = &self->nodes[!master];
    unsigned blobs[16], count = keep(self, node, revision, blobs);
    struct acknowledged *acked = NULL;
    int both = peer && other->up;
    for (unsigned i = 0; i < count; i++)
        acked = acknowledge(self, master, blobs[i], both);
    for (unsigned i = 0; both && i < count; i++)
        world_take(self, other, blobs[i]);
    config_merge(node->config);
    check_in_force(self, master, revision);
    node->history[node->history_count++] = json_copy(config_documents(node->config));
    return acked;
}

// Takes an edit; NULL: it was refused, or changed nothing. Takes the changes.
static struct acknowledged *edit(struct world *self, int master, json_t *changes, json_t *bases,
                                 int settles, int peer)
{
    struct world_node *node = &self->nodes[master];
    struct edit wanted = {changes, 0, settles, bases, "somebody", ""};
    struct revision *revision = NULL;
    struct acknowledged *acked = NULL;
    json_t *stale = NULL;
    char reason[256];
    config_merge(node->config);
    if (edit_make(node->config, &node->maker, &wanted, world_local_ms(self, node), &revision,
                  &stale, reason, sizeof(reason)) == EDIT_MADE) {
        char *text = json_dumps(changes, JSON_COMPACT | JSON_SORT_KEYS);
        int both = peer && self->nodes[!master].up;
        world_say(self, "%s takes %s%.300s%s [clock %llu.%u]", world_names[master],
                  settles ? "to settle " : "", text,
                  both ? " (peer holds it too)" : " (unreplicated)",
                  (unsigned long long)revision->clock.ms / MINUTE_MS, revision->clock.count);
        free(text);
        acked = commit(self, master, revision, peer);
    }
    revision_destroy(&revision);
    json_decref(stale);
    json_decref(changes);
    json_decref(bases);
    world_run_workers(self);
    return acked;
}

static json_t *body_of(const char *document, unsigned token, int which)
{
    static const char *const domains[] = {"x", "y", "z"};
    char text[24];
    snprintf(text, sizeof(text), "t%u", token);
    if (strncmp(document, "route/", 6) == 0)
        return json_pack("{s:s, s:s}", "value", text, "domain", domains[which % 3]);
    return json_pack("{s:s}", "value", text);
}

static void op_read(struct world *self, const struct operation *op)
{
    static const char *const documents[] = {"domain/x", "domain/y", "domain/z",
                                            "route/1",  "route/2",  "route/3"};
    struct form *form = &self->forms[op->a];
    struct world_node *node = &self->nodes[op->node];
    names_free(&form->seen);
    *form = (struct form){.master = op->node};
    if (!node->up)
        return;
    snprintf(form->document, sizeof(form->document), "%s", documents[op->b]);
    const struct revision *version = config_version(node->config, form->document);
    if (version)
        revision_name(version, form->version);
    config_seen(node->config, form->document, 0, &form->seen);
}

static void op_submit(struct world *self, const struct operation *op)
{
    struct form *form = &self->forms[op->a];
    struct world_node *node = &self->nodes[form->master];
    if (form->document[0] && node->up &&
        (op->b || json_object_get(config_documents(node->config), form->document))) {
        json_t *body = op->b ? body_of(form->document, op->token, op->c) : json_null();
        json_t *bases = json_object();
        json_object_set_new(bases, form->document,
                            form->version[0] ? json_string(form->version) : json_null());
        struct acknowledged *acked =
            edit(self, form->master, json_pack("{s:o}", form->document, body), bases, 0, op->peer);
        if (acked) {
            acked->has_truth = 1;
            acked->truth = form->seen;
            form->seen = (struct names){0};
        }
    }
    names_free(&form->seen);
    form->document[0] = 0;
}

static json_t *with_entry(const struct world_node *node, const char *list, const char *entry,
                          int add)
{
    json_t *body = json_deep_copy(json_object_get(config_documents(node->config), list));
    json_t *entries = json_array(), *old;
    size_t i;
    json_array_foreach(json_object_get(body, "entries"), i, old)
    {
        if (strcmp(json_string_value(old), entry) != 0)
            json_array_append(entries, old);
    }
    if (add)
        json_array_append_new(entries, json_string(entry));
    json_object_set_new(body, "entries", entries);
    return body;
}

static const char *list_of(int which)
{
    return which < 2 ? "list/block" : "list/allow";
}

static void op_list(struct world *self, const struct operation *op)
{
    const char *list = list_of(op->a);
    json_t *body = with_entry(&self->nodes[op->node], list, op->a % 2 ? "e" : "f", op->b);
    edit(self, op->node, json_pack("{s:o}", list, body), NULL, 0, op->peer);
}

static void op_pair(struct world *self, const struct operation *op)
{
    char route[24], domain[16];
    snprintf(route, sizeof(route), "route/%d", op->b + 1);
    snprintf(domain, sizeof(domain), "domain/%c", 'x' + op->a);
    json_t *changes = json_object();
    json_object_set_new(changes, route, body_of(route, op->token, op->a));
    if (op->c < 4)
        json_object_set_new(
            changes, list_of(op->c),
            with_entry(&self->nodes[op->node], list_of(op->c), op->c % 2 ? "e" : "f", 1));
    else
        json_object_set_new(changes, domain, body_of(domain, op->token, 0));
    edit(self, op->node, changes, NULL, 0, op->peer);
}

static void op_member(struct world *self, const struct operation *op)
{
    char document[24], revoked[24];
    const json_t *tree = config_documents(self->nodes[op->node].config);
    snprintf(revoked, sizeof(revoked), "revoked/k%d", op->a);
    snprintf(document, sizeof(document), "%s/k%d", op->kind == OP_REVOKE ? "revoked" : "node",
             op->a);
    if (json_object_get(tree, document) || json_object_get(tree, revoked))
        return;
    edit(self, op->node, json_pack("{s:{s:b}}", document, "is", 1), NULL, 0, op->peer);
}

static void note_settled(struct acknowledged *acked, struct world_node *node, const json_t *row)
{
    const char *document = json_string_value(json_object_get(row, "document"));
    json_t *version;
    size_t i;
    acked->settled_document = duplicate(document);
    json_array_foreach(json_object_get(row, "others"), i, version)
    {
        const char *name = json_string_value(json_object_get(version, "version"));
        if (acked->settled_count < ARRAY_LENGTH(acked->settled))
            acked->settled[acked->settled_count++] = duplicate(name);
        if (config_rule_off != SETTLE_NAMES_LOSERS)
            continue;
        node->disk.settled = reallocate(node->disk.settled, (node->disk.settled_count + 1) *
                                                                sizeof(*node->disk.settled));
        snprintf(node->disk.settled[node->disk.settled_count++], sizeof(*node->disk.settled),
                 "%s %s", document, name);
    }
}

static void op_settle(struct world *self, const struct operation *op)
{
    struct world_node *node = &self->nodes[op->node];
    json_t *list = world_conflicts(node);
    if (json_array_size(list) > 0) {
        json_t *row = json_array_get(list, (size_t)op->a % json_array_size(list));
        const char *document = json_string_value(json_object_get(row, "document"));
        json_t *body = json_object_get(config_documents(node->config), document);
        json_t *changes = json_object();
        json_object_set(changes, document, body ? body : json_null());
        struct acknowledged *acked = edit(self, op->node, changes, NULL, 1, op->peer);
        if (acked)
            note_settled(acked, node, row);
    }
    json_decref(list);
}

static void op_rollback(struct world *self, const struct operation *op)
{
    struct world_node *node = &self->nodes[op->node];
    json_t *old = node->history[(unsigned)op->a % node->history_count];
    edit(self, op->node, edit_rollback(node->config, old), NULL, 0, op->peer);
}

// -- machines

void world_machine(struct world *self, const struct operation *op)
{
    struct world_node *node = &self->nodes[op->node];
    const char *name = world_names[op->node];
    if (node->lost)
        return;
    if (op->kind == OP_BACKUP && node->up) {
        disk_copy(&node->backup, &node->disk);
        world_say(self, "backup of %s", name);
    } else if (op->kind == OP_SKEW && node->skew != op->a) {
        node->skew = op->a;
        world_say(self, "the clock of %s is %d min ahead", name, op->a);
    } else if (op->kind == OP_CRASH && node->up) {
        node->up = 0;
        world_say(self, "%s crashes", name);
        if (config_rule_off == DURABLE_BEFORE_ACK)
            world_forget_unsynced(node);
    } else if (op->kind == OP_START && !node->up) {
        world_say(self, "%s starts", name);
        world_start(self, op->node);
    } else if (op->kind == OP_RESTORE) {
        world_say(self, "%s is restored from its backup", name);
        disk_copy(&node->disk, &node->backup);
        self->restored[op->node] = 1;
        world_start(self, op->node);
    } else if (op->kind == OP_LOSE) {
        world_say(self, "%s is lost for good", name);
        node->lost = self->restored[op->node] = 1;
        node->up = 0;
    }
}

void world_perform(struct world *self, const struct operation *op)
{
    int edits = op->kind >= OP_PAIR && op->kind <= OP_ROLLBACK;
    if (edits && !self->nodes[op->node].up)
        return;
    switch (op->kind) {
    case OP_READ:
        op_read(self, op);
        break;
    case OP_SUBMIT:
        op_submit(self, op);
        break;
    case OP_PAIR:
        op_pair(self, op);
        break;
    case OP_LIST:
        op_list(self, op);
        break;
    case OP_REVOKE:
    case OP_ENROL:
        op_member(self, op);
        break;
    case OP_SETTLE:
        op_settle(self, op);
        break;
    case OP_ROLLBACK:
        op_rollback(self, op);
        break;
    case OP_PULL:
        world_pull(self, op->node, op->a, (unsigned)op->b);
        break;
    case OP_TICK:
        world_tick(self, op->a);
        break;
    case OP_BACKUP:
    case OP_CRASH:
    case OP_START:
    case OP_RESTORE:
    case OP_LOSE:
    case OP_SKEW:
        world_machine(self, op);
        break;
    }
}
