// SPDX-License-Identifier: Apache-2.0
// What people read of the configuration: history, differences, versions; secrets as fingerprints.
#include "core/base/clock.h"
#include "master/config.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FINGERPRINT_BYTES = 8 };
static const char fingerprint_prefix[] = "sha256:";

static int anything(void *context, const json_t *documents, const char *const *changed,
                    size_t count, char *ret_error, size_t error_size)
{
    (void)context;
    (void)documents;
    (void)changed;
    (void)count;
    (void)ret_error;
    (void)error_size;
    return 0;
}

// -- trees of the past

// The documents that all revisions up to this one make. What was held is left out, as it is now.
static json_t *documents_up_to(const struct config *config, const struct known *last, int inclusive)
{
    struct config *past = config_new(anything, NULL);
    for (size_t i = 0; i < config_count(config); i++) {
        const struct known *known = config_at(config, i);
        const char *reason;
        if (known == last && !inclusive)
            break;
        struct revision *copy = known->held ? NULL
                                            : revision_read(known->revision->packed,
                                                            known->revision->packed_size, &reason);
        if (copy)
            (void)!config_add(past, &copy);
        if (known == last)
            break;
    }
    config_merge(past);
    json_t *documents = json_copy(config_documents(past));
    config_destroy(&past);
    return documents;
}

json_t *config_changes_to(const struct configuration *self, const char *revision)
{
    const struct config *config = config_set(self);
    const struct known *known = config_find(config, revision);
    if (!known)
        return NULL;
    json_t *documents = documents_up_to(config, known, 1);
    json_t *changes = edit_rollback(config, documents);
    json_decref(documents);
    return changes;
}

static json_t *difference_of(const json_t *before, const json_t *after)
{
    json_t *all = json_copy((json_t *)before), *list = json_array(), *unused;
    const char *name;
    json_object_update_missing(all, (json_t *)after);
    json_object_foreach(all, name, unused)
    {
        json_t *old = json_object_get(before, name), *new = json_object_get(after, name);
        if (!json_equal(old, new))
            json_array_append_new(list, json_pack("{s:s, s:O?, s:O?}", "document", name, "before",
                                                  old, "after", new));
    }
    json_decref(all);
    return list;
}

json_t *config_difference(const struct configuration *self, const char *from, const char *to)
{
    const struct config *config = config_set(self);
    const struct revision *newest = config_newest(config);
    char name[REVISION_NAME_SIZE] = "";
    if (newest)
        revision_name(newest, name);
    const struct known *end = config_find(config, to ? to : name);
    const struct known *begin = from ? config_find(config, from) : end;
    if ((!end && (to || from)) || (from && !begin))
        return NULL;
    json_t *after = to ? documents_up_to(config, end, 1) : json_incref(config_documents(config));
    json_t *before = begin ? documents_up_to(config, begin, from != NULL) : json_object();
    json_t *list = difference_of(before, after);
    json_decref(before);
    json_decref(after);
    return list;
}

// -- history

static json_t *history_row(const struct known *known)
{
    const struct revision *revision = known->revision;
    char name[REVISION_NAME_SIZE], time[40];
    json_t *documents = json_array();
    const char *last = "";
    revision_name(revision, name);
    clock_format_rfc3339((int64_t)revision->clock.ms, time);
    for (size_t i = 0; i < revision->change_count; i++) {
        if (strcmp(last, revision->changes[i].document) != 0)
            json_array_append_new(documents, json_string(revision->changes[i].document));
        last = revision->changes[i].document;
    }
    json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:o}", "revision", name, "time", time, "author",
                            revision->author, "comment", revision->comment, "documents", documents);
    if (known->held)
        json_object_set_new(row, "held", json_string(known->held));
    return row;
}

json_t *config_history(const struct configuration *self, unsigned limit)
{
    const struct config *config = config_set(self);
    json_t *list = json_array();
    for (size_t i = config_count(config); i > 0; i--) {
        if (limit && json_array_size(list) == limit)
            break;
        json_array_append_new(list, history_row(config_at(config, i - 1)));
    }
    return list;
}

json_t *config_versions(const struct configuration *self)
{
    const struct config *config = config_set(self);
    json_t *versions = json_object(), *unused;
    const char *document;
    json_object_foreach(config_documents(config), document, unused)
    {
        const struct revision *version = config_version(config, document);
        char name[REVISION_NAME_SIZE];
        if (!version)
            continue;
        revision_name(version, name);
        json_object_set_new(versions, document, json_string(name));
    }
    return versions;
}

// -- secrets

static int is_secret(const char *document)
{
    return strncmp(document, "secret/", 7) == 0;
}

// Of the name too, so that equal secrets of two names do not show that they are equal.
static json_t *fingerprint(const char *document, const char *value)
{
    char text[sizeof(fingerprint_prefix) + 2 * FINGERPRINT_BYTES];
    unsigned char hash[EVP_MAX_MD_SIZE];
    size_t size = strlen(document) + 1 + strlen(value);
    char *whole = allocate(size + 1);
    snprintf(whole, size + 1, "%s\n%s", document, value);
    if (EVP_Digest(whole, size, hash, NULL, EVP_sha256(), NULL) != 1)
        abort(); // out of memory
    free(whole);
    memcpy(text, fingerprint_prefix, sizeof(fingerprint_prefix));
    for (size_t i = 0; i < FINGERPRINT_BYTES; i++)
        snprintf(text + strlen(text), 3, "%02x", hash[i]);
    return json_string(text);
}

static json_t *shown_body(const char *document, json_t *body)
{
    const char *value = json_string_value(json_object_get(body, "value"));
    if (!is_secret(document) || !value)
        return json_incref(body);
    json_t *copy = json_copy(body);
    json_object_set_new(copy, "value", fingerprint(document, value));
    return copy;
}

json_t *config_shown(const json_t *documents)
{
    json_t *shown = json_copy((json_t *)documents), *body;
    const char *document;
    json_object_foreach((json_t *)documents, document, body)
    {
        if (is_secret(document))
            json_object_set_new(shown, document, shown_body(document, body));
    }
    return shown;
}

// Whatever key of a row holds a body: before, after, body; and versions below it.
static json_t *shown_row(const char *document, const json_t *row)
{
    static const char *const keys[] = {"before", "after", "body"};
    json_t *copy = json_copy((json_t *)row), *version;
    size_t i;
    for (size_t k = 0; k < ARRAY_LENGTH(keys); k++) {
        json_t *body = json_object_get(row, keys[k]);
        if (json_is_object(body))
            json_object_set_new(copy, keys[k], shown_body(document, body));
    }
    json_t *in_force = json_object_get(row, "in_force"), *others = json_object_get(row, "others");
    if (json_is_object(in_force))
        json_object_set_new(copy, "in_force", shown_row(document, in_force));
    if (json_is_array(others)) {
        json_t *list = json_array();
        json_array_foreach(others, i, version)
            json_array_append_new(list, shown_row(document, version));
        json_object_set_new(copy, "others", list);
    }
    return copy;
}

json_t *config_shown_rows(const json_t *rows)
{
    json_t *list = json_array(), *row;
    size_t i;
    json_array_foreach((json_t *)rows, i, row)
    {
        const char *document = json_string_value(json_object_get(row, "document"));
        json_array_append_new(list,
                              is_secret(document) ? shown_row(document, row) : json_incref(row));
    }
    return list;
}

json_t *config_unshown(const struct configuration *self, const json_t *changes)
{
    json_t *result = json_copy((json_t *)changes), *body;
    const json_t *documents = config_documents(config_set(self));
    const char *document;
    json_object_foreach((json_t *)changes, document, body)
    {
        json_t *now = json_object_get(documents, document);
        json_t *shown = is_secret(document) && now ? shown_body(document, now) : NULL;
        json_t *value = json_object_get(body, "value");
        if (shown && value && json_equal(value, json_object_get(shown, "value"))) {
            json_t *copy = json_copy(body);
            json_object_set(copy, "value", json_object_get(now, "value"));
            json_object_set_new(result, document, copy);
        }
        json_decref(shown);
    }
    return result;
}
