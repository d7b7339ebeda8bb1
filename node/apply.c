// SPDX-License-Identifier: Apache-2.0
#include "node/apply.h"

#include "core/base/file.h"
#include "core/base/log.h"
#include "mail/schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REVISION_SIZE = 129,
    ERROR_SIZE = 512,
    ASK_AGAIN_S = 2,
    REFUSED_ASK_S = 60,
    RELOAD_MOST_S = 10,
    PATH_SIZE = 160,
};

static const char never_configured[] = "{\"revision\":\"0\",\"documents\":{}}";

// A tree on its way; the disk thread's until it is written.
struct tree {
    char folder[PATH_SIZE];
    char revision[REVISION_SIZE];
    char *json;
    size_t size;
    struct settings *settings; // NULL: refused
    char error[ERROR_SIZE];
    struct apply *apply;
    int rolls_back; // the last good one, put back
};

struct apply {
    struct apply_ops ops;
    char folder[PATH_SIZE];
    struct settings *settings; // in force
    char *json, *json_before;  // as a file; NULL: there is none
    struct tree *waiting;      // came while another was being applied
    int busy;                  // one is being written
    uint64_t told[STAGE_NODE]; // stages that have not answered
    int telling, telling_s;
    int rolled_back; // what is being told was put back: its report has been made
    char refused[REVISION_SIZE];
    unsigned refused_s, asked_s; // seconds since
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
    free(*tree);
    *tree = NULL;
}

static struct tree *tree_new(struct apply *self, const char *revision, const void *json,
                             size_t size)
{
    struct tree *tree = allocate(sizeof(*tree));
    tree->apply = self;
    memcpy(tree->folder, self->folder, sizeof(tree->folder));
    snprintf(tree->revision, sizeof(tree->revision), "%s", revision);
    tree->json = duplicate_bytes(json, size);
    tree->size = size;
    return tree;
}

// -- on the disk thread

static int write_tree(void *context)
{
    struct tree *tree = context;
    char path[PATH_SIZE + 16];
    struct settings *settings =
        settings_parse(tree->json, tree->size, tree->error, sizeof(tree->error));
    if (!settings)
        return EINVAL;
    if (strcmp(settings->revision, tree->revision) != 0) {
        snprintf(tree->error, sizeof(tree->error), "revision: it is %.128s inside the tree",
                 settings->revision);
        settings_release(&settings);
        return EINVAL;
    }
    snprintf(path, sizeof(path), "%s/current", tree->folder);
    if (file_make_folders(tree->folder, 0750) < 0 ||
        file_write_atomic(path, tree->json, tree->size, 0640) < 0) {
        int error = errno;
        snprintf(tree->error, sizeof(tree->error), "%s: %s", path, strerror(error));
        settings_release(&settings);
        return error;
    }
    tree->settings = settings;
    return 0;
}

// -- on the loop

static void tree_written(void *context, int result);

static void next(struct apply *self)
{
    struct tree *tree = self->waiting;
    if (!tree || self->busy || self->telling)
        return;
    self->waiting = NULL;
    self->busy = 1;
    if (self->ops.work(self->ops.context, write_tree, tree_written, tree) == 0)
        return;
    self->waiting = tree; // the next second tries again
    self->busy = 0;
}

static void refuse(struct apply *self, const char *revision, const char *reason)
{
    snprintf(self->refused, sizeof(self->refused), "%s", revision);
    self->refused_s = 0;
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
    self->json = tree->json;
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
    if (result == 0)
        adopt(self, tree);
    else if (result == EINVAL)
        refuse(self, tree->revision, tree->error);
    else
        log_error("config.write", "revision=%s failed=\"%s\"", tree->revision, tree->error);
    free_tree(&tree);
    next(self);
}

// A stage would not run what we took: all go back to what they ran before.
static void roll_back(struct apply *self, const char *reason)
{
    const char *before = self->json_before ? self->json_before : never_configured;
    char error[ERROR_SIZE];
    struct settings *settings = settings_parse(before, strlen(before), error, sizeof(error));
    refuse(self, self->settings->revision, reason);
    self->telling = 0;
    memset(self->told, 0, sizeof(self->told));
    if (self->rolled_back || !settings) {
        settings_release(&settings);
        return; // there is nothing better to go back to
    }
    free_tree(&self->waiting);
    self->waiting = tree_new(self, settings->revision, before, strlen(before));
    self->waiting->rolls_back = 1;
    settings_release(&settings);
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

void apply_announced(struct apply *self, unsigned master, struct span revision)
{
    char name[REVISION_SIZE];
    snprintf(name, sizeof(name), "%.*s", (int)revision.size, revision.data);
    if (strcmp(name, self->settings->revision) == 0 || strcmp(name, "0") == 0 || self->busy ||
        self->waiting || self->asked_s < ASK_AGAIN_S ||
        (strcmp(name, self->refused) == 0 && self->refused_s < REFUSED_ASK_S))
        return;
    self->asked_s = 0;
    self->ops.request(self->ops.context, master, self->settings->revision);
}

void apply_tree(struct apply *self, const Postern__ConfigTree *message)
{
    char revision[REVISION_SIZE];
    if (message->revision.len >= sizeof(revision) || message->json.len > SCHEMA_TREE_MOST)
        return;
    snprintf(revision, sizeof(revision), "%.*s", (int)message->revision.len,
             (const char *)message->revision.data);
    if (strcmp(revision, self->settings->revision) == 0)
        return;
    if (self->waiting && self->waiting->rolls_back)
        return; // that comes first; it will be announced again
    free_tree(&self->waiting);
    self->waiting = tree_new(self, revision, message->json.data, message->json.len);
    next(self);
}

void apply_second(struct apply *self)
{
    self->asked_s++;
    self->refused_s++;
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

struct apply *apply_new(const char *state, const struct apply_ops *ops)
{
    struct apply *self = allocate(sizeof(*self));
    self->ops = *ops;
    self->asked_s = ASK_AGAIN_S;
    snprintf(self->folder, sizeof(self->folder), "%s/config", state);
    read_current(self);
    return self;
}

void apply_destroy(struct apply **self)
{
    if (!*self)
        return;
    free_tree(&(*self)->waiting);
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
