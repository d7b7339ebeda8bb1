// SPDX-License-Identifier: Apache-2.0
#include "core/config/config_internal.h"

#include <stdlib.h>
#include <string.h>

int is_list(const char *document)
{
    return strncmp(document, "list/", 5) == 0;
}

struct config *config_new(config_valid_fn *valid, void *context)
{
    struct config *self = allocate(sizeof(*self));
    self->valid = valid;
    self->context = context;
    self->by_name = table_new();
    self->documents = table_new();
    self->tree = json_object();
    return self;
}

static void free_unit(struct unit *unit)
{
    free(unit->versions);
    names_free(&unit->seen);
}

static int free_entry(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    (void)context;
    free_unit(&((struct entry *)value)->unit);
    free(value);
    return 0;
}

static int free_document(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    (void)context;
    struct document *document = value;
    if (document->entries)
        table_each(document->entries, free_entry, NULL);
    table_destroy(&document->entries);
    free_unit(&document->whole);
    json_decref(document->hashed);
    free(document->name);
    free(document);
    return 0;
}

void config_destroy(struct config **self_p)
{
    struct config *self = *self_p;
    if (!self)
        return;
    table_each(self->documents, free_document, NULL);
    table_destroy(&self->documents);
    table_destroy(&self->by_name);
    for (size_t i = 0; i < self->count; i++) {
        revision_destroy(&self->order[i]->revision);
        free(self->order[i]->held);
        free(self->order[i]);
    }
    free(self->order);
    free(self->touched);
    names_free(&self->names);
    json_decref(self->tree);
    free(self);
    *self_p = NULL;
}

struct document *document_find(const struct config *self, const char *name)
{
    return table_get(self->documents, name, strlen(name));
}

static struct document *document_of(struct config *self, const char *name)
{
    struct document *document = document_find(self, name);
    if (document)
        return document;
    document = allocate(sizeof(*document));
    document->name = duplicate(name);
    document->entries = is_list(name) ? table_new() : NULL;
    table_put(self->documents, name, strlen(name), document);
    return document;
}

static struct unit *entry_of(struct document *document, const char *text)
{
    size_t size = strlen(text);
    struct entry *entry = table_get(document->entries, text, size);
    if (!entry) {
        entry = allocate(sizeof(*entry) + size + 1);
        memcpy(entry->text, text, size);
        table_put(document->entries, text, size, entry);
    }
    return &entry->unit;
}

// -- adding

static void unit_add(struct unit *unit, struct known *known, const struct revision_change *change)
{
    if (unit->count == unit->capacity) {
        unit->capacity = unit->capacity ? 2 * unit->capacity : 1;
        unit->versions = reallocate(unit->versions, unit->capacity * sizeof(*unit->versions));
    }
    const struct revision *revision = known->revision;
    for (size_t i = 0; i < unit->count; i++) {
        const struct revision *other = unit->versions[i].known->revision;
        if (names_hold(&change->seen, &other->origin, other->number))
            unit->versions[i].head = 0;
    }
    size_t at = unit->count;
    while (at > 0 && rule_compare(unit->versions[at - 1].known->revision, revision) > 0)
        at--;
    memmove(unit->versions + at + 1, unit->versions + at,
            (unit->count - at) * sizeof(*unit->versions));
    unit->count++;
    unit->versions[at] = (struct version){
        known, change, !names_hold(&unit->seen, &revision->origin, revision->number)};
    names_unite(&unit->seen, &change->seen);
}

static void touch(struct config *self, struct document *document)
{
    if (document->touched)
        return;
    if (self->touched_count == self->touched_capacity) {
        self->touched_capacity = self->touched_capacity ? 2 * self->touched_capacity : 16;
        self->touched =
            reallocate(self->touched, self->touched_capacity * sizeof(struct document *));
    }
    document->touched = 1;
    self->touched[self->touched_count++] = document;
}

static void add_change(struct config *self, struct known *known,
                       const struct revision_change *change)
{
    struct document *document = document_of(self, change->document);
    if (change->kind == CHANGE_SET || change->kind == CHANGE_DELETE)
        unit_add(&document->whole, known, change);
    for (size_t i = 0; i < change->entry_count; i++)
        unit_add(entry_of(document, change->entries[i]), known, change);
    if (!document->newest || rule_compare(known->revision, document->newest) > 0)
        document->newest = known->revision;
    touch(self, document);
}

static void put_in_order(struct config *self, struct known *known)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? 2 * self->capacity : 16;
        self->order = reallocate(self->order, self->capacity * sizeof(struct known *));
    }
    size_t at = self->count;
    while (at > 0 && rule_compare(self->order[at - 1]->revision, known->revision) > 0)
        at--;
    memmove(self->order + at + 1, self->order + at, (self->count - at) * sizeof(struct known *));
    self->order[at] = known;
    self->count++;
}

int config_add(struct config *self, struct revision **revision_p)
{
    struct revision *revision = *revision_p;
    char name[REVISION_NAME_SIZE];
    if (names_hold(&self->names, &revision->origin, revision->number)) {
        revision_destroy(revision_p);
        return 1;
    }
    struct known *known = allocate(sizeof(*known));
    *revision_p = NULL;
    known->revision = revision;
    revision_name(revision, name);
    table_put(self->by_name, name, strlen(name), known);
    names_add(&self->names, &revision->origin, revision->number, revision->number);
    put_in_order(self, known);
    for (size_t i = 0; i < revision->change_count; i++)
        add_change(self, known, &revision->changes[i]);
    return 0;
}

// -- merging

static void set_document(struct config *self, const struct document *document)
{
    json_t *body = document_compose(document);
    if (body)
        json_object_set_new(self->tree, document->name, body);
    else
        json_object_del(self->tree, document->name);
}

static int recompose(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    set_document(context, value);
    return 0;
}

static int is_valid(struct config *self)
{
    char reason[256];
    const char **names = allocate((self->touched_count + 1) * sizeof(*names));
    for (size_t i = 0; i < self->touched_count; i++)
        names[i] = self->touched[i]->name;
    // While some are held the whole tree is new, not only what was touched.
    int valid = self->valid(self->context, self->tree, self->holds ? NULL : names,
                            self->touched_count, reason, sizeof(reason)) == 0;
    free(names);
    return valid;
}

void config_merge(struct config *self)
{
    if (self->touched_count == 0)
        return;
    for (size_t i = 0; self->holds && i < self->count; i++) {
        free(self->order[i]->held);
        self->order[i]->held = NULL;
    }
    if (self->holds)
        table_each(self->documents, recompose, self);
    for (size_t i = 0; i < self->touched_count; i++)
        set_document(self, self->touched[i]);
    int valid = is_valid(self);
    for (size_t i = 0; i < self->touched_count; i++)
        self->touched[i]->touched = 0;
    self->touched_count = 0;
    self->holds = 0;
    if (!valid)
        config_hold(self);
}

// -- reading

json_t *config_documents(const struct config *self)
{
    return self->tree;
}

const struct revision *config_version(const struct config *self, const char *name)
{
    const struct document *document = document_find(self, name);
    if (!document)
        return NULL;
    if (document->entries)
        return document->newest;
    const struct version *version = unit_in_force(&document->whole, name);
    return version ? version->known->revision : NULL;
}

// A version, and what it had seen. Revisions before it that are held here and did not change the
// unit may be named too, so that what an author had seen mostly stays one range.
static void see(const struct config *self, const struct unit *unit, const struct version *version,
                struct names *ret)
{
    const struct revision *revision = version->known->revision;
    uint64_t from = names_run(&self->names, &revision->origin, revision->number);
    for (size_t i = 0; i < unit->count; i++) {
        const struct revision *other = unit->versions[i].known->revision;
        if (other->number >= from && other->number < revision->number &&
            origin_compare(&other->origin, &revision->origin) == 0)
            from = other->number + 1;
    }
    names_unite(ret, &version->change->seen);
    names_add(ret, &revision->origin, from, revision->number);
}

static void see_all(const struct config *self, const struct unit *unit, struct names *ret)
{
    for (size_t i = 0; i < unit->count; i++)
        see(self, unit, &unit->versions[i], ret);
}

void config_seen(const struct config *self, const char *name, int all, struct names *ret)
{
    const struct document *document = document_find(self, name);
    const struct version *version = document ? unit_in_force(&document->whole, name) : NULL;
    *ret = (struct names){0};
    if (document && all)
        see_all(self, &document->whole, ret);
    else if (version)
        see(self, &document->whole, version, ret);
}

void config_seen_entry(const struct config *self, const char *name, const char *text,
                       struct names *ret)
{
    const struct document *document = document_find(self, name);
    const struct entry *entry =
        document && document->entries ? table_get(document->entries, text, strlen(text)) : NULL;
    *ret = (struct names){0};
    if (entry)
        see_all(self, &entry->unit, ret);
}

size_t config_count(const struct config *self)
{
    return self->count;
}

const struct known *config_at(const struct config *self, size_t at)
{
    return self->order[at];
}

const struct revision *config_newest(const struct config *self)
{
    return self->count ? self->order[self->count - 1]->revision : NULL;
}

const struct known *config_find(const struct config *self, const char *name)
{
    return table_get(self->by_name, name, strlen(name));
}

const struct names *config_names(const struct config *self)
{
    return &self->names;
}
