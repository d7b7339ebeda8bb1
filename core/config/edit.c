// SPDX-License-Identifier: Apache-2.0
#include "core/config/edit.h"
#include "core/base/table.h"
#include "core/config/config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void edit_maker_saw(struct edit_maker *self, const struct revision *revision)
{
    const struct config_clock *clock = &revision->clock;
    if (clock->ms > self->clock.ms ||
        (clock->ms == self->clock.ms && clock->count > self->clock.count))
        self->clock = *clock;
}

// Bodies as they will be, {document: body or null}, of those that differ from what is in force.
static json_t *differing(const json_t *before, const json_t *wanted)
{
    json_t *result = json_object(), *body;
    const char *name;
    json_object_foreach((json_t *)wanted, name, body)
    {
        json_t *old = json_object_get(before, name);
        if (json_is_null(body) ? old != NULL : !json_equal(body, old))
            json_object_set(result, name, body);
    }
    return result;
}

// All that is in force and not wanted goes, but for members and what cannot go.
static json_t *with_deletions(const json_t *before, const json_t *wanted)
{
    json_t *all = json_copy((json_t *)wanted), *body;
    const char *name;
    json_object_foreach((json_t *)before, name, body)
    {
        if (!json_object_get(all, name) && !rule_survives_rollback(name))
            json_object_set_new(all, name, json_null());
    }
    return all;
}

json_t *edit_rollback(const struct config *config, const json_t *documents)
{
    json_t *all = with_deletions(config_documents(config), documents), *body;
    const char *name;
    void *next;
    json_object_foreach_safe(all, next, name, body)
    {
        if (rule_survives_rollback(name))
            json_object_del(all, name);
    }
    return all;
}

// -- lists: entries are a set, in one order

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static json_t *sorted_entries(const json_t *entries)
{
    size_t count = json_array_size(entries), used = 0;
    const char **texts = allocate((count + 1) * sizeof(*texts));
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(entries, i));
        if (text)
            texts[used++] = text;
    }
    qsort(texts, used, sizeof(*texts), compare_texts);
    for (size_t i = 0; i < used; i++)
        if (i == 0 || strcmp(texts[i], texts[i - 1]) != 0)
            json_array_append_new(list, json_string(texts[i]));
    free(texts);
    return list;
}

// As merging will give it back: entries sorted, each once, none that is no text.
static json_t *normal_list(json_t *body)
{
    const json_t *entries = json_object_get(body, "entries");
    if (!json_is_array(entries))
        return json_incref(body);
    for (size_t i = 0; i < json_array_size(entries); i++)
        if (!json_is_string(json_array_get(entries, i)))
            return json_incref(body); // whoever validates it says what is wrong
    json_t *copy = json_copy(body), *list = sorted_entries(entries);
    if (json_array_size(list) > 0)
        json_object_set(copy, "entries", list);
    else
        json_object_del(copy, "entries");
    json_decref(list);
    return copy;
}

static json_t *normal(const json_t *wanted)
{
    json_t *result = json_object(), *body;
    const char *name;
    json_object_foreach((json_t *)wanted, name, body)
    {
        if (is_list(name) && json_is_object(body))
            json_object_set_new(result, name, normal_list(body));
        else
            json_object_set(result, name, body);
    }
    return result;
}

// -- the revision

struct making {
    struct config *config;
    struct revision *revision;
    int settles;
};

static struct table *set_of(const json_t *entries)
{
    struct table *set = table_new();
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const char *text = json_string_value(json_array_get(entries, i));
        table_put(set, text, strlen(text), set);
    }
    return set;
}

// Neighbours of which the same was seen share a change.
static void change_entry(struct making *self, const char *name, enum change_kind kind,
                         const char *text)
{
    struct revision *revision = self->revision;
    struct revision_change *last =
        revision->change_count ? &revision->changes[revision->change_count - 1] : NULL;
    struct names seen;
    config_seen_entry(self->config, name, text, &seen);
    if (last && last->kind == kind && strcmp(last->document, name) == 0 &&
        names_equal(&last->seen, &seen)) {
        names_free(&seen);
    } else {
        last = revision_add_change(revision, name, kind);
        last->seen = seen;
    }
    change_add_entry(last, text);
}

static void change_entries(struct making *self, const char *name, enum change_kind kind,
                           const json_t *from, const json_t *without)
{
    struct table *skip = set_of(without);
    for (size_t i = 0; i < json_array_size(from); i++) {
        const char *text = json_string_value(json_array_get(from, i));
        if (!table_get(skip, text, strlen(text)))
            change_entry(self, name, kind, text);
    }
    table_destroy(&skip);
}

static json_t *without_entries(const json_t *body)
{
    json_t *keys = json_is_object(body) ? json_copy((json_t *)body) : NULL;
    json_object_del(keys, "entries");
    return keys;
}

static void change_whole(struct making *self, const char *name, json_t *body)
{
    struct revision_change *change =
        revision_add_change(self->revision, name, body ? CHANGE_SET : CHANGE_DELETE);
    change->body = json_incref(body);
    config_seen(self->config, name, rule_sees_all(self->settles), &change->seen);
}

static void change_list(struct making *self, const char *name, const json_t *before, json_t *after)
{
    json_t *old_keys = without_entries(before), *keys = without_entries(after);
    const json_t *old = json_object_get(before, "entries"),
                 *new = json_object_get(after, "entries");
    if (self->settles || !keys || !old_keys || !json_equal(keys, old_keys))
        change_whole(self, name, keys);
    change_entries(self, name, CHANGE_REMOVE, old, new);
    change_entries(self, name, CHANGE_ADD, new, old);
    json_decref(old_keys);
    json_decref(keys);
}

static void make_changes(struct making *self, const json_t *before, const json_t *changes)
{
    const char *name;
    json_t *body;
    json_object_foreach((json_t *)changes, name, body)
    {
        json_t *after = json_is_null(body) ? NULL : body;
        if (is_list(name))
            change_list(self, name, json_object_get(before, name), after);
        else
            change_whole(self, name, after);
    }
}

// -- refusing

// Documents that changed since they were read: [{document, version, body}], or NULL.
static json_t *find_stale(const struct config *config, const json_t *bases, const json_t *changes)
{
    json_t *list = json_array(), *unused;
    const char *name;
    json_object_foreach((json_t *)changes, name, unused)
    {
        const json_t *base = json_object_get(bases, name);
        const struct revision *version = config_version(config, name);
        char now[REVISION_NAME_SIZE];
        if (!base)
            continue;
        if (version)
            revision_name(version, now);
        // A document that is gone may be made again by who saw that there is none.
        if (json_is_null(base) && !json_object_get(config_documents(config), name))
            continue;
        if (rule_is_stale(json_string_value(base), version ? now : NULL))
            json_array_append_new(list, json_pack("{s:s, s:s?, s:O?}", "document", name, "version",
                                                  version ? now : NULL, "body",
                                                  json_object_get(config_documents(config), name)));
    }
    if (json_array_size(list) > 0)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *overlay(const json_t *before, const json_t *changes)
{
    json_t *after = json_copy((json_t *)before), *body;
    const char *name;
    json_object_foreach((json_t *)changes, name, body)
    {
        if (json_is_null(body))
            json_object_del(after, name);
        else
            json_object_set(after, name, body);
    }
    return after;
}

static int check(struct config *config, const json_t *after, const json_t *changes, char *ret_error,
                 size_t error_size)
{
    size_t count = 0;
    const char **names = allocate((json_object_size(changes) + 1) * sizeof(*names)), *name;
    json_t *body;
    int rc = 0;
    json_object_foreach((json_t *)changes, name, body)
    {
        names[count++] = name;
        if (json_is_null(body) && rule_only_grows(name))
            rc = -1;
    }
    if (rc < 0)
        snprintf(ret_error, error_size, "revoked: a revocation cannot be taken back");
    else
        rc = config->valid(config->context, after, names, count, ret_error, error_size);
    free(names);
    return rc;
}

static struct revision *make(struct config *config, struct edit_maker *maker,
                             const struct edit *edit, const json_t *changes, uint64_t now_ms)
{
    maker->clock = rule_next_clock(maker->clock, now_ms);
    maker->number++;
    struct making making = {config, NULL, edit->settles};
    making.revision =
        revision_new(&maker->origin, maker->number, maker->clock, edit->author, edit->comment);
    make_changes(&making, config_documents(config), changes);
    return making.revision;
}

static enum edit_result refuse_stale(json_t *stale, json_t **ret_stale, char *ret_error,
                                     size_t error_size)
{
    const json_t *first = json_array_get(stale, 0);
    const char *version = json_string_value(json_object_get(first, "version"));
    snprintf(ret_error, error_size,
             "%.320s: it is at version %s now, which you had not seen; read it again, or take the "
             "difference into account",
             json_string_value(json_object_get(first, "document")), version ? version : "none");
    *ret_stale = stale;
    return EDIT_STALE;
}

enum edit_result edit_make(struct config *config, struct edit_maker *maker, const struct edit *edit,
                           uint64_t now_ms, struct revision **ret, json_t **ret_stale,
                           char *ret_error, size_t error_size)
{
    const json_t *before = config_documents(config);
    json_t *all = edit->replace ? with_deletions(before, edit->changes)
                                : json_incref((json_t *)edit->changes);
    json_t *wanted = normal(all);
    json_t *changes = edit->settles ? json_incref(wanted) : differing(before, wanted);
    json_t *stale = find_stale(config, edit->bases, wanted);
    json_t *after = overlay(before, changes);
    enum edit_result result = EDIT_MADE;
    if (stale)
        result = refuse_stale(stale, ret_stale, ret_error, error_size);
    else if (json_object_size(changes) == 0)
        result = EDIT_SAME;
    else if (check(config, after, changes, ret_error, error_size) < 0)
        result = EDIT_INVALID;
    if (result == EDIT_MADE) {
        *ret = make(config, maker, edit, changes, now_ms);
        config_hash(config, after, (*ret)->tree);
    }
    json_decref(after);
    json_decref(changes);
    json_decref(wanted);
    json_decref(all);
    return result;
}
