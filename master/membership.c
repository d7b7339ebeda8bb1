// SPDX-License-Identifier: Apache-2.0
#include "master/membership.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/z85.h"
#include "core/bus/control.h"
#include "core/bus/zap.h"
#include "mail/nodes.h"
#include "master/peer.h"
#include "master/public.h"
#include <stdio.h>
#include <string.h>

// Which of the bound sockets are for whom.
static const struct {
    enum role role;
    const char *domain;
} doors[] = {
    {ROLE_WORKER, ZAP_CONTROL}, {ROLE_WORKER, ZAP_EVENTS}, {ROLE_WORKER, ZAP_CONFIG},
    {ROLE_MASTER, ZAP_CONTROL}, {ROLE_MASTER, ZAP_CONFIG}, {ROLE_MONITOR, ZAP_PUBLIC},
};

// A handshake is not asked for again: only closing the sockets ends what lives. The others are back
// within seconds.
static void cut_sessions(struct master *master)
{
    if (master->public)
        public_stream_cut(master->public);
    if (control_rebind(master->control) < 0 || stream_rebind(master->events) < 0 ||
        stream_rebind(master->config) < 0)
        log_error("membership.cut", "error=sessions-may-live");
}

static void allow(struct master *master, enum role role, const char *key)
{
    for (size_t i = 0; i < ARRAY_LENGTH(doors); i++)
        if (doors[i].role == role)
            zap_allow(master->zap, doors[i].domain, key);
}

// A starting master knows its peer before it lets workers in: what it has not heard of may be a
// revocation.
void membership_admit(struct master *master)
{
    zap_clear(master->zap);
    for (size_t i = 0; i < master->members.count; i++) {
        const struct member *member = master->members.list[i];
        if (!master->ready && member->role != ROLE_MASTER)
            continue;
        allow(master, member->role, member->key);
        if (member->previous_key[0] && clock_wall_ms() < member->previous_until_s * 1000)
            allow(master, member->role, member->previous_key);
    }
}

static void revoke_keys(struct master *master, const json_t *documents)
{
    static const char prefix[] = "revoked/";
    const char *document;
    json_t *body;
    char key[CURVE_KEY_Z85 + 1];
    json_object_foreach((json_t *)documents, document, body)
    {
        if (strncmp(document, prefix, strlen(prefix)) == 0 &&
            z85_from_hex(document + strlen(prefix), key) == 0)
            zap_revoke(master->zap, key);
    }
}

static struct member *find(const struct master *master, const struct settings_node *node)
{
    struct member *member = members_by_name(&master->members, node->name);
    return member ? member : members_by_key(&master->members, node->key);
}

static int keeps(const struct settings_node *node, const char *key)
{
    return !*key || strcmp(node->key, key) == 0 ||
           (node->previous_key && strcmp(node->previous_key, key) == 0);
}

// Takes over what the document says. 1: a session may live that may not go on.
static int update(struct member *member, const struct settings_node *node)
{
    int ends = member->role != node->role || !keeps(node, member->key) ||
               !keeps(node, member->previous_key);
    snprintf(member->name, sizeof(member->name), "%s", node->name);
    snprintf(member->key, sizeof(member->key), "%s", node->key);
    snprintf(member->previous_key, sizeof(member->previous_key), "%s",
             node->previous_key ? node->previous_key : "");
    if (!keeps(node, member->route))
        memcpy(member->route, member->key, sizeof(member->route));
    member->previous_until_s = node->previous_until_s;
    member->role = node->role;
    member->wish = node->wish;
    member->is_seen = 1;
    member->former_count = 0;
    for (size_t i = 0; i < node->former_count && i < MEMBER_FORMER_MOST; i++)
        snprintf(member->former[member->former_count++], sizeof(member->former[0]), "%.63s",
                 node->former[i]);
    memcpy(member->record, node->former_count ? member->former[0] : member->name,
           sizeof(member->record));
    return ends;
}

static int is_us(const struct master *master, const struct settings_node *node)
{
    return strcmp(node->key, master->keys.public_key) == 0 ||
           strcmp(node->name, master->conf->name) == 0;
}

static int is_named(const json_t *documents, const char *name)
{
    char document[80];
    snprintf(document, sizeof(document), "node/%s", name);
    return json_object_get(documents, document) != NULL;
}

static int see(struct master *master, const struct settings_node *node)
{
    if (is_us(master, node))
        return 0;
    struct member *member = find(master, node);
    if (!member)
        member = members_add(&master->members, node->name, node->key, node->role);
    if (member)
        return update(member, node);
    log_error("membership.full", "node=%s members=%zu", node->name, master->members.count);
    return 0;
}

// Until the configuration names it, the peer is whom node.conf says.
static int see_peer(struct master *master, const json_t *documents,
                    const struct master_address *address)
{
    if (is_named(documents, address->name) || nodes_revoked(documents, address->key))
        return 0;
    struct settings_node node = {
        .name = (char *)address->name, .key = (char *)address->key, .role = ROLE_MASTER};
    return see(master, &node);
}

// Where it is reached: node.conf knows better than its document when it pins it there.
static const char *way_to(const struct master *master, const struct settings_node *node)
{
    const struct master_address *named = &master->conf->masters[0];
    int is_it = strcmp(named->name, node->name) == 0 || strcmp(named->key, node->key) == 0;
    return *named->pinned && is_it ? named->control : node->control;
}

static void follow_peer(struct master *master, const json_t *documents,
                        const struct settings_node *nodes, size_t count)
{
    struct master_address address;
    memset(&address, 0, sizeof(address)); // it is compared whole
    for (size_t i = 0; i < count; i++) {
        const struct settings_node *node = &nodes[i];
        if (node->role != ROLE_MASTER || !node->control || is_us(master, node))
            continue;
        snprintf(address.name, sizeof(address.name), "%s", node->name);
        snprintf(address.key, sizeof(address.key), "%s", node->key);
        snprintf(address.control, sizeof(address.control), "%s", way_to(master, node));
        peer_follow(master->peer, &address);
        return;
    }
    const struct master_address *named = &master->conf->masters[0];
    int may = master->conf->master_count > 0 && !is_named(documents, named->name) &&
              !nodes_revoked(documents, named->key);
    peer_follow(master->peer, may ? named : NULL);
}

static int remove_unseen(struct members *members)
{
    int removed = 0;
    for (size_t i = members->count; i > 0; i--) {
        struct member *member = members->list[i - 1];
        if (member->is_seen)
            continue;
        log_info("membership.left", "node=%s", member->name);
        members_remove(members, member);
        removed = 1;
    }
    return removed;
}

void membership_follow(struct master *master, const json_t *documents)
{
    size_t count;
    int ends = 0;
    struct settings_node *nodes = nodes_read(documents, 0, &count);
    for (size_t i = 0; i < master->members.count; i++)
        master->members.list[i]->is_seen = 0;
    for (size_t i = 0; i < count; i++)
        ends |= see(master, &nodes[i]);
    for (unsigned i = 0; i < master->conf->master_count; i++)
        ends |= see_peer(master, documents, &master->conf->masters[i]);
    ends |= remove_unseen(&master->members);
    follow_peer(master, documents, nodes, count);
    nodes_free(nodes, count);
    revoke_keys(master, documents);
    membership_admit(master);
    if (ends)
        cut_sessions(master);
}

void membership_tick(struct master *master)
{
    int ended = 0;
    for (size_t i = 0; i < master->members.count; i++) {
        struct member *member = master->members.list[i];
        if (!member->previous_key[0] || clock_wall_ms() < member->previous_until_s * 1000)
            continue;
        log_info("membership.key-ended", "node=%s", member->name);
        ended |= strcmp(member->route, member->previous_key) == 0;
        memcpy(member->route, member->key, sizeof(member->route));
        member->previous_key[0] = 0;
        membership_admit(master);
    }
    if (ended)
        cut_sessions(master);
}
