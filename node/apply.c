// SPDX-License-Identifier: Apache-2.0
#include "node/apply.h"

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/nodeconf.h"
#include "mail/schema.h"
#include "node/revisions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ERROR_SIZE = 512,
    ASK_AGAIN_S = 2,
    RELOAD_MOST_S = 10,
    PATH_SIZE = 160,
    BATCH_MOST = 4096, // revisions that wait for the disk thread
};

static const char never_configured[] = "{\"revision\":\"0\",\"documents\":{}}";

// A tree on its way; the disk thread's until it is written.
struct tree {
    char revision[REVISION_NAME_SIZE], hash[2 * TREE_HASH + 1];
    char *json;
    size_t size;
    struct settings *settings; // NULL: refused
    char error[ERROR_SIZE];
    struct apply *apply;
    struct batch batch; // revisions that make it; none: it is put back, or made of what is held
    struct signers keys;
    struct names holds; // afterwards
    int rolls_back;     // the last good one, put back
    int merges;         // it is made of what is held
    unsigned refused;   // revisions without a master's signature
};

struct door {
    struct transfer transfer;
    unsigned asked_s; // seconds since
};

struct apply {
    struct apply_ops ops;
    char folder[PATH_SIZE];
    struct revisions *revisions; // the disk thread's
    struct names holds;
    struct settings *settings; // in force
    char hash[2 * TREE_HASH + 1];
    char *json, *json_before; // as a file; NULL: there is none
    char hash_before[2 * TREE_HASH + 1];
    struct batch batch;        // came while others were being taken
    struct signers keys;       // of masters, by their Hello
    struct tree *back;         // to be put back
    int merges;                // what is held does not run yet
    int busy;                  // one is being written
    uint64_t told[STAGE_NODE]; // stages that have not answered
    int telling, telling_s;
    int rolled_back; // what is being told was put back: its report has been made
    struct door doors[MASTERS_MOST];
};

static int is_told(const struct apply *self)
{
    for (unsigned stage = 0; stage < STAGE_NODE; stage++)
        if (self->told[stage])
            return 0;
    return 1;
}

static void free_tree(struct tree **tree)
{
    if (!*tree)
        return;
    free((*tree)->json);
    settings_release(&(*tree)->settings);
    batch_free(&(*tree)->batch);
    signers_free(&(*tree)->keys);
    names_free(&(*tree)->holds);
    free(*tree);
    *tree = NULL;
}

// -- on the disk thread

static int write_current(struct tree *tree)
{
    const struct apply *self = tree->apply;
    char path[PATH_SIZE + 16];
    tree->settings = settings_parse(tree->json, tree->size, tree->error, sizeof(tree->error));
    if (!tree->settings)
        return EINVAL;
    snprintf(path, sizeof(path), "%s/current", self->folder);
    if (file_write_atomic(path, tree->json, tree->size, 0640) == 0)
        return 0;
    int error = errno;
    snprintf(tree->error, sizeof(tree->error), "%s: %s", path, strerror(error));
    settings_release(&tree->settings);
    return error;
}

// Takes the revisions, merges, writes the tree they make. EALREADY: nothing came of it.
static int take_and_write(void *context)
{
    struct tree *tree = context;
    struct revisions *revisions = tree->apply->revisions;
    for (size_t i = 0; i < tree->keys.count; i++)
        revisions_trust(revisions, tree->keys.keys[i]);
    int taken = revisions_take(revisions, &tree->batch, &tree->refused);
    if (taken < 0) {
        int error = errno;
        snprintf(tree->error, sizeof(tree->error), "revisions: %s", strerror(error));
        return error;
    }
    names_unite(&tree->holds, config_names(revisions_set(revisions)));
    if (taken == 0 && !tree->merges)
        return EALREADY;
    tree->json = revisions_tree(revisions, &tree->size, tree->revision, tree->hash);
    return write_current(tree);
}

static int write_back(void *context)
{
    return write_current(context);
}

// -- on the loop

static void tree_written(void *context, int result);

static void next(struct apply *self)
{
    if (self->busy || self->telling || !(self->back || self->batch.count > 0 || self->merges))
        return;
    struct tree *tree = self->back;
    journal_work_fn *work = tree ? write_back : take_and_write;
    if (!tree) {
        tree = allocate(sizeof(*tree));
        tree->apply = self;
        tree->batch = self->batch;
        tree->merges = self->merges;
        for (size_t i = 0; i < self->keys.count; i++)
            signers_add(&tree->keys, self->keys.keys[i]);
        self->batch = (struct batch){0};
    }
    self->back = NULL;
    self->busy = 1;
    if (work == take_and_write)
        self->merges = 0;
    if (self->ops.work(self->ops.context, work, tree_written, tree) == 0)
        return;
    self->busy = 0; // the next second tries again
    if (tree->rolls_back) {
        self->back = tree;
        return;
    }
    self->merges = tree->merges;
    self->batch = tree->batch;
    tree->batch = (struct batch){0};
    free_tree(&tree);
}

static void refuse(struct apply *self, const char *revision, const char *reason)
{
    log_error("config.refused", "revision=%s reason=\"%s\"", revision, reason);
    self->ops.report(self->ops.context, revision, reason);
}

static void finish_telling(struct apply *self)
{
    self->telling = 0;
    memset(self->told, 0, sizeof(self->told));
    if (!self->rolled_back)
        self->ops.report(self->ops.context, self->settings->revision, NULL);
    free(self->json_before);
    self->json_before = NULL;
    next(self);
}

static void tell(struct apply *self)
{
    self->telling = 1;
    self->telling_s = 0;
    self->ops.reload(self->ops.context, self->settings->revision, self->told);
    if (is_told(self))
        finish_telling(self);
}

static void adopt(struct apply *self, struct tree *tree)
{
    settings_release(&self->settings);
    self->settings = tree->settings;
    tree->settings = NULL;
    free(self->json_before);
    self->json_before = self->json;
    memcpy(self->hash_before, self->hash, sizeof(self->hash));
    self->json = tree->json;
    memcpy(self->hash, tree->hash, sizeof(self->hash));
    tree->json = NULL;
    self->rolled_back = tree->rolls_back;
    log_info("config.applied", "revision=%s", self->settings->revision);
    self->ops.applied(self->ops.context, self->settings);
    tell(self);
}

static void tree_written(void *context, int result)
{
    struct tree *tree = context;
    struct apply *self = tree->apply;
    self->busy = 0;
    if (tree->refused)
        log_error("config.untrusted", "alarm=revision-refused revisions=%u", tree->refused);
    if (tree->holds.count > 0) {
        names_free(&self->holds);
        self->holds = tree->holds;
        tree->holds = (struct names){0};
    }
    if (result == 0)
        adopt(self, tree);
    else if (result == EINVAL)
        refuse(self, tree->revision, tree->error);
    else if (result != EALREADY)
        log_error("config.write", "revision=%s failed=\"%s\"", tree->revision, tree->error);
    self->merges |= result != 0 && result != EINVAL && result != EALREADY && !tree->rolls_back;
    free_tree(&tree);
    if (result == 0 || result == EINVAL || result == EALREADY)
        next(self); // else the next second tries again
}

// A stage would not run what we took: all go back to what they ran before.
static void roll_back(struct apply *self, const char *reason)
{
    const char *before = self->json_before ? self->json_before : never_configured;
    refuse(self, self->settings->revision, reason);
    self->telling = 0;
    memset(self->told, 0, sizeof(self->told));
    if (self->rolled_back)
        return; // there is nothing better to go back to
    struct tree *tree = allocate(sizeof(*tree));
    tree->apply = self;
    tree->rolls_back = 1;
    tree->size = strlen(before);
    tree->json = duplicate_bytes(before, tree->size);
    memcpy(tree->hash, self->hash_before, sizeof(tree->hash));
    free_tree(&self->back);
    self->back = tree;
    next(self);
}

void apply_reloaded(struct apply *self, const Postern__StageReloaded *reloaded)
{
    char reason[ERROR_SIZE];
    uint64_t bit = reloaded->slot < SLOT_MOST ? 1ull << reloaded->slot : 0;
    if (!self->telling || reloaded->stage >= STAGE_NODE || !(self->told[reloaded->stage] & bit))
        return;
    if (reloaded->error.len) {
        snprintf(reason, sizeof(reason), "%s %u: %.*s", stage_name((enum stage)reloaded->stage),
                 reloaded->slot, (int)reloaded->error.len, (const char *)reloaded->error.data);
        roll_back(self, reason);
        return;
    }
    const char *revision = self->settings->revision;
    if (reloaded->revision.len != strlen(revision) ||
        memcmp(reloaded->revision.data, revision, reloaded->revision.len) != 0)
        return; // an answer to an earlier word
    self->told[reloaded->stage] &= ~bit;
    if (is_told(self))
        finish_telling(self);
}

void apply_stage_gone(struct apply *self, unsigned stage, unsigned slot)
{
    if (!self->telling || stage >= STAGE_NODE)
        return;
    self->told[stage] &= ~(1ull << slot); // it reads the file when it starts
    if (is_told(self))
        finish_telling(self);
}

// -- with the masters

static void learn_key(struct apply *self, struct span sign)
{
    char text[SIGN_TEXT_SIZE];
    uint8_t key[SIGN_PUBLIC];
    if (sign.size != sizeof(text) - 1)
        return;
    memcpy(text, sign.data, sign.size);
    text[sign.size] = 0;
    if (sign_public_parse(text, key) == 0)
        signers_add(&self->keys, key);
}

void apply_master_holds(struct apply *self, unsigned master, Postern__ConfigNames *const *holds,
                        size_t count, struct span sign)
{
    struct door *door = &self->doors[master];
    struct names names;
    learn_key(self, sign);
    if (names_unpack(holds, count, &names) < 0)
        return;
    if (!names_hold_all(&self->holds, &names) && !self->busy && door->asked_s >= ASK_AGAIN_S) {
        door->asked_s = 0;
        self->ops.request(self->ops.context, master, &self->holds);
    }
    names_free(&names);
}

void apply_revisions(struct apply *self, unsigned master, const Postern__ConfigRevisions *message)
{
    if (self->batch.count > BATCH_MOST)
        return; // they come again
    transfer_take(&self->doors[master].transfer, message, &self->batch);
    if (message->n_revisions == 0 && message->piece.len == 0)
        self->doors[master].asked_s = ASK_AGAIN_S; // that was all of the answer
    next(self);
}

// What a master lacks, found on the disk thread.
struct giving {
    struct apply *apply;
    unsigned master;
    struct names have, holds;
    const struct revision **list; // of the set, which lasts
    size_t count;
};

static int find_missing(void *context)
{
    struct giving *self = context;
    const struct config *config = revisions_set(self->apply->revisions);
    self->list = config_missing(config, &self->have, &self->count);
    names_unite(&self->holds, config_names(config));
    return 0;
}

static int send_to(void *context, const Postern__ConfigRevisions *message)
{
    struct giving *self = context;
    const struct apply_ops *ops = &self->apply->ops;
    return ops->give_back(ops->context, self->master, message);
}

static void free_giving(struct giving *self)
{
    free(self->list);
    names_free(&self->have);
    names_free(&self->holds);
    free(self);
}

static void give(void *context, int result)
{
    struct giving *self = context;
    (void)result;
    transfer_send(self->list, self->count, &self->holds, send_to, self);
    free_giving(self);
}

void apply_wanted(struct apply *self, unsigned master, const Postern__ConfigRequest *request)
{
    struct giving *giving = allocate(sizeof(*giving));
    giving->apply = self;
    giving->master = master;
    if (names_unpack(request->holds, request->n_holds, &giving->have) == 0 &&
        self->ops.work(self->ops.context, find_missing, give, giving) == 0)
        return; // else it asks again
    free_giving(giving);
}

void apply_second(struct apply *self)
{
    for (unsigned i = 0; i < MASTERS_MOST; i++)
        self->doors[i].asked_s++;
    if (self->telling && ++self->telling_s >= RELOAD_MOST_S) {
        log_warning("config.unanswered", "revision=%s", self->settings->revision);
        finish_telling(self);
    } else if (self->telling) {
        uint64_t told[STAGE_NODE];
        self->ops.reload(self->ops.context, self->settings->revision, told);
    }
    next(self);
}

// -- life

static void read_current(struct apply *self)
{
    char path[PATH_SIZE + 16], error[ERROR_SIZE];
    size_t size;
    snprintf(path, sizeof(path), "%s/current", self->folder);
    self->json = file_read(path, SCHEMA_TREE_MOST, &size);
    if (self->json)
        self->settings = settings_parse(self->json, size, error, sizeof(error));
    else
        snprintf(error, sizeof(error), "%s: %s", path, strerror(errno));
    if (self->settings)
        return;
    log_warning("config.none", "reason=\"%s\"", error);
    free(self->json);
    self->json = NULL;
    self->settings =
        settings_parse(never_configured, strlen(never_configured), error, sizeof(error));
}

// What is held should be what runs: a crash may have come between the two.
static void compare(struct apply *self)
{
    char name[REVISION_NAME_SIZE], hash[2 * TREE_HASH + 1];
    size_t size;
    if (config_count(revisions_set(self->revisions)) == 0)
        return;
    names_unite(&self->holds, config_names(revisions_set(self->revisions)));
    free(revisions_tree(self->revisions, &size, name, hash));
    if (strcmp(name, self->settings->revision) == 0)
        memcpy(self->hash, hash, sizeof(self->hash));
    else
        self->merges = 1;
}

struct apply *apply_new(const char *state, const struct apply_ops *ops)
{
    struct apply *self = allocate(sizeof(*self));
    self->ops = *ops;
    for (unsigned i = 0; i < MASTERS_MOST; i++)
        self->doors[i].asked_s = ASK_AGAIN_S;
    snprintf(self->folder, sizeof(self->folder), "%s/config", state);
    read_current(self);
    self->revisions = revisions_open(self->folder);
    if (self->revisions) {
        compare(self);
        return self;
    }
    int kept = errno;
    apply_destroy(&self);
    errno = kept;
    return NULL;
}

void apply_destroy(struct apply **self)
{
    if (!*self)
        return;
    free_tree(&(*self)->back);
    batch_free(&(*self)->batch);
    signers_free(&(*self)->keys);
    names_free(&(*self)->holds);
    for (unsigned i = 0; i < MASTERS_MOST; i++)
        transfer_reset(&(*self)->doors[i].transfer);
    revisions_close(&(*self)->revisions);
    settings_release(&(*self)->settings);
    free((*self)->json);
    free((*self)->json_before);
    free(*self);
    *self = NULL;
}

const struct settings *apply_settings(const struct apply *self)
{
    return self->settings;
}

const char *apply_revision(const struct apply *self)
{
    return self->settings->revision;
}

const char *apply_tree(const struct apply *self)
{
    return self->hash;
}

const struct names *apply_holds(const struct apply *self)
{
    return &self->holds;
}
