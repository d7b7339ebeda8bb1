// SPDX-License-Identifier: Apache-2.0
#include "master/enrol.h"
#include "core/base/log.h"
#include "core/bus/control.h"
#include "core/bus/zap.h"
#include "master/cluster.h"
#include <string.h>

void enrol_admit(struct master *master, const char *name, const char *key, const char *role)
{
    if (members_by_name(&master->members, name) || !members_add(&master->members, name, key, role))
        return;
    if (strcmp(role, "worker") != 0 && strcmp(role, "master") != 0)
        return; // nothing of what is bound here is for others yet
    zap_allow(master->zap, ZAP_CONTROL, key);
    if (strcmp(role, "master") == 0)
        return; // it asks, on its own connection
    zap_allow(master->zap, ZAP_EVENTS, key);
    zap_allow(master->zap, ZAP_CONFIG, key);
}

void enrol_revoke(struct master *master, const char *name)
{
    struct member *member = members_by_name(&master->members, name);
    if (!member)
        return;
    zap_revoke(master->zap, member->key);
    members_remove(&master->members, member);
    // A handshake is not asked for again: only closing the sockets ends what lives.
    if (control_rebind(master->control) < 0 || stream_rebind(master->events) < 0 ||
        stream_rebind(master->config) < 0)
        log_error("node.revoke", "node=%s error=sessions-may-live", name);
}

static void admit_one(void *context, const char *name, const char *key, const char *role)
{
    enrol_admit(context, name, key, role);
}

static void revoke_one(void *context, const char *key)
{
    struct master *master = context;
    zap_revoke(master->zap, key);
}

static void restore_one(void *context, const char *node, uint64_t epoch, uint64_t sequence)
{
    struct master *master = context;
    struct member *member = members_by_name(&master->members, node);
    if (!member)
        return;
    tracker_restore(&member->tracker, epoch, sequence);
    member->base = sequence;
}

int enrol_load(struct master *master)
{
    struct writer_databases *databases = writer_databases(master->writer);
    if (cluster_revoked(databases->cluster, revoke_one, master) < 0 ||
        cluster_members(databases->cluster, admit_one, master) < 0 ||
        store_watermarks(databases->store, restore_one, master) < 0)
        return -1;
    zap_ready(master->zap);
    return 0;
}
