// SPDX-License-Identifier: Apache-2.0
// Versions that nobody has seen and that are not in force, as people are shown them.
#include "core/base/clock.h"
#include "core/config/config_internal.h"

#include <stdlib.h>
#include <string.h>

static json_t *describe(const struct version *version)
{
    const struct revision *revision = version->known->revision;
    char name[REVISION_NAME_SIZE], time[40];
    revision_name(revision, name);
    clock_format_rfc3339((int64_t)revision->clock.ms, time);
    json_t *body = version->change->body;
    json_t *row =
        json_pack("{s:s, s:s, s:s, s:s, s:O?}", "version", name, "author", revision->author, "time",
                  time, "comment", revision->comment, "body", body);
    if (version->known->held && !rule_is_spared(version->change->document))
        json_object_set_new(row, "held", json_string(version->known->held));
    return row;
}

static void add_losers(const struct document *self, json_t *list)
{
    const struct version *in_force = unit_in_force(&self->whole, self->name);
    const json_t *body = in_force ? in_force->change->body : NULL;
    for (size_t i = 0; i < self->whole.count; i++) {
        const struct version *version = &self->whole.versions[i];
        if (version->head && version != in_force && rule_conflicts(version, body))
            json_array_append_new(list, describe(version));
    }
}

struct search {
    json_t *list;
    int allows;
};

static int add_standing(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    const struct entry *entry = value;
    struct search *search = context;
    if (!rule_entry_stands(entry->unit.versions, entry->unit.count, search->allows))
        return 0;
    json_t *row = describe(&entry->unit.versions[entry->unit.count - 1]);
    json_object_set_new(row, "body", json_pack("{s:[s]}", "entries", entry->text));
    json_array_append_new(search->list, row);
    return 0;
}

// Entries of an allow list that whoever deleted it had not seen.
static void add_orphans(const struct document *self, const struct version *in_force, json_t *list)
{
    struct search search = {list, list_allows(self)};
    if (search.allows && in_force && in_force->change->kind == CHANGE_DELETE)
        table_each(self->entries, add_standing, &search);
}

static int add_conflict(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    const struct document *document = value;
    const struct version *in_force = unit_in_force(&document->whole, document->name);
    json_t *list = context, *others = json_array();
    if (document->whole.count > 1 || (document->whole.count > 0 && !in_force))
        add_losers(document, others);
    if (document->entries)
        add_orphans(document, in_force, others);
    if (json_array_size(others) > 0)
        json_array_append_new(list,
                              json_pack("{s:s, s:o?, s:O}", "document", document->name, "in_force",
                                        in_force ? describe(in_force) : NULL, "others", others));
    json_decref(others);
    return 0;
}

static int compare_rows(const void *a, const void *b)
{
    return strcmp(json_string_value(json_object_get(*(json_t *const *)a, "document")),
                  json_string_value(json_object_get(*(json_t *const *)b, "document")));
}

// Everybody lists them alike.
static json_t *sorted(json_t *list)
{
    size_t count = json_array_size(list);
    json_t **rows = allocate((count + 1) * sizeof(*rows)), *result = json_array();
    for (size_t i = 0; i < count; i++)
        rows[i] = json_array_get(list, i);
    qsort(rows, count, sizeof(*rows), compare_rows);
    for (size_t i = 0; i < count; i++)
        json_array_append(result, rows[i]);
    free(rows);
    json_decref(list);
    return result;
}

json_t *config_conflicts(const struct config *self)
{
    json_t *list = json_array();
    table_each(self->documents, add_conflict, list);
    return sorted(list);
}
