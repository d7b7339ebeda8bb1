// SPDX-License-Identifier: Apache-2.0
#include "master/config.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/random.h"
#include "mail/schema.h"
#include "master/config_store.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD_MS = 5 * 60 * 1000 };

struct configuration {
    sqlite3 *db;
    struct config *config;
    struct edit_maker maker;
    struct sign_keys keys;
    struct signers signers;
};

static int valid(void *context, const json_t *documents, const char *const *changed, size_t count,
                 char *ret_error, size_t error_size)
{
    (void)context;
    return schema_check_changes(documents, changed, count, ret_error, error_size);
}

static void hold(struct configuration *self, struct revision *revision)
{
    edit_maker_saw(&self->maker, revision);
    signers_learn(&self->signers, revision);
    (void)!config_add(self->config, &revision);
}

static void hold_stored(void *context, struct revision *revision)
{
    hold(context, revision);
}

struct configuration *configuration_open(sqlite3 *db, const char *master,
                                         const struct sign_keys *keys, char *ret_error,
                                         size_t error_size)
{
    struct configuration *self = allocate(sizeof(*self));
    self->db = db;
    self->keys = *keys;
    self->config = config_new(valid, self);
    snprintf(self->maker.origin.master, sizeof(self->maker.origin.master), "%s", master);
    self->maker.origin.start = random_u64();
    signers_add(&self->signers, keys->public_key);
    if (config_store_migrate(db, master, keys) < 0 ||
        config_store_read(db, hold_stored, self) < 0) {
        snprintf(ret_error, error_size, "cluster.db: the configuration cannot be read");
        configuration_close(&self);
        return NULL;
    }
    config_merge(self->config);
    return self;
}

void configuration_close(struct configuration **self)
{
    if (!*self)
        return;
    config_destroy(&(*self)->config);
    signers_free(&(*self)->signers);
    sign_keys_wipe(&(*self)->keys);
    free(*self);
    *self = NULL;
}

const struct config *config_set(const struct configuration *self)
{
    return self->config;
}

void config_trust(struct configuration *self, const uint8_t key[SIGN_PUBLIC])
{
    signers_add(&self->signers, key);
}

json_t *config_tree(struct configuration *self)
{
    const struct revision *newest = config_newest(self->config);
    char name[REVISION_NAME_SIZE] = "0", hex[2 * TREE_HASH + 1];
    uint8_t hash[TREE_HASH];
    if (newest)
        revision_name(newest, name);
    config_hash(self->config, config_documents(self->config), hash);
    for (size_t i = 0; i < sizeof(hash); i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    json_t *conflicts = config_conflicts(self->config);
    json_t *tree = json_pack("{s:s, s:s, s:o, s:o, s:i}", "revision", name, "tree", hex,
                             "documents", json_copy(config_documents(self->config)), "holds",
                             names_json(config_names(self->config)), "conflicts",
                             (int)json_array_size(conflicts));
    json_decref(conflicts);
    return tree;
}

// Signs, makes durable, takes into the set. Takes the revision.
static enum config_result commit(struct configuration *self, struct revision *revision,
                                 json_t **ret_tree, char *ret_error, size_t error_size)
{
    char name[REVISION_NAME_SIZE];
    revision_name(revision, name);
    if (revision_sign(revision, &self->keys) < 0) {
        snprintf(ret_error, error_size, "the change is too big; make it in parts");
        revision_destroy(&revision);
        return CONFIG_REFUSED;
    }
    if (config_store_write(self->db, &revision, 1) < 0) {
        snprintf(ret_error, error_size, "the change could not be written; see the master's log");
        revision_destroy(&revision);
        return CONFIG_FAILED;
    }
    hold(self, revision);
    config_merge(self->config);
    *ret_tree = config_tree(self);
    json_object_set_new(*ret_tree, "made", json_string(name));
    log_info("config.revision", "revision=%s", name);
    return CONFIG_DONE;
}

// What every node would have to hold as text.
static int is_too_big(const struct configuration *self, const json_t *changes)
{
    size_t size = json_dumpb(config_documents(self->config), NULL, 0, JSON_COMPACT) +
                  json_dumpb(changes, NULL, 0, JSON_COMPACT);
    return size > SCHEMA_TREE_MOST - 4096;
}

enum config_result config_apply(struct configuration *self, const struct config_edit *edit,
                                json_t **ret_tree, char *ret_error, size_t error_size)
{
    struct revision *revision = NULL;
    json_t *changes = config_unshown(self, edit->changes), *stale = NULL;
    const struct edit wanted = {changes,     edit->replace, edit->settles,
                                edit->bases, edit->author,  edit->comment};
    enum config_result result = CONFIG_REFUSED;
    if (strlen(edit->author) > REVISION_TEXT_MOST || strlen(edit->comment) > REVISION_TEXT_MOST) {
        snprintf(ret_error, error_size, "comment: it is too long; give at most %d bytes",
                 REVISION_TEXT_MOST);
    } else if (!edit->replace && is_too_big(self, changes)) {
        snprintf(ret_error, error_size, "documents: with these there would be more than %d bytes",
                 SCHEMA_TREE_MOST);
    } else {
        switch (edit_make(self->config, &self->maker, &wanted, (uint64_t)clock_wall_ms(), &revision,
                          &stale, ret_error, error_size)) {
        case EDIT_MADE:
            result = commit(self, revision, ret_tree, ret_error, error_size);
            break;
        case EDIT_SAME:
            *ret_tree = config_tree(self);
            result = CONFIG_DONE;
            break;
        case EDIT_STALE:
            *ret_tree = stale;
            result = CONFIG_STALE;
            break;
        case EDIT_INVALID:
            break;
        }
    }
    json_decref(changes);
    return result;
}

// Merged all the same: a clock only picks the winner. But people should know.
static void watch_clock(const struct revision *revision)
{
    char name[REVISION_NAME_SIZE];
    int64_t ahead_ms = (int64_t)revision->clock.ms - clock_wall_ms();
    if (ahead_ms <= AHEAD_MS)
        return;
    revision_name(revision, name);
    log_error("config.clock", "alarm=clock-ahead revision=%s ahead_s=%lld", name,
              (long long)ahead_ms / 1000);
}

json_t *config_take(struct configuration *self, const struct batch *batch)
{
    struct taken taken;
    batch_read(batch, self->config, &self->signers, &taken);
    if (taken.malformed || taken.untrusted)
        log_error("config.untrusted", "alarm=revision-refused malformed=%u unsigned=%u",
                  taken.malformed, taken.untrusted);
    int written =
        taken.count > 0 && config_store_write(self->db, taken.revisions, taken.count) == 0;
    for (size_t i = 0; i < taken.count; i++) {
        if (written) {
            watch_clock(taken.revisions[i]);
            hold(self, taken.revisions[i]);
        } else {
            revision_destroy(&taken.revisions[i]);
        }
    }
    free(taken.revisions);
    if (!written)
        return NULL;
    config_merge(self->config);
    log_info("config.taken", "revisions=%zu", taken.count);
    return config_tree(self);
}
