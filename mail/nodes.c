// SPDX-License-Identifier: Apache-2.0
#include "mail/nodes.h"
#include "core/base/z85.h"
#include "mail/schema_value.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char prefix[] = "node/";

int nodes_revoked(const json_t *documents, const char *key)
{
    char document[sizeof("revoked/") + CURVE_KEY_HEX] = "revoked/";
    return z85_to_hex(key, document + strlen(document)) == 0 &&
           json_object_get(documents, document) != NULL;
}

static char *copy_text(const json_t *body, const char *key)
{
    const char *text = schema_text(body, key);
    return text ? duplicate(text) : NULL;
}

static int count_or_none(const struct schema_kind *kind, const json_t *body, const char *key)
{
    double count = schema_number(kind, body, key);
    return isnan(count) ? -1 : (int)count;
}

static void read_node(struct settings_node *ret, const char *name, const json_t *body)
{
    const struct schema_kind *kind = schema_kind_of("node/x");
    *ret = (struct settings_node){
        .name = duplicate(name),
        .key = copy_text(body, "key"),
        .previous_key = copy_text(body, "previous_key"),
        .previous_until_s = (int64_t)schema_number(kind, body, "previous_until"),
        .role = (enum role)schema_number(kind, body, "role"),
        .wish = (enum node_wish)schema_number(kind, body, "state"),
        .site = copy_text(body, "site"),
        .control = copy_text(body, "control"),
        .publish = copy_text(body, "publish"),
        .events = copy_text(body, "events"),
        .enrol = copy_text(body, "enrol"),
        .ingress = count_or_none(kind, body, "ingress"),
        .analyzer = count_or_none(kind, body, "analyzer"),
        .delivery = count_or_none(kind, body, "delivery"),
    };
    const json_t *names = json_object_get(body, "formerly");
    ret->former_count = json_array_size(names);
    ret->former = allocate((ret->former_count + 1) * sizeof(*ret->former));
    for (size_t i = 0; i < ret->former_count; i++)
        ret->former[i] = duplicate(json_string_value(json_array_get(names, i)));
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// The names of all node documents that hold a key, sorted.
static const char **sorted_names(const json_t *documents, size_t *ret_count)
{
    const char **names = allocate((json_object_size(documents) + 1) * sizeof(*names));
    const char *document;
    json_t *body;
    *ret_count = 0;
    json_object_foreach((json_t *)documents, document, body)
    {
        if (strncmp(document, prefix, strlen(prefix)) == 0 && schema_text(body, "key"))
            names[(*ret_count)++] = document;
    }
    qsort(names, *ret_count, sizeof(*names), compare_names);
    return names;
}

static int holds(const struct settings_node *node, const char *key)
{
    return key && (strcmp(node->key, key) == 0 ||
                   (node->previous_key && strcmp(node->previous_key, key) == 0));
}

static int is_taken(const struct settings_node *nodes, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (holds(&nodes[i], key))
            return 1;
    return 0;
}

struct settings_node *nodes_read(const json_t *documents, int revoked_too, size_t *ret_count)
{
    size_t named, count = 0;
    const char **names = sorted_names(documents, &named);
    struct settings_node *nodes = allocate((named + 1) * sizeof(*nodes));
    for (size_t i = 0; i < named; i++) {
        const json_t *body = json_object_get(documents, names[i]);
        const char *key = schema_text(body, "key");
        int revoked = nodes_revoked(documents, key);
        if ((revoked && !revoked_too) || is_taken(nodes, count, key))
            continue;
        read_node(&nodes[count], names[i] + strlen(prefix), body);
        nodes[count++].is_revoked = revoked;
    }
    free(names);
    *ret_count = count;
    return nodes;
}

void nodes_free(struct settings_node *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct settings_node *node = &nodes[i];
        void *const blocks[] = {node->name,    node->key,     node->previous_key, node->site,
                                node->control, node->publish, node->events,       node->enrol};
        for (size_t k = 0; k < ARRAY_LENGTH(blocks); k++)
            free(blocks[k]);
        for (size_t k = 0; k < node->former_count; k++)
            free(node->former[k]);
        free(node->former);
    }
    free(nodes);
}

char **nodes_revoked_keys(const json_t *documents, size_t *ret_count)
{
    static const char revoked[] = "revoked/";
    char **keys = allocate((json_object_size(documents) + 1) * sizeof(*keys));
    const char *document;
    json_t *body;
    *ret_count = 0;
    json_object_foreach((json_t *)documents, document, body)
    {
        if (strncmp(document, revoked, strlen(revoked)) == 0)
            keys[(*ret_count)++] = duplicate(document + strlen(revoked));
    }
    qsort(keys, *ret_count, sizeof(*keys), compare_names);
    return keys;
}
