// SPDX-License-Identifier: Apache-2.0
#include "master/enrol.h"
#include "core/base/log.h"
#include "core/base/random.h"
#include "core/base/z85.h"
#include "core/bus/zap.h"
#include "mail/schema.h"
#include "master/change.h"
#include "master/cluster.h"
#include "master/intake.h"
#include "master/membership.h"
#include <stdio.h>
#include <string.h>

enum { PEER_WAIT_S = 60, DOCUMENT_SIZE = 80 };

// -- members of older versions

static void add_old_member(void *context, const char *name, const char *key, const char *role)
{
    json_t *changes = context;
    char document[sizeof("revoked/") + CURVE_KEY_HEX] = "revoked/";
    if (*role) {
        snprintf(document, sizeof(document), "node/%.63s", name);
        json_object_set_new(changes, document, json_pack("{s:s, s:s}", "role", role, "key", key));
    } else if (z85_to_hex(key, document + strlen(document)) == 0) {
        json_object_set_new(changes, document, json_pack("{s:s}", "node", name));
    }
}

// A site that was written down for a member stays.
static void keep_bodies(json_t *changes, const json_t *documents)
{
    const char *document;
    json_t *body;
    json_object_foreach(changes, document, body)
    {
        json_object_update_missing(body, json_object_get(documents, document));
    }
}

static int apply(struct writer_databases *databases, json_t *changes, const char *comment,
                 char *ret_error, size_t error_size)
{
    const struct config_edit edit = {.changes = changes, .author = "postern", .comment = comment};
    json_t *tree = NULL;
    int rc =
        config_apply(databases->configuration, &edit, &tree, ret_error, error_size) == CONFIG_DONE
            ? 0
            : -1;
    json_decref(tree);
    return rc;
}

// Done again after a crash in between it changes nothing more.
static int move_old_members(struct writer_databases *databases, char *ret_error, size_t error_size)
{
    json_t *changes = json_object(), *tree = config_tree(databases->configuration);
    int there = tree ? cluster_old_members(databases->cluster, add_old_member, changes) : -1;
    int rc = there < 0 ? -1 : 0;
    snprintf(ret_error, error_size, "cluster.db cannot be read");
    if (there > 0) {
        keep_bodies(changes, json_object_get(tree, "documents"));
        rc = apply(databases, changes, "the members become configuration", ret_error, error_size);
    }
    if (there > 0 && rc == 0)
        rc = cluster_drop_old_members(databases->cluster);
    json_decref(changes);
    json_decref(tree);
    return rc;
}

// -- the master's own document

static json_t *own_body(const struct master *master, const json_t *before)
{
    const struct nodeconf *conf = master->conf;
    const struct {
        const char *key, *bound;
    } addresses[] = {
        {"control", conf->bind_control}, {"publish", conf->bind_publish},
        {"events", conf->bind_events},   {"public", conf->bind_public},
        {"enrol", conf->bind_enrol},
    };
    char sign[SIGN_TEXT_SIZE];
    json_t *body = before ? json_copy((json_t *)before) : json_object();
    json_object_set_new(body, "role", json_string("master"));
    json_object_set_new(body, "key", json_string(master->keys.public_key));
    sign_public_format(master->sign.public_key, sign);
    json_object_set_new(body, "sign", json_string(sign));
    for (size_t i = 0; i < ARRAY_LENGTH(addresses); i++) {
        char reached[128];
        nodeconf_reach(conf, addresses[i].bound, reached);
        if (*reached)
            json_object_set_new(body, addresses[i].key, json_string(reached));
    }
    return body;
}

// The change that makes this master's document true.
static json_t *make_own(struct change *self, const json_t *documents)
{
    char document[DOCUMENT_SIZE];
    snprintf(document, sizeof(document), "node/%s", self->master->conf->name);
    snprintf(self->comment, sizeof(self->comment), "%s enters itself", self->master->conf->name);
    json_t *changes =
        json_pack("{s:o}", document, own_body(self->master, json_object_get(documents, document)));
    if (!schema_text(json_object_get(documents, "cluster"), "id") &&
        !json_is_true(json_object_get(self->arguments, "other"))) {
        char id[17];
        snprintf(id, sizeof(id), "%016llx", (unsigned long long)random_u64());
        json_object_set_new(changes, "cluster", json_pack("{s:s}", "id", id));
    }
    return changes;
}

static void own_entered(struct change *self)
{
    if (self->status != 200)
        log_error("enrol.own", "error=\"%s\"", self->error);
}

// -- life

static void restore_one(void *context, const char *node, uint64_t epoch, uint64_t sequence,
                        uint64_t mark)
{
    struct master *master = context;
    struct member *member = members_by_name(&master->members, node);
    if (!member)
        return;
    tracker_restore(&member->tracker, epoch, sequence, mark);
    member->base = sequence;
}

int enrol_open(struct master *master, char *ret_error, size_t error_size)
{
    struct writer_databases *databases = writer_databases(master->writer);
    if (move_old_members(databases, ret_error, error_size) < 0)
        return -1;
    json_t *tree = config_tree(databases->configuration);
    snprintf(ret_error, error_size, "cluster.db cannot be read");
    if (!tree)
        return -1;
    intake_configure(master, tree);
    if (store_watermarks(databases->store, restore_one, master) < 0)
        return -1;
    zap_ready(master->zap);
    return 0;
}

// Two masters that start a cluster together do not both give it an id: the first by name does.
static int is_named_by_other(const struct master *master)
{
    return master->conf->master_count > 0 && master->waited_s < PEER_WAIT_S &&
           strcmp(master->conf->masters[0].name, master->conf->name) < 0;
}

// What this master was called while it was away is its peer's to say: it enters itself only now.
void enrol_ready(struct master *master)
{
    if (master->ready)
        return;
    master->ready = 1;
    membership_admit(master);
    change_start(change_new(master, json_pack("{s:b}", "other", is_named_by_other(master)),
                            make_own, own_entered, NULL));
}

void enrol_tick(struct master *master)
{
    if (!master->ready && ++master->waited_s >= PEER_WAIT_S) {
        log_warning("enrol.alone", "peer=%s waited_s=%d", master->conf->masters[0].name,
                    PEER_WAIT_S);
        enrol_ready(master);
    }
}
