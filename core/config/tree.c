// SPDX-License-Identifier: Apache-2.0
// From versions to documents, and to the hash by which nodes compare what they run.
#include "core/config/config_internal.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

const struct version *unit_in_force(const struct unit *self, const char *document)
{
    for (size_t i = self->count; i > 0; i--)
        if (!self->versions[i - 1].known->held || rule_is_spared(document))
            return &self->versions[i - 1];
    return NULL;
}

// The last that was no deletion.
static const struct version *last_body(const struct unit *self)
{
    for (size_t i = self->count; i > 0; i--)
        if (self->versions[i - 1].change->kind == CHANGE_SET)
            return &self->versions[i - 1];
    return NULL;
}

int list_allows(const struct document *self)
{
    const struct version *keys = last_body(&self->whole);
    const char *kind = keys ? json_string_value(json_object_get(keys->change->body, "kind")) : NULL;
    return kind && strcmp(kind, "allow") == 0;
}

struct collection {
    const char **texts;
    size_t count;
    int allows;
};

static int collect(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    const struct entry *entry = value;
    struct collection *self = context;
    if (rule_entry_stands(entry->unit.versions, entry->unit.count, self->allows))
        self->texts[self->count++] = entry->text;
    return 0;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static json_t *standing_entries(const struct document *self)
{
    struct collection all = {.allows = list_allows(self)};
    json_t *list = json_array();
    all.texts = allocate((table_count(self->entries) + 1) * sizeof(*all.texts));
    table_each(self->entries, collect, &all);
    qsort(all.texts, all.count, sizeof(*all.texts), compare_texts);
    for (size_t i = 0; i < all.count; i++)
        json_array_append_new(list, json_string(all.texts[i]));
    free(all.texts);
    return list;
}

// A deleted block list stands again for entries that whoever deleted it had not seen: adding wins.
// An allow list does not.
static json_t *compose_list(const struct document *self)
{
    const struct version *last = unit_in_force(&self->whole, self->name);
    const struct version *keys = last_body(&self->whole);
    if (!keys)
        return NULL;
    json_t *entries = standing_entries(self);
    int deleted = last->change->kind == CHANGE_DELETE;
    if (deleted && (list_allows(self) || json_array_size(entries) == 0)) {
        json_decref(entries);
        return NULL;
    }
    json_t *body = json_copy(keys->change->body);
    if (json_array_size(entries) > 0)
        json_object_set(body, "entries", entries);
    json_decref(entries);
    return body;
}

json_t *document_compose(const struct document *self)
{
    if (self->entries)
        return compose_list(self);
    const struct version *version = rule_only_grows(self->name)
                                        ? last_body(&self->whole)
                                        : unit_in_force(&self->whole, self->name);
    return version ? json_incref(version->change->body) : NULL;
}

// -- hash

static void hash_bytes(const void *data, size_t size, uint8_t ret_hash[TREE_HASH])
{
    if (EVP_Digest(data, size, ret_hash, NULL, EVP_sha256(), NULL) != 1)
        abort(); // out of memory
}

// Bodies are never changed, so the one whose hash we have is known by its address.
static void hash_document(const struct config *self, const char *name, json_t *body,
                          uint8_t ret_hash[TREE_HASH])
{
    struct document *document = document_find(self, name);
    if (document && document->hashed == body) {
        memcpy(ret_hash, document->hash, TREE_HASH);
        return;
    }
    char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
    hash_bytes(text, strlen(text), ret_hash);
    free(text);
    if (document && json_object_get(self->tree, name) == body) {
        json_decref(document->hashed);
        document->hashed = json_incref(body);
        memcpy(document->hash, ret_hash, TREE_HASH);
    }
}

void config_hash(struct config *self, const json_t *documents, uint8_t ret_hash[TREE_HASH])
{
    size_t count = json_object_size(documents), at = 0;
    const char **names = allocate((count + 1) * sizeof(*names)), *name;
    uint8_t leaf[TREE_HASH];
    struct buffer all;
    json_t *body;
    buffer_init(&all);
    json_object_foreach((json_t *)documents, name, body) names[at++] = name;
    qsort(names, count, sizeof(*names), compare_texts);
    for (size_t i = 0; i < count; i++) {
        hash_document(self, names[i], json_object_get(documents, names[i]), leaf);
        buffer_add(&all, names[i], strlen(names[i]) + 1);
        buffer_add(&all, leaf, sizeof(leaf));
    }
    hash_bytes(buffer_bytes(&all), buffer_size(&all), ret_hash);
    buffer_free(&all);
    free(names);
}
