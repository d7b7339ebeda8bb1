// SPDX-License-Identifier: Apache-2.0
#include "node/rotate.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 160 };

struct rotate {
    struct rotate_ops ops;
    char folder[PATH_SIZE - 16], key_path[PATH_SIZE], next_path[PATH_SIZE];
    struct curve_keys next; // "": none
    int busy;
    unsigned master; // who asked
    uint64_t number;
};

static int make_next(void *context)
{
    struct rotate *self = context;
    return curve_keys_make(self->next_path, &self->next) == 0 ? 0 : errno;
}

static void made_next(void *context, int result)
{
    struct rotate *self = context;
    self->busy = 0;
    if (result == 0)
        self->ops.answer(self->ops.context, self->master, self->number, self->next.public_key,
                         NULL);
    else
        self->ops.answer(self->ops.context, self->master, self->number, NULL, strerror(result));
}

void rotate_asked(struct rotate *self, unsigned master, uint64_t number)
{
    if (self->next.public_key[0] && !self->busy) {
        self->ops.answer(self->ops.context, master, number, self->next.public_key, NULL);
        return;
    }
    int free = !self->busy;
    if (free) {
        self->master = master;
        self->number = number;
    }
    if (free && self->ops.work(self->ops.context, make_next, made_next, self) == 0)
        self->busy = 1;
    else
        self->ops.answer(self->ops.context, master, number, NULL, "it is busy; try again");
}

// The new key takes the old one's place, which no crash can undo.
static int take_next(void *context)
{
    struct rotate *self = context;
    return rename(self->next_path, self->key_path) == 0 && file_sync_folder(self->folder) == 0
               ? 0
               : errno;
}

static void took_next(void *context, int result)
{
    struct rotate *self = context;
    self->busy = 0;
    if (result != 0) {
        log_error("rotate.take", "error=\"%s\"", strerror(result));
        return; // the next configuration tries again
    }
    log_info("rotate.taken", "key=%s", self->next.public_key);
    self->ops.taken(self->ops.context, &self->next);
    curve_keys_wipe(&self->next);
}

void rotate_follow(struct rotate *self, const struct settings *settings)
{
    const struct settings_node *own =
        self->next.public_key[0] ? settings_node(settings, self->next.public_key) : NULL;
    if (!own || strcmp(own->key, self->next.public_key) != 0 || self->busy)
        return;
    self->busy = self->ops.work(self->ops.context, take_next, took_next, self) == 0;
}

struct rotate *rotate_new(const char *folder, const struct rotate_ops *ops)
{
    struct rotate *self = allocate(sizeof(*self));
    self->ops = *ops;
    snprintf(self->folder, sizeof(self->folder), "%s", folder);
    snprintf(self->key_path, sizeof(self->key_path), "%s/node.key", folder);
    snprintf(self->next_path, sizeof(self->next_path), "%s/node.key.next", folder);
    if (curve_keys_read(self->next_path, &self->next) < 0)
        curve_keys_wipe(&self->next);
    return self;
}

void rotate_destroy(struct rotate **self)
{
    if (!*self)
        return;
    curve_keys_wipe(&(*self)->next);
    free(*self);
    *self = NULL;
}
