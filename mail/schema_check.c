// SPDX-License-Identifier: Apache-2.0
#include "mail/schema_value.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// Where a value stands, for the error text.
struct place {
    const char *document, *key;
    char *error;
    size_t error_size;
};

// "document.key: reason; mend"
static int PRINTF(2, 3) refuse(const struct place *place, const char *format, ...)
{
    int used = snprintf(place->error, place->error_size, "%.320s%s%.64s: ", place->document,
                        place->key ? "." : "", place->key ? place->key : "");
    va_list list;
    va_start(list, format);
    if (used > 0 && (size_t)used < place->error_size)
        vsnprintf(place->error + used, place->error_size - (size_t)used, format, list);
    va_end(list);
    return -1;
}

static const char *what_it_is(const json_t *value)
{
    static const char *const names[] = {"an object", "a list", "a text", "a whole number",
                                        "a number",  "true",   "false",  "null"};
    return names[json_typeof(value)];
}

static int check_number(const struct place *place, const struct schema_key *key,
                        const json_t *value)
{
    const char *unit = key->unit ? key->unit : "", *space = key->unit ? " " : "";
    double number = json_number_value(value);
    if (key->type == SCHEMA_LIMIT && json_is_null(value))
        return 0;
    if (key->type == SCHEMA_SIZE && json_is_string(value))
        number = schema_size(json_string_value(value));
    else if (!json_is_number(value))
        return refuse(place, "this is %s; give a number from %.15g to %.15g%s%s", what_it_is(value),
                      key->min, key->max, space, unit);
    int whole = key->type == SCHEMA_COUNT || key->type == SCHEMA_SIZE;
    if (whole && number != floor(number))
        return refuse(place, "%.15g is not whole; give a whole number", number);
    if (!(number >= key->min && number <= key->max))
        return refuse(place, "it is out of range; give %s from %.15g to %.15g%s%s",
                      whole ? "a whole number" : "a number", key->min, key->max, space, unit);
    return 0;
}

static int check_choice(const struct place *place, const struct schema_key *key,
                        const json_t *value)
{
    if (json_is_string(value) && schema_choice(key, json_string_value(value)) >= 0)
        return 0;
    char all[128] = "";
    for (int i = 0, used = 0; key->choices[i] && (size_t)used < sizeof(all); i++)
        used += snprintf(all + used, sizeof(all) - (size_t)used, "%s%s", i ? ", " : "",
                         key->choices[i]);
    if (json_is_string(value))
        return refuse(place, "there is no \"%.60s\"; give one of: %s", json_string_value(value),
                      all);
    return refuse(place, "this is %s; give one of: %s", what_it_is(value), all);
}

static int check_text(const struct place *place, const struct schema_key *key, const json_t *value)
{
    if (!json_is_string(value))
        return refuse(place, "this is %s; give a text", what_it_is(value));
    const char *text = json_string_value(value);
    size_t length = json_string_length(value);
    if (strlen(text) != length)
        return refuse(place, "the text holds a NUL; take it out");
    if ((double)length < key->min || (double)length > key->max)
        return refuse(place, "the text has %zu bytes; give %.0f to %.0f", length, key->min,
                      key->max);
    const char *mend = key->form ? key->form(text) : NULL;
    return mend ? refuse(place, "\"%.60s\" does not fit; %s", text, mend) : 0;
}

static const char *entry_mend(const struct schema_key *key, const json_t *entry, size_t position)
{
    struct network network;
    struct schema_hop hop;
    if (key->type == SCHEMA_HOPS)
        return schema_hop(entry, (unsigned)position, &hop);
    const char *text = json_string_value(entry);
    if (!text || strlen(text) != json_string_length(entry) || strlen(text) > 320)
        return "give texts of at most 320 bytes";
    if (key->type == SCHEMA_NETWORKS)
        return network_parse(text, &network) < 0 ? "give a network like 10.0.0.0/8 or ::1" : NULL;
    return key->form ? key->form(text) : NULL;
}

static int check_list(const struct place *place, const struct schema_key *key, const json_t *value)
{
    if (!json_is_array(value))
        return refuse(place, "this is %s; give a list", what_it_is(value));
    size_t count = json_array_size(value);
    if ((double)count < key->min || (double)count > key->max)
        return refuse(place, "the list has %zu entries; give %.0f to %.0f", count, key->min,
                      key->max);
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_array_get(value, i);
        const char *mend = entry_mend(key, entry, i);
        const char *text = json_string_value(entry);
        if (mend)
            return refuse(place, "entry %zu, %.60s, does not fit; %s", i + 1,
                          text ? text : what_it_is(entry), mend);
    }
    return 0;
}

static int check_value(const struct place *place, const struct schema_key *key, const json_t *value)
{
    switch (key->type) {
    case SCHEMA_FLAG:
        if (json_is_boolean(value))
            return 0;
        return refuse(place, "this is %s; give true or false", what_it_is(value));
    case SCHEMA_COUNT:
    case SCHEMA_SIZE:
    case SCHEMA_NUMBER:
    case SCHEMA_LIMIT:
        return check_number(place, key, value);
    case SCHEMA_TEXT:
        return check_text(place, key, value);
    case SCHEMA_CHOICE:
        return check_choice(place, key, value);
    case SCHEMA_TEXTS:
    case SCHEMA_NETWORKS:
    case SCHEMA_HOPS:
        return check_list(place, key, value);
    }
    return 0;
}

static int check_name(const struct place *place, const struct schema_kind *kind, const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > SCHEMA_NAME_MOST)
        return refuse(place, "the name has %zu bytes; give 1 to %d", length, SCHEMA_NAME_MOST);
    size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.");
    if (good != length || name[0] == '.' || name[length - 1] == '.' || strstr(name, ".."))
        return refuse(place, "\"%.60s\" is no name; use a-z, 0-9, - _ . %s", name,
                      strcmp(kind->name, "domain") == 0
                          ? "(a domain in lower case, as A-labels: xn--...)"
                          : "(no . at the ends)");
    if (strcmp(kind->name, "node") == 0 && length > SCHEMA_NODE_NAME_MOST)
        return refuse(place, "the name has %zu bytes; give a node at most %d", length,
                      SCHEMA_NODE_NAME_MOST);
    if (strcmp(kind->name, "revoked") == 0 &&
        (length != 64 || strspn(name, "0123456789abcdef") != length))
        return refuse(place, "\"%.64s\" is no key; give its 32 bytes in hexadecimal", name);
    return 0;
}

static int has_blank(const char *text)
{
    while (*text && (unsigned char)*text > ' ' && *text != 127)
        text++;
    return *text != 0;
}

// What a list may hold depends on what it is compared with.
static int check_list_entries(struct place *place, const json_t *body)
{
    static const struct schema_key networks = {.type = SCHEMA_NETWORKS, .max = 1e9};
    const char *of = schema_text(body, "of");
    const json_t *entries = json_object_get(body, "entries");
    place->key = "entries";
    if (of && strcmp(of, "client") == 0)
        return entries ? check_list(place, &networks, entries) : 0;
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const char *text = json_string_value(json_array_get(entries, i));
        const char *at = strrchr(text, '@');
        if (!at || !at[1] || has_blank(text))
            return refuse(place,
                          "entry %zu, \"%.60s\", is no address; give name@domain, or @domain "
                          "for a whole domain",
                          i + 1, text);
    }
    return 0;
}

// Sentinels need the name they know Redis by, and are instead of its address.
static int check_redis(struct place *place, const json_t *body)
{
    int sentinels = json_object_get(body, "sentinels") != NULL;
    place->key = "address";
    if (sentinels && json_object_get(body, "address"))
        return refuse(place, "the sentinels tell it; give address or sentinels");
    place->key = sentinels ? "master_name" : "sentinels";
    if (sentinels != (json_object_get(body, "master_name") != NULL))
        return refuse(place, "it is missing; give sentinels and master_name, or neither");
    return 0;
}

// Rules that span keys.
static int check_together(struct place *place, const struct schema_kind *kind, const json_t *body)
{
    if (strcmp(kind->name, "list") == 0)
        return check_list_entries(place, body);
    if (strcmp(kind->name, "redis") == 0)
        return check_redis(place, body);
    if (strcmp(kind->name, "route") == 0 && !json_object_get(body, "hops")) {
        place->key = "hops";
        return refuse(place, "it is missing; give at least one next hop, like [\"mx.example:25\"]");
    }
    if (strcmp(kind->name, "ingress") == 0 &&
        !json_object_get(body, "tls_certificate") != !json_object_get(body, "tls_key")) {
        place->key = json_object_get(body, "tls_key") ? "tls_certificate" : "tls_key";
        return refuse(place, "it is missing; give tls_certificate and tls_key, or neither");
    }
    if (strcmp(kind->name, "node") == 0 && json_object_get(body, "previous_key") &&
        !json_object_get(body, "previous_until")) {
        place->key = "previous_until";
        return refuse(place, "it is missing; the key before must have an end");
    }
    return 0;
}

// Names in a row, as far as there is room.
struct names {
    char text[400];
    size_t used;
};

static void add_name(struct names *self, const char *name, const char *more)
{
    int size = snprintf(self->text + self->used, sizeof(self->text) - self->used, "%s%s%s",
                        self->used ? ", " : "", name, more);
    self->used += (size_t)size;
    if (self->used >= sizeof(self->text))
        self->used = sizeof(self->text) - 1;
}

static int refuse_kind(const struct place *place)
{
    struct names names = {.used = 0};
    for (size_t i = 0; i < schema_kind_count; i++)
        add_name(&names, schema_kinds[i].name, schema_kinds[i].named ? "/NAME" : "");
    return refuse(place, "there is no such kind of document; give one of: %s", names.text);
}

static int refuse_key(const struct place *place, const struct schema_kind *kind)
{
    struct names names = {.used = 0};
    for (size_t i = 0; i < kind->key_count; i++)
        add_name(&names, kind->keys[i].name, "");
    add_name(&names, "description", "");
    const char *article = strchr("aeiou", kind->name[0]) ? "an" : "a";
    return refuse(place, "%s %s document has no such key; give one of: %s", article, kind->name,
                  names.text);
}

int schema_check_document(const char *document, const json_t *body, char *ret_error,
                          size_t error_size)
{
    static const struct schema_key description = {.type = SCHEMA_TEXT,
                                                  .max = SCHEMA_DESCRIPTION_MOST};
    struct place place = {document, NULL, ret_error, error_size};
    const struct schema_kind *kind = schema_kind_of(document);
    if (!kind)
        return refuse_kind(&place);
    if (kind->named && check_name(&place, kind, strchr(document, '/') + 1) < 0)
        return -1;
    if (!json_is_object(body))
        return refuse(&place, "this is %s; give an object", what_it_is(body));
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)body, name, value)
    {
        int common = strcmp(name, "description") == 0;
        const struct schema_key *key = common ? &description : schema_key_of(kind, name);
        place.key = name;
        if (!key)
            return refuse_key(&place, kind);
        if (check_value(&place, key, value) < 0)
            return -1;
    }
    return check_together(&place, kind, body);
}

static int check_references(const struct schema_kind *kind, const char *document,
                            const json_t *body, const json_t *documents, char *ret_error,
                            size_t error_size)
{
    for (size_t i = 0; i < kind->key_count; i++) {
        const struct schema_key *key = &kind->keys[i];
        const char *name = key->reference ? schema_text(body, key->name) : NULL;
        char wanted[SCHEMA_NAME_MOST + 16];
        if (!name)
            continue;
        snprintf(wanted, sizeof(wanted), "%s/%s", key->reference, name);
        if (json_object_get(documents, wanted) || strcmp(wanted, "policy/default") == 0)
            continue;
        struct place place = {document, key->name, ret_error, error_size};
        return refuse(&place, "there is no document %.100s; make it first, or name another",
                      wanted);
    }
    return 0;
}

int schema_check_tree(const json_t *documents, char *ret_error, size_t error_size)
{
    struct place place = {"documents", NULL, ret_error, error_size};
    if (!json_is_object(documents))
        return refuse(&place, "they are missing; give an object {document: body}");
    if (json_object_size(documents) > SCHEMA_DOCUMENTS_MOST)
        return refuse(&place, "there are more than %d of them; merge some", SCHEMA_DOCUMENTS_MOST);
    const char *name;
    json_t *body;
    json_object_foreach((json_t *)documents, name, body)
    {
        if (schema_check_document(name, body, ret_error, error_size) < 0 ||
            check_references(schema_kind_of(name), name, body, documents, ret_error, error_size) <
                0)
            return -1;
    }
    return 0;
}

static int is_referred_to(const char *kind)
{
    for (size_t i = 0; i < schema_kind_count; i++)
        for (size_t k = 0; k < schema_kinds[i].key_count; k++)
            if (schema_kinds[i].keys[k].reference &&
                strcmp(schema_kinds[i].keys[k].reference, kind) == 0)
                return 1;
    return 0;
}

static int check_all_references(const json_t *documents, char *ret_error, size_t error_size)
{
    const char *name;
    json_t *body;
    json_object_foreach((json_t *)documents, name, body)
    {
        const struct schema_kind *kind = schema_kind_of(name);
        if (kind && check_references(kind, name, body, documents, ret_error, error_size) < 0)
            return -1;
    }
    return 0;
}

int schema_check_changes(const json_t *documents, const char *const *changed, size_t count,
                         char *ret_error, size_t error_size)
{
    struct place place = {"documents", NULL, ret_error, error_size};
    int referred_to = 0;
    if (!changed)
        return schema_check_tree(documents, ret_error, error_size);
    if (json_object_size(documents) > SCHEMA_DOCUMENTS_MOST)
        return refuse(&place, "there are more than %d of them; merge some", SCHEMA_DOCUMENTS_MOST);
    for (size_t i = 0; i < count; i++) {
        const struct schema_kind *kind = schema_kind_of(changed[i]);
        const json_t *body = json_object_get(documents, changed[i]);
        if (body && (schema_check_document(changed[i], body, ret_error, error_size) < 0 ||
                     check_references(kind, changed[i], body, documents, ret_error,
                                      error_size) < 0))
            return -1;
        referred_to |= !body && kind && is_referred_to(kind->name);
    }
    return referred_to ? check_all_references(documents, ret_error, error_size) : 0;
}

// jansson would recurse as deep as the text does; brackets are counted before it sees them.
static int too_deep(const char *json, size_t size)
{
    int depth = 0, quoted = 0;
    for (size_t i = 0; i < size; i++) {
        if (quoted && json[i] == '\\')
            i++;
        else if (json[i] == '"')
            quoted = !quoted;
        else if (!quoted && (json[i] == '{' || json[i] == '['))
            depth++;
        else if (!quoted && (json[i] == '}' || json[i] == ']'))
            depth--;
        if (depth > SCHEMA_DEPTH_MOST)
            return 1;
    }
    return 0;
}

json_t *schema_read(const char *json, size_t size, char *ret_error, size_t error_size)
{
    if (size > SCHEMA_TREE_MOST || too_deep(json, size)) {
        snprintf(ret_error, error_size, "line 1: the JSON text has more than %d bytes or %d levels",
                 SCHEMA_TREE_MOST, SCHEMA_DEPTH_MOST);
        return NULL;
    }
    json_error_t error;
    json_t *root = json_loadb(json, size, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        snprintf(ret_error, error_size, "line %d, column %d: %s; correct the JSON text there",
                 error.line, error.column, error.text);
    return root;
}
