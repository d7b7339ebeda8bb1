// SPDX-License-Identifier: Apache-2.0
#include "tests/model/config_world.h"

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

static uint64_t local_ms(const struct world *self, const struct world_node *node)
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

static void hold_blob(struct world *self, struct world_node *node, unsigned blob)
{
    struct revision *revision = read_blob(self, blob);
    if (!revision)
        return;
    edit_maker_saw(&node->maker, revision);
    if (config_add(node->config, &revision) == 0)
        node->disk.blobs[node->disk.count++] = blob;
}

static void copy_disk(struct disk *to, const struct disk *from)
{
    free(to->settled);
    *to = *from;
    to->settled = from->settled
                      ? duplicate_bytes(from->settled, from->settled_count * sizeof(*from->settled))
                      : NULL;
}

static void start(struct world *self, int number)
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
        hold_blob(self, node, disk.blobs[i]);
    config_merge(node->config);
}

static int is_in(const unsigned *list, unsigned count, unsigned value)
{
    for (unsigned i = 0; i < count; i++)
        if (list[i] == value)
            return 1;
    return 0;
}

static void forget_unsynced(struct world_node *node)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < node->disk.count; i++)
        if (!is_in(node->unsynced, node->unsynced_count, node->disk.blobs[i]))
            node->disk.blobs[kept++] = node->disk.blobs[i];
    node->disk.count = kept;
}

// -- taking revisions

static void take(struct world *self, struct world_node *node, unsigned blob)
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
    hold_blob(self, node, blob);
}

static void run_workers(struct world *self)
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
static void pull(struct world *self, int to, int from, unsigned seed)
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
        take(self, here, missing[i]);
    if (count > 0)
        world_say(self, "%s pulls %u revision(s) from %s", world_names[to], count,
                  world_names[from]);
    run_workers(self);
}

static void tick(struct world *self, int minutes)
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
                take(self, node, parked[k]);
        }
    }
    run_workers(self);
}

// -- edits

static unsigned add_blob(struct world *self, struct revision *revision, unsigned group,
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
        ret_blobs[count++] = add_blob(self, revision, group, 1);
    } else {
        for (; count < size && count < 16; count++) {
            revision->changes = &changes[count];
            revision->change_count = 1;
            revision->number = node->maker.number++;
            ret_blobs[count] = add_blob(self, revision, group, size);
        }
        revision->changes = changes;
        revision->change_count = size;
    }
    for (unsigned i = 0; i < count; i++) {
        node->unsynced[node->unsynced_count++] = ret_blobs[i];
        hold_blob(self, node, ret_blobs[i]);
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
        take(self, other, blobs[i]);
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
    if (edit_make(node->config, &node->maker, &wanted, local_ms(self, node), &revision, &stale,
                  reason, sizeof(reason)) == EDIT_MADE) {
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
    run_workers(self);
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

static void op_machine(struct world *self, const struct operation *op)
{
    struct world_node *node = &self->nodes[op->node];
    const char *name = world_names[op->node];
    if (node->lost)
        return;
    if (op->kind == OP_BACKUP && node->up) {
        copy_disk(&node->backup, &node->disk);
        world_say(self, "backup of %s", name);
    } else if (op->kind == OP_SKEW && node->skew != op->a) {
        node->skew = op->a;
        world_say(self, "the clock of %s is %d min ahead", name, op->a);
    } else if (op->kind == OP_CRASH && node->up) {
        node->up = 0;
        world_say(self, "%s crashes", name);
        if (config_rule_off == DURABLE_BEFORE_ACK)
            forget_unsynced(node);
    } else if (op->kind == OP_START && !node->up) {
        world_say(self, "%s starts", name);
        start(self, op->node);
    } else if (op->kind == OP_RESTORE) {
        world_say(self, "%s is restored from its backup", name);
        copy_disk(&node->disk, &node->backup);
        self->restored[op->node] = 1;
        start(self, op->node);
    } else if (op->kind == OP_LOSE) {
        world_say(self, "%s is lost for good", name);
        node->lost = self->restored[op->node] = 1;
        node->up = 0;
    }
}

static void perform(struct world *self, const struct operation *op)
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
        pull(self, op->node, op->a, (unsigned)op->b);
        break;
    case OP_TICK:
        tick(self, op->a);
        break;
    case OP_BACKUP:
    case OP_CRASH:
    case OP_START:
    case OP_RESTORE:
    case OP_LOSE:
    case OP_SKEW:
        op_machine(self, op);
        break;
    }
}

static void heal(struct world *self)
{
    world_say(self, "all heals, clocks are right, everybody pulls from everybody");
    for (int i = 0; i < NODES; i++) {
        op_machine(self, &(struct operation){.kind = OP_START, .node = i});
        op_machine(self, &(struct operation){.kind = OP_SKEW, .node = i});
    }
    for (int round = 0; round < 3 && !self->broken[0]; round++) {
        for (int to = 0; to < NODES; to++)
            for (int from = 0; from < NODES; from++)
                if (to != from && (to < MASTERS || from < MASTERS))
                    pull(self, to, from, 0);
        tick(self, round ? 30 : 1);
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
        start(self, i);
    if (edit_make(self->nodes[0].config, &self->nodes[0].maker, &wanted, 0, &revision, &stale,
                  reason, sizeof(reason)) != EDIT_MADE)
        abort();
    unsigned blob = add_blob(self, revision, ++self->groups, 1);
    for (int i = 0; i < NODES; i++) {
        struct world_node *node = &self->nodes[i];
        hold_blob(self, node, blob);
        node->disk.number = node->maker.number;
        config_merge(node->config);
        copy_disk(&node->backup, &node->disk);
        node->history[node->history_count++] = json_copy(config_documents(node->config));
    }
    revision_destroy(&revision);
    json_decref(first);
    run_workers(self);
}

int world_play(struct world *self, const struct operation *operations, unsigned count)
{
    memset(self, 0, sizeof(*self));
    buffer_init(&self->story);
    self->time = 100;
    begin(self);
    for (unsigned i = 0; i < count && !self->broken[0]; i++)
        perform(self, &operations[i]);
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
