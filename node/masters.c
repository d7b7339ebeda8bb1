// SPDX-License-Identifier: Apache-2.0
#include "node/masters.h"
#include <stdio.h>
#include <string.h>

static int is_reachable(const struct settings_node *node)
{
    return node->role == ROLE_MASTER && node->control && node->publish && node->events;
}

// `known`: how node.conf has it, NULL: not at all.
static void copy_address(struct master_address *ret, const struct settings_node *node,
                         const struct master_address *known)
{
    struct master_address address = {.name = ""};
    snprintf(address.control, sizeof(address.control), "%s", node->control);
    snprintf(address.publish, sizeof(address.publish), "%s", node->publish);
    snprintf(address.events, sizeof(address.events), "%s", node->events);
    if (known && *known->pinned)
        address = *known;
    memset(address.name, 0, sizeof(address.name));
    snprintf(address.name, sizeof(address.name), "%s", node->name);
    snprintf(address.key, sizeof(address.key), "%s", node->key);
    *ret = address;
}

// The document of a master that we know: by its key, also the one before.
static const struct settings_node *document_of(const struct settings *settings,
                                               const struct master_address *address)
{
    const struct settings_node *node = settings_node(settings, address->key);
    for (size_t i = 0; !node && i < settings->node_count; i++)
        if (strcmp(settings->nodes[i].name, address->name) == 0)
            node = &settings->nodes[i];
    return node && is_reachable(node) ? node : NULL;
}

static int knows(const struct master_address *list, unsigned count, const char *key)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(list[i].key, key) == 0)
            return 1;
    return 0;
}

int masters_follow(struct nodeconf *conf, const struct settings *settings)
{
    struct master_address list[MASTERS_MOST];
    unsigned count = 0;
    memset(list, 0, sizeof(list)); // they are compared whole
    for (unsigned i = 0; i < conf->master_count; i++) {
        const struct settings_node *node = document_of(settings, &conf->masters[i]);
        if (node && !knows(list, count, node->key))
            copy_address(&list[count++], node, &conf->masters[i]);
        else if (!node && !settings_revoked(settings, conf->masters[i].key))
            list[count++] = conf->masters[i];
    }
    for (size_t i = 0; i < settings->node_count && count < MASTERS_MOST; i++) {
        const struct settings_node *node = &settings->nodes[i];
        if (is_reachable(node) && !knows(list, count, node->key))
            copy_address(&list[count++], node, NULL);
    }
    if (count == 0 ||
        (count == conf->master_count && memcmp(list, conf->masters, count * sizeof(*list)) == 0))
        return 0;
    memcpy(conf->masters, list, sizeof(list));
    conf->master_count = count;
    return 1;
}
